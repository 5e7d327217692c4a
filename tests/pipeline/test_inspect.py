"""The command inspect: what it prints and writes, its exit statuses, and that it agrees with the line."""

import errno
import itertools
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline import inspect as command
from pipeline import run
from pipeline.components.example_gen import example_gen
from pipeline.components.example_validator import example_validator
from pipeline.components.schema_gen import schema_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.settings.config import Config
from pipeline.settings.example_gen import ExampleGen
from tests.conftest import ROOT


@pytest.fixture
def inspect(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder; returns its exit status, and what it prints."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        status = command.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def test_good_data_give_status_0_a_picture_and_the_command_that_trains(inspect, photos, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    status, out, err = inspect(photos, "--ignore-value", 9)
    assert (status, err) == (0, "")
    assert re.search(r"^pairs +10; all read", out, re.MULTILINE)
    assert re.search(r"^splits +train 6, validation 2, test 2$", out, re.MULTILINE)
    assert re.search(r"^classes +3 from classes.csv; void is 9", out, re.MULTILINE)
    assert re.search(r"^ +2 +200  right ", out, re.MULTILINE)
    picture = tmp_path / "here" / "photos-inspect.png"
    assert f"picture     {picture.name} with 10 pairs" in out and Image.open(picture).width > 600
    words = out.splitlines()[-1].split()
    assert words[:4] == ["train", "python", "-m", "pipeline.run"]
    config = run.parse(words[4:]).config
    assert (config.data, config.example_gen.ignore_value) == (str(photos), 9)
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before
    assert {path.name for path in (tmp_path / "here").iterdir()} == {picture.name}


@pytest.mark.parametrize("flag", ["--follow-links", "--follow-links=true", "--follow-links true"])
def test_a_flag_that_needs_no_value_leaves_the_data_behind_it_alone(flag, inspect, photos):
    status, out, err = inspect(*flag.split(), photos, "--ignore-value", 9, "--limit", 0)
    assert (status, err) == (0, "")
    assert "--follow-links true" in out.splitlines()[-1]


def test_as_kseg_inspect_it_names_kseg_run_and_keeps_the_options_of_the_data(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = shutil.copy(photos / "classes.csv", tmp_path / "my classes.csv")
    options = ["--classes", str(table), "--ignore-value", "9", "--set", "example_validator.max_skew=1", "--limit", "0"]
    assert command.main([str(photos), *options], prog="kseg inspect") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        f"train       kseg run --data {photos} --classes '{table}' --ignore-value 9 --set example_validator.max_skew=1"
    )
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(("flag", "domain"), [("--target", "target"), ("--unlabelled", "same")])
def test_images_without_masks_are_counted_checked_and_in_the_command(flag, domain, inspect, photos, tmp_path):
    others = shutil.copytree(photos / "images", tmp_path / "others")
    (others / "train" / "00.png").rename(others / "photo.heic")
    status, out, _ = inspect(photos, "--ignore-value", 9, "--limit", 0, flag, others)
    assert status == 0 and f"{flag}: 9 images without masks" in out
    config = run.parse(out.splitlines()[-1].split()[4:]).config
    assert (config.target or config.unlabelled) == str(others) and bool(config.target) == (flag == "--target")
    _, out, _ = inspect(photos, "--ignore-value", 9, "--limit", 0, flag, others, "--json")
    found = json.loads(out)
    assert found["unlabelled"] == {"domain": domain, "images": 9} and found["pairs"]["total"] == 10
    assert [row["name"] for row in found["anomalies"] if row["severity"] == "quarantine"] == ["unsupported_format"]
    for file in others.rglob("*.png"):
        file.unlink()
    status, _, err = inspect(photos, "--ignore-value", 9, flag, others)
    assert status == 2 and f"At least one image of {flag} must be usable. Received: 1 images that are not" in err


@pytest.mark.parametrize("columns", [72, 80, 120])
def test_lines_fit_the_terminal(inspect, photos, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    (photos / "images" / "train" / "00.png").unlink()
    shutil.copy(photos / "images" / "train" / "01.png", photos / "images" / "train" / "02.png")
    shutil.copy(photos / "masks" / "train" / "01.png", photos / "masks" / "train" / "02.png")
    _, out, _ = inspect(photos, "--ignore-value", 9)
    places = (str(photos), "classes.csv", "inspect.png")
    assert [
        line for line in out.splitlines() if len(line) > columns and not any(place in line for place in places)
    ] == []


def test_the_keys_of_the_json_are_those_of_the_documentation(inspect, photos):
    status, out, _ = inspect(photos, "--ignore-value", 9, "--json", "--output", "x.png")
    found = json.loads(out)
    page = (ROOT / "docs" / "inspect.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| .* \|$", page[page.index("## JSON") :], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(found)
    assert (status, found["status"], found["contact_sheet"], len(found["shown"])) == (0, 0, "x.png", 10)
    shares = [row["share"] for row in found["classes"]] + [found["void"]["share"]]
    assert sum(shares) == pytest.approx(1) and [row["value"] for row in found["classes"]] == [0, 5, 200]
    assert found["headers"]["images"] == {"PNG, RGB, 8 bits": 10} and sum(found["headers"]["sizes"].values()) == 10


def test_where_all_pairs_are_read_the_anomalies_are_those_of_the_line(inspect, photos, tmp_path):
    train = photos / "images" / "train"
    shutil.copy(train / "01.png", train / "02.png")
    shutil.copy(photos / "masks" / "train" / "01.png", photos / "masks" / "train" / "02.png")
    (photos / "masks" / "train" / "03.png").unlink()
    (train / "04.png").write_bytes(b"")
    (train / "notes.txt").write_text("x")
    settings = ["--ignore-value", "9", "--set", "example_validator.max_quarantined=0.5"]
    status, out, _ = inspect(photos, "--json", "--limit", 0, *settings)
    folders = {name: tmp_path / name for name in ("examples", "statistics", "schema", "anomalies")}
    for folder in folders.values():
        folder.mkdir()
    config = run.parse(["--data", str(photos), *settings]).config
    example_gen(folders["examples"], config.example_gen, source=photos)
    statistics_gen(folders["statistics"], config.statistics_gen, examples=folders["examples"])
    schema_gen(folders["schema"], config.schema_gen, statistics=folders["statistics"], examples=folders["examples"])
    inputs = {name: folders[name] for name in ("examples", "statistics", "schema")}
    example_validator(folders["anomalies"], config.example_validator, **inputs)
    expected = json.loads((folders["anomalies"] / "anomalies.json").read_text())["anomalies"]
    assert status == 0 and json.loads(out)["anomalies"] == expected
    assert {"missing_mask", "empty_file", "duplicates", "foreign_files"} <= {row["name"] for row in expected}


def test_an_anomaly_that_stops_a_run_gives_status_1(inspect, photos):
    (photos / "images" / "train" / "00.png").write_bytes(b"half")
    status, out, _ = inspect(photos, "--ignore-value", 9)
    assert status == 1
    assert re.search(r"^anomalies +1 that stops a run, 1 pair quarantined$", out, re.MULTILINE)
    assert "too_many_quarantined" in out and "unsupported_format" in out


def test_data_that_leak_between_splits_stop_also_where_only_a_sample_is_read(inspect, photos):
    for kind in ("images", "masks"):
        shutil.copy(photos / kind / "train" / "00.png", photos / kind / "val" / "06.png")
        for number in range(200):
            shutil.copy(photos / kind / "train" / "01.png", photos / kind / "train" / f"x{number}.png")
    for number in range(200):
        noise = np.random.default_rng(number).integers(0, 256, (24, 28, 3), np.uint8)
        Image.fromarray(noise).save(photos / "images" / "train" / f"x{number}.png")
    status, out, _ = inspect(photos, "--ignore-value", 9, "--json", "--limit", 0, "--seconds", 0)
    found = json.loads(out)
    assert found["pairs"]["read"] < found["pairs"]["total"] == 210
    (leak,) = [row for row in found["anomalies"] if row["name"] == "duplicates_across_splits"]
    assert status == 1 and leak["severity"] == "stop" and leak["examples"] == ["validation/06 = train/00"]
    assert "class_missing" in found["not_checked"]


def test_without_a_table_one_is_proposed_that_works(inspect, photos):
    (photos / "classes.csv").unlink()
    status, out, _ = inspect(photos, "--limit", 3)
    assert status == 1 and "no_class_table" in out and "class_2" in out
    script = re.search(r"^cat > .*?^END$", out, re.MULTILINE | re.DOTALL)[0]
    subprocess.run(["bash", "-c", script], check=True)
    assert inspect(photos, "--limit", 0)[0] == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "The data must be a folder or a file"),
        (
            lambda photos: [shutil.rmtree(path) for path in (photos / "images", photos / "masks")],
            "A folder of pairs must",
        ),
        (lambda photos: shutil.rmtree(photos / "masks"), "Images and masks must lie in folders of the same names"),
        (
            lambda photos: [path.write_bytes(b"x") for path in photos.glob("images/*/*")],
            "At least one pair must be usable",
        ),
        (lambda photos: (photos / "classes.csv").write_text("a,b\n1,2\n"), "A table of classes must have a header"),
    ],
)
def test_unreadable_data_give_status_2_a_message_and_no_picture(inspect, photos, tmp_path, spoil, message):
    spoil(photos)
    status, out, err = inspect(photos, "--ignore-value", 9)
    assert (status, out) == (2, "") and err.startswith("error: ") and message in err
    status, out, _ = inspect(photos, "--ignore-value", 9, "--json")
    found = json.loads(out)
    assert (status, found["status"], found["data"]) == (2, 2, str(photos)) and message in found["error"]
    assert not list((tmp_path / "here").iterdir())


def test_where_the_user_must_choose_the_commands_inspect(inspect, photos):
    status, _, err = inspect(photos)  # classes.csv has a row called void
    assert status == 2 and f"as void, not trained:  python -m pipeline.inspect {photos} --ignore-value 9" in err


def test_a_fault_of_the_disk_is_in_the_json_too(inspect, photos, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied", str(photos))

    monkeypatch.setattr("kseg.pairs.image_folder.find_readings", refuse)
    status, out, err = inspect(photos, "--json")
    found = json.loads(out)
    assert (status, found["status"]) == (2, 2) and err == f"error: {found['error']}\n" and str(photos) in err


@pytest.mark.parametrize(
    "arguments", [(), ("x", "--seconds", "-1"), ("x", "--limit", "a"), ("x", "--show", "ascii"), ("x", "--epochs", "3")]
)
def test_wrong_arguments_give_status_2(inspect, arguments):
    status, out, err = inspect(*arguments)
    assert (status, out) == (2, "") and err.startswith("error: ")


def test_shifted_masks_are_a_warning(inspect, data, tmp_path):
    source, target = data / "isbi2012_em", tmp_path / "shifted"
    images = sorted((source / "images" / "train").iterdir(), key=lambda path: int(path.stem))
    for kind in ("images", "masks"):
        (target / kind).mkdir(parents=True)
    for image, other in itertools.pairwise(images):
        shutil.copy(image, target / "images")
        shutil.copy(source / "masks" / "train" / f"{other.stem}.png", target / "masks" / f"{image.stem}.png")
    shutil.copy(source / "classes.csv", target)
    _, out, _ = inspect(target, "--json", "--limit", 0, "--seconds", 60)
    assert "shifted_masks" in [row["name"] for row in json.loads(out)["anomalies"]]
    _, out, _ = inspect(source, "--json", "--limit", 0, "--seconds", 60)
    assert json.loads(out)["anomalies"] == []


def test_generated_streets_can_be_inspected(inspect):
    streets = ["--set", "example_gen.streets_train=5", "--set", "example_gen.streets_validation=2"]
    status, out, _ = inspect("streets", "--json", *streets, "--set", "example_gen.streets_test=2")
    found = json.loads(out)
    assert status == 0 and found["pairs"]["total"] == 9 and found["headers"]["sizes"] == {"128x96": 9}


def test_no_tensorflow_is_imported(photos, tmp_path):
    code = (
        "import sys\nfrom pipeline.inspect import main\n"
        f"status = main([{str(photos)!r}, '--ignore-value', '9', '--output', {str(tmp_path / 'x.png')!r}, '--json'])\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\nsys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["status"] == 0 and done.stderr == ""


def test_a_picture_is_shown_where_the_user_asks_for_it(inspect, photos):
    assert "\x1b" not in inspect(photos, "--ignore-value", 9)[1]
    assert inspect(photos, "--ignore-value", 9, "--show", "kitty")[1].startswith("\x1b_Ga=T,f=100,c=80,")


def test_the_settings_of_the_command_are_those_of_the_run():
    arguments, _ = command.build_parser().parse(["x", "--ignore-value", "3", "--set", "example_gen.max_pixels=50000"])
    config = command._read_config(arguments)
    assert isinstance(config, Config) and config.example_gen == ExampleGen(ignore_value=3, max_pixels=50000)
