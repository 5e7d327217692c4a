"""cross_validation: scores of folds, their spread, those of all pairs together, and the verdict, by hand."""

import json
import math

import numpy as np
import pytest

from kseg import metrics
from pipeline.components.cross_validation import cross_validation
from pipeline.evaluation.image_scores import ScoredImages
from pipeline.settings.evaluator import Evaluator

CLASSES = ["road", "car"]


def evaluation(folder, matrices, keys):
    """What the evaluator leaves of images with these confusion matrices."""
    folder.mkdir()
    matrices = np.array(matrices)
    counts = {"classes": np.array([metrics.class_counts(matrix) for matrix in matrices])}
    counts["boundary"] = np.zeros((len(keys), 2, 2), np.int64)
    traits = {name: np.arange(len(keys)) for name in ("size", "brightness", "classes")}
    images = ScoredImages(np.array(keys), traits, counts)
    images.save(folder / "images.npz")
    scores = {
        "images": len(keys),
        "classes": CLASSES,
        "original_size": images.scores() | {"matrix": matrices.sum(0).tolist()},
    }
    (folder / "scores.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture
def run(tmp_path):
    first = evaluation(
        tmp_path / "a", [[[8, 0], [0, 4]], [[4, 0], [4, 0]]], ["z", "b"]
    )  # mean IoU of 12/16 and 4/8: 0.625
    second = evaluation(tmp_path / "b", [[[9, 1], [1, 4]]], ["a"])  # of 9/11 and 4/6

    def call(**settings):
        cross_validation(tmp_path, Evaluator(**settings), evaluation_00=first, evaluation_01=second)
        return json.loads((tmp_path / "scores.json").read_text())

    return call


def test_folds_have_their_scores_and_the_spread_is_that_of_the_folds(run):
    found = run()
    a, b = (12 / 16 + 4 / 8) / 2, (9 / 11 + 4 / 6) / 2
    assert [row["mean_iou"] for row in found["folds"]] == pytest.approx([a, b])
    assert [row["images"] for row in found["folds"]] == [2, 1] and found["folds"][0]["iou"] == pytest.approx(
        [0.75, 0.5]
    )
    spread = found["spread"]["mean_iou"]
    assert spread["mean"] == pytest.approx((a + b) / 2) and spread["deviation"] == pytest.approx((b - a) / math.sqrt(2))
    assert (spread["low"], spread["high"]) == pytest.approx((a, b))
    assert found["spread"]["boundary_f1"] is None


def test_all_pairs_together_are_counted_as_one_split(run):
    found = run()
    assert found["original_size"]["matrix"] == [[21, 1], [5, 8]]
    assert found["original_size"]["mean_iou"] == pytest.approx((21 / 27 + 8 / 14) / 2)
    assert (found["split"], found["images"]) == ("out of fold", 3)
    assert found["commonest_class"] == {"name": "road", "mean_iou": pytest.approx(22 / 35 / 2)}


def test_the_gate_decides_on_all_pairs_and_compares_with_no_version(run):
    assert run()["blessed"]
    assert run()["gate"]["margin"] is None and run()["gate"]["min_gain"] == 0.1
    refused = run(min_gain=0.5, thresholds={"iou/car": 0.9})
    assert not refused["blessed"] and len(refused["reasons"]) == 2
    assert "on the 3 pairs of 2 folds" in refused["reasons"][0]
    assert "iou/car must reach 0.9" in refused["reasons"][1] and "iou/car=0.571" in refused["reasons"][1]


def test_tables_of_several_folds_become_one_in_the_order_of_the_keys(run, tmp_path):
    images = ScoredImages.load(tmp_path / "a" / "images.npz", tmp_path / "b" / "images.npz")
    assert images.keys.tolist() == ["a", "b", "z"]
    assert images.counts["classes"][0].tolist() == metrics.class_counts(np.array([[9, 1], [1, 4]])).tolist()


def test_page_and_terminal_show_each_fold_and_say_what_the_score_of_the_mean_is_worth(run, tmp_path):
    from pipeline.report.page import write_folds
    from pipeline.report.terminal import summarize_folds

    found = run()
    text = summarize_folds(found, None)
    assert "not passed" not in text
    assert (
        "3 pairs, each scored by the one of 2 networks" in text and "fold 2           mean_iou=0.742  1 images" in text
    )
    assert "no held-out score of it exists" in summarize_folds(found, found)
    test = {"split": "test", "images": 7, "original_size": {"mean_iou": 0.5}, "reasons": ["too <low>"]}
    assert "the mean of the networks on 'test', 7 images: mean_iou=0.500" in summarize_folds(found, test)
    write_folds(tmp_path / "page.html", name="a&b", folds=found, mean=test)
    page = (tmp_path / "page.html").read_text()
    assert "a&amp;b" in page and "too &lt;low&gt;" in page and "7 images: mean_iou=0.500" in page
    for number in ("0.625", "0.742", "0.684", "0.083", "0.675"):  # folds, mean, deviation, all pairs
        assert f">{number}<" in page


def test_thresholds_that_all_pairs_miss_are_named_although_nothing_is_exported(run, tmp_path):
    from pipeline.report.page import write_folds
    from pipeline.report.terminal import summarize_folds

    found, missed = run(thresholds={"iou/car": 0.9}), "iou/car must reach 0.9 on the 3 pairs of 2 folds"
    assert f"not passed by all pairs together: {missed}" in summarize_folds(found, None)
    passed = {"split": "test", "images": 7, "original_size": {"mean_iou": 0.5}, "reasons": []}
    assert missed not in summarize_folds(found, passed)
    for mean, expected in ((None, True), (passed, False)):
        write_folds(tmp_path / "page.html", name="a", folds=found, mean=mean)
        assert (missed in (tmp_path / "page.html").read_text()) == expected
