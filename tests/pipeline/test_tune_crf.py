"""python -m pipeline.tune_crf: what it searches, reports and refuses."""

import json

import numpy as np
import pytest

from pipeline import tune_crf
from pipeline.prediction import crf_search


@pytest.fixture
def command(finished, tmp_path):
    """Runs the command, with further arguments, in this process; returns its status and what it wrote."""

    def call(*more, **changed):
        places = {
            "model": finished.exporter / "saved_model",
            "data": finished.examples,
            "output": tmp_path / "crf.json",
        } | changed
        arguments = [text for name, place in places.items() for text in (f"--{name}", str(place))]
        status = tune_crf.main([*arguments, "--split", "test", *more])
        return status, json.loads((tmp_path / "crf.json").read_text()) if status == 0 else None

    return call


def test_the_best_parameters_of_the_first_images_are_reported_on_the_others(command, capsys):
    status, result = command("--trials", "2", "--search-images", "2", "--iterations", "2")
    assert status == 0
    assert result["images"] == {"search": 2, "report": 3} and len(result["trials"]) == 2
    scores = [trial["mean_iou"] for trial in result["trials"]]
    assert result["search"]["with"] == max(scores) and len(set(scores)) > 1
    assert result["settings"] == result["trials"][int(np.argmax(scores))]["settings"]
    assert result["settings"]["iterations"] == 2
    for gain in result["report"].values():
        assert gain["difference"] == pytest.approx(gain["with"] - gain["without"])
        assert gain["low"] <= gain["difference"] <= gain["high"]
    assert "on 3 images that were not searched" in capsys.readouterr().out


def test_searched_weights_are_never_zero_and_the_draw_depends_on_the_seed():
    settings = crf_search.candidates(40, seed=0)
    assert len({tuple(setting.values()) for setting in settings[2:]}) == 38
    assert settings == crf_search.candidates(40, seed=0) != crf_search.candidates(40, seed=1)
    assert settings[0] == crf_search.candidates(1, seed=5)[0]
    assert all(setting[f"{kernel}_weight"] > 0 for setting in settings for kernel in ("smoothness", "appearance"))


def test_what_cannot_be_searched_is_refused(command, refining, capsys, tmp_path):
    for changed, more, message in (
        ({}, ["--search-images", "5"], "Received: 5 of 5 images of 'test'"),
        ({"data": tmp_path}, [], "must be a prepared data set with a split 'test'"),
        ({"model": tmp_path}, [], "there is no saved_model.pb"),
        ({"model": refining / "saved_model"}, [], "must not be refined twice"),
    ):
        assert command(*more, **changed) == (2, None)
        assert message in capsys.readouterr().err
