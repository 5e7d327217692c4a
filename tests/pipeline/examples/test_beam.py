"""Beam: the same bytes from any number of workers, no download, no option swallowed."""

import pathlib
import urllib.request

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions
from apache_beam.testing.util import assert_that, equal_to

from pipeline.examples import beam as shards
from pipeline.examples import prepared
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
    """The files that a pipeline writes, by name."""
    folder.mkdir()
    with beam.Pipeline(options=shards.pipeline_options(options)) as pipeline:
        _ = pipeline | beam.Create(pairs) | beam.Reshuffle() | shards.WriteExamples(folder, SHARDS)
    prepared.write_metadata(folder, 3, "Bytes.")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_bytes_come_from_any_number_of_workers_and_any_order(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for workers in other processes
    first, *others = [written(tmp_path / str(number), options) for number, options in enumerate(WORKERS)]
    assert all(other == first for other in others)
    assert written(tmp_path / "backwards", [], PAIRS[::-1]) == first
    names = [f"pairs-train.tfrecord-{n:05}-of-00004" for n in range(4)]
    names += [f"pairs-test.tfrecord-{n:05}-of-00002" for n in range(2)]
    assert sorted(first) == sorted([*names, "dataset_info.json", "features.json"])  # nothing unfinished is left


def test_what_was_written_is_read_from_all_shards_in_each_split(tmp_path):
    written(tmp_path / "data", [])
    with beam.Pipeline(options=shards.pipeline_options()) as pipeline:
        one = pipeline | "one" >> shards.ReadExamples(tmp_path / "data", "test")
        every = pipeline | "every" >> shards.ReadSplits(tmp_path / "data")
        assert_that(one, equal_to([pair[1:] for pair in PAIRS if pair[0] == "test"]), label="of test")
        assert_that(every, equal_to(PAIRS), label="of all")


def test_keys_are_in_order_within_a_file_and_a_pair_stays_in_its_file_when_others_go(tmp_path):
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


def test_the_default_runner_is_beams_own_in_this_process_and_nothing_is_downloaded(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError(f"a download was tried: {args}")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr("apache_beam.runners.portability.prism_runner.PrismRunner.__init__", refuse)
    monkeypatch.setattr("apache_beam.utils.subprocess_server.SubprocessServer.start", refuse)
    options = shards.pipeline_options()
    pipeline = beam.Pipeline(options=options)
    assert_that(pipeline | beam.Create([1, 2]) | beam.Map(abs), equal_to([1, 2]))
    result = pipeline.run()
    result.wait_until_finish()
    assert type(pipeline.runner).__name__ == "FnApiRunner"
    assert options.view_as(StandardOptions).runner == shards.RUNNER


def test_what_follows_the_dashes_wins_over_the_defaults():
    options = shards.pipeline_options(["--direct_num_workers=5", "--runner=FlinkRunner"])
    assert options.view_as(DirectOptions).direct_num_workers == 5
    assert options.view_as(StandardOptions).runner == "FlinkRunner"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--direct_num_worker=2"],
            r"'--direct_num_worker=2'\. Received: -- --direct_num_worker=2\. Did you mean '--direct_num_workers'",
        ),
        (["stray"], r"Unknown option of Beam 'stray'.*before the bare `--`"),
        (["--direct_num_workers=two"], r"Received: --direct_num_workers=two \[.*invalid int value"),
        (["--direct_running_mode=everywhere"], r"\[.*invalid choice: 'everywhere'"),
    ],
)
def test_options_that_beam_does_not_know_are_refused(argv, message):
    with pytest.raises(ValueError, match=message):
        shards.pipeline_options(argv)


def test_matrices_are_summed_past_two_to_the_31():
    combine = shards.SumCounts()
    large = np.array([[2**40, 1], [0, 2]])
    parts = [combine.create_accumulator() for _ in range(3)]
    parts = [combine.add_input(combine.add_input(part, large), large) for part in parts]
    total = combine.extract_output(combine.merge_accumulators(parts))
    assert (total.dtype, total.tolist()) == (np.int64, [[6 * 2**40, 6], [0, 12]])


def test_small_results_come_back_in_an_order_of_their_own(tmp_path):
    for number, values in enumerate(([["b", 1], ["a", 2]], [["a", 2], ["b", 1]], [])):
        file = tmp_path / f"{number}.jsonl"
        with beam.Pipeline(options=shards.pipeline_options()) as pipeline:
            _ = pipeline | beam.Create(values) | shards.Collect(file)
        assert shards.collected(file) == sorted(values)
        assert list(tmp_path.iterdir()) == []
