"""A U-Net: a verdict for every pixel, from fine and coarse features; for the gambler."""

import kseg


def build(config, label_channels, **options):
    """The network for label maps of `label_channels`, as wide as the settings say; options go to its constructor."""
    return kseg.discriminators.UNet(label_channels, base_filters=config.discriminator_filters, **options)
