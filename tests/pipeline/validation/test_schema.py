"""Schemas: data match the one inferred from them; violations of a frozen one are found."""

import pytest

from kseg.labels import LabelMap
from pipeline.validation.schema import find_violations, infer_schema

LABELS = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255), ignore_value=7)
SPLIT = {
    "channels": 1,
    "dtype": "uint8",
    "formats": {"PNG": 3},
    "height": {"min": 4, "median": 5, "max": 9},
    "width": {"min": 6, "median": 6, "max": 6},
    "pixels": 1000,
    "void_pixels": 51,
}
STATISTICS = {"splits": {"train": SPLIT, "test": SPLIT | {"void_pixels": 0}}, "all": SPLIT}
SCHEMA = {
    "classes": [
        {"id": 0, "name": "membrane", "colour": [0, 0, 0], "value": 0},
        {"id": 1, "name": "cell", "colour": [255, 255, 255], "value": 255},
    ],
    "ignore_value": 7,
    "channels": 1,
    "dtype": "uint8",
    "image_range": None,
    "formats": ["PNG"],
    "splits": ["train", "test"],
    "height": {"min": 4, "max": 9},
    "width": {"min": 6, "max": 6},
    "void_share": {"max": 0.1},  # 0.051, up to the next twentieth
}


def test_data_match_the_schema_inferred_from_them():
    assert infer_schema(STATISTICS, LABELS) == SCHEMA
    assert find_violations(SCHEMA, STATISTICS, LABELS) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"channels": 3}, ("split train", "`channels` 3", "1")),
        ({"dtype": "uint16"}, ("split train", "`dtype` uint16", "uint8")),
        (
            {"image_range": 4095},
            ("16-bit images", "`image_range` 4095 (--set example_gen.image_range=4095)", "None"),
        ),
        ({"formats": ["JPEG"]}, ("split train", "`formats` JPEG", "PNG 3")),
        ({"height": {"max": 8}}, ("split train", "`height` max 8", "min 4, max 9")),
        ({"width": {"min": 7}}, ("split train", "`width` min 7", "min 6, max 6")),
        ({"void_share": {"max": 0.05}}, ("split train", "`void_share` max 0.05", "0.0510")),
        ({"splits": ["train", "validation"]}, ("splits", "`splits` ['train', 'validation']", "['train', 'test']")),
        ({"ignore_value": None}, ("classes", "`ignore_value` None", "7")),
        ({"classes": SCHEMA["classes"][:1]}, ("classes", "1 classes", "2: membrane, cell")),
        (
            {"classes": [{"name": "wall", "value": 0}, {"name": "cell", "value": 255}]},
            ("class 0", "name wall", "name membrane"),
        ),
        (
            {"classes": [SCHEMA["classes"][0], SCHEMA["classes"][1] | {"value": 1, "colour": [1, 2, 3]}]},
            ("class 1", "colour [1, 2, 3], value 1", "colour [255, 255, 255], value 255"),
        ),
    ],
)
def test_violations_are_found_with_what_was_expected_and_received(changes, found):
    assert find_violations(SCHEMA | changes, STATISTICS, LABELS)[0] == found


def test_keys_that_a_frozen_schema_omits_are_not_checked():
    assert find_violations({}, STATISTICS, LABELS) == []
    assert find_violations({"height": {"max": 9}, "classes": []}, STATISTICS, LABELS)[0][1] == "0 classes"
