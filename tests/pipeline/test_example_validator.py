"""example_validator: what stops a run, what is only said, and that nothing is left where a run is stopped."""

import copy
import json

import pytest

from pipeline.components.example_validator import example_validator
from pipeline.config import ExampleValidator

SPLIT = {
    "class_pixels": [60, 30],
    "class_images": [3, 2],
    "void_pixels": 6,
    "channels": 3,
    "height": {"min": 4, "median": 4, "max": 8},
    "width": {"min": 4, "median": 4, "max": 8},
}
SCHEMA = {
    "classes": [{"id": 0, "name": "road", "value": 0}, {"id": 1, "name": "car", "value": 7}],
    "channels": 3,
    "height": {"min": 4, "max": 8},
    "width": {"min": 4, "max": 8},
}


@pytest.fixture
def validate(tmp_path):
    """Runs the component on given contents; returns its anomalies."""

    def run(splits, *, quarantined=(), unused_masks=(), pairs=100, schema=SCHEMA, **settings):
        ingestion = {"pairs": {"train": pairs}, "quarantined": list(quarantined), "unused_masks": list(unused_masks)}
        files = {"ingestion": ingestion, "statistics": {"splits": splits}, "schema": schema}
        for name, contents in files.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(contents))
        folders = dict.fromkeys(("examples", "statistics", "schema"), tmp_path)
        out = tmp_path / "out"
        out.mkdir()
        try:
            example_validator(out, ExampleValidator(**settings), **folders)
        except ValueError:
            assert list(out.iterdir()) == []  # nothing half-written
            raise
        return json.loads((out / "anomalies.json").read_text())["anomalies"]

    return run


def changed(**fields):
    return copy.deepcopy(SPLIT) | fields


def row(number):
    return {
        "split": "train",
        "key": f"k{number}",
        "image": f"/a/{number}.jpg",
        "mask": f"/b/{number}.png",
        "reason": "Cut off.",
    }


GOOD = {"train": SPLIT, "validation": SPLIT}


def test_nothing_is_said_about_a_good_data_set(validate):
    assert validate(GOOD) == []


def test_few_quarantined_pairs_are_listed_and_do_not_stop(validate):
    (anomaly,) = validate(GOOD, quarantined=[row(1)], pairs=99)  # 1 of 100 is 1 %, which is allowed
    assert anomaly == {
        "severity": "quarantine",
        "what": "Cut off.",
        "where": "train k1: /a/1.jpg, /b/1.png",
        "cure": "",
    }


def test_many_quarantined_pairs_stop_and_every_path_is_named(validate):
    with pytest.raises(ValueError, match=r"must be at most 1\.0% of all\. Received: 3 of 102 \(2\.9%\)") as raised:
        validate(GOOD, quarantined=[row(1), row(2), row(3)], pairs=99)
    assert all(f"/a/{n}.jpg, /b/{n}.png" in str(raised.value) for n in (1, 2, 3))


def test_the_share_of_quarantined_pairs_that_is_allowed_can_be_set(validate):
    found = validate(GOOD, quarantined=[row(1), row(2), row(3)], pairs=9, max_quarantined=0.25)
    assert [anomaly["severity"] for anomaly in found] == ["quarantine"] * 3


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"validation": SPLIT}, r"There must be a split to train on\. Received: validation"),
        ({"train": SPLIT}, r"There must be a split to score on, validation or test\. Received: train"),
        (
            {"train": SPLIT, "test": changed(class_pixels=[0, 0], class_images=[0, 0])},
            r"must have labelled pixels\. Received: 6 pixels, all void \[split test\].*--ignore-value",
        ),
        (
            {**GOOD, "test": changed(channels=1)},
            r"`channels` must be as the schema says, 3\. Received: 1 \[split test\]",
        ),
        (
            {**GOOD, "test": changed(height={"min": 4, "median": 4, "max": 9})},
            r"`height` must be as the schema says, \{'min': 4, 'max': 8\}\. Received: .*'max': 9",
        ),
    ],
)
def test_what_training_would_be_wrong_on_stops(validate, splits, message):
    with pytest.raises(ValueError, match=message):
        validate(splits)


def test_all_that_stops_is_said_at_once(validate):
    with pytest.raises(ValueError, match=r"(?s)split to train on.*all void"):
        validate({"test": changed(class_pixels=[0, 0], class_images=[0, 0])})


def test_a_class_that_training_never_sees_is_a_warning(validate):
    absent = changed(class_pixels=[90, 0], class_images=[3, 0])
    (anomaly,) = validate({"train": absent, "validation": absent})
    assert (anomaly["severity"], anomaly["where"]) == ("warn", "class 1, mask value 7")
    assert anomaly["what"] == "Class 'car' does not occur in train nor anywhere else"


def test_a_class_that_only_other_splits_have_is_said_to_be_missed(validate):
    (anomaly,) = validate({"train": changed(class_pixels=[90, 0], class_images=[3, 0]), "test": SPLIT})
    assert anomaly["what"] == "Class 'car' does not occur in train, but in test, where it will be missed"


def test_masks_without_an_image_are_a_warning_with_their_number(validate):
    (anomaly,) = validate(GOOD, unused_masks=[f"/m/{number}.png" for number in range(7)])
    assert (anomaly["severity"], anomaly["what"]) == ("warn", "7 masks belong to no image")
    assert anomaly["where"] == "/m/0.png, /m/1.png, /m/2.png, /m/3.png, /m/4.png, ..."
