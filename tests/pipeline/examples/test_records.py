"""Prepared data sets through Beam: the same bytes from any number of workers, and every shard read."""

import collections
import pathlib

import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from kseg.pairs.channels import PixelKind
from pipeline.examples import prepared
from pipeline.examples.records import ReadExamples, ReadSplits, WriteExamples
from pipeline.examples.runner_options import pipeline_options
from tests.conftest import ROOT

PAIRS = [
    (split, f"{number:03}", f"image {split} {number}".encode() * number, f"mask {number}".encode())
    for split, count in (("train", 60), ("test", 7))
    for number in range(count)
]
SHARDS = {"train": 4, "test": 2, "validation": 1}
WORKERS = (
    ["--direct_num_workers=1"],
    ["--direct_num_workers=3"],
    ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
)


def written(folder: pathlib.Path, options: list[str], pairs=tuple(PAIRS)) -> dict[str, bytes]:
    """Writes PAIRS; returns the files by name."""
    folder.mkdir()
    with beam.Pipeline(options=pipeline_options(options)) as pipeline:
        _ = pipeline | beam.Create(pairs) | beam.Reshuffle() | WriteExamples(folder, SHARDS)
    prepared.write_metadata(folder, PixelKind(3), "Bytes.", collections.Counter(pair[0] for pair in pairs))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bytes_come_from_any_number_of_workers_and_any_order(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for workers in other processes
    first, *others = [written(tmp_path / str(number), options) for number, options in enumerate(WORKERS)]
    assert all(other == first for other in others)
    assert written(tmp_path / "backwards", [], PAIRS[::-1]) == first
    names = [f"pairs-train.tfrecord-{n:05}-of-00004" for n in range(4)]
    names += [f"pairs-test.tfrecord-{n:05}-of-00002" for n in range(2)]
    assert sorted(first) == sorted([*names, "dataset_info.json", "features.json"])  # nothing unfinished is left


def test_every_shard_of_each_split_is_read(tmp_path):
    written(tmp_path / "data", [])
    with beam.Pipeline(options=pipeline_options()) as pipeline:
        one = pipeline | "one" >> ReadExamples(tmp_path / "data", "test")
        every = pipeline | "every" >> ReadSplits(tmp_path / "data")
        assert_that(one, equal_to([pair[1:] for pair in PAIRS if pair[0] == "test"]), label="of test")
        assert_that(every, equal_to(PAIRS), label="of all")


def test_keys_are_sorted_within_a_shard_and_a_pair_keeps_its_shard_when_others_are_removed(tmp_path):
    import tensorflow as tf

    def keys(folder):
        return {
            path.name: [prepared.from_record(record.numpy())[0] for record in tf.data.TFRecordDataset(str(path))]
            for path in folder.glob("pairs-train*")
        }

    written(tmp_path / "all", [])
    written(tmp_path / "half", [], PAIRS[::2])
    everything, half = keys(tmp_path / "all"), keys(tmp_path / "half")
    assert sum(map(len, everything.values())) == 60
    for name, found in everything.items():
        assert found == sorted(found)
        assert half[name] == [key for key in found if int(key) % 2 == 0]
