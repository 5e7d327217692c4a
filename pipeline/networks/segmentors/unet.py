"""U-Net, of `trainer.filters` where it is narrow; on `trainer.encoder` where there is one."""

import kseg
from pipeline.networks.trunk import encoder_option


def build(config, num_classes, *, weights=None, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= {"filters": config.filters, "batch_normalization": True}
    return kseg.UNet(num_classes, **options, **encoder_option(config, weights))
