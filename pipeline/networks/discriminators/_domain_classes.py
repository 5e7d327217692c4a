"""FADA's discriminator of features, of `trainer.adaptation` features alone: of which class, and in which of two domains."""

import kseg


def build(config, num_classes, *, channels, **options):
    """The network for features of `channels`, as wide as the settings say; options go to its constructor."""
    return kseg.discriminators.DomainClasses(
        num_classes, channels, base_filters=config.discriminator_filters, **options
    )
