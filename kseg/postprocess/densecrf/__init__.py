"""The fully connected conditional random field and the filter that makes it cheap. TensorFlow only."""

from kseg.postprocess.densecrf.layer import DenseCRF
from kseg.postprocess.densecrf.permutohedral import Lattice, gaussian_filter, lattice, normalized

__all__ = ["DenseCRF", "Lattice", "gaussian_filter", "lattice", "normalized"]
