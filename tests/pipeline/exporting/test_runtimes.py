"""The exporter's other runtimes: which images they are compared on, and what is recorded of each."""

import importlib.util
import json

import numpy as np
import pytest

from kseg import metrics
from pipeline.components.exporter import exporter
from pipeline.exporting import runtimes
from pipeline.settings.exporter import FORMATS, Exporter
from tests.pipeline.conftest import LABELS
from tests.prepared_pairs import write_prepared

PLAN = {"image_size": [24, 32]}


def test_pairs_are_spread_over_the_split(tmp_path):
    pairs = [(np.full((4, 6, 3), n, np.uint8), np.full((4, 6), n % 3, np.uint8)) for n in range(10)]
    folder = write_prepared(tmp_path / "pairs", {"train": pairs}, LABELS)
    found = runtimes.read_pairs(folder, runtimes.compared_split(folder), 4, PLAN)
    assert [image[0, 0, 0] for image, _ in found] == [0, 3, 6, 9]
    assert [(label_map.shape, label_map[0, 0]) for _, label_map in found] == [((4, 6), n % 3) for n in (0, 3, 6, 9)]
    assert len(runtimes.read_pairs(folder, "train", 50, PLAN)) == 10


def test_images_are_bounded_in_number_of_pixels_and_cut_where_they_keep_their_own_sizes(tmp_path, monkeypatch):
    pairs = [(np.zeros((90, 40, 3), np.uint8), np.zeros((90, 40), np.uint8))] * 5
    folder = write_prepared(tmp_path / "pairs", {"train": pairs}, LABELS)
    monkeypatch.setattr(runtimes, "NETWORK_PIXELS", 30 * 30)
    (image, label_map), *_ = runtimes.read_pairs(folder, "train", 5, {"image_size": None, "image_scale": 0.5})
    assert image.shape == (60, 40, 3) and label_map.shape == (60, 40)
    monkeypatch.setattr(runtimes, "MAX_PIXELS", 2 * 90 * 40)
    assert len(runtimes.read_pairs(folder, "train", 5, PLAN)) == 3  # the third passes the limit


@pytest.mark.slow
def test_each_format_is_written_beside_the_saved_model_with_its_agreement_and_mean_iou(finished, tmp_path, capsys):
    installed = [name for name in FORMATS if all(importlib.util.find_spec(package) for package in FORMATS[name])]
    if not installed:
        pytest.skip("no package of another runtime is installed: pip install 'kseg[runtimes]'")
    inputs = {"model": finished.trainer, "transform": finished.transform, "examples": finished.examples}
    exporter(tmp_path, Exporter(formats=tuple(installed)), **inputs)
    report = json.loads((tmp_path / "saved_model" / "formats.json").read_text())
    assert list(report) == installed
    (image, label_map), *_ = finished.pairs["validation"]
    from kseg.serving.label import Labeller

    for name, found in report.items():
        labelled = Labeller(tmp_path / "saved_model" / name)(image)
        expected = metrics.scores(metrics.confusion_matrix(label_map, labelled, 3))["mean_iou"]
        assert found["mean_iou"] == pytest.approx(expected) and abs(found["mean_iou_loss"]) < 0.05
        assert (found["images"], found["split"]) == (1, "validation")
        assert found["agreement"] > (0.9 if name == "litert_int8" else 0.995)
    assert f"{installed[0]}: the same class on " in capsys.readouterr().out
