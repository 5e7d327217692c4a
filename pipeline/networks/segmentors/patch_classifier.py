"""The classifier of patches, made convolutional."""

import kseg


def build(config, num_classes, *, input_shape):
    """The network for `num_classes`, narrow or the paper's."""
    options = {"channels": input_shape[-1]}
    if config.width == "narrow":
        options |= {"window": 32, "filters": (32, 32, 64), "kernel_sizes": (3, 3, 3), "dense_units": (128,)}
        options |= {"batch_normalization": True}
    return kseg.convolutionalize(kseg.PatchClassifier(num_classes, **options))
