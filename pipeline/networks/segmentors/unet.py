"""U-Net, of `trainer.filters` where it is narrow."""

import kseg


def build(config, num_classes, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= {"filters": config.filters, "batch_normalization": True}
    return kseg.UNet(num_classes, **options)
