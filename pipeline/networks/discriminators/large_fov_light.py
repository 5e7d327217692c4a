"""LargeFOV, light: in the paper its first convolutions have 96 filters."""

import kseg


def build(config, label_channels, **options):
    """The network for label maps of `label_channels`, as wide as the settings say; options go to its constructor."""
    width = config.discriminator_filters / 96
    return kseg.discriminators.LargeFOV(label_channels, light=True, width=width, **options)
