"""Writes prepared data sets for tests, in the format of the pipeline."""

import pathlib

import numpy as np

from kseg.labels import LabelMap


def write_prepared(
    folder: pathlib.Path, splits: dict[str, list[tuple[np.ndarray, np.ndarray]]], labels: LabelMap
) -> pathlib.Path:
    """Writes pairs of image (H, W, C) and label map (H, W), uint8, by split, with the keys 000, 001, ...; returns the folder.

    Images of other types than uint8 are stored as tensors.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    ((first, _), *_), *_ = splits.values()
    shape = (None, None, first.shape[-1])
    tensors = tfds.features.Tensor(shape=shape, dtype=first.dtype, encoding="zlib")
    pictures = tfds.features.Image(shape=shape, encoding_format="png")
    features = tfds.features.FeaturesDict(
        {
            "image": pictures if first.dtype == np.uint8 else tensors,
            "label_map": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "key": tfds.features.Text(),
        }
    )
    folder.mkdir(exist_ok=True)
    for split, pairs in splits.items():
        with tf.io.TFRecordWriter(str(folder / f"prepared-{split}.tfrecord-00000-of-00001")) as file:
            for number, (image, label_map) in enumerate(pairs):
                example = {"image": image, "label_map": label_map[..., None], "key": f"{number:03}"}
                file.write(features.serialize_example(example))
    template = tfds.core.ShardedFileTemplate(folder, dataset_name="prepared", filetype_suffix="tfrecord")
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=[
            tfds.core.SplitInfo(split, shard_lengths=[len(pairs)], num_bytes=0, filename_template=template)
            for split, pairs in splits.items()
        ],
    )
    (folder / "labels.json").write_text(labels.to_json())
    return folder
