"""PSPNet, on a ResNet-50 of a quarter of the channels where it is narrow, or on `trainer.encoder`."""

import kseg
from pipeline.networks.trunk import encoder_option


def build(config, num_classes, *, weights=None, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= {"width": 0.25, "depth": 50}
    return kseg.PSPNet(num_classes, **options, **encoder_option(config, weights, output_stride=8))
