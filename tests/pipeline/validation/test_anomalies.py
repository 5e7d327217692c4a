"""Anomalies on a console: one line per kind, the most severe first, and again when the component is cached."""

import dataclasses
import json
import re

import pytest

from pipeline import run
from pipeline.validation import anomalies
from pipeline.validation.anomalies import Anomaly, anomaly_at, describe_kinds, read_anomalies, summarize_anomalies
from tests.conftest import ROOT


def warning(name, places):
    return anomaly_at(places, "warn", name, f"It should not be. Received: {len(places)}", "Change it.")


def write(folder, found):
    folder.mkdir()
    rows = [dataclasses.asdict(anomaly) for anomaly in found]
    (folder / "anomalies.json").write_text(json.dumps({"anomalies": rows, "distances": []}))
    return folder


def test_thirty_alike_findings_are_one_line_with_their_count_and_three_examples():
    rows = [
        {"image": f"/a/{n}.jpg", "name": "damaged_file", "what": "A file must be whole. Received: half"}
        | {"where": f"/a/{n}.jpg", "cure": "Copy it again."}
        for n in range(30)
    ]
    (line,) = describe_kinds(map(anomalies.quarantined_pair, rows))
    assert line == (
        "quarantined  damaged_file (30): A file must be whole. Received: half; 29 more [/a/0.jpg, 1.jpg, 2.jpg, ...]. "
        "Copy it again."
    )


def test_one_anomaly_of_many_places_is_one_line_with_three_of_them():
    (line,) = describe_kinds([warning("unused_masks", [f"/b/{n}.png" for n in range(7)])])
    assert (
        line == "warning      unused_masks (7): It should not be. Received: 7 [/b/0.png, 1.png, 2.png, ...]. Change it."
    )


def test_a_count_without_examples_is_shown_with_its_place():
    found = Anomaly("warn", "dark_16_bit", "Use them. Received: 12", "ingestion.json", "Scale them.", count=12)
    assert describe_kinds([found]) == [
        "warning      dark_16_bit (12): Use them. Received: 12 [ingestion.json]. Scale them."
    ]


def test_of_several_anomalies_of_one_kind_the_largest_is_described():
    found = [warning("near_duplicates", ["test/1 = test/0"]), warning("near_duplicates", ["train/1", "train/2"])]
    (line,) = describe_kinds(found)
    assert "near_duplicates (3): It should not be. Received: 2; 1 more [train/1, 2, test/1 = test/0]" in line


def test_the_most_severe_kind_comes_first_and_a_class_missing_in_train_before_one_missing_everywhere():
    names = ["foreign_files", "class_missing", "class_missing_in_train", "duplicates_across_splits"]
    found = [warning(name, ["x"]) for name in names]
    found.append(Anomaly("quarantine", "damaged_file", "A file must be whole. Received: half", "/a", "Copy it again."))
    assert [line.split()[1].rstrip(":") for line in describe_kinds(found)] == ["damaged_file", *names[::-1]]


def test_every_warning_of_the_documentation_has_its_rank():
    page = (ROOT / "docs" / "data_validation.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| ([^|]*warn[^|]*) \|", page, re.MULTILINE)
    documented = {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)}
    assert documented == set(anomalies.WARNINGS)


def test_the_summary_counts_pairs_and_kinds_and_names_the_file(tmp_path):
    pair = Anomaly("quarantine", "damaged_file", "A file must be whole. Received: half", "/a", "Copy it again.")
    folder = write(tmp_path / "found", [pair, pair, warning("duplicates", ["a", "b"]), warning("duplicates", ["c"])])
    head, *lines = summarize_anomalies(folder).splitlines()
    assert head == f"2 quarantined, 1 warning, see {folder / 'anomalies.json'}"
    assert len(lines) == 2


def test_without_anomalies_the_summary_is_empty(tmp_path):
    assert summarize_anomalies(write(tmp_path / "found", [])) == ""


def test_anomalies_written_before_they_had_counts_are_read(tmp_path):
    row = {"severity": "warn", "name": "duplicates", "what": "Once. Received: 2", "where": "a, b", "cure": "Remove."}
    (tmp_path / "anomalies.json").write_text(json.dumps({"anomalies": [row], "distances": []}))
    assert read_anomalies(tmp_path) == [Anomaly(**row)]
    assert (
        summarize_anomalies(tmp_path).splitlines()[1] == "  warning      duplicates: Once. Received: 2 [a, b]. Remove."
    )


@pytest.fixture
def first_hour(photos, tmp_path, capsys):
    """Runs the command on data whose table has a class that occurs nowhere; returns what it printed."""
    table = photos / "classes.csv"
    table.write_text(table.read_text() + "7,bicycle,1,2,3\n")

    def command(*arguments):
        paths = ["--data", str(photos), "--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")]
        assert run.main([*paths, "--ignore-value", "9", "--model", "unet", *arguments]) == 0
        return capsys.readouterr().out

    return command


def test_warnings_are_printed_after_the_component_and_again_when_it_is_cached(first_hour):
    for state in ("done in", "cached"):
        lines = first_hour("--until", "example_validator").splitlines()
        end = next(n for n, line in enumerate(lines) if line.startswith("example_validator") and state in line)
        assert re.fullmatch(r"example_validator   \d warnings?, see .*anomalies\.json", lines[end + 1])
        missing = (
            "  warning      class_missing: Every class should occur in train. Received: 1 class in no split [bicycle]"
        )
        assert lines[end + 2].startswith(missing)
        assert all(line.startswith("  warning") for line in lines[end + 2 :])


def test_warnings_are_not_printed_where_the_validator_lies_before_what_is_asked(first_hour):
    first_hour("--until", "example_validator")
    assert "class_missing" not in first_hour("--only", "transform")
    assert "class_missing" not in first_hour("--until", "example_validator", "--explain")


def test_a_name_with_a_line_break_does_not_break_the_line():
    found = anomalies.anomaly_at(["a\nb", "c\x1b[31m"], "warn", "class_missing", "Received: 2", "Check it.")
    for lines in (anomalies.describe_kinds([found]), anomalies.list_in_full([found])):
        (line,) = lines
        assert line.isprintable() and "a\N{REPLACEMENT CHARACTER}b" in line
