"""`--data s3://...`: the line and `kseg inspect` read data in an object store as they read a folder, and say the URL."""

import importlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline import inspect, run
from pipeline.engine.store import Store
from pipeline.storage.copies import copy_of

URL = "s3://bucket/data/photos"


@pytest.fixture
def photos(tmp_path):
    """A folder with five pairs, of which one mask is cut off, and a table of classes."""
    folder, random = tmp_path / "photos", np.random.default_rng(0)
    for side in ("images", "masks"):
        (folder / side).mkdir(parents=True)
    for number in range(5):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        Image.fromarray((pixels[..., 0] > 99).astype(np.uint8)).save(folder / "masks" / f"{number}.png")
    mask = folder / "masks" / "3.png"
    mask.write_bytes(mask.read_bytes()[:-30])
    (folder / "classes.csv").write_text("value,name,red,green,blue\n0,ground,0,0,0\n1,thing,255,255,255\n")
    return folder


@pytest.fixture
def uploaded(s3, photos):
    """The folder in the bucket, at URL."""
    for file in photos.rglob("*.*"):
        s3.put_file(str(file), f"bucket/data/photos/{file.relative_to(photos)}")
    return s3


def ingest(tmp_path, data=URL, *arguments):
    argv = ["--data", data, "--root", str(tmp_path / "runs"), "--until", "example_gen"]
    return run.main([*argv, "--push-to", str(tmp_path / "models"), *arguments])


def ingested(tmp_path):
    (found,) = (tmp_path / "runs" / "example_gen").glob("*/ingestion.json")
    return json.loads(found.read_text())


def test_data_in_s3_are_ingested_as_from_a_folder_and_the_records_say_the_url(uploaded, photos, tmp_path, capsys):
    assert ingest(tmp_path) == 0
    found = ingested(tmp_path)
    (row,) = found["quarantined"]
    assert found["place"] == URL and row["mask"] == f"{URL}/masks/3.png" and sum(found["pairs"].values()) == 4
    assert ".objects" not in json.dumps(found)
    shutil.rmtree(tmp_path / "runs" / ".objects")
    capsys.readouterr()
    assert ingest(tmp_path) == 0  # on another machine, the same bytes are cached
    assert "example_gen         cached" in capsys.readouterr().out
    assert ingest(tmp_path, str(photos)) == 0  # and from wherever they are read
    assert "example_gen         cached" in capsys.readouterr().out


def test_images_without_masks_are_read_from_s3_as_well(uploaded, photos, tmp_path, capsys):
    uploaded.put_file(str(photos / "images" / "0.png"), "bucket/more/first.png")
    uploaded.pipe_file("bucket/more/second.png", b"no picture")
    assert ingest(tmp_path, str(photos), "--unlabelled", "s3://bucket/none") == 2
    assert "Received: --unlabelled s3://bucket/none, below which there is no object" in capsys.readouterr().err
    assert ingest(tmp_path, str(photos), "--unlabelled", "s3://bucket/more") == 0
    found = ingested(tmp_path)
    assert found["unlabelled"]["place"] == "s3://bucket/more" and "place" not in found
    assert [row["image"] for row in found["quarantined"] if row["split"] == "unlabelled"] == [
        "s3://bucket/more/second.png"
    ]
    assert ".objects" not in json.dumps(found)


def test_changed_data_are_ingested_again(uploaded, photos, tmp_path, capsys):
    assert ingest(tmp_path) == 0
    whole = photos / "masks" / "2.png"
    uploaded.put_file(str(whole), "bucket/data/photos/masks/3.png")
    assert ingest(tmp_path) == 0
    rows = [json.loads(file.read_text()) for file in (tmp_path / "runs" / "example_gen").glob("*/ingestion.json")]
    assert sorted(len(row["quarantined"]) for row in rows) == [0, 1]
    assert "fetching 1 file, " in capsys.readouterr().out


def test_a_proposed_table_is_to_be_saved_outside_the_copy_and_the_command_names_the_url(
    uploaded, tmp_path, capsys, monkeypatch
):
    uploaded.rm_file("bucket/data/photos/classes.csv")
    assert ingest(tmp_path) == 2
    error = capsys.readouterr().err
    assert "cat > classes.csv <<'END'" in error and f"--data {URL} --classes classes.csv" in error
    assert f"Received: no {URL}/classes.csv and no --classes" in error and ".objects" not in error


def test_a_table_of_pairs_is_read_with_the_files_beside_it(uploaded, tmp_path, capsys):
    rows = "".join(
        f"images/{number}.png,masks/{number}.png,{split}\n" for number, split in enumerate(("train", "train", "test"))
    )
    uploaded.pipe_file("bucket/data/photos/pairs.csv", f"image,mask,split\n{rows}".encode())
    assert ingest(tmp_path, f"{URL}/pairs.csv") == 0
    assert ingested(tmp_path)["place"] == f"{URL}/pairs.csv" and ingested(tmp_path)["pairs"]["test"] == 1


def test_inspect_looks_at_the_same_copy_and_prints_the_command_with_the_url(
    uploaded, photos, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert inspect.main([f"{URL}/", "--root", "elsewhere", "--json", "--limit", "0"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["data"] == URL and f"--data {URL}" in found["command"] and "--root elsewhere" in found["command"]
    assert copy_of(URL, "elsewhere").is_dir() and ".objects" not in json.dumps(found)
    uploaded.put_file(str(photos / "images" / "0.png"), "bucket/more/first.png")
    more = "s3://bucket/more"
    assert inspect.main([URL, "--root", "elsewhere", "--json", "--limit", "0", "--target", f"{more}/"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert f"--target {more}" in found["command"] and ".objects" not in json.dumps(found)
    assert found["unlabelled"] == {"domain": "target", "images": 1}


@pytest.mark.parametrize(
    ("flag", "place"),
    [
        ("--root", "s3://bucket/runs"),
        ("--root", "gs://bucket/runs"),
        ("--classes", "s3://bucket/classes.csv"),
        ("--schema", "s3://bucket/schema.json"),
        ("--data-root", "s3://bucket"),
        ("--set", "trainer.weights=s3://bucket/weights.h5"),
        ("--set", "root=s3://bucket/runs"),
    ],
)
def test_what_must_be_on_this_disk_is_refused_by_name_and_nothing_is_made(flag, place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--data", "photos", flag, place]) == 2
    given = place.rpartition("=")[2]
    assert f"must be a place on this disk. Received: {flag}" in (error := capsys.readouterr().err) and given in error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "command",
    [
        ["pipeline.serve", "s3://bucket/models/streets"],
        ["pipeline.lineage", "s3://bucket/models/streets/1"],
        ["pipeline.predict", "--input", "photos", "--model", "s3://bucket/models/streets", "--output", "labels"],
        ["pipeline.predict", "--input", "photos", "--model", "savedmodels/streets", "--output", "s3://bucket/labels"],
        ["pipeline.predict", "--input", "s3://bucket/photos", "--model", "savedmodels/streets", "--output", "labels"],
        ["pipeline.suggest", "--input", "photos", "--model", "gs://bucket/models/streets", "--output", "labels"],
        ["pipeline.inspect", "photos", "--output", "s3://bucket/sheet.png"],
        ["pipeline.gc", "--root", "s3://bucket/runs"],
    ],
)
def test_other_commands_refuse_places_in_object_stores(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert importlib.import_module(command[0]).main(command[1:]) == 2
    assert "must be a place on this disk. Received: " in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_a_store_of_results_in_an_object_store_is_refused_from_python_as_well():
    with pytest.raises(ValueError, match="`root` must be a local folder"):
        Store("s3://bucket/runs")


def test_secrets_on_the_command_line_are_not_repeated(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    secret = "s3://KEY:HIDDEN@bucket/photos"
    for argv in (
        ["--data", secret],
        ["--push-to", secret],
        ["--set", f"push_to={secret}"],
        ["--unknown", secret],
        ["--data"],
    ):
        assert run.main([*argv, "--epochs", "x", secret]) == 2
        assert run.main(argv) == 2
    assert inspect.main([secret, "--json"]) == 2
    captured = capsys.readouterr()
    assert "HIDDEN" not in captured.out + captured.err


@pytest.mark.parametrize("push_to", ["s3://bucket/photos", "s3://bucket/photos/models"])
def test_models_among_the_data_are_refused_before_anything_is_asked(push_to, tmp_path, capsys):
    assert run.main(["--data", "s3://bucket/photos/", "--push-to", push_to, "--root", str(tmp_path / "runs")]) == 2
    error = capsys.readouterr().err
    assert f"Received: --push-to {push_to} [in --data s3://bucket/photos]" in error


def test_a_bucket_in_which_nothing_can_be_written_is_named_before_any_work(s3, tmp_path, capsys):
    argv = ["--push-to", "s3://nothing/models", "--root", str(tmp_path / "runs")]
    assert run.main(argv) == 2
    assert "The bucket must exist. Received: --push-to s3://nothing/models" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "example_gen").exists()
