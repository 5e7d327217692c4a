"""The whole line with images without masks: every setting of theirs reaches the push, and what was not scored is said."""

import json

import numpy as np
import pytest
from PIL import Image

from kseg import streets
from pipeline import lineage, run

SMALL = (
    "example_gen.streets_train=8", "example_gen.streets_validation=2", "example_gen.streets_test=2",
    "example_gen.streets_size=32,48", "evaluator.min_gain=-1", "trainer.filters=4,8", "trainer.discriminator_filters=4",
    "trainer.epochs=1", "trainer.batch_size=4", "trainer.precision=float32", "infra_validator.samples=1",
)  # fmt: skip
WAYS = {
    "entropy": ["--target", "trainer.adaptation=entropy"],
    "maps": ["--target", "trainer.adaptation=maps", "trainer.domain_weight=0.1", "trainer.objective=least_squares"],
    "features": ["--target", "trainer.adaptation=features", "trainer.label_stride=1"],
    "adversary": [
        "--target", "trainer.adaptation=maps", "trainer.pseudo_label_weight=0", "trainer.discriminator=fully_convolutional",
    ],
    "self-training": [
        "--target", "trainer.pseudo_label_threshold=0.6", "trainer.teacher_start=1", "trainer.target_colours=false",
        "trainer.teacher_decay=0.9", "trainer.cut_mix=false", "trainer.pseudo_label_weight=0.5",
    ],
    "colours": ["--target", "trainer.pseudo_label_weight=0"],
    "unlabelled": ["--unlabelled", "trainer.adversarial_weight=0"],
    "game": ["--unlabelled", "trainer.adversarial_weight=0.1"],
    "own-sizes": ["--unlabelled", "trainer.adversarial_weight=0", "transform.image_scale=0.9", "transform.image_size=none"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """6 brighter streets without masks below `others`, and what the runs have in common."""
    root = tmp_path_factory.mktemp("without_masks")
    (root / "others").mkdir()
    for number in range(6):
        image, _ = streets.draw(100 + number, split="train", size=(32, 48))
        Image.fromarray(np.clip(0.7 * image + 60.0, 0, 255).astype(np.uint8)).save(root / "others" / f"{number}.jpg")
    return root


def push(folder, name, flag, *changes) -> int:
    places = ["--root", str(folder / "runs"), "--push-to", str(folder / "models"), "--name", name]
    sets = (text for setting in (*SMALL, *changes) for text in ("--set", setting))
    return run.main([*places, flag, str(folder / "others"), *sets])


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_learn_from_them_reaches_the_push(folder, name, capsys):
    flag, *changes = WAYS[name]
    assert push(folder, name, flag, *changes) == 0
    version = folder / "models" / name / "1"
    assert (version / "saved_model.pb").is_file()
    printed, card = capsys.readouterr().out, (version / "model_card.md").read_text()
    report = (folder / "runs" / f"report-{name}.html").read_text()
    judged = "by which the gate judges, are of the labelled source"
    assert [judged in text for text in (printed, card, report)] == [flag == "--target"] * 3
    assert "Training saw 6 images without masks" in card and "6 images without masks" in report
    domain = "target" if flag == "--target" else "same"
    found = lineage.lineage(version)
    assert found["data"]["unlabelled"] == {"domain": domain, "images": 6, "set_aside": 0}
    assert f"6 images without masks, of {'another' if domain == 'target' else 'the same'} domain" in lineage.text(found)
    config = found["settings"]["trainer"]
    for change in changes:
        setting, _, value = change.partition("=")
        if setting.startswith("trainer."):
            assert str(config[setting.removeprefix("trainer.")]).lower() in (value, f"{value}.0")


@pytest.mark.slow
def test_a_model_that_fails_is_told_that_the_source_was_judged(folder, capsys):
    assert push(folder, "failing", "--target", "evaluator.min_mean_iou=0.99") == 3
    assert "on 'test' of the labelled source (2 images), not of the target" in capsys.readouterr().out


@pytest.mark.slow
def test_the_planner_times_the_steps_with_teacher_and_discriminator(folder):
    planned = ["trainer.model=unet", "trainer.adversarial_weight=0", "planner.minutes=0.2", "trainer.epochs=2"]
    costs = {}
    for name, flag in (("plain", None), ("unlabelled", "--unlabelled"), ("target", "--target")):
        given = [flag, str(folder / "others")] if flag else []
        sets = [text for setting in (*SMALL, *planned) for text in ("--set", setting)]
        assert run.main([*given, *sets, "--root", str(folder / name), "--until", "planner"]) == 0
        (plan,) = (folder / name).glob("planner/*/plan.json")
        content = json.loads(plan.read_text())
        costs[name] = content["measured"][-1]["step_seconds"]
        passes = content["expected"]["passes"] / content["expected"]["steps"]
        assert passes == pytest.approx((4 if flag is None else 2) / 8, rel=0.3)
    assert costs["plain"] < costs["unlabelled"]
