"""Layers that Keras lacks: crops, pooling, upsampling, padding, normalisation, bilinear kernels.

They are written in `keras.ops`, run on each of Keras's backends, and reload from `.keras` files.
"""

from kseg.layers.normalization import BatchNormalization, ImageNetNormalization, LocalResponseNormalization
from kseg.layers.pooling import ImagePooling2D
from kseg.layers.sizes import CropToMatch, MinimumSize, ResizeToMatch
from kseg.layers.unpooling import BedOfNails2D, MaxPoolingWithIndices2D, MaxUnpooling2D
from kseg.layers.upsampling import Bilinear, Interpolation2D, Upsampling
from kseg.layers.windows import DilatedMaxPooling2D, ReflectionPadding2D

__all__ = [
    "BatchNormalization",
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
