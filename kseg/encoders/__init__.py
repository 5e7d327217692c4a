"""Encoders: functions from an image to its features, fine to coarse, one per stride. `keras` only.

    features = encoder(image)        # image (B, H, W, C) in [0, 255]; each encoder normalises it

Networks take them by name, `kseg.UNet(11, encoder="resnet50", weights="imagenet")`, or as functions with arguments bound:
`encoder=functools.partial(kseg.encoders.resnet50, width=0.5)`. Sizes of features are rounded up, so odd images need no padding.
Only `weights="imagenet"` downloads. The backbones of keras-cv are in `kseg.keras_cv`.
"""

from kseg.encoders.alexnet import alexnet
from kseg.encoders.applications import efficientnet_v2_b0, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from kseg.encoders.efficientnet_lite import efficientnet_lite0, efficientnet_lite1, efficientnet_lite2
from kseg.encoders.features import strides
from kseg.encoders.names import ENCODERS
from kseg.encoders.resnet import resnet50, resnet101
from kseg.encoders.vgg import VGG16_STAGES, vgg16, vgg16_dilated

__all__ = [
    "ENCODERS",
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
