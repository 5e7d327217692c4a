"""The trainer with a game: its settings are applied, and every discriminator and encoding trains up to the push."""

import dataclasses
import json
import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config  # no public name switches determinism off

from pipeline import networks, run
from pipeline.components import trainer as training
from pipeline.components.trainer import trainer
from pipeline.settings.trainer import DISCRIMINATORS, Trainer

SMALL = Trainer(
    filters=(4, 8), epochs=1, batch_size=2, adversarial_weight=0.1, discriminator_filters=4, label_stride=4, precision="float32"
)  # fmt: skip


def trained(folder, transform, **settings):
    """Trains one epoch; returns the game as its file holds it, and the history."""
    folder.mkdir()
    trainer(folder, dataclasses.replace(SMALL, **settings), transform=transform)
    history = json.loads((folder / "history.json").read_text())
    return keras.saving.load_model(folder / "game.keras"), history


def test_every_setting_of_the_game_is_applied(prepared, tmp_path):
    transform, plan = prepared
    steps = {"pretrain_discriminator": 2, "alternate_every": 3, "ramp": 4}
    options = {"objective": "least_squares", "encoding": "scaling", "label_smoothing": 0.2, "label_stride": 3}
    network = {"discriminator": "large_fov_light", "discriminator_filters": 8, "spectral_normalization": True}
    game, history = trained(
        tmp_path / "out", transform, batch_size=1, adversarial_weight=0.3, pretrain_segmentor=1, learning_rate=3e-3,
        discriminator_learning_rate=5e-4, **steps, **options, **network,
    )  # fmt: skip
    assert {name: getattr(game, name) for name in options} == options and game.weight == 0.3
    assert game.schedule.get_config() == steps | {"pretrain_player": 1}
    assert game.optimizer.get_config()["learning_rate"]["config"]["warmup_target"] == 3e-3
    assert float(game.discriminator_optimizer.learning_rate) == pytest.approx(5e-4)
    named = networks.discriminator(dataclasses.replace(SMALL, **network), num_classes=3, channels=3)
    of_game, of_named = (
        [(weight.name, *weight.shape) for weight in one.weights] for one in (game.discriminator, named)
    )
    assert of_game == of_named
    assert any(isinstance(layer, keras.layers.SpectralNormalization) for layer in game.discriminator.layers)
    assert int(game.step) == plan["examples"]["train"]
    assert {"discriminator_accuracy", "adversarial_share", "gradient_norm"} <= set(history)


@pytest.fixture
def poisoned(monkeypatch):
    """The trainer's first batch holds NaN instead of a pixel."""

    def training_set(*arguments, **settings):
        def poison(number, batch):
            image, label_map = batch
            first = tf.reshape(tf.range(tf.size(image)), tf.shape(image)) == 0
            return tf.where(first & (number == 0), np.nan, tf.cast(image, tf.float32)), label_map

        return data.training_set(*arguments, **settings).enumerate().map(poison)

    data = training.data
    monkeypatch.setattr(training, "data", types.SimpleNamespace(**vars(data) | {"training_set": training_set}))


def test_a_loss_that_is_not_finite_stops_the_game_and_saves_the_batch(prepared, poisoned, tmp_path):
    place = tmp_path / "out" / "nonfinite" / "step_00000000.npz"
    message = rf"must be finite. Received: \w+=nan at step 0 \[batch saved to {re.escape(str(place))}\]"
    with pytest.raises(ValueError, match=message):
        trained(tmp_path / "out", prepared[0])
    with np.load(place) as batch:
        assert np.isnan(batch["x"]).sum() == 1 and batch["x"].shape[0] == batch["y"].shape[0] == SMALL.batch_size
    assert not (tmp_path / "out" / "model.keras").exists()


def test_a_game_that_restores_resumes_from_its_last_good_state(prepared, poisoned, tmp_path, capsys):
    game, history = trained(tmp_path / "out", prepared[0], batch_size=1, on_nonfinite="restore")
    assert "Training continues from its last good state, step 0." in capsys.readouterr().out
    assert int(game.step) == prepared[1]["examples"]["train"] - 1
    assert all(np.isfinite(weight).all() for weight in game.get_weights()) and np.isfinite(history["loss"]).all()


def test_an_epoch_has_the_steps_that_are_set_and_validates_on_the_pairs_that_are_set(prepared, tmp_path):
    game, history = trained(tmp_path / "out", prepared[0], epochs=2, steps_per_epoch=5, validation_pairs=1)
    assert int(game.step) == 10
    assert len(history["val_loss"]) == 2


def test_validation_is_learned_from_where_that_is_set_and_the_record_says_so(prepared, tmp_path):
    transform, plan = prepared
    game, _ = trained(tmp_path / "out", transform, batch_size=1, train_on_validation=True)
    assert int(game.step) == plan["examples"]["train"] + plan["examples"]["validation"]
    assert json.loads((tmp_path / "out" / "training.json").read_text())["trained_on"] == ["train", "validation"]


@pytest.mark.parametrize("precision", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
def test_it_trains_in_half_precision(prepared, tmp_path, precision):
    game, history = trained(tmp_path / "out", prepared[0], precision=precision)
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["discriminator_loss"]).all()
    for network, but_for in ((game.segmentor, {"logits"}), (game.discriminator, set())):
        convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
        policies = {layer.dtype_policy.name for layer in convolutions if layer.name not in but_for}
        assert policies == {precision}
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_jit_compiles_the_whole_step(prepared, tmp_path, monkeypatch):
    config.disable_op_determinism()  # which other tests of this process enable, and which Keras does not compile
    build, made = training.compile_model, []
    monkeypatch.setattr(training, "compile_model", lambda *arguments: made.append(build(*arguments)) or made[-1])
    _, history = trained(tmp_path / "out", prepared[0], jit=True)
    assert made[0].jit_compile is True
    assert np.isfinite(history["loss"]).all() and np.isfinite(history["discriminator_loss"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("game", ["embedding", "segan", "gambler"])
def test_every_game_is_played_with_what_suits_it(prepared, tmp_path, game):
    played, history = trained(tmp_path / "out", prepared[0], game=game)
    wrapped = any(isinstance(layer, keras.layers.SpectralNormalization) for layer in played.discriminator.layers)
    found = played.formulation, played.encoding, played.discriminator.name, wrapped
    name = "unet_discriminator" if game == "gambler" else "two_branch"
    assert found == (game, "basic", name, game == "segan")
    assert np.isfinite(history["adversarial_loss"]).all()
    assert ("discriminator_accuracy" in history) == (game == "embedding")


@pytest.mark.slow
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_every_discriminator_and_encoding_reaches_the_push(discriminator, encoding, tmp_path_factory):
    settings = f"trainer.discriminator={discriminator}", f"trainer.encoding={encoding}"
    assert_reaches_the_push(tmp_path_factory, f"{discriminator}-{encoding}", *settings)


@pytest.mark.slow
@pytest.mark.parametrize("game", ["embedding", "segan", "gambler"])
def test_every_game_reaches_the_push(game, tmp_path_factory):
    assert_reaches_the_push(tmp_path_factory, game, f"trainer.game={game}")


def assert_reaches_the_push(tmp_path_factory, name, *settings):
    root = tmp_path_factory.getbasetemp() / "every_discriminator"  # shared: what they have in common runs once
    arguments = [
        "--root", str(root / "runs"), "--push-to", str(root / "models"), "--name", name,
        "--epochs", "1", "--precision", "float32", "--batch-size", "4", "--adversarial-weight", "0.1",
    ]  # fmt: skip
    for setting in (
        "example_gen.streets_train=8", "example_gen.streets_validation=2", "example_gen.streets_test=2",
        "example_gen.streets_size=32,48", "evaluator.min_gain=-1", "trainer.filters=4,8",
        "trainer.discriminator_filters=4", *settings,
    ):  # fmt: skip
        arguments += ["--set", setting]
    assert run.main(arguments) == 0
    assert (root / "models" / name / "1" / "saved_model.pb").exists()


@pytest.mark.parametrize("adversarial_weight", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
def test_training_sees_crops_while_validation_keeps_the_working_size(
    prepared, tmp_path, monkeypatch, adversarial_weight
):
    transform, plan = prepared
    assert plan["image_size"] == [24, 32]
    seen = {}

    def note(name):
        def made(*arguments, **settings):
            seen.setdefault(name, getattr(data, name)(*arguments, **settings).element_spec[0].shape.as_list())
            return getattr(data, name)(*arguments, **settings)

        return made

    data = training.data
    names = ("training_set", "evaluation_set")
    monkeypatch.setattr(training, "data", types.SimpleNamespace(**{name: note(name) for name in names}))
    out = tmp_path / "out"
    out.mkdir()
    settings = dataclasses.replace(SMALL, crop_size=(12, 20), adversarial_weight=adversarial_weight)
    trainer(out, settings, transform=transform)
    assert seen == {"training_set": [2, 12, 20, 3], "evaluation_set": [None, 24, 32, 3]}
    network = json.loads((out / "training.json").read_text())["network"]
    assert (network["image_size"], network["crop_size"]) == ([24, 32], [12, 20])


def test_images_that_keep_their_own_sizes_train_by_crops(prepared, tmp_path):
    transform, plan = prepared
    (transform / "plan.json").write_text(
        json.dumps(plan | {"image_size": None, "image_scale": 0.5, "crop_size": [16, 16]})
    )
    out = tmp_path / "out"
    out.mkdir()
    trainer(out, dataclasses.replace(SMALL, adversarial_weight=0.0), transform=transform)
    network = json.loads((out / "training.json").read_text())["network"]
    assert (network["image_size"], network["image_scale"], network["crop_size"]) == ([16, 16], 0.5, [16, 16])
    history = json.loads((out / "history.json").read_text())
    assert np.isfinite(history["val_loss"]).all() and list((out / "overlays").iterdir())
