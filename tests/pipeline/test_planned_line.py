"""A folder of pairs becomes a served model by the planner's own choices."""

import json

import pytest
from PIL import Image

from kseg import streets
from pipeline import line, run

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """Street scenes of 128x96 with their table of classes: eight to train on, four to validate."""
    data = tmp_path / "data"
    for split, number in (("train", 8), ("val", 4)):
        for index in range(number):
            pair = streets.draw(index, split="train" if split == "train" else "validation", size=(96, 128), seed=0)
            for kind, pixels in zip(("images", "masks"), pair, strict=True):
                (data / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(data / kind / split / f"{index}.png")
    rows = [
        f"{value},{name},{','.join(map(str, colour))}"
        for value, (name, colour) in enumerate(zip(streets.LABELS.names, streets.LABELS.colours, strict=True))
    ]
    (data / "classes.csv").write_text("\n".join(["value,name,red,green,blue", *rows]))
    return data


def test_a_folder_is_planned_for_trained_and_pushed_once(folder, tmp_path, capsys):
    places = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")]
    command = [
        "--data",
        str(folder),
        "--ignore-value",
        "255",
        "--minutes",
        "0.2",
        "--set",
        "evaluator.min_gain=-1",
        *places,
    ]
    assert run.main([*command, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "planner             network: model=light_fpn, encoder=efficientnet_lite0, weights=imagenet; " in printed
    assert "planner             expected: " in printed and not (tmp_path / "runs" / "trainer").exists()
    assert run.main(command) == 0
    printed = capsys.readouterr().out
    assert "planner             cached" in printed
    (plan,) = (json.loads(path.read_text()) for path in (tmp_path / "runs" / "planner").glob("*/plan.json"))
    (recipe,) = (json.loads(path.read_text()) for path in (tmp_path / "runs" / "trainer").glob("*/recipe.json"))
    (training,) = (json.loads(path.read_text()) for path in (tmp_path / "runs" / "trainer").glob("*/training.json"))
    assert recipe["config"]["model"] == "light_fpn"
    assert str(recipe["config"]["epochs"]) == plan["settings"]["trainer.epochs"]
    assert training["network"]["image_size"] == [96, 128]
    assert "Chosen for 0.2 minutes of training on " in (tmp_path / "runs" / "report-data.html").read_text()
    assert run.main(command) == 0
    printed = capsys.readouterr().out
    assert all(f"{name:19} cached" in printed for name in line.COMPONENTS)
