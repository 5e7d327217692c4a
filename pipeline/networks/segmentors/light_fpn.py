"""The light feature pyramid, on EfficientNet-Lite0 or `trainer.encoder`; of no paper, so "paper" is twice as wide."""

import kseg
from pipeline.networks.trunk import encoder_option
from pipeline.settings.encoders import filters


def build(config, num_classes, *, weights=None, **options):
    """The network for `num_classes`, narrow or twice as wide; options go to its constructor."""
    factor = 1 if config.width == "narrow" else 2
    options |= {"filters": tuple(factor * number for number in filters(config))}
    return kseg.LightFPN(num_classes, **options, **encoder_option(config, weights))
