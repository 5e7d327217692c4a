"""example_validator: what stops a run, what is a warning, and that a stopped run leaves nothing."""

import copy
import json

import pytest

from kseg.labels import LabelMap
from pipeline.components.example_validator import example_validator
from pipeline.settings.example_validator import ExampleValidator
from pipeline.validation.schema import infer_schema

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
            "unused_splits": [],
            "conventions": {"mask_reading": None, "reordered_masks": 0, "image_range": None},
            "reencoded": {},
        }
        (folders["examples"] / "labels.json").write_text(labels.to_json())
        (folders["examples"] / "ingestion.json").write_text(json.dumps(ingested | dict(ingestion)))
        (folders["statistics"] / "statistics.json").write_text(json.dumps(counted))
        (folders["schema"] / "schema.json").write_text(json.dumps(expected or infer_schema(counted, labels)))
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
        "cure": "Copy it again.",
    }


def quarantined(count, pairs=99):
    return {"quarantined": [row(number) for number in range(count)], "pairs": {"train": pairs}}


def test_a_good_data_set_has_no_anomalies(validate):
    distance = {"of": "validation", "against": "train", "classes": 0.0, "brightness": 0.0}
    assert validate(GOOD) == {"anomalies": [], "distances": [distance]}


def test_few_quarantined_pairs_are_listed_and_do_not_stop(validate):
    (anomaly,) = validate(GOOD, ingestion=quarantined(1))["anomalies"]  # 1 of 100 is 1 %, which is allowed
    assert anomaly == {
        "severity": "quarantine",
        "name": "damaged_file",
        "what": "A file must be whole. Received: half",
        "where": "/a/0.jpg",
        "cure": "Copy it again.",
        "count": 1,
        "examples": ["/a/0.jpg"],
    }


def test_too_many_quarantined_pairs_stop_with_one_line_per_kind(validate, tmp_path):
    (tmp_path / "examples" / "quarantine").mkdir(parents=True)
    ingestion = quarantined(31)
    ingestion["quarantined"][7] |= {"name": "empty_file", "what": "A file must have content. Received: 0 bytes"}
    with pytest.raises(ValueError, match="Too many pairs") as raised:
        validate(GOOD, ingestion=ingestion)
    limit, damaged, empty, place = str(raised.value).splitlines()
    assert limit.startswith("Too many pairs are unusable: at most 1.0% may be. Received: 31 of 130 (23.8%)")
    assert limit.endswith("--set example_validator.max_quarantined=0.24.")
    assert damaged == (
        "  quarantined  damaged_file (30): A file must be whole. Received: half; 29 more "
        "[/a/0.jpg, 1.jpg, 2.jpg, ...]. Copy it again."
    )
    assert empty.endswith("empty_file: A file must have content. Received: 0 bytes [/a/7.jpg]. Copy it again.")
    assert place.endswith(str(tmp_path / "examples" / "quarantine"))


def test_images_without_masks_neither_hide_unusable_pairs_nor_are_called_pairs(validate):
    others = {"domain": "same", "images": 100_000}
    with pytest.raises(ValueError, match=r"Too many pairs are unusable: .* Received: 5 of 10 \(50.0%\)"):
        validate(GOOD, ingestion=quarantined(5, pairs=5) | {"unlabelled": others})
    ingestion = quarantined(3) | {"unlabelled": others | {"images": 7}}
    ingestion["quarantined"] = [row | {"split": "unlabelled"} for row in ingestion["quarantined"]]
    with pytest.raises(ValueError, match=r"Too many images without masks are unusable: .* Received: 3 of 10 \(30.0%\)"):
        validate(GOOD, ingestion=ingestion)


def test_the_limit_of_quarantined_pairs_can_be_set(validate):
    found = validate(GOOD, ingestion=quarantined(3, pairs=9), max_quarantined=0.25)
    assert [anomaly["severity"] for anomaly in found["anomalies"]] == ["quarantine"] * 3


def test_a_cross_validation_needs_no_split_to_score_on(validate):
    assert validate({"train": SPLIT}, cross_validated=True)["anomalies"] == []


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
            r"Training needs at least two classes\. Received: 'car' at every labelled pixel \[split train\]",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_stop(validate, splits, message):
    with pytest.raises(ValueError, match=message):
        validate(splits)


def test_data_that_violate_a_frozen_schema_stop(validate):
    with pytest.raises(
        ValueError,
        match=r"must match the schema: `height` max 7\. Received: min 4, max 8 \[split train, .*schema\.json",
    ):
        validate(GOOD, expected={"height": {"max": 7}})


def test_everything_that_stops_is_in_one_message(validate):
    with pytest.raises(ValueError, match=r"(?s)split to train on.*all void"):
        validate({"test": changed(class_pixels=[0, 0], class_images=[0, 0])})


def test_of_many_violations_of_one_kind_three_are_listed(validate):
    rows = [{"name": f"{number}", "value": number} for number in range(5)]
    split = changed(class_pixels=[9] * 5, class_images=[9] * 5)
    with pytest.raises(ValueError, match="must match the schema") as raised:
        validate({"train": split, "test": split}, labels=FIVE, expected={"classes": rows})
    lines = str(raised.value).splitlines()
    assert [line.partition(" Received")[0] for line in lines[:3]] == [
        f"Data must match the schema: name {number}." for number in range(3)
    ]
    assert lines[3:] == ["  schema_violation: 2 more"]


FIVE = LabelMap(tuple("abcde"), ((1, 2, 3),) * 5, tuple(range(5)))
SKY = LabelMap(("road", "car", "sky"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (0, 7, 9))


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        ({"class_pixels": [60, 30, 0], "class_images": [3, 2, 0]}, "class_missing", "Received: 1 class in no split"),
        (
            {"class_pixels": [60, 30, 1], "class_images": [3, 2, 1]},
            "class_missing_in_train",
            "Received: 1 class only in other splits, where it is scored 0",
        ),
    ],
)
def test_a_class_that_training_never_sees_is_a_warning(validate, there, name, found):
    train = changed(class_pixels=[60, 30, 0], class_images=[3, 2, 0])
    (anomaly,) = validate({"train": train, "test": changed(**there)}, labels=SKY)["anomalies"]
    assert (anomaly["severity"], anomaly["name"], anomaly["where"]) == ("warn", name, "sky")
    assert anomaly["what"].endswith(found)


def test_a_class_with_hardly_a_pixel_in_train_is_a_warning_with_its_share(validate):
    train = changed(class_pixels=[60000, 39995, 5], class_images=[3, 2, 1])  # 0.005 %
    (anomaly,) = validate({"train": train, "test": train}, labels=SKY)["anomalies"]
    assert (anomaly["severity"], anomaly["name"], anomaly["where"]) == ("warn", "rare_classes", "sky 0.005 %")
    assert validate({"train": train, "test": train}, labels=SKY, min_class_share=0.00005)["anomalies"] == []


def test_other_files_and_poor_pictures_are_warnings_with_their_count(validate):
    ingestion = {
        "unused_masks": [f"/m/{number}.png" for number in range(7)],
        "foreign_files": ["/i/notes.txt"],
        "unused_splits": ["tfds:pets unlabelled"],
        "conventions": {"mask_reading": "colours", "reordered_masks": 5, "image_range": None},
        "reencoded": {"16 bits, the upper 4 unused": 3, "16 bits": 1},
    }
    found = validate(GOOD, ingestion=ingestion, findings={"empty_masks": ["train/1"], "tiny_images": ["train/2"]})
    by_name = {anomaly["name"]: anomaly for anomaly in found["anomalies"]}
    assert list(by_name) == [
        "dark_16_bit",
        "reordered_palettes",
        "empty_masks",
        "unused_masks",
        "tiny_images",
        "foreign_files",
        "unused_splits",
    ]
    assert {anomaly["severity"] for anomaly in found["anomalies"]} == {"warn"}
    assert by_name["unused_masks"]["where"] == "/m/0.png, /m/1.png, /m/2.png, /m/3.png, /m/4.png, ... (7 in all)"
    assert "Received: 3 with no value above 4095" in by_name["dark_16_bit"]["what"]


@pytest.mark.parametrize(
    ("reencoded", "warned"),
    [
        ({"rotated by EXIF, size unchanged": 3}, True),
        ({"rotated by EXIF, size unchanged": 3, "rotated by EXIF": 1}, False),  # whose mask has the rotated size
        ({"rotated by EXIF": 1}, False),
    ],
)
def test_exif_orientation_is_a_warning_unless_a_mask_shows_that_masks_are_drawn_upright(validate, reencoded, warned):
    ingestion = {"unused_masks": [], "foreign_files": [], "unused_splits": [], "reencoded": reencoded}
    names = [anomaly["name"] for anomaly in validate(GOOD, ingestion=ingestion)["anomalies"]]
    assert names == ["exif_orientation"] * warned


def copies(count, split="validation", of="train", same_labels=True):
    return [{"image": f"{split}/{n}", "of": f"{of}/{n}", "same_labels": same_labels} for n in range(count)]


def test_copies_of_training_images_in_a_scored_split_stop_above_the_limit(validate):
    message = (
        r"in one split only\. Received: 2 of 50 images of validation \(4\.0%\) that are also in train "
        r"\[validation/0 = train/0, "
    )
    with pytest.raises(ValueError, match=message):
        validate(GOOD, findings={"duplicates": copies(2)}, max_leaked=0.03)


def test_few_copies_and_copies_within_a_split_are_warnings(validate):
    rows = [*copies(1), *copies(1, split="train", same_labels=False)]
    found = validate(GOOD, findings={"duplicates": rows}, max_leaked=0.02)["anomalies"]
    assert [(anomaly["severity"], anomaly["name"]) for anomaly in found] == [
        ("warn", "duplicates_across_splits"),
        ("warn", "conflicting_labels"),
        ("warn", "duplicates"),
    ]


def test_near_duplicates_are_warnings_within_and_across_splits(validate):
    rows = [{"image": f"{split}/1", "of": "train/0", "bits": 3} for split in ("train", "validation")]
    across, within = validate(GOOD, findings={"near_duplicates": rows})["anomalies"]
    assert (within["name"], across["name"]) == ("near_duplicates", "near_duplicates_across_splits")
    assert "Received: 1 of 50 images of validation that look nearly like one of train" in across["what"]
    assert "Received: 1 of 50 images of train that look nearly like an earlier one" in within["what"]
    assert "frames of one film" in across["cure"]


def test_skew_is_a_warning_with_the_distance_and_the_largest_shifts(validate):
    found = validate({"train": SPLIT, "test": changed(class_pixels=[30, 60], brightness=[4, 3, 1, 0])})
    classes, brightness = found["anomalies"]
    assert (classes["name"], classes["where"]) == ("skew_of_classes", "split test")
    assert "Received: 0.286 (50 and 50 images): road 33.3 % instead of 66.7 %" in classes["what"]
    assert brightness["name"] == "skew_of_brightness"
    assert "brightness 0..63 50.0 % instead of 12.5 %" in brightness["what"]
    (distance,) = found["distances"]
    assert (distance["of"], round(distance["classes"], 3)) == ("test", 0.286)


def test_drift_since_the_last_pushed_model_is_a_warning(validate):
    before = statistics({"train": changed(class_pixels=[30, 60])})
    found = validate(GOOD, before=before)
    (drift,) = found["anomalies"]
    assert drift["name"] == "drift_of_classes" and "as in the train split of the last pushed model" in drift["what"]
    assert [row["against"] for row in found["distances"]] == ["train", "previous"]


def test_the_limits_of_skew_and_drift_can_be_set(validate):
    before = statistics({"train": changed(class_pixels=[30, 60])})
    assert (
        validate({"train": SPLIT, "test": changed(class_pixels=[30, 60])}, before=before, max_skew=0.3, max_drift=0.3)[
            "anomalies"
        ]
        == []
    )


def test_other_classes_than_those_of_the_last_pushed_model_are_a_warning_and_not_compared(validate):
    before = statistics({"train": changed(class_pixels=[30, 60, 1])}, classes=("road", "car", "sky"))
    found = validate(GOOD, before=before)
    (drift,) = found["anomalies"]
    assert drift["name"] == "drift_of_classes" and "Received: road, car instead of road, car, sky" in drift["what"]
    assert found["distances"][1] == {"of": "train", "against": "previous", "classes": None, "brightness": 0.0}


def test_the_same_data_have_not_drifted(validate):
    assert validate(GOOD, before=statistics(GOOD))["anomalies"] == []
