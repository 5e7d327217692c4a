"""DeepLabv3, on a ResNet-50 of a quarter of the channels where it is narrow."""

import kseg


def build(config, num_classes, **options):
    """The network for `num_classes`, narrow or the paper's; options go to its constructor."""
    if config.width == "narrow":
        options |= {"width": 0.25, "depth": 50}
    return kseg.DeepLabV3(num_classes, **options)
