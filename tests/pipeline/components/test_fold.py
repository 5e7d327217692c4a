"""fold: the pairs held out are the test split, the others the training split, and stored bytes stay as they are."""

import json

import pytest

from pipeline.components.fold import fold
from pipeline.examples import prepared
from pipeline.settings.fold import Fold


@pytest.fixture
def make(finished, tmp_path):
    """Writes one of several folds of the finished examples, whose splits share keys: train 0 to 2, validation 0, test 0 to 4."""
    statistics = tmp_path / "statistics"
    statistics.mkdir()
    (statistics / "statistics.json").write_text(json.dumps({"splits": {"train": {"channels": 3}}}))
    if not (finished.examples / "ingestion.json").exists():
        (finished.examples / "ingestion.json").write_text("{}")

    def call(folds, number):
        out = tmp_path / f"{number}"
        out.mkdir()
        fold(out, Fold(folds, number), examples=finished.examples, statistics=statistics)
        return out

    return call


def pairs_of(folder, split):
    """Key to (image_bytes, label_map_bytes)."""
    records = [
        prepared.from_record(prepared.read_record(path, *place))
        for path in prepared.shard_paths(folder).get(split, [])
        for place in prepared.record_places(path)
    ]
    return {key: encoded for key, *encoded in records}


def test_every_pair_but_those_of_test_is_held_out_once_and_learnt_from_otherwise(make, finished):
    stored = [*pairs_of(finished.examples, "train").values(), *pairs_of(finished.examples, "validation").values()]
    assert len(stored) == 4
    held_out, keys = [], []
    for number in range(2):
        folder = make(2, number)
        assert prepared.split_sizes(folder) == {"test": 2, "train": 2}
        train, test = pairs_of(folder, "train"), pairs_of(folder, "test")
        assert sorted([*train.values(), *test.values()]) == sorted(stored) and not train.keys() & test.keys()
        held_out += test.values()
        keys += test
    assert sorted(held_out) == sorted(stored) and len(set(keys)) == 4
    for name in ("labels.json", "ingestion.json"):
        assert (folder / name).read_bytes() == (finished.examples / name).read_bytes()


def test_a_fold_is_a_data_set_that_kseg_reads(make):
    from kseg import data

    (image, label_map), *others = list(data.read_pairs(make(2, 1), split="test"))
    assert image.shape[:2] == label_map.shape and image.shape[2] == 3 and len(others) == 1


def test_more_folds_than_pairs_and_a_fold_beyond_the_last_are_refused(make):
    with pytest.raises(ValueError, match=r"Received: 4 pairs for --folds 5"):
        make(5, 0)
    with pytest.raises(ValueError, match=r"`number` must be below `folds`\. Received: number=2, folds=2"):
        Fold(2, 2)
