"""SegNet."""

import kseg


def build(config, num_classes, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    return kseg.SegNet(num_classes, width=0.25 if config.width == "narrow" else 1.0, **options)
