"""The trainer in the game: every setting of the game arrives in it, and every discriminator and encoding reaches the push."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from pipeline import run
from pipeline.components.trainer import trainer
from pipeline.config import DISCRIMINATORS, Trainer

SMALL = Trainer(
    filters=(4, 8), epochs=1, batch_size=2, adversarial_weight=0.1, discriminator_filters=4, label_stride=4, precision="float32"
)  # fmt: skip


@pytest.fixture
def prepared(finished, tmp_path):
    """A transform artifact as a trainer reads it, and its plan."""
    folder = shutil.copytree(finished.transform, tmp_path / "transform")
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"examples": {split: len(pairs) for split, pairs in finished.small_pairs.items()}}
    plan |= {"channels": 3, "class_weights": [1.0] * 3}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder, plan


def trained(folder, transform, **settings):
    """Trains one epoch; returns the game as its file holds it, and the history."""
    folder.mkdir()
    trainer(folder, dataclasses.replace(SMALL, **settings), transform=transform)
    history = json.loads((folder / "history.json").read_text())
    return keras.saving.load_model(folder / "game.keras"), history


def test_every_setting_of_the_game_arrives_in_it(prepared, tmp_path):
    transform, plan = prepared
    steps = {"pretrain_discriminator": 1, "alternate_every": 1, "ramp": 2}
    game, history = trained(
        tmp_path / "out", transform, objective="least_squares", encoding="scaling", label_smoothing=0.1,
        discriminator="large_fov_light", spectral_normalization=True, **steps,
    )  # fmt: skip
    assert (game.objective, game.encoding, game.label_smoothing) == ("least_squares", "scaling", 0.1)
    assert game.schedule.get_config() == steps | {"pretrain_player": 0}
    assert any(isinstance(layer, keras.layers.SpectralNormalization) for layer in game.discriminator.layers)
    assert int(game.step) == max(1, plan["examples"]["train"] // SMALL.batch_size)
    assert {"discriminator_accuracy", "adversarial_share", "gradient_norm"} <= set(history)


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "mixed_float16"},
        {"precision": "mixed_bfloat16"},
        pytest.param({"jit": True}, marks=pytest.mark.slow),
    ],
)
def test_it_trains_in_half_precision_and_compiled(prepared, tmp_path, settings):
    game, history = trained(tmp_path / "out", prepared[0], **settings)
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["discriminator_loss"]).all()
    convolution = next(layer for layer in game.segmentor.layers if isinstance(layer, keras.layers.Conv2D))
    assert convolution.dtype_policy.name == settings.get("precision", "float32")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_every_discriminator_and_encoding_reaches_the_push(discriminator, encoding, tmp_path_factory):
    root = tmp_path_factory.getbasetemp() / "every_discriminator"  # shared, so that what they have in common runs once
    arguments = [
        "--root", str(root / "runs"), "--push-to", str(root / "models"), "--name", f"{discriminator}-{encoding}",
        "--epochs", "1", "--precision", "float32", "--batch-size", "4", "--adversarial-weight", "0.1",
    ]  # fmt: skip
    for setting in (
        "example_gen.streets_train=8", "example_gen.streets_validation=2", "example_gen.streets_test=2",
        "example_gen.streets_size=32,48", "evaluator.min_gain=-1", "trainer.filters=4,8",
        "trainer.discriminator_filters=4", f"trainer.discriminator={discriminator}", f"trainer.encoding={encoding}",
    ):  # fmt: skip
        arguments += ["--set", setting]
    assert run.main(arguments) == 0
    assert (root / "models" / f"{discriminator}-{encoding}" / "1" / "saved_model.pb").exists()
