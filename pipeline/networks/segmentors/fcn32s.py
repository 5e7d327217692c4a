"""FCN-32s."""

import kseg
from pipeline.networks.narrow import NARROW


def build(config, num_classes, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= NARROW | {"upsampling_trainable": True}
    return kseg.FCN32s(num_classes, **options)
