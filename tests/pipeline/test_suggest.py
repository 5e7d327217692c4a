"""python -m pipeline.suggest as a user sees it: what it suggests, keeps, leaves out and refuses."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from pipeline import predict, suggest
from tests.pipeline.conftest import LABELS

pytestmark = pytest.mark.usefixtures("loaded_once")

SURE = LABELS.colours  # of which `nearest_colour` is sure
UNSURE = [tuple(int(v) for v in np.mean([LABELS.colours[a], LABELS.colours[b]], axis=0)) for a, b in ((0, 1), (0, 2))]


@pytest.fixture
def model(finished, tmp_path):
    """A pushed model with one version."""
    shutil.copytree(finished.exporter / "saved_model", tmp_path / "savedmodels" / "blocks" / "1")
    return tmp_path / "savedmodels" / "blocks"


@pytest.fixture
def pictures(tmp_path):
    """Six pictures of one colour each: ground, left, half way from ground to left (twice) and to right, half of that."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = {"ground": SURE[0], "left": SURE[1], "torn": UNSURE[0], "torn_again": UNSURE[0], "other": UNSURE[1]}
    for name, colour in colours.items():
        Image.new("RGB", (64, 48), colour).save(folder / f"{name}.png")
    half = np.full((48, 64, 3), SURE[2], np.uint8)
    half[:, :32] = UNSURE[1]
    Image.fromarray(half).save(folder / "half.png")
    return folder


@pytest.fixture
def command(model, pictures, tmp_path):
    """Runs the command, with further arguments, in this process."""

    def call(*more, **changed):
        places = {"model": model, "input": pictures / "*.png", "output": tmp_path / "out"} | changed
        arguments = [text for name, place in places.items() for text in (f"--{name}", str(place))]
        return suggest.main([*arguments, *more])

    return call


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names_of(rows):
    return [os.path.basename(row["path"]).removesuffix(".png") for row in rows]


def test_the_unsure_pictures_come_first_and_a_copy_of_one_after_all_that_differ(command, model, pictures, tmp_path):
    import tensorflow as tf

    assert command("--count", "4") == 0
    rows = table(tmp_path / "out" / "suggestions.csv")
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {rows[0]["path"], rows[1]["path"]} == {str(pictures / "other.png"), str(pictures / "torn.png")}
    assert "torn_again" not in names_of(rows)
    served = tf.saved_model.load(str(model / "1")).signatures["probabilities"]
    for row in rows:
        image = np.asarray(Image.open(row["path"]))
        p = served(image=tf.constant(image[None]))["probabilities"].numpy().astype(float)
        expected = -(p * np.log(np.maximum(p, 1e-38))).sum(axis=-1).mean()
        assert float(row["entropy"]) == pytest.approx(expected, abs=1e-4)
    assert (
        rows[0]["distance"] == ""
        and float(rows[1]["distance"]) > float(rows[2]["distance"]) > 0
        and names_of(rows)[2] == "half"
    )
    torn = rows[names_of(rows).index("torn")]["reason"]
    assert re.match(r"unsure about (ground|left) \(\d+ %\) or (left|ground) \(\d+ %\), most at the", torn)


def test_formats_hold_the_same_pictures_and_the_sheet_which_is_not_taken_for_one_shows_them(command, pictures, capsys):
    out = pictures / "out"
    for file_format in ("json", "lines"):
        assert command("--count", "3", "--format", file_format, input=pictures, output=out) == 0
        assert "3 of 6 pictures" in capsys.readouterr().out
    rows = json.loads((out / "suggestions.json").read_text())
    assert set(names_of(rows)) == {"torn", "other", "half"} and rows[0]["rank"] == 1 and rows[0]["distance"] is None
    assert (out / "suggestions.txt").read_text().splitlines() == [row["path"] for row in rows]
    sheet = np.asarray(Image.open(out / "sheets" / "suggestions.png").convert("RGB"))
    shown = {tuple(map(int, colour)) for colour in np.unique(sheet.reshape(-1, 3), axis=0)}
    assert set(UNSURE) <= shown and SURE[1] not in shown


def test_labelled_pictures_are_left_out_under_whatever_name(command, pictures, tmp_path, capsys):
    (tmp_path / "done").mkdir()
    shutil.copy(pictures / "other.png", tmp_path / "done" / "0001.jpg")
    assert command("--labelled", str(tmp_path / "done"), str(pictures / "half.png")) == 0
    assert "labelled      2 of 6 pictures are left out" in capsys.readouterr().out
    assert set(names_of(table(tmp_path / "out" / "suggestions.csv"))) == {"ground", "left", "torn", "torn_again"}
    assert command("--labelled", str(pictures)) == 2
    assert "At least one picture must not be labelled. Received: 6, all with" in capsys.readouterr().err


def test_unreadable_pictures_are_listed_and_do_not_stop_the_others(command, pictures, tmp_path, capsys):
    (pictures / "torn.png").write_bytes((pictures / "torn.png").read_bytes()[:60])
    (pictures / "empty.png").write_bytes(b"")
    os.mkfifo(pictures / "pipe.png")
    assert command() == 0
    rows = table(tmp_path / "out" / "unreadable.csv")
    assert {os.path.basename(row["path"]) for row in rows} == {"torn.png", "empty.png", "pipe.png"}
    assert not [row["message"] for row in rows if "pair" in row["message"]]
    assert len(table(tmp_path / "out" / "suggestions.csv")) == 5
    assert "3 of 8 pictures" in capsys.readouterr().out


def test_pictures_of_one_name_are_told_apart_and_a_nearly_black_one_passes_in_silence(command, pictures, tmp_path):
    Image.new("RGB", (64, 48), UNSURE[1]).save(pictures / "torn.jpg")
    Image.new("RGB", (64, 48), (1, 1, 1)).save(pictures / "night.png")
    with warnings.catch_warnings(action="error", category=UserWarning):
        assert command("--count", "9", input=pictures) == 0
    rows = table(tmp_path / "out" / "suggestions.csv")
    assert len(rows) == 8 and {"torn", "torn.jpg", "night"} < set(names_of(rows))


def test_a_picture_larger_than_the_model_takes_is_reduced_and_scored(command, pictures, tmp_path):
    Image.new("RGB", (1001, 1000), UNSURE[0]).save(
        pictures / "large.png"
    )  # the export refuses more than 250,000 pixels
    assert command("--count", "9") == 0
    rows = table(tmp_path / "out" / "suggestions.csv")
    rows = dict(zip(names_of(rows), rows, strict=True))
    assert float(rows["large"]["entropy"]) == pytest.approx(float(rows["torn"]["entropy"]), abs=1e-3)


def test_scores_are_kept_until_picture_model_or_share_changes(command, model, pictures, tmp_path):
    def written():
        files = (tmp_path / "out" / "records").iterdir()
        return {file.name.partition(".")[0]: file.stat().st_mtime_ns for file in files}

    command()
    first = written()
    Image.new("RGB", (9, 7)).save(pictures / "left.png")
    command()
    second = written()
    assert {name for name in first if second[name] != first[name]} == {"left"}
    command("--top-share", "0.5")
    third = written()
    assert all(third[name] != second[name] for name in third)
    shutil.copytree(model / "1", model / "2")
    with open(model / "2" / "assets" / "labels.json", "a") as file:
        file.write("\n")
    assert command("--top-share", "0.5") == 0
    assert all(written()[name] != third[name] for name in third)


def test_the_mean_of_two_models_is_scored(model, pictures, tmp_path):
    arguments = ["--model", str(model), str(model / "1"), "--input", str(pictures), "--output", str(tmp_path / "two")]
    assert suggest.main([*arguments, "--count", "6"]) == 0
    rows = table(tmp_path / "two" / "suggestions.csv")
    entropy = {name: float(row["entropy"]) for name, row in zip(names_of(rows), rows, strict=True)}
    assert entropy["torn"] == pytest.approx(np.log(2), abs=0.01) and entropy["ground"] < 0.01


def test_folders_of_labelled_and_suggested_pictures_are_not_mixed(command, model, pictures, tmp_path, capsys):
    arguments = ["--model", str(model), "--input", str(pictures), "--output", str(tmp_path / "out")]
    assert predict.main(arguments) == 0
    assert command() == 2
    assert "`--output` must not hold results of another model or of other options" in capsys.readouterr().err
    assert command(output=tmp_path / "other") == 0
    assert predict.main([*arguments[:-1], str(tmp_path / "other")]) == 2


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        ({"input": "nothing/*.jpg"}, [], r"`--input` must match at least one picture\. Received: --input nothing"),
        ({}, ["--labelled", "nothing"], r"`--labelled` must match at least one picture\. Received: --labelled nothing"),
        ({"model": "nowhere"}, [], r"`--model` must be a pushed model\. Received: --model nowhere"),
        ({}, ["--count", "0"], r"--count: must be a whole number from 1 to 1,000,000, not '0'"),
        ({}, ["--top-share", "nan"], r"--top-share: must be a share above 0, at most 1, not 'nan'"),
        ({}, ["--format", "xml"], r"--format: invalid choice: 'xml'"),
        ({}, ["--counts", "3"], r"Unknown argument '--counts'.*Did you mean '--count'\?"),
        ({}, ["--", "--direct_num_worker=2"], r"Did you mean '--direct_num_workers'\?"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_cure(command, changed, more, message, capsys):
    assert command(*more, **changed) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and re.search(message, error) and "Traceback" not in error


def test_nothing_is_written_among_the_versions_of_a_model(command, model, capsys):
    assert command(output=model / "1" / "new") == 2
    assert "`--output` must lie outside the models" in capsys.readouterr().err


def test_without_a_readable_picture_it_ends_with_status_2_and_writes_no_list(command, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no picture")
    assert command(input=tmp_path / "text.jpg") == 2
    assert "At least one picture must be readable. Received: 1 that are not" in capsys.readouterr().err
    assert not (tmp_path / "out" / "suggestions.csv").exists()


def test_help_imports_no_framework():
    code = (
        "import sys, contextlib\nfrom pipeline import suggest\nwith contextlib.suppress(SystemExit):\n"
        "    suggest.main(['--help'])\n"
        "print([m for m in ('tensorflow', 'keras', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1] == "[]" and "--top-share" in answer
