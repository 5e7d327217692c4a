"""Data without a table of classes: the message holds one to save, and the command that then runs."""

import json
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from pipeline import run

UNTIL = ("--until", "example_gen")


@pytest.fixture
def unnamed(photos):
    """The photos without their table of classes."""
    (photos / "classes.csv").unlink()
    return photos


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs the line up to example_gen, which must refuse; returns the message."""

    def start(data, *more):
        assert run.main(["--data", str(data), "--root", str(tmp_path / "runs"), *UNTIL, *more]) == 2
        return capsys.readouterr().err

    return start


def to_voc(photos, root):
    """Moves the pairs into the layout of PASCAL VOC."""
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for kind, folder in (("images", "JPEGImages"), ("masks", "SegmentationClass")):
        (root / folder).mkdir()
        for path in (photos / kind).rglob("*.png"):
            shutil.copy(path, root / folder)
    for name in ("train", "val"):
        (lists / f"{name}.txt").write_text("\n".join(path.stem for path in (photos / "images" / name).iterdir()))
    return root


def to_table(photos):
    """Lists the pairs in a CSV file."""
    rows = [f"{path.relative_to(photos)},masks/{path.parent.name}/{path.name}" for path in photos.glob("images/*/*")]
    (photos / "pairs.csv").write_text("image,mask\n" + "\n".join(rows))
    return photos / "pairs.csv"


@pytest.mark.parametrize("layout", ["folders", "voc", "csv", "a path with spaces"])
def test_the_message_holds_a_table_to_save_and_the_command_that_then_runs(unnamed, tmp_path, refused, layout):
    data = {
        "folders": lambda: unnamed,
        "voc": lambda: to_voc(unnamed, tmp_path / "VOC2012"),
        "csv": lambda: to_table(unnamed),
        "a path with spaces": lambda: unnamed.rename(tmp_path / "my 'own' photos"),
    }[layout]()
    message = refused(data, "--ignore-value", "9")
    here_document, command = re.search(r"(cat > .*?^END)\n(python .*?)$", message, re.DOTALL | re.MULTILINE).groups()
    subprocess.run(["bash", "-c", here_document], check=True)
    python, module, name, *arguments = shlex.split(command)
    assert (python, module, name) == ("python", "-m", "pipeline.run")
    assert run.main([*arguments, "--root", str(tmp_path / "runs"), *UNTIL]) == 0
    (labels,) = (tmp_path / "runs" / "example_gen").glob("*/labels.json")
    labels = LabelMap.load(labels.parent)
    assert (labels.names, labels.values, labels.ignore_value) == (("class_0", "class_1", "class_2"), (0, 5, 200), 9)


def test_a_probable_void_value_is_never_trained_before_the_user_has_chosen(unnamed, tmp_path, refused, capsys):
    for path in (unnamed / "masks").rglob("*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.select([mask == 5, mask == 200, mask == 9], [1, 2, 255], 0).astype(np.uint8)).save(path)
    message = refused(unnamed)
    assert f"\npython -m pipeline.run --data {unnamed} --ignore-value 255\n" in message
    table = re.search(r"<<'END'\n(.*)END", message, re.DOTALL).group(1)
    (unnamed / "classes.csv").write_text(table)

    message = refused(unnamed)
    command = f"python -m pipeline.run --data {unnamed}"
    assert f"Received: 255,void [{unnamed}/classes.csv]. Choose:\n" in message
    assert f"{command} --ignore-value 255\n" in message
    assert f"{command} --set example_gen.void_is_class=true\n" in message
    for choice, classes in ((("--ignore-value", "255"), 3), (("--set", "example_gen.void_is_class=true"), 4)):
        root = tmp_path / f"runs-{classes}"
        assert run.main(["--data", str(unnamed), "--root", str(root), *UNTIL, *choice]) == 0
        assert LabelMap.load(next((root / "example_gen").glob("*"))).num_classes == classes


def test_without_a_probable_void_value_the_message_says_how_to_declare_one(unnamed, refused):
    assert "If a value means void, that is pixels without a label, add --ignore-value VALUE." in refused(unnamed)


def test_many_values_are_said_to_come_from_smoothed_edges(unnamed, refused):
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(8, 32)).save(unnamed / "masks" / "train" / "00.png")
    assert "Are these 256 classes? Anti-aliased or resized edges" in refused(unnamed, "--ignore-value", "9")


def test_the_classes_of_the_message_about_jpeg_masks_read_them(unnamed, tmp_path, refused):
    for path in (unnamed / "masks").rglob("*.png"):
        Image.fromarray((np.asarray(Image.open(path)) == 200) * np.uint8(255)).save(
            path.with_suffix(".jpg"), quality=95
        )
        path.unlink()
    given = shlex.split(re.search(r"--classes '.*?'", refused(unnamed)).group())
    assert run.main(["--data", str(unnamed), "--root", str(tmp_path / "runs"), *UNTIL, *given]) == 0
    (folder,) = (tmp_path / "runs" / "example_gen").glob("*")
    assert json.loads((folder / "ingestion.json").read_text())["pairs"] == {"test": 2, "train": 6, "validation": 2}
    assert LabelMap.load(folder).names == ("background", "object")
    assert run.main(["--data", str(unnamed), "--root", str(tmp_path / "runs"), *UNTIL, *given, "--explain"]) == 0


@pytest.mark.parametrize(("text", "message"), [("vok=", "Classes must be a file, name=values"), ("vok", "vok")])
def test_other_classes_are_refused(unnamed, refused, text, message):
    assert message in refused(unnamed, "--classes", text)


def test_a_table_of_a_label_tool_beside_a_table_of_pairs_is_used_and_enters_the_recipe(unnamed, tmp_path, capsys):
    table, arguments = to_table(unnamed), ["--root", str(tmp_path / "runs"), *UNTIL, "--ignore-value", "9"]
    for name in ("ground", "soil"):
        names = {0: name, 5: "left", 200: "right"}
        (unnamed / "data.yaml").write_text(json.dumps({"names": names}))  # JSON is YAML
        assert run.main(["--data", str(table), *arguments]) == 0
    folders = (tmp_path / "runs" / "example_gen").glob("*")
    assert sorted(LabelMap.load(folder).names[0] for folder in folders) == ["ground", "soil"]


def test_a_table_of_a_label_tool_outside_the_folder_is_not_opened(unnamed, tmp_path, refused):
    (tmp_path / "labelmap.txt").write_text("ground:90,90,90::\n")
    (unnamed / "labelmap.txt").symlink_to(tmp_path / "labelmap.txt")
    assert "Links must not lead out of" in refused(unnamed)


def test_a_table_of_a_label_tool_in_the_folder_is_used(unnamed, tmp_path, capsys):
    (unnamed / "labelmap.txt").write_text("ground:90,90,90::\nvoid:0,0,0::\n")
    for path in (unnamed / "masks").rglob("*.png"):
        Image.fromarray((np.asarray(Image.open(path)) == 200).astype(np.uint8)).save(path)
    assert run.main(["--data", str(unnamed), "--root", str(tmp_path / "runs"), *UNTIL]) == 0
    (folder,) = (tmp_path / "runs" / "example_gen").glob("*")
    assert (LabelMap.load(folder).names, LabelMap.load(folder).ignore_value) == (("ground",), 1)


def test_jpeg_masks_are_refused_as_such(unnamed, refused):
    for path in (unnamed / "masks").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    assert "A mask must be PNG. Received: JPEG, which changes values at every edge" in refused(unnamed)


def test_masks_that_cannot_be_read_are_counted_in_the_message(unnamed, refused):
    (unnamed / "masks" / "train" / "00.png").write_bytes(b"")
    message = refused(unnamed)
    assert "made from 9 of 10 masks" in message and "1 masks cannot be read, the first: A file must hold" in message
