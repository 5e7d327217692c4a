"""The ladder of adaptation and the benchmark of few labels: what each arm sees, and that they go on where they stopped."""

import itertools

import numpy as np
import pytest

from benchmarks import adaptation, few_labels, json_lines
from benchmarks.adversarial_gain import pictures, training
from kseg import streets

CAMVID = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Networks that train in a moment, one seed, one choice of the adversary."""
    monkeypatch.setattr(training, "FILTERS", (4, 8))
    for module in (adaptation, few_labels):
        monkeypatch.setattr(module, "SEEDS", range(1))
        monkeypatch.setattr(module, "NETWORK", "unet")
    monkeypatch.setattr(adaptation, "CHOICES", {"features 0.001": adaptation.CHOICES["features 0.001"]})


def domains():
    draw = np.random.default_rng(0)
    source, target, scored = (draw.integers(0, 256, (count, 32, 32, 3), np.uint8) for count in (4, 3, 2))
    ids = draw.integers(0, len(adaptation.COMMON), (4, 32, 32)).astype(np.uint8)
    return adaptation.Domains((source, ids), target, (scored, ids[:2]))


def test_common_classes_are_those_of_both_and_all_else_is_void():
    of_streets = adaptation.to_common(np.arange(8, dtype=np.uint8), streets.LABELS.names, 0)
    np.testing.assert_array_equal(of_streets, [0, 1, 1, 1, 2, 2, 3, 3])
    of_camvid = adaptation.to_common(np.array([*range(11), 255], np.uint8), CAMVID, 1)
    np.testing.assert_array_equal(of_camvid, [0, 1, 255, 2, 2, 255, 255, 255, 3, 255, 255, 255])


def test_half_of_a_batch_is_of_the_target_without_labels_where_a_rung_sees_it():
    for name, rung in adaptation.RUNGS.items():
        images, ids = next(iter(adaptation.batches(domains(), rung, seed=0)))
        unlabelled = (ids.numpy() == 255).all(axis=(1, 2))
        expected = (
            [False] * 4 + [True] * 4 if "adversary" in name or "training" in name or "both" in name else [False] * 8
        )
        assert images.shape == (8, 32, 32, 3) and unlabelled.tolist() == expected


@pytest.mark.slow
def test_the_ladder_trains_scores_and_goes_on_where_it_stopped(tmp_path):
    path, turns = tmp_path / "runs.jsonl", itertools.count()
    adaptation.run_pending(path, lambda: next(turns) < 2, domains(), steps=2)
    first = json_lines.read(path)
    assert [row["rung"] for row in first] == [*adaptation.CHOICES, "source"]
    adaptation.run_pending(path, lambda: True, domains(), steps=2)
    rows = json_lines.read(path)
    assert rows[:2] == first and [row["rung"] for row in rows] == [*adaptation.CHOICES, *adaptation.RUNGS]
    assert len(adaptation.table(rows, steps=2).splitlines()) == 3 + len(adaptation.RUNGS)


def small_data():
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (17, 32, 32, 3), np.uint8)
    pairs = pictures.Pictures(images, (images[..., 0] > 128).astype(np.uint8))
    return pictures.Data("small", {"train": pairs, "validation": pairs}, ("dark", "bright"), crop_size=(24, 24))


def test_every_eighth_image_keeps_its_labels_and_half_of_a_batch_has_none():
    data = small_data()
    labelled, others = few_labels.split(data.splits["train"], "teacher")
    assert (len(labelled.images), len(others.images)) == (3, 14)
    np.testing.assert_array_equal(labelled.images, data.splits["train"].images[::8])
    assert len(few_labels.split(data.splits["train"], few_labels.ALL)[0].images) == 17
    for arm in few_labels.ARMS:
        _, ids = next(iter(few_labels.batches(data, arm, seed=0)))
        unlabelled = (ids.numpy() == 255).all(axis=(1, 2)).sum()
        assert len(ids) == (4 if arm == few_labels.HALF else 8) and unlabelled == (0 if "labels" in arm else 4)


@pytest.mark.slow
def test_every_arm_of_few_labels_trains_and_scores(tmp_path):
    path = tmp_path / "runs.jsonl"
    few_labels.run_pending(path, lambda: True, small_data(), steps=2)
    rows = json_lines.read(path)
    assert [row["arm"] for row in rows] == list(few_labels.ARMS)
    assert "| all labels | 1 |" in few_labels.table(rows, steps=2)


def test_an_arm_is_compared_with_all_and_few_labels_in_the_seeds_that_it_has(monkeypatch):
    monkeypatch.setattr(few_labels, "SEEDS", range(2))
    scores = {few_labels.ALL: (0.8, 0.7), few_labels.FEW: (0.5, 0.7), "teacher": (None, 0.63)}
    rows = [
        {"arm": arm, "seed": seed, "steps": 9, "mean_iou": score, "boundary_f1": 0.25}
        for arm, of_seeds in scores.items()
        for seed, score in enumerate(of_seeds)
        if score
    ]
    table = few_labels.table(rows, steps=9)
    assert "| teacher | 1 | 0.6300 | 90.0% | -0.0700 | 0.2500 |" in table
    assert "| few labels | 2 | 0.6000 | 80.0% |" in table and "both" not in table
