"""Opens a prepared data set and reads its pairs as they are stored. TensorFlow only, because the pairs are a `tf.data` data set.

A prepared data set is a folder that `tfds.builder_from_directory` reads, with the features `image` (uint8, uint16 or float32),
`label_map` (uint8 class ids, 255 where void) and `key`, and the splits train, validation and test. Refused: folders, splits and
features that are missing, and features of another dtype or shape.
"""

from __future__ import annotations

import pathlib

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402  (only after the backend is known)

from kseg._extras import extra  # noqa: E402

DTYPES = {"image": ("uint8", "uint16", "float32"), "label_map": ("uint8",)}
"""Types that the features may have."""

no_autograph = tf.autograph.experimental.do_not_convert
"""For functions whose Python conditions and loops do not depend on tensors: data sets then open in half the time."""


@no_autograph
def read_pairs(directory, split: str) -> tf.data.Dataset:
    """Reads the pairs of one split in stored order.

    Args:
        directory: folder of a prepared data set.
        split: one of "train", "validation", "test".

    Returns:
        Data set of (image (H, W, C) of the stored type, label_map (H, W), uint8); H and W differ between pairs.

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: the split is missing, or a feature is missing or has another dtype or shape.
    """
    encoded, decode = read_encoded_pairs(directory, split)
    return encoded.map(decode, tf.data.AUTOTUNE)


@no_autograph
def read_encoded_pairs(directory, split: str):
    """Reads the pairs of one split in stored order without decoding them, for those who need only some of them.

    Args:
        directory: folder of a prepared data set.
        split: one of "train", "validation", "test".

    Returns:
        Data set of (image, label_map) as they are stored, and the function that decodes them: from the two to those of
        `read_pairs`.

    Raises:
        FileNotFoundError, ValueError: as `read_pairs`.
    """
    with extra("data"):
        import tensorflow_datasets as tfds

    builder = open_dataset(directory)
    if split not in builder.info.splits:
        raise ValueError(
            f"`split` must be one of {', '.join(sorted(builder.info.splits))}. Received: split={split!r} [{directory}]."
        )
    # One file after another: the order of interleaved files would depend on their number.
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    as_stored = {name: tfds.decode.SkipDecoding() for name in DTYPES}
    stored = builder.as_dataset(split=split, shuffle_files=False, read_config=config, decoders=as_stored)
    features = builder.info.features

    def decode(image, label_map):
        return features["image"].decode_example(image), features["label_map"].decode_example(label_map)[..., 0]

    return stored.map(lambda example: (example["image"], example["label_map"])), decode


def open_dataset(directory):
    """Opens a prepared data set.

    Args:
        directory: its folder.

    Returns:
        The TFDS builder.

    Raises:
        FileNotFoundError: `directory` does not hold a prepared data set.
        ValueError: a feature is missing or has another dtype or shape.
    """
    if not (pathlib.Path(directory) / "dataset_info.json").is_file():
        raise FileNotFoundError(
            f"A prepared data set must hold a file dataset_info.json. Received: directory={str(directory)!r}. "
            "Prepare one with `python -m pipeline.run`: its artifacts `examples` and `transform` are such folders."
        )
    with extra("data"):
        import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    missing = [name for name in DTYPES if name not in builder.info.features]
    if missing:
        raise ValueError(
            f"A prepared data set must have the features image and label_map. Received: {directory} without "
            f"{', '.join(missing)}."
        )
    for name in DTYPES:
        _check_feature(name, builder.info.features[name], directory)
    return builder


def _check_feature(name, feature, directory) -> None:
    dtype, one = getattr(feature.np_dtype, "__name__", feature.np_dtype), name == "label_map"
    shape = tuple(feature.shape)
    if dtype not in DTYPES[name] or len(shape) != 3 or not shape[-1] or (one and shape[-1] != 1):
        raise ValueError(
            f"The feature {name} must be {' or '.join(DTYPES[name])} of shape (H, W, {'1' if one else 'C'}). "
            f"Received: {dtype} {feature.shape} [{directory}]. Prepare the data with `python -m pipeline.run`."
        )
