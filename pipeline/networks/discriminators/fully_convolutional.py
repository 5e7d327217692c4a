"""The fully convolutional discriminator: a verdict for every pixel."""

import kseg


def build(config, label_channels, **options):
    """The network for label maps of `label_channels`, as wide as the settings say; options go to its constructor."""
    return kseg.discriminators.FullyConvolutional(label_channels, base_filters=config.discriminator_filters, **options)
