"""The fully connected conditional random field, and the Gaussian filter that makes it fast. TensorFlow only."""

from kseg.postprocess.densecrf.layer import DenseCRF
from kseg.postprocess.densecrf.permutohedral import Lattice, build_lattice, gaussian_filter, normalize

__all__ = ["DenseCRF", "Lattice", "build_lattice", "gaussian_filter", "normalize"]
