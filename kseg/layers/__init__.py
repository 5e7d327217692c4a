"""Layers that Keras lacks: crops, pooling, ways up, padding, normalisation, bilinear kernels.

Everything here is written in `keras.ops`, so that it runs on each of Keras's backends; each layer reloads from a `.keras` file.
"""

from kseg.layers.normalization import ImageNetNormalization, LocalResponseNormalization
from kseg.layers.pooling import ImagePooling2D
from kseg.layers.sizes import CropToMatch, MinimumSize, ResizeToMatch
from kseg.layers.unpooling import BedOfNails2D, MaxPoolingWithIndices2D, MaxUnpooling2D
from kseg.layers.upsampling import Bilinear, Interpolation2D, Upsampling
from kseg.layers.windows import DilatedMaxPooling2D, ReflectionPadding2D

__all__ = [
    "BedOfNails2D",
    "Bilinear",
    "CropToMatch",
    "DilatedMaxPooling2D",
    "ImageNetNormalization",
    "ImagePooling2D",
    "Interpolation2D",
    "LocalResponseNormalization",
    "MaxPoolingWithIndices2D",
    "MaxUnpooling2D",
    "MinimumSize",
    "ReflectionPadding2D",
    "ResizeToMatch",
    "Upsampling",
]
