"""The statistics of an earlier model's data are found through its recipes."""

import json

import pytest

from pipeline.engine.fingerprints import Artifact
from pipeline.publishing.previous_statistics import previous_statistics
from pipeline.publishing.versions import LINEAGE


@pytest.fixture
def pushed(tmp_path):
    """`pushed(version, statistics)` makes a pushed version; `statistics` is the fingerprint of its data."""

    def push(version, statistics):
        transform = f"{version:016d}".ljust(64, "0")
        lineage = tmp_path / "models" / str(version) / LINEAGE
        recipe = tmp_path / "runs" / "transform" / transform[:16] / "recipe.json"
        for path, content in (
            (lineage, {"recipe": {"inputs": {"transform": transform}}}),
            (recipe, {"inputs": {"statistics": statistics}}),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        (tmp_path / "runs" / "statistics_gen" / statistics[:16]).mkdir(parents=True, exist_ok=True)

    return push


def find(tmp_path, current):
    return previous_statistics(tmp_path / "models", tmp_path / "runs", Artifact(tmp_path, current))


OLD, NEWER, NEW = "a" * 64, "b" * 64, "c" * 64


def test_they_are_those_of_the_newest_version_of_other_data(tmp_path, pushed):
    pushed(2, OLD)
    pushed(10, NEWER)
    (tmp_path / "models" / ".last_version").write_text("10")
    found = find(tmp_path, NEW)
    assert (found.fingerprint, found.path) == (NEWER, tmp_path / "runs" / "statistics_gen" / NEWER[:16])


def test_pushing_a_model_of_the_same_data_changes_nothing_so_a_second_run_is_cached(tmp_path, pushed):
    pushed(1, OLD)
    before = find(tmp_path, NEW)
    pushed(2, NEW)
    assert find(tmp_path, NEW) == before


def test_there_are_none_where_nothing_was_pushed_or_the_statistics_or_the_lineage_are_gone(tmp_path, pushed):
    assert find(tmp_path, NEW) is None
    (tmp_path / "models" / "1").mkdir(parents=True)
    assert find(tmp_path, NEW) is None
    pushed(2, OLD)
    (tmp_path / "runs" / "statistics_gen" / OLD[:16]).rmdir()
    assert find(tmp_path, NEW) is None
