"""The two-branch discriminator: image and label map meet after a few layers of their own."""

import kseg


def build(config, label_channels, **options):
    """The network for label maps of `label_channels`, as wide as the settings say; options go to its constructor."""
    return kseg.discriminators.TwoBranch(label_channels, width=config.discriminator_filters / 64, **options)
