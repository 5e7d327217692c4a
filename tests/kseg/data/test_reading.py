"""Prepared data sets are read as they are stored; others are refused."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kseg import data
from tests.kseg.conftest import make_pair


def test_pairs_are_read_as_stored_and_in_stored_order(prepared):
    read = list(data.read_pairs(prepared, "train").as_numpy_iterator())
    for index, (image, label_map) in enumerate(read):
        expected_image, expected_label_map = make_pair(index)
        np.testing.assert_array_equal(image, expected_image)
        np.testing.assert_array_equal(label_map, expected_label_map)
    assert len(read) == 7 and all(image.dtype == label_map.dtype == np.uint8 for image, label_map in read)


def test_missing_folders_and_splits_are_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold a file dataset_info.json. Received: directory='.*nothing'"):
        data.read_pairs(tmp_path / "nothing", "train")
    with pytest.raises(ValueError, match=r"`split` must be one of train, validation. Received: split='val'"):
        data.read_pairs(prepared, "val")


IMAGE, LABEL_MAP = tfds.features.Image(shape=(None, None, 3)), tfds.features.Image(shape=(None, None, 1))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"image": IMAGE}, "Received: .* without label_map"),
        (
            {"image": IMAGE, "label_map": IMAGE},
            r"label_map must be uint8 of shape \(H, W, 1\)\. Received: uint8 \(None, None, 3\)",
        ),
        (
            {
                "image": tfds.features.Tensor(shape=(None, None, 1), dtype=np.int64, encoding="zlib"),
                "label_map": LABEL_MAP,
            },
            r"image must be uint8 or uint16 or float32 of shape \(H, W, C\)\. Received: int64",
        ),
        (
            {"image": tfds.features.Image(shape=(None, None, None)), "label_map": LABEL_MAP},
            r"Received: uint8 \(None, None, None\)",
        ),
        ({"image": IMAGE, "label_map": tfds.features.Text()}, "label_map must be uint8"),
    ],
    ids=["no label map", "rgb label map", "64 bits", "unknown channels", "text"],
)
def test_features_of_another_kind_are_refused(tmp_path, features, message):
    (tmp_path / "odd-train.tfrecord-00000-of-00001").touch()
    template = tfds.core.ShardedFileTemplate(tmp_path, dataset_name="odd", filetype_suffix="tfrecord")
    split = tfds.core.SplitInfo("train", shard_lengths=[1], num_bytes=0, filename_template=template)
    features = tfds.features.FeaturesDict(features)
    tfds.folder_dataset.write_metadata(data_dir=tmp_path, features=features, split_infos=[split], check_data=False)
    with pytest.raises(ValueError, match=message):
        data.read_pairs(tmp_path, "train")
