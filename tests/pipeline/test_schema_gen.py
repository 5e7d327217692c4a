"""schema_gen: classes, channels and ranges, from statistics."""

import json

import pytest

from kseg.labels import LabelMap
from pipeline.components.schema_gen import schema_gen
from pipeline.config import SchemaGen


def test_the_schema_says_what_the_data_look_like(tmp_path):
    labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255), ignore_value=7)
    (tmp_path / "labels.json").write_text(labels.to_json())
    counts = {
        "channels": 1,
        "height": {"min": 4, "median": 5, "max": 9},
        "width": {"min": 6, "median": 6, "max": 6},
        "pixels": 40,
        "void_pixels": 10,
    }
    (tmp_path / "statistics.json").write_text(json.dumps({"splits": {}, "all": counts}))
    schema_gen(tmp_path, SchemaGen(), statistics=tmp_path, examples=tmp_path)
    assert json.loads((tmp_path / "schema.json").read_text()) == {
        "classes": [
            {"id": 0, "name": "membrane", "colour": [0, 0, 0], "value": 0},
            {"id": 1, "name": "cell", "colour": [255, 255, 255], "value": 255},
        ],
        "ignore_value": 7,
        "channels": 1,
        "height": {"min": 4, "max": 9},
        "width": {"min": 6, "max": 6},
        "void_share": pytest.approx(0.25),
    }
