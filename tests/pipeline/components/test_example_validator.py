"""example_validator: what stops a run, what is only said, and that nothing is left where a run is stopped."""

import copy
import json

import pytest

from kseg.labels import LabelMap
from pipeline.components.example_validator import example_validator
from pipeline.settings.example_validator import ExampleValidator
from pipeline.validation import schema

LABELS = LabelMap(("road", "car"), ((1, 2, 3), (4, 5, 6)), (0, 7))
SPLIT = {
    "images": 50,
    "class_pixels": [60, 30],
    "class_images": [3, 2],
    "void_pixels": 6,
    "pixels": 96,
    "channels": 3,
    "formats": {"PNG": 50},
    "height": {"min": 4, "median": 4, "max": 8},
    "width": {"min": 4, "median": 4, "max": 8},
    "brightness": [1, 2, 3, 2],
}
NOTHING_ELSE = {"duplicates": [], "near_duplicates": [], "empty_masks": [], "tiny_images": []}


def changed(**fields):
    return copy.deepcopy(SPLIT) | fields


def statistics(splits, classes=("road", "car"), **findings):
    return {"classes": list(classes), "splits": splits, "all": SPLIT} | NOTHING_ELSE | findings


GOOD = {"train": SPLIT, "validation": SPLIT}


@pytest.fixture
def validate(tmp_path):
    """Runs the component on given contents; returns what it wrote."""

    def run(splits, *, labels=LABELS, ingestion=(), before=None, expected=None, findings=(), **settings):
        folders = {name: tmp_path / name for name in ("examples", "statistics", "schema", "previous", "out")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        counted = statistics(splits, **dict(findings))
        ingested = {
            "pairs": {"train": 100},
            "quarantined": [],
            "unused_masks": [],
            "foreign_files": [],
            "reencoded": {},
        }
        (folders["examples"] / "labels.json").write_text(labels.to_json())
        (folders["examples"] / "ingestion.json").write_text(json.dumps(ingested | dict(ingestion)))
        (folders["statistics"] / "statistics.json").write_text(json.dumps(counted))
        (folders["schema"] / "schema.json").write_text(json.dumps(expected or schema.infer(counted, labels)))
        (folders["previous"] / "statistics.json").write_text(json.dumps(before))
        out, previous = folders.pop("out"), folders.pop("previous")
        try:
            example_validator(out, ExampleValidator(**settings), **folders, previous=previous if before else None)
        except ValueError:
            assert list(out.iterdir()) == []  # nothing half-written
            raise
        return json.loads((out / "anomalies.json").read_text())

    return run


def row(number):
    return {
        "split": "train",
        "key": f"k{number}",
        "image": f"/a/{number}.jpg",
        "mask": f"/b/{number}.png",
        "name": "damaged_file",
        "what": "A file must be whole. Received: half",
        "where": f"/a/{number}.jpg",
        "cure": "Copy it anew.",
    }


def quarantined(count, pairs=99):
    return {"quarantined": [row(number) for number in range(count)], "pairs": {"train": pairs}}


def test_nothing_is_said_about_a_good_data_set(validate):
    distance = {"of": "validation", "against": "train", "classes": 0.0, "brightness": 0.0}
    assert validate(GOOD) == {"anomalies": [], "distances": [distance]}


def test_few_quarantined_pairs_are_listed_and_do_not_stop(validate):
    (anomaly,) = validate(GOOD, ingestion=quarantined(1))["anomalies"]  # 1 of 100 is 1 %, which is allowed
    assert anomaly == {
        "severity": "quarantine",
        "name": "damaged_file",
        "what": "A file must be whole. Received: half",
        "where": "/a/0.jpg",
        "cure": "Copy it anew.",
    }


def test_many_quarantined_pairs_stop_and_their_paths_are_named(validate):
    with pytest.raises(ValueError, match=r"must be at most 1\.0% of all\. Received: 3 of 102 \(2\.9%\)") as raised:
        validate(GOOD, ingestion=quarantined(3))
    assert all(f"[/a/{n}.jpg]. Copy it anew." in str(raised.value) for n in range(3))
    assert "examples/quarantine" in str(raised.value)


def test_a_message_names_twenty_quarantined_pairs_and_counts_the_others(validate):
    with pytest.raises(ValueError, match=r"/a/19\.jpg") as raised:
        validate(GOOD, ingestion=quarantined(31))
    assert "/a/20.jpg" not in str(raised.value) and str(raised.value).endswith("and 11 more")


def test_the_share_of_quarantined_pairs_that_is_allowed_can_be_set(validate):
    found = validate(GOOD, ingestion=quarantined(3, pairs=9), max_quarantined=0.25)
    assert [anomaly["severity"] for anomaly in found["anomalies"]] == ["quarantine"] * 3


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
            {"train": changed(class_pixels=[0, 9], class_images=[0, 5]), "test": SPLIT},
            r"There must be two classes to tell apart\. Received: 'car' at every labelled pixel \[split train\]",
        ),
    ],
)
def test_what_training_would_be_wrong_on_stops(validate, splits, message):
    with pytest.raises(ValueError, match=message):
        validate(splits)


def test_data_that_are_not_as_a_frozen_schema_says_stop(validate):
    with pytest.raises(
        ValueError,
        match=r"must be as the schema says: `height` max 7\. Received: min 4, max 8 \[split train, .*schema\.json",
    ):
        validate(GOOD, expected={"height": {"max": 7}})


def test_all_that_stops_is_said_at_once(validate):
    with pytest.raises(ValueError, match=r"(?s)split to train on.*all void"):
        validate({"test": changed(class_pixels=[0, 0], class_images=[0, 0])})


SKY = LabelMap(("road", "car", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (0, 7, 9))


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        ({"class_pixels": [60, 30, 0], "class_images": [3, 2, 0]}, "class_missing", "Received: sky nowhere"),
        (
            {"class_pixels": [60, 30, 1], "class_images": [3, 2, 1]},
            "class_missing_in_train",
            "Received: sky in other splits, where they will be missed",
        ),
    ],
)
def test_a_class_that_training_never_sees_is_a_warning(validate, there, name, found):
    train = changed(class_pixels=[60, 30, 0], class_images=[3, 2, 0])
    (anomaly,) = validate({"train": train, "test": changed(**there)}, labels=SKY)["anomalies"]
    assert (anomaly["severity"], anomaly["name"], anomaly["where"]) == ("warn", name, "classes 2")
    assert anomaly["what"].endswith(found)


def test_other_files_and_poor_pictures_are_warnings_with_their_number(validate):
    ingestion = {
        "unused_masks": [f"/m/{number}.png" for number in range(7)],
        "foreign_files": ["/i/notes.txt"],
        "reencoded": {"16 bits, the upper 4 unused": 3, "16 bits": 1},
    }
    found = validate(GOOD, ingestion=ingestion, findings={"empty_masks": ["train/1"], "tiny_images": ["train/2"]})
    by_name = {anomaly["name"]: anomaly for anomaly in found["anomalies"]}
    assert list(by_name) == ["empty_masks", "tiny_images", "dark_16_bit", "unused_masks", "foreign_files"]
    assert {anomaly["severity"] for anomaly in found["anomalies"]} == {"warn"}
    assert by_name["unused_masks"]["where"] == "/m/0.png, /m/1.png, /m/2.png, /m/3.png, /m/4.png, ... (7 in all)"
    assert "Received: 3 with no value above 4095" in by_name["dark_16_bit"]["what"]


def copies(count, split="validation", of="train", same_labels=True):
    return [{"image": f"{split}/{n}", "of": f"{of}/{n}", "same_labels": same_labels} for n in range(count)]


def test_copies_of_training_images_in_a_scored_split_stop_above_the_limit(validate):
    message = (
        r"in one split alone\. Received: 2 of 50 images \(4\.0%\) that are in train too \[validation/0 = train/0, "
    )
    with pytest.raises(ValueError, match=message):
        validate(GOOD, findings={"duplicates": copies(2)}, max_leaked=0.03)


def test_few_copies_and_copies_within_a_split_are_warnings(validate):
    rows = [*copies(1), *copies(1, split="train", same_labels=False)]
    found = validate(GOOD, findings={"duplicates": rows}, max_leaked=0.02)["anomalies"]
    assert [(anomaly["severity"], anomaly["name"]) for anomaly in found] == [
        ("warn", "conflicting_labels"),
        ("warn", "duplicates"),
        ("warn", "duplicates_across_splits"),
    ]


def test_near_duplicates_are_warnings_that_tell_films_from_leaks(validate):
    rows = [{"image": f"{split}/1", "of": "train/0", "bits": 3} for split in ("train", "validation")]
    within, across = validate(GOOD, findings={"near_duplicates": rows})["anomalies"]
    assert (within["name"], across["name"]) == ("near_duplicates", "near_duplicates_across_splits")
    assert "Received: 1 of 50 images of validation that look nearly like one of train" in across["what"]
    assert "Frames of one film" in across["cure"]


def test_a_split_unlike_train_is_a_warning_with_distance_and_what_differs(validate):
    found = validate({"train": SPLIT, "test": changed(class_pixels=[30, 60], brightness=[4, 3, 1, 0])})
    classes, brightness = found["anomalies"]
    assert (classes["name"], classes["where"]) == ("skew_of_classes", "split test")
    assert "Received: 0.286 (50 and 50 images): road 33.3 % instead of 66.7 %" in classes["what"]
    assert brightness["name"] == "skew_of_brightness"
    assert "brightness 0..63 50.0 % instead of 12.5 %" in brightness["what"]
    (distance,) = found["distances"]
    assert (distance["of"], round(distance["classes"], 3)) == ("test", 0.286)


def test_data_unlike_those_of_the_last_pushed_model_are_a_warning(validate):
    before = statistics({"train": changed(class_pixels=[30, 60])})
    found = validate(GOOD, before=before)
    (drift,) = found["anomalies"]
    assert drift["name"] == "drift_of_classes" and "as in the last pushed model's train" in drift["what"]
    assert [row["against"] for row in found["distances"]] == ["train", "previous"]


def test_the_distance_that_is_borne_can_be_set(validate):
    before = statistics({"train": changed(class_pixels=[30, 60])})
    assert (
        validate({"train": SPLIT, "test": changed(class_pixels=[30, 60])}, before=before, max_skew=0.3, max_drift=0.3)[
            "anomalies"
        ]
        == []
    )


def test_other_classes_than_the_last_pushed_models_are_a_warning_and_not_compared(validate):
    before = statistics({"train": changed(class_pixels=[30, 60, 1])}, classes=("road", "car", "sky"))
    found = validate(GOOD, before=before)
    (drift,) = found["anomalies"]
    assert drift["name"] == "drift_of_classes" and "Received: road, car instead of road, car, sky" in drift["what"]
    assert found["distances"][1] == {"of": "train", "against": "previous", "classes": None, "brightness": 0.0}


def test_the_same_data_as_before_have_not_drifted(validate):
    assert validate(GOOD, before=statistics(GOOD))["anomalies"] == []
