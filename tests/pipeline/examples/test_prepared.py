"""Prepared data sets on disk: TensorFlow and TFDS read what was written without them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kseg.pairs.channels import PixelKind, encode_pixels
from kseg.pairs.image_files import encode_png
from pipeline.examples import prepared

IMAGE = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
LABEL_MAP = np.array([[0, 1, 255, 2, 0, 0, 1]] * 5, np.uint8)
RECORD = prepared.to_record("a/ü", encode_png(IMAGE), encode_png(LABEL_MAP))


def test_a_record_round_trips():
    assert prepared.from_record(RECORD) == ("a/ü", encode_png(IMAGE), encode_png(LABEL_MAP))


def test_a_record_is_a_tensorflow_example():
    import tensorflow as tf

    feature = tf.train.Example.FromString(RECORD).features.feature
    assert {name: value.bytes_list.value[0] for name, value in feature.items()} == {
        "key": "a/ü".encode(),
        "image": encode_png(IMAGE),
        "label_map": encode_png(LABEL_MAP),
    }


def test_a_file_of_records_is_a_tfrecord_file(tmp_path):
    import tensorflow as tf

    prepared.write_records(tmp_path / "some", [RECORD, b"", b"abc"])
    assert [item.numpy() for item in tf.data.TFRecordDataset(str(tmp_path / "some"))] == [RECORD, b"", b"abc"]


MIB = 2**20


@pytest.mark.parametrize(
    ("pairs", "size", "files"),
    [
        (0, 0, 0),
        (1, 10, 1),
        (15, 10, 15),
        (16, 10, 16),
        (367, 90 * MIB, 16),
        (367, 2048 * MIB, 16),
        (367, 2049 * MIB, 17),
    ],
)
def test_the_number_of_shards_follows_from_the_bytes_of_the_source_and_the_number_of_pairs(pairs, size, files):
    assert prepared.shard_count(pairs, size) == files


def test_pairs_are_dealt_evenly_by_their_names_alone_and_sorted_within_a_shard():
    names = [f"{number:03}" for number in range(100)]
    shards = prepared.deal([(name, name) for name in names], 16)
    assert shards == prepared.deal([(name, name) for name in names[::-1]], 16)
    assert sorted(map(len, shards)) == [6] * 12 + [7] * 4
    assert (
        all(shard == sorted(shard) for shard in shards) and sorted(name for shard in shards for name in shard) == names
    )


def test_records_are_read_one_after_another_and_a_damaged_one_is_refused(tmp_path):
    prepared.write_records(tmp_path / "some", [RECORD, b"", b"abc"])
    assert list(prepared.read_records(tmp_path / "some")) == [RECORD, b"", b"abc"]
    for position in (3, 20, -2):  # a length, a record, a checksum
        data = bytearray((tmp_path / "some").read_bytes())
        data[position] ^= 1
        (tmp_path / "other").write_bytes(data)
        with pytest.raises(
            ValueError, match=r"as they were written\. Received: a damaged one that ends at byte \d+ \["
        ):
            list(prepared.read_records(tmp_path / "other"))


@pytest.fixture
def directory(tmp_path):
    """Two files of train, one of them empty, and a split without a pair."""
    for name, records in (("train", [RECORD, RECORD]), ("train", []), ("test", [])):
        shard = int(name == "train" and not records)
        prepared.write_records(tmp_path / prepared.shard_name(name, shard, 2 if name == "train" else 1), records)
    prepared.write_metadata(tmp_path, PixelKind(3), "Two pairs.", {"train": 2, "test": 0})
    return tmp_path


def test_tfds_reads_a_folder_of_records_with_metadata(directory):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    assert (builder.info.description, builder.info.splits["train"].num_examples) == ("Two pairs.", 2)
    for example in builder.as_dataset(split="train").as_numpy_iterator():
        np.testing.assert_array_equal(example["image"], IMAGE)
        np.testing.assert_array_equal(example["label_map"][..., 0], LABEL_MAP)
        assert example["key"].decode() == "a/ü"


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [2, 4, 7])
def test_tfds_reads_images_of_any_channels_and_type_as_they_were(tmp_path, channels, dtype):
    import tensorflow_datasets as tfds

    images = [(np.random.default_rng(n).random((5 + n, 7, channels)) * 250).astype(dtype) for n in range(3)]
    stored = [
        (f"{n}", encode_pixels(image), encode_png(np.zeros(image.shape[:2], np.uint8)))
        for n, image in enumerate(images)
    ]
    records = [prepared.to_record(*pair) for pair in stored]
    assert [prepared.from_record(record) for record in records] == stored
    prepared.write_records(tmp_path / prepared.shard_name("train", 0, 1), records)
    prepared.write_metadata(tmp_path, PixelKind(channels, dtype), "", {"train": 3})
    builder = tfds.builder_from_directory(tmp_path)
    for example, image in zip(builder.as_dataset(split="train").as_numpy_iterator(), images, strict=True):
        assert example["image"].dtype == dtype
        np.testing.assert_array_equal(example["image"], image)


def test_records_and_bytes_are_counted_in_the_files_and_empty_splits_are_removed(directory):
    assert prepared.count_records(directory) == {"train": [(2, 2 * len(RECORD)), (0, 0)]}
    assert prepared.split_sizes(directory) == {"train": 2}
    (split,) = json.loads((directory / "dataset_info.json").read_text())["splits"]
    assert split["numBytes"] == str(2 * len(RECORD))


SHARDS = [prepared.shard_name("train", shard, 4) for shard in range(4)] + [prepared.shard_name("test", 0, 1)]


@pytest.mark.parametrize("lost", SHARDS)
def test_a_data_set_without_one_of_its_shards_is_not_finished_and_not_read(tmp_path, lost):
    for name in SHARDS:
        prepared.write_records(tmp_path / name, [RECORD, RECORD])
    (tmp_path / lost).unlink()
    message = "0 of 2" if "test" in lost else f"1 of 4 are missing, the first is {lost}"
    with pytest.raises(ValueError, match=message):
        prepared.write_metadata(tmp_path, PixelKind(3), "", {"train": 8, "test": 2})
    if "train" in lost:
        with pytest.raises(ValueError, match=message):
            prepared.shard_paths(tmp_path)


def test_a_shard_that_lacks_a_pair_is_found(tmp_path):
    prepared.write_records(tmp_path / prepared.shard_name("train", 0, 1), [RECORD] * 3)
    with pytest.raises(ValueError, match=r"must leave all pairs of train\. Received: 3 of 4 \["):
        prepared.write_metadata(tmp_path, PixelKind(3), "", {"train": 4})


def test_writing_a_data_set_does_not_import_tensorflow(tmp_path):
    program = f"""
import pathlib, sys
from kseg.pairs.channels import PixelKind
from pipeline.examples import parts, prepared
folder = pathlib.Path({str(tmp_path)!r})
prepared.write_records(folder / prepared.shard_name("train", 0, 1), [prepared.to_record("a", b"image", b"mask")])
prepared.write_metadata(folder, PixelKind(1), "", dict(train=1))
print([name for name in ("tensorflow", "keras") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
