"""python -m pipeline.predict as a user sees it: what it writes, resumes, lists and refuses."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from pipeline import predict

pytestmark = pytest.mark.usefixtures("loaded_once")


@pytest.fixture
def model(finished, tmp_path):
    """A pushed model with the versions 2 and 10, of which 10 is whole."""
    place = tmp_path / "savedmodels" / "blocks"
    shutil.copytree(finished.exporter / "saved_model", place / "10")
    (place / "2").mkdir()
    return place


@pytest.fixture
def pictures(finished, tmp_path):
    """Five PNGs in two folders, whose label maps are known."""
    folder = tmp_path / "photos"
    for number, (image, _) in enumerate(finished.pairs["test"]):
        place = folder / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return folder


@pytest.fixture
def command(model, pictures, tmp_path):
    """Runs the command, with further arguments, in this process."""

    def call(*more, **changed):
        places = {"model": model, "input": pictures / "**" / "*.png", "output": tmp_path / "out"} | changed
        arguments = [text for name, place in places.items() for text in (f"--{name}", str(place))]
        return predict.main([*arguments, *more])

    return call


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_picture_gets_a_label_map_with_a_palette_at_its_own_size(command, pictures, model, tmp_path, finished):
    import tensorflow as tf

    assert command() == 0
    served = tf.saved_model.load(str(model / "10")).signatures["serving_default"]
    files = sorted((tmp_path / "out" / "label_maps").rglob("*.*"))
    assert [str(file.relative_to(tmp_path / "out" / "label_maps")) for file in files] == [
        "a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png",
    ]  # fmt: skip
    for file in files:
        picture = Image.open(file)
        image = np.asarray(Image.open(pictures / file.relative_to(tmp_path / "out" / "label_maps")))
        expected = served(image=tf.constant(image[None]))["label_map"][0].numpy()
        assert picture.mode == "P" and len(np.unique(expected)) == 3
        np.testing.assert_array_equal(np.asarray(picture), expected)
        colours = LabelMap.load(model / "10" / "assets").colour(expected)
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), colours)


def test_the_shares_of_the_classes_are_those_of_the_label_maps(command, tmp_path):
    command()
    rows = table(tmp_path / "out" / "class_shares.csv")
    assert [row["picture"] for row in rows] == ["a/0", "a/2", "a/4", "b/1", "b/3"]
    for row in rows:
        label_map = np.asarray(Image.open(tmp_path / "out" / "label_maps" / f"{row['picture']}.png"))
        assert (int(row["height"]), int(row["width"])) == label_map.shape
        expected = np.bincount(label_map.ravel(), minlength=3) / label_map.size
        np.testing.assert_allclose([float(row[name]) for name in ("ground", "left", "right")], expected, atol=1e-6)


def test_overlays_are_optional(command, tmp_path):
    command()
    assert not (tmp_path / "out" / "overlays").exists()
    command("--overlays", output=tmp_path / "other")
    overlay = Image.open(tmp_path / "other" / "overlays" / "a" / "0.jpg")
    assert overlay.size == Image.open(tmp_path / "other" / "label_maps" / "a" / "0.png").size


def test_unreadable_pictures_are_listed_and_do_not_stop_the_others(command, pictures, tmp_path, capsys):
    (pictures / "a" / "0.png").write_bytes((pictures / "a" / "0.png").read_bytes()[:200])
    (pictures / "b" / "text.png").write_text("no picture")
    (pictures / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    (pictures / "b" / "empty.png").write_bytes(b"")
    assert command() == 0
    rows = table(tmp_path / "out" / "unreadable.csv")
    assert {(os.path.basename(row["path"]), row["fault"]) for row in rows} == {
        ("0.png", "damaged_file"), ("text.png", "unsupported_format"), ("empty.png", "empty_file"),
    }  # fmt: skip
    assert all(row["message"] for row in rows)
    assert len(table(tmp_path / "out" / "class_shares.csv")) == 4
    assert "3 of 7 pictures" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_an_input_that_is_no_regular_file_is_listed(kind, command, tmp_path, capsys):
    place = tmp_path / "input"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "link to a device":
        place.symlink_to("/dev/zero")
    else:
        place = "/dev/null"
    assert command(input=place) == 2
    assert "At least one picture must be readable" in capsys.readouterr().err
    assert [row["fault"] for row in table(tmp_path / "out" / "unreadable.csv")] == ["not_a_file"]


def test_label_maps_of_another_output_among_the_pictures_are_not_labelled(command, pictures, capsys):
    for name in ("first", "second"):
        assert command("--overlays", input=pictures, output=pictures / name) == 0
        assert "  5 new, 0 finished before" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["", "10", "10/assets", "new"])
def test_nothing_is_written_among_the_versions_of_a_model(place, command, model, tmp_path, capsys):
    (tmp_path / "link").symlink_to(model)
    before = sorted(model.rglob("*"))
    for output in (model / place, tmp_path / "link" / place):
        for given in (model, model / "10"):
            assert command(model=given, output=output) == 2
            assert "`--output` must lie outside the models" in capsys.readouterr().err
    assert sorted(model.rglob("*")) == before


def test_a_picture_larger_than_the_model_allows_is_listed_with_the_others_labelled(command, pictures, tmp_path):
    Image.new("RGB", (501, 500)).save(pictures / "a" / "0.png")
    assert command() == 0
    (row,) = table(tmp_path / "out" / "unreadable.csv")
    assert (os.path.basename(row["path"]), row["fault"]) == ("0.png", "too_many_pixels")
    assert row["message"].startswith("An image must have at most 250,000 pixels (`max_pixels` of the export: 250,000)")
    assert len(table(tmp_path / "out" / "class_shares.csv")) == 4


def test_finished_pictures_are_skipped_and_changed_ones_labelled_again(command, pictures, tmp_path, capsys):
    (pictures / "a" / "0.png").rename(tmp_path / "later.png")
    command()
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "label_maps").rglob("*.png")}
    (tmp_path / "later.png").rename(pictures / "a" / "0.png")
    Image.new("RGB", (9, 7)).save(pictures / "b" / "1.png")
    capsys.readouterr()
    assert command() == 0
    after = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "label_maps").rglob("*.png")}
    unchanged = {
        str(file.relative_to(tmp_path / "out" / "label_maps")) for file in before if after[file] == before[file]
    }
    assert unchanged == {"a/2.png", "a/4.png", "b/3.png"} and len(after) == 5
    assert "2 new, 3 finished before" in capsys.readouterr().out
    assert len(table(tmp_path / "out" / "class_shares.csv")) == 5


def test_a_picture_without_a_record_is_labelled_again(command, tmp_path):
    command()
    (tmp_path / "out" / "records" / "b" / "3.json").unlink()
    (tmp_path / "out" / "label_maps" / "b" / "3.png").write_bytes(b"half")
    assert command() == 0
    assert Image.open(tmp_path / "out" / "label_maps" / "b" / "3.png").mode == "P"
    assert not [file for file in (tmp_path / "out").rglob(".*")]


def test_a_folder_and_several_patterns_select_the_same_pictures(command, pictures, tmp_path):
    command(input=pictures, output=tmp_path / "one")
    predict_two = ["--model", str(tmp_path / "savedmodels" / "blocks"), "--output", str(tmp_path / "two"), "--input"]
    assert predict.main([*predict_two, str(pictures / "a" / "*.png"), str(pictures / "b")]) == 0
    one, two = ((tmp_path / name / "class_shares.csv").read_text() for name in ("one", "two"))
    assert one == two


def test_a_file_whose_name_is_not_text_is_labelled(command, pictures, tmp_path):
    name = os.fsdecode(b"\xff\n.png")
    (pictures / "a" / "0.png").rename(pictures / "a" / name)
    assert command() == 0
    assert (tmp_path / "out" / "label_maps" / "a" / name).is_file()
    assert "a/\\xff\\n" in [row["picture"] for row in table(tmp_path / "out" / "class_shares.csv")]


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        (
            {"input": "nothing/*.jpg"},
            [],
            r"`--input` must match at least one picture\. Received: --input nothing/\*\.jpg",
        ),
        ({"model": "nowhere"}, [], r"`--model` must be a pushed model\. Received: --model nowhere"),
        ({}, ["--overlay"], r"Unknown argument '--overlay'.*Did you mean '--overlays'\?"),
        (
            {},
            ["--max-pixels", "many"],
            r"Arguments must be as --help says\..*--max-pixels: must be a whole number from 0 to 1,000,000,000",
        ),
        ({}, ["--regions", "xml"], r"--regions: invalid choice: 'xml' \(choose from"),
        ({}, ["--min-area", "-3"], r"--min-area: must be a whole number from 0 to 1,000,000,000, not '-3'"),
        ({}, ["--scales", "0.5", "1"], r"`--scales` requires `--tile`.*Received: --scales 0\.5 1\.0 without --tile"),
        ({}, ["--scales", "none"], r"--scales: must be a factor above 0, at most 16, not 'none'"),
        ({}, ["--rotations", "45"], r"--rotations: invalid choice: 45"),
        ({}, ["--tile", "big"], r"--tile: must be WIDTHxHEIGHT in pixels, each at most 16,384, not 'big'"),
        ({}, ["--tile", "32x24", "--overlap", "24"], r"`--overlap` must be smaller than the tile"),
        ({}, ["--", "--direct_num_worker=2"], r"Did you mean '--direct_num_workers'\?"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_cure(command, changed, more, message, capsys, tmp_path):
    import re

    assert command(*more, **changed) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and re.search(message, error) and "Traceback" not in error


def test_a_missing_argument_ends_with_status_2(capsys):
    assert predict.main(["--model", "x"]) == 2
    assert "the following arguments are required: --input, --output" in capsys.readouterr().err


def test_two_pictures_with_one_name_are_refused(command, pictures, capsys):
    Image.open(pictures / "a" / "0.png").save(pictures / "a" / "0.jpg")
    assert command(input=pictures) == 2
    assert "Two pictures must not have the same output" in capsys.readouterr().err


def test_pictures_in_the_output_folder_are_refused(command, pictures, capsys):
    assert command(output=pictures) == 2
    assert "`--output` must not contain the pictures" in capsys.readouterr().err


def test_results_of_other_options_or_another_model_are_not_mixed(command, model, capsys):
    command()
    assert command("--overlays") == 2
    assert "settings.json, which differs in overlays" in capsys.readouterr().err
    with open(model / "10" / "assets" / "labels.json", "a") as file:
        file.write("\n")
    assert command() == 2
    assert "which differs in model" in capsys.readouterr().err


FORMULA = '=HYPERLINK("evil.example","a")'


def test_no_name_is_run_as_a_formula_waited_for_or_too_long_for_results(command, pictures, tmp_path, monkeypatch):
    names = [FORMULA, "+1", "-1", "@A1", "'quoted", "a;=1+1", "x" * 251, "\u00e9" * 125 + "y", "z" * 247]
    for name in names:
        shutil.copy(pictures / "a" / "0.png", pictures / "b" / f"{name}.png")
    os.mkfifo(pictures / "b" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(pictures / "b")  # the path of a socket must be short
        listening.bind("socket.png")
        assert command("--overlays", "--regions", "csv") == 0
    out = tmp_path / "out"
    rows = {row["path"]: row["fault"] for row in table(out / "unreadable.csv")}
    assert rows == {str(pictures / "b" / f"{name}.png"): "not_a_file" for name in ("pipe", "socket")}
    for name in ("class_shares.csv", "regions.csv"):
        found = {row["picture"] for row in table(out / name)}
        assert not [text for text in found if text[0] in "=+-@\t\r"]
        assert {f"b/{name}" for name in names} <= found
    for kind in ("label_maps", "overlays", "records"):
        files = list((out / kind / "b").iterdir())
        assert len(files) == len(names) + 2 and max(len(os.fsencode(file.name)) for file in files) <= 255
    assert command("--overlays", "--regions", "csv") == 0
    assert len(table(out / "class_shares.csv")) == len(names) + 5


def test_a_picture_in_the_input_folder_itself_is_no_formula_either(model, pictures, tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    shutil.copy(pictures / "a" / "0.png", folder / f"{FORMULA}.png")
    arguments = ["--model", str(model), "--input", str(folder), "--output", str(tmp_path / "out")]
    assert predict.main([*arguments, "--regions", "csv"]) == 0
    for name in ("class_shares.csv", "regions.csv"):
        assert {row["picture"] for row in table(tmp_path / "out" / name)} == {f"'{FORMULA}"}


def test_results_below_the_input_folder_are_not_labelled_when_the_command_runs_again(model, pictures, capsys):
    arguments = ["--model", str(model), "--input", str(pictures), "--output", str(pictures / "out"), "--overlays"]
    assert predict.main(arguments) == predict.main(arguments) == 0
    assert "0 new, 5 finished before" in capsys.readouterr().out
    assert len(table(pictures / "out" / "class_shares.csv")) == 5


def test_without_a_readable_picture_it_ends_with_status_2(command, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no picture")
    assert command(input=tmp_path / "text.jpg") == 2
    assert "At least one picture must be readable. Received: 1 that are not" in capsys.readouterr().err
    assert len(table(tmp_path / "out" / "unreadable.csv")) == 1


def test_a_damaged_or_foreign_saved_model_is_named(command, model, capsys):
    (model / "10" / "saved_model.pb").write_bytes(b"\xff" * 40)
    assert command() == 2
    assert "A SavedModel must be complete" in capsys.readouterr().err
    (model / "10" / "saved_model.pb").write_bytes(b"\x12\x00")  # one graph without a signature
    assert command() == 2
    assert "must have the signatures probabilities and serving_default. Received: none" in capsys.readouterr().err
    (model / "10" / "assets" / "labels.json").unlink()
    assert command() == 2
    assert "without assets/labels.json" in capsys.readouterr().err


def test_help_imports_no_framework():
    code = (
        "import sys, contextlib\nfrom pipeline import predict\nwith contextlib.suppress(SystemExit):\n"
        "    predict.main(['--help'])\n"
        "print([m for m in ('tensorflow', 'keras', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1] == "[]" and "--overlays" in answer


def test_no_network_of_kseg_is_imported_to_predict(model, pictures, tmp_path):
    arguments = ["--model", str(model), "--input", str(pictures), "--output", str(tmp_path / "out")]
    code = (
        f"import sys\nfrom pipeline import predict\nassert predict.main({arguments!r}) == 0\n"
        "print([m for m in sys.modules if m.startswith(('kseg.models', 'kseg.layers', 'kseg.serving.'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "['kseg.serving.manifest']" and "Traceback" not in run.stderr


def test_regions_as_csv_and_json_cover_the_label_maps(command, tmp_path):
    command("--regions", "csv", "--min-area", "9")
    command("--regions", "json", "--min-area", "9", output=tmp_path / "json")
    rows = table(tmp_path / "out" / "regions.csv")
    by_picture = json.loads((tmp_path / "json" / "regions.json").read_text())
    assert len(rows) == sum(map(len, by_picture.values())) > 5 and list(by_picture) == [
        "a/0",
        "a/2",
        "a/4",
        "b/1",
        "b/3",
    ]
    for key, regions in by_picture.items():
        label_map = np.asarray(Image.open(tmp_path / "out" / "label_maps" / f"{key}.png"))
        assert sum(region["area"] for region in regions) == label_map.size
        assert min(region["area"] for region in regions) >= 9
        areas = [int(row["area"]) for row in rows if row["picture"] == key]
        assert areas == [region["area"] for region in regions]


def test_every_pixel_that_cleaning_changes_is_in_a_table(command, tmp_path, capsys):
    command(output=tmp_path / "plain")
    command("--min-area", "300", "--max-hole", "40")
    changed = 0
    for row in table(tmp_path / "plain" / "class_shares.csv"):
        name = f"label_maps/{row['picture']}.png"
        before, after = (np.asarray(Image.open(tmp_path / folder / name)) for folder in ("plain", "out"))
        changed += int(np.sum(before != after))
    rows = table(tmp_path / "out" / "changed_pixels.csv")
    assert changed == sum(int(row["pixels"]) for row in rows) > 0
    assert f"changed_pixels.csv  {changed} pixels" in capsys.readouterr().out


def test_geojson_has_one_file_per_picture_and_coco_one_for_all(command, tmp_path):
    assert command("--regions", "geojson") == command("--regions", "coco", output=tmp_path / "coco") == 0
    files = sorted(file.name for file in (tmp_path / "out" / "regions").rglob("*.geojson"))
    assert files == ["0.geojson", "1.geojson", "2.geojson", "3.geojson", "4.geojson"]
    features = [
        feature
        for file in (tmp_path / "out" / "regions").rglob("*.geojson")
        for feature in json.loads(file.read_text())["features"]
    ]
    coco = json.loads((tmp_path / "coco" / "regions.coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["ground", "left", "right"]
    assert [image["id"] for image in coco["images"]] == [1, 2, 3, 4, 5]
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, len(features) + 1))
    assert sum(a["area"] for a in coco["annotations"]) == sum(f["properties"]["area"] for f in features)


def test_the_formats_that_help_lists_are_those_that_are_written():
    from pipeline.prediction import region_files
    from pipeline.settings import prediction as prediction_settings

    assert prediction_settings.REGIONS == region_files.FORMATS


def test_tiles_views_and_ensembles_give_what_kseg_computes(pictures, model, tmp_path):
    from kseg import inference

    shutil.copytree(model / "10", tmp_path / "other")
    more = ["--tile", "32x24", "--overlap", "8", "--flips", "horizontal", "--scales", "1", "2", "--average", "logits"]
    arguments = ["--input", str(pictures), "--output", str(tmp_path / "out")]
    assert predict.main(["--model", str(model), str(tmp_path / "other"), *arguments, *more]) == 0
    served = inference.SavedModel(model / "10")
    settings = {"tile": (24, 32), "overlap": 8, "stride": 1, "margin": 0}
    tiles = lambda images: np.stack([inference.predict_tiles(served, image, **settings) for image in images])  # noqa: E731
    views = inference.average_views(tiles, flips=["horizontal"], scales=(1, 2), average="logits")
    for file in sorted((tmp_path / "out" / "label_maps").rglob("*.png")):
        image = np.asarray(Image.open(pictures / file.relative_to(tmp_path / "out" / "label_maps")))
        expected = views(image[None])[0].argmax(-1)
        assert (np.asarray(Image.open(file)) == expected).mean() > 0.999  # ties of equal means may fall otherwise


def test_superpixels_vote_on_the_label_map_of_the_model(command, pictures, tmp_path):
    from kseg.postprocess import superpixels

    command(output=tmp_path / "plain")
    assert command("--superpixels", "30") == 0
    for key in ("a/0", "b/1"):
        before, after = (
            np.asarray(Image.open(tmp_path / folder / "label_maps" / f"{key}.png")) for folder in ("plain", "out")
        )
        ids = superpixels.slic(np.asarray(Image.open(pictures / f"{key}.png")), num_superpixels=30)
        np.testing.assert_array_equal(after, superpixels.majority_vote(before, ids))


def test_tiles_alone_give_what_kseg_computes(command, pictures, model, tmp_path):
    from kseg import inference

    assert command("--tile", "32x24") == 0
    served, settings = inference.SavedModel(model / "10"), {"tile": (24, 32), "overlap": 6, "stride": 1, "margin": 0}
    image = np.asarray(Image.open(pictures / "a" / "0.png"))
    expected = inference.predict_tiles(served, image, output_mode="label_map", **settings)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "label_maps" / "a" / "0.png")), expected)


def test_models_of_other_classes_are_not_averaged(model, pictures, tmp_path, capsys):
    shutil.copytree(model / "10", tmp_path / "other")
    labels = tmp_path / "other" / "assets" / "labels.json"
    labels.write_text(labels.read_text().replace("left", "west"))
    arguments = ["--input", str(pictures), "--output", str(tmp_path / "out")]
    assert predict.main(["--model", str(model), str(tmp_path / "other"), *arguments]) == 2
    assert "Models must have the same classes to be averaged. Received: ground, left, right" in capsys.readouterr().err


def test_records_hold_what_the_tables_say(command, tmp_path):
    command()
    record = json.loads((tmp_path / "out" / "records" / "a" / "0.json").read_text())
    assert record["key"] == "a/0" and sum(record["pixels"]) == record["height"] * record["width"]


CRF = '{"iterations": 3, "appearance_colour_sigma": 30, "appearance_weight": 3}'


def test_dense_crf_refines_the_average_of_views_and_tiles_and_superpixels_vote_on_the_result(
    command, pictures, model, tmp_path
):
    from kseg import inference
    from kseg.postprocess import superpixels
    from pipeline.settings import crf as crf_settings

    assert command("--crf", CRF, output=tmp_path / "whole") == 0
    assert command("--crf", CRF, "--tile", "32x24", "--flips", "horizontal", "--superpixels", "30") == 0
    served, settings = inference.SavedModel(model / "10"), {"tile": (24, 32), "overlap": 6, "stride": 1, "margin": 0}
    tiles = lambda images: np.stack([inference.predict_tiles(served, image, **settings) for image in images])  # noqa: E731
    views = inference.average_views(tiles, flips=["horizontal"])
    changed = 0
    for key in ("a/0", "b/1"):
        image = np.asarray(Image.open(pictures / f"{key}.png"))
        whole, out = (
            np.asarray(Image.open(tmp_path / folder / "label_maps" / f"{key}.png")) for folder in ("whole", "out")
        )
        expected = inference.refine_with_crf(served, **crf_settings.read_parameters(CRF))(image[None])[0].argmax(-1)
        assert (whole == expected).mean() > 0.999  # a pixel on the border of two simplices may fall to either
        changed += np.count_nonzero(whole != served.label_map(image))
        expected = inference.refine_with_crf(views, **crf_settings.read_parameters(CRF))(image[None])[0].argmax(-1)
        voted = superpixels.majority_vote(expected, superpixels.slic(image, num_superpixels=30))
        assert (out == voted).mean() > 0.99
    assert changed > 0


def test_the_parameters_of_dense_crf_are_recorded_with_the_results(command, tmp_path, capsys):
    assert command("--crf", "auto") == 0
    (tmp_path / "crf.json").write_text(json.dumps({"settings": {"iterations": 2}, "trials": []}))
    assert command("--crf", str(tmp_path / "crf.json")) == 2
    assert "settings.json, which differs in crf" in capsys.readouterr().err
    made_with = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert made_with["crf"]["appearance_position_sigma"] == 20


def test_a_model_exported_with_dense_crf_predicts_with_it_and_is_not_refined_again(
    command, refining, pictures, tmp_path, capsys
):
    from kseg import inference

    assert command(model=refining / "saved_model") == 0
    image = np.asarray(Image.open(pictures / "a" / "0.png"))
    label_map = np.asarray(Image.open(tmp_path / "out" / "label_maps" / "a" / "0.png"))
    assert (label_map == inference.SavedModel(refining / "saved_model").label_map(image)).mean() > 0.999
    capsys.readouterr()
    assert command("--crf", "auto", model=refining / "saved_model", output=tmp_path / "twice") == 2
    output = capsys.readouterr().err
    assert "A model must not be refined twice. Received: " in output and "Leave out --crf." in output
    assert not (tmp_path / "twice").exists()
