"""A small prepared data set, written as the pipeline writes them."""

import pathlib

import numpy as np
import pytest

from kseg.labels import VOID, LabelMap

LABELS = LabelMap(("ground", "left", "right"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
SIZES = [(40, 56), (56, 40), (37, 61), (48, 64), (20, 28), (64, 48), (41, 41)]


def drawn(index: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose classes can be told by colour: image (H, W, C) and label map (H, W), uint8, with a void row on top."""
    draw = np.random.default_rng(index)
    height, width = SIZES[index % len(SIZES)]
    label_map = np.zeros((height, width), np.uint8)
    label_map[height // 3 :, : width // 3] = 1
    label_map[height // 2 :, width // 2 :] = 2
    colours = np.array(LABELS.colours)[label_map][..., :channels]
    image = np.clip(colours + draw.normal(0, 12, colours.shape), 1, 255).astype(np.uint8)
    label_map[0] = VOID
    return image, label_map


def write_prepared(folder: pathlib.Path, splits: dict[str, list[int]], channels: int = 3) -> pathlib.Path:
    """Writes the pairs `drawn` for each split's indices; returns the folder of the data set."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(None, None, channels), encoding_format="png"),
            "label_map": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "key": tfds.features.Text(),
        }
    )

    for split, indices in splits.items():
        with tf.io.TFRecordWriter(str(folder / f"drawn-{split}.tfrecord-00000-of-00001")) as file:
            for index in indices:
                image, label_map = drawn(index, channels)
                example = {"image": image, "label_map": label_map[..., None], "key": f"{index:03}"}
                file.write(features.serialize_example(features.encode_example(example)))
    template = tfds.core.ShardedFileTemplate(folder, dataset_name="drawn", filetype_suffix="tfrecord")
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=[
            tfds.core.SplitInfo(split, shard_lengths=[len(indices)], num_bytes=0, filename_template=template)
            for split, indices in splits.items()
        ],
    )
    (folder / "labels.json").write_text(LABELS.to_json())
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> pathlib.Path:
    """Seven training pairs and three validation pairs, every size different, RGB."""
    return write_prepared(tmp_path_factory.mktemp("rgb"), {"train": list(range(7)), "validation": [7, 8, 9]})


@pytest.fixture(scope="session")
def prepared_grey(tmp_path_factory) -> pathlib.Path:
    """Two grey training pairs."""
    return write_prepared(tmp_path_factory.mktemp("grey"), {"train": [0, 1]}, channels=1)
