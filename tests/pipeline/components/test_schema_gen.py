"""schema_gen: the schema is inferred from statistics, written for people, and read back as they edited it."""

import json

import pytest

from pipeline.components.schema_gen import schema_gen
from pipeline.settings.schema_gen import SchemaGen
from tests.pipeline.validation.test_schema import LABELS, SCHEMA, STATISTICS


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


def test_the_schema_describes_the_data(generate):
    assert json.loads(generate()) == SCHEMA


def test_it_has_one_line_per_key_and_class(generate):
    lines = generate().splitlines()
    assert lines[1:4] == [
        ' "classes": [',
        '  {"id": 0, "name": "membrane", "colour": [0, 0, 0], "value": 0},',
        '  {"id": 1, "name": "cell", "colour": [255, 255, 255], "value": 255}',
    ]
    assert len(lines) == 15


def test_a_frozen_schema_is_copied_unchanged(generate, tmp_path):
    frozen = tmp_path / "frozen.json"
    frozen.write_text('{"channels": 3, "height": {"min": 100}}')
    assert json.loads(generate(frozen=frozen)) == {"channels": 3, "height": {"min": 100}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"A file of JSON must be whole\. Received: .*frozen\.json\]\. Start from runs/schema_gen"),
        ("[]", r"must hold a table\. Received: no table in it \[.*frozen\.json\]"),
        ('{"chanels": 3}', r"Unknown key of a schema\. Received: 'chanels' .*Did you mean 'channels'\?"),
        ('{"zebra": 3}', r"Received: 'zebra' .*Its keys are: classes, ignore_value"),
        (
            '{"channels": "three"}',
            r'`channels` of a schema must have the form that schema_gen writes\. Received: "three"',
        ),
        ('{"height": {"least": 3}}', r'`height` of a schema.*Received: {"least": 3}'),
        ('{"width": {"max": true}}', r"`width` of a schema"),
        ('{"classes": [{"name": "a"}]}', r"`classes` of a schema"),
        ('{"formats": "PNG"}', r"`formats` of a schema"),
        ("\xff", r"must be whole\. Received: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_not_a_schema_is_refused_with_its_path(generate, tmp_path, text, message):
    frozen = tmp_path / "frozen.json"
    frozen.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        generate(frozen=frozen)
