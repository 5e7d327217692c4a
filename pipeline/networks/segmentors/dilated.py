"""The dilated front end with the basic context module."""

import kseg
from pipeline.networks.narrow import NARROW


def build(config, num_classes, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= NARROW | {"upsampling_trainable": True}
    return kseg.DilatedFrontEnd(num_classes, context="basic", **options)
