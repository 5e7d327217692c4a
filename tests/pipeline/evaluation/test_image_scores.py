"""Counts of single images: scores of any subset, slices by thirds and by folder."""

import dataclasses

import numpy as np
import pytest

from kseg import metrics
from pipeline.evaluation.image_scores import ScoredImages

MATRICES = np.random.default_rng(0).integers(0, 50, (6, 3, 3))
KEYS = ["night/b", "night/a", "day/c", "day/d", "day/e", "f"]


def row(number, **traits):
    counts = {"classes": metrics.class_counts(MATRICES[number]).tolist(), "boundary": [[0, 0]] * 3}
    values = {"size": 100, "brightness": 10.0 * number, "classes": 1 + number // 2} | traits
    return {"key": KEYS[number], "traits": values, "counts": counts}


@pytest.fixture
def images():
    return ScoredImages.from_rows([row(number) for number in range(6)])


def keys_of(images, name):
    return images.keys[images.slices()[name][1]].tolist()


def test_images_are_sorted_by_key_whatever_the_order_of_the_workers(images):
    assert images.keys.tolist() == sorted(KEYS)
    again = ScoredImages.from_rows([row(number) for number in reversed(range(6))])
    np.testing.assert_array_equal(images.counts["classes"], again.counts["classes"])


def test_scores_of_a_subset_are_those_of_the_sum_of_its_matrices(images):
    every, night = images.scores(), images.scores(images.slices()["folder=night"][1])
    assert every["iou"] == metrics.scores(MATRICES.sum(axis=0))["iou"]
    assert night["mean_iou"] == metrics.scores(MATRICES[:2].sum(axis=0))["mean_iou"]
    assert every["boundary_f1"] is None  # no image counts for it


def test_thirds_by_brightness_are_below_between_and_above_the_quantiles(images):
    assert [keys_of(images, f"brightness={part}") for part in ("dark", "medium", "bright")] == [
        ["night/a", "night/b"],
        ["day/c", "day/d"],
        ["day/e", "f"],
    ]
    assert images.slices()["brightness=dark"][0] == "a mean brightness of less than 16.67"


def test_images_of_equal_value_stay_in_one_slice(images):
    assert [name for name in images.slices() if name.startswith("size")] == ["size=medium"]
    assert images.slices()["size=medium"][0] == "100 pixels"


def test_large_numbers_are_written_out(images):
    sizes = images.traits["size"] + np.arange(len(images.keys)) * 12_000
    large = dataclasses.replace(images, traits=images.traits | {"size": sizes})
    assert large.slices()["size=large"][0] == "more than 40,100 pixels"


def test_folders_come_from_the_keys_if_there_are_at_least_two(images):
    assert {name for name in images.slices() if "folder" in name} == {"folder=night", "folder=day", "folder=."}
    one = ScoredImages.from_rows([row(number) for number in (2, 3, 4)])
    assert not any("folder" in name for name in one.slices())


def test_the_saved_table_holds_every_count(images, tmp_path):
    images.save(tmp_path / "images.npz")
    with np.load(tmp_path / "images.npz") as kept:
        assert kept["key"].tolist() == sorted(KEYS)
        np.testing.assert_array_equal(kept["classes_counts"], images.counts["classes"])
        assert set(kept) == {"key", "size", "brightness", "classes", "classes_counts", "boundary_counts"}
