"""Trunks: functions from an image to its features, fine to coarse, one for each stride. `keras` only.

    features = encoder(image)        # image (B, H, W, C) in [0, 255]; normalisation is inside, each trunk its own

Networks take any of them as `encoder=`, with settings bound: `functools.partial(kseg.encoders.resnet50, weights="imagenet")`.
Sizes of features are rounded up, so odd images need no padding by the caller. Nothing is downloaded unless `weights="imagenet"`
asks for it. The trunks of keras-cv are in `kseg.keras_cv`.
"""

from kseg.encoders.alexnet import alexnet
from kseg.encoders.applications import efficientnet_v2_b0, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from kseg.encoders.efficientnet_lite import efficientnet_lite0, efficientnet_lite1, efficientnet_lite2
from kseg.encoders.features import strides
from kseg.encoders.resnet import resnet50, resnet101
from kseg.encoders.vgg import VGG16_STAGES, vgg16, vgg16_dilated

__all__ = [
    "VGG16_STAGES",
    "alexnet",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnet_v2_b0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "resnet50",
    "resnet101",
    "strides",
    "vgg16",
    "vgg16_dilated",
]
