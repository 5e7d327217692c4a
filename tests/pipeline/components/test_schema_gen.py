"""The schema: inferred from statistics, written for people, read back as they have edited it, and held against data."""

import json

import pytest

from kseg.labels import LabelMap
from pipeline.components.schema_gen import schema_gen
from pipeline.settings.schema_gen import SchemaGen
from pipeline.validation import schema

LABELS = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255), ignore_value=7)
SPLIT = {
    "channels": 1,
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
    "formats": ["PNG"],
    "splits": ["train", "test"],
    "height": {"min": 4, "max": 9},
    "width": {"min": 6, "max": 6},
    "void_share": {"max": 0.1},  # 0.051, up to the next twentieth
}


@pytest.fixture
def generate(tmp_path):
    """Runs the component; returns schema.json as text."""

    def run(**inputs):
        (tmp_path / "labels.json").write_text(LABELS.to_json())
        (tmp_path / "statistics.json").write_text(json.dumps(STATISTICS))
        out = tmp_path / "out"
        out.mkdir()
        schema_gen(out, SchemaGen(), statistics=tmp_path, examples=tmp_path, **inputs)
        return (out / "schema.json").read_text()

    return run


def test_the_schema_says_what_the_data_look_like(generate):
    assert json.loads(generate()) == SCHEMA


def test_it_is_written_with_a_line_for_each_key_and_class(generate):
    lines = generate().splitlines()
    assert lines[1:4] == [
        ' "classes": [',
        '  {"id": 0, "name": "membrane", "colour": [0, 0, 0], "value": 0},',
        '  {"id": 1, "name": "cell", "colour": [255, 255, 255], "value": 255}',
    ]
    assert len(lines) == 13


def test_a_frozen_schema_is_taken_as_it_is(generate, tmp_path):
    frozen = tmp_path / "frozen.json"
    frozen.write_text('{"channels": 3, "height": {"min": 100}}')
    assert json.loads(generate(frozen=frozen)) == {"channels": 3, "height": {"min": 100}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"A schema must be JSON\. Received: .*frozen\.json\]\. Start from runs/schema_gen"),
        ("[]", r"must be a JSON object\. Received: list"),
        ('{"chanels": 3}', r"must say what is known\. Received: 'chanels' .*Did you mean 'channels'\?"),
        ('{"zebra": 3}', r"Received: 'zebra' .*There are: classes, ignore_value"),
        ('{"channels": "three"}', r'`channels` of a schema must be as schema_gen writes it\. Received: "three"'),
        ('{"height": {"least": 3}}', r'`height` of a schema.*Received: {"least": 3}'),
        ('{"width": {"max": true}}', r"`width` of a schema"),
        ('{"classes": [{"name": "a"}]}', r"`classes` of a schema"),
        ('{"formats": "PNG"}', r"`formats` of a schema"),
        ("\xff", r"must be JSON"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_path(generate, tmp_path, text, message):
    frozen = tmp_path / "frozen.json"
    frozen.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        generate(frozen=frozen)


def test_data_meet_the_schema_that_was_inferred_from_them():
    assert schema.unlike(SCHEMA, STATISTICS, LABELS) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"channels": 3}, ("split train", "`channels` 3", "1")),
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
def test_what_is_not_as_the_schema_says_is_found(changes, found):
    assert schema.unlike(SCHEMA | changes, STATISTICS, LABELS)[0] == found


def test_what_a_frozen_schema_leaves_out_is_not_checked():
    assert schema.unlike({}, STATISTICS, LABELS) == []
    assert schema.unlike({"height": {"max": 9}, "classes": []}, STATISTICS, LABELS)[0][1] == "0 classes"
