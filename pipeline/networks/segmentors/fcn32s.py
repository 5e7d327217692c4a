"""FCN-32s, on VGG16 or `trainer.encoder`."""

import kseg
from pipeline.networks.narrow import NARROW
from pipeline.networks.trunk import encoder_option


def build(config, num_classes, *, weights=None, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= NARROW | {"upsampling_trainable": True}
    return kseg.FCN32s(num_classes, **options, **encoder_option(config, weights))
