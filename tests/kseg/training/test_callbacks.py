"""Callbacks: sheets of predictions, the best weights, checkpoints."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kseg.games import GAN, SegmentationGame
from kseg.labels import LabelMap
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.training.callbacks import BestCheckpoint, GameHealth, Resume
from kseg.training.callbacks.overlays import Overlays
from tests.kseg.games.replicas_case import K, discriminator, pairs, segmentor
from tests.kseg.games.stop import Stop

IMAGES, IDS = pairs()
BATCH = (IMAGES[:1], IDS[:1])
LABELS = LabelMap(("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255)), (0, 1, 2), 255)


def fitted(model, watching, epochs=2):
    """The history of a short training; the game's discriminator has an optimizer of its own."""
    settings = {"optimizer": "sgd", "loss": CrossEntropy(ignore_class=255), "metrics": [ConfusionMatrix(K)]}
    if isinstance(model, SegmentationGame):
        settings["discriminator_optimizer"] = "sgd"
    model.compile(**settings)
    data = {"validation_data": (IMAGES, IDS), "batch_size": 4, "verbose": 0}
    return model.fit(IMAGES, IDS, epochs=epochs, callbacks=watching, **data).history


def test_overlays_are_written_each_epoch_as_png_and_for_tensorboard(tmp_path):
    overlays = Overlays(LABELS, IMAGES[:2].astype(np.uint8), IDS[:2], tmp_path / "sheets", log_dir=tmp_path / "logs")
    fitted(SegmentationGame(segmentor(), discriminator()), [overlays])
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["epoch_0001.png", "epoch_0002.png"]
    sheet = np.asarray(Image.open(tmp_path / "sheets" / "epoch_0002.png"))

    (events,) = (tmp_path / "logs").iterdir()
    pictures = {}
    for event in tf.compat.v1.train.summary_iterator(str(events)):
        for value in event.summary.value:
            pictures[event.step] = tf.io.decode_image(value.tensor.string_val[2]).numpy()
    assert sorted(pictures) == [0, 1]
    np.testing.assert_array_equal(pictures[1], sheet)


def test_an_overlay_shows_what_the_segmentor_predicts_now(tmp_path):
    model = segmentor()
    overlays = Overlays(LABELS, IMAGES[:1].astype(np.uint8), np.zeros((1, 12, 12), np.uint8), tmp_path)
    overlays.set_model(model)
    bias = model.get_layer("logits").bias
    for epoch, best in enumerate((0, 2)):
        bias.assign(100.0 * np.eye(K)[best])
        overlays.on_epoch_end(epoch)
    first, second = (np.asarray(Image.open(tmp_path / f"epoch_000{number}.png")).astype(int) for number in (1, 2))
    changed = (first != second).any(axis=(0, 2))
    assert not changed[: len(changed) // 2].any() and changed[len(changed) // 2 :].any()  # the third panel alone
    red_lost = (first - second)[:, changed]
    assert red_lost[..., 0].max() > 100 and red_lost[..., 2].min() < -100


@pytest.mark.parametrize("inside_a_game", [False, True])
def test_the_segmentor_of_the_best_epoch_is_saved(inside_a_game, tmp_path):
    network = segmentor()
    model = SegmentationGame(network, discriminator()) if inside_a_game else network
    scores, kept = iter([0.3, 0.5, 0.4]), []

    def score_it(epoch, logs):
        logs["val_mean_iou"] = next(scores)
        kept.append([weight.numpy() for weight in network.weights])

    record = keras.callbacks.LambdaCallback(on_epoch_end=score_it)
    fitted(model, [record, BestCheckpoint(tmp_path / "best.weights.h5", network)], epochs=3)
    network.load_weights(tmp_path / "best.weights.h5")
    for weight, best, last in zip(network.weights, kept[1], kept[2], strict=True):
        np.testing.assert_array_equal(weight, best)
        assert (best != last).any()


def test_a_smaller_loss_is_better_and_a_whole_segmentor_can_be_saved(tmp_path):
    network = segmentor()
    best = BestCheckpoint(tmp_path / "best.keras", network, monitor="val_loss")
    best.set_model(network)
    bias = network.get_layer("logits").bias
    for epoch, loss in enumerate((2.0, 1.0, 3.0)):
        bias.assign([epoch] * K)
        best.on_epoch_end(epoch, {"val_loss": loss})
    again = keras.saving.load_model(tmp_path / "best.keras")
    assert again.name == "segmentor"
    assert again.get_layer("logits").bias.numpy().tolist() == [1.0] * K


def test_a_score_that_is_not_in_the_logs_is_named(tmp_path):
    best = BestCheckpoint(tmp_path / "best.weights.h5", network := segmentor(), monitor="val_iou")
    with pytest.raises(
        ValueError, match=r"Received: monitor='val_iou', logs of loss, mean_iou, val_loss, val_mean_iou"
    ):
        fitted(network, [best])


def test_a_score_that_was_never_finite_is_an_error(tmp_path):
    network = segmentor()
    best = BestCheckpoint(tmp_path / "best.weights.h5", network)
    best.set_model(network)
    best.on_epoch_end(0, {"val_mean_iou": float("nan")})
    with pytest.raises(ValueError, match="val_mean_iou must be finite at some epoch"):
        best.on_train_end()


def trained(folder, inside_a_game, stop_after=10**6):
    """Three epochs of four steps, with moving statistics, Adam and a schedule; gives all weights and the history."""
    keras.utils.set_random_seed(3)
    network = segmentor(batch_normalization=True)
    network = keras.Model(network.input, keras.layers.Dropout(0.3, name="drop")(network.output), name="segmentor")
    model = network
    schedule = keras.optimizers.schedules.CosineDecay(0.05, 12)
    settings = {"optimizer": keras.optimizers.AdamW(schedule), "metrics": [ConfusionMatrix(K)]}
    if inside_a_game:
        model = SegmentationGame(network, discriminator(batch_normalization=True))
        settings["discriminator_optimizer"] = keras.optimizers.Adam(0.01)
    model.compile(loss=CrossEntropy(ignore_class=255), **settings)
    best = BestCheckpoint(folder / "best.weights.h5", network)
    resume = Resume(folder / "checkpoint.npz", steps_per_epoch=4, batch=BATCH, best=best, seconds=0)
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, IDS)).repeat().batch(2).skip(resume.step)
    where = {"steps_per_epoch": 4, "initial_epoch": resume.epoch, "epochs": 3, "validation_data": (IMAGES, IDS)}
    with tf.device("CPU"):
        model.fit(batches, callbacks=[best, resume, Stop(stop_after)], verbose=0, **where)
    network_variables = [variable.numpy() for variable in resume._variables()]
    network.load_weights(folder / "best.weights.h5")
    return network_variables, resume.history, best.best, [weight.numpy() for weight in network.weights]


@pytest.mark.parametrize("inside_a_game", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_killed_training_resumes_bit_for_bit_from_its_last_step(inside_a_game, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "kseg.training.callbacks.resume.MIN_PAUSE", 0
    )  # a checkpoint after each step, however long writing takes
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    variables, history, score, best = trained(tmp_path / "whole", inside_a_game)
    steps = []
    # In the first epoch, again there, behind its end, at the end of the next, and in the last.
    for stop_after in (2, 1, 3, 2, 3):
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "parts", inside_a_game, stop_after)
        steps.append(Resume(tmp_path / "parts" / "checkpoint.npz", steps_per_epoch=4, batch=BATCH).step)
    assert steps == [2, 3, 6, 8, 11]
    again = trained(tmp_path / "parts", inside_a_game)
    assert (again[1], again[2]) == (history, score)
    assert len(history["val_mean_iou"]) == 3
    for one, other in zip([*variables, *best], [*again[0], *again[3]], strict=True):
        np.testing.assert_array_equal(one, other)
    after_the_end = trained(tmp_path / "parts", inside_a_game)  # killed between the last step and what follows
    for one, other in zip(variables, after_the_end[0], strict=True):
        np.testing.assert_array_equal(one, other)


def drawn(folder, stop_after=10**6):
    """Two epochs of four steps of a small GAN; gives all weights."""
    keras.utils.set_random_seed(3)
    noise, sample = keras.Input((2,)), keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(4)(noise))
    gan = GAN(keras.Model(noise, keras.layers.Dense(3)(hidden)), keras.Model(sample, keras.layers.Dense(1)(sample)))
    gan.compile(keras.optimizers.Adam(0.05), keras.optimizers.Adam(0.01))
    resume = Resume(folder / "checkpoint.npz", steps_per_epoch=4, batch=None, seconds=0)
    real = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices(real).repeat().batch(3).skip(resume.step)
    where = {"steps_per_epoch": 4, "initial_epoch": resume.epoch, "epochs": 2, "shuffle": False, "verbose": 0}
    gan.fit(batches, callbacks=[resume, Stop(stop_after)], **where)
    return [variable.numpy() for variable in resume._variables()], resume.history


def test_a_killed_gan_resumes_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("kseg.training.callbacks.resume.MIN_PAUSE", 0)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    variables, history = drawn(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "parts", stop_after=3)
    again, history_again = drawn(tmp_path / "parts")
    assert history_again == history and len(history["discriminator_loss"]) == 2
    for one, other in zip(variables, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_state_of_game_health_is_saved(tmp_path):
    path, said = tmp_path / "checkpoint.npz", []
    game = SegmentationGame(segmentor(), discriminator())
    game.compile("sgd", "adam", loss=CrossEntropy(ignore_class=255))
    logs = {"discriminator_accuracy": 0.5, "discriminator_gradient_norm": 1.0}
    for accuracy in (0.8, 0.5, 0.5):  # it learned, and now it is deceived: no reason to say that it never learned
        health = GameHealth(tmp_path / "nonfinite", patience=1, warn=said.append)
        resume = Resume(path, steps_per_epoch=1, batch=BATCH, health=health)
        for callback in (health, resume):
            callback.set_model(game)
        health.on_epoch_end(0, logs | {"discriminator_accuracy": accuracy})
        resume.on_epoch_end(0, {})
    assert said == []
    health = GameHealth(tmp_path / "nonfinite", patience=1, warn=said.append)
    health.set_model(game)
    health.on_epoch_end(0, logs)
    assert "has learned nothing" in said[0]


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = tmp_path / "checkpoint.npz"
    fitted(segmentor(), [Resume(path, steps_per_epoch=2, batch=BATCH)])
    with pytest.raises(ValueError, match=r"A checkpoint must be from the same model.*checkpoint\.npz"):
        fitted(segmentor(channels=3, batch_normalization=True), [Resume(path, steps_per_epoch=2, batch=BATCH)])


def test_a_checkpoint_appears_under_its_name_only_when_complete(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    fitted(segmentor(), [Resume(path, steps_per_epoch=2, batch=BATCH)])
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="No space left"):
        fitted(segmentor(), [Resume(path, steps_per_epoch=2, batch=BATCH)], epochs=3)
    assert path.read_bytes() == before


def test_a_checkpoint_of_kseg_0_1_0_without_counts_of_invalid_ids_is_restored(tmp_path):
    path, trained_network = tmp_path / "checkpoint.npz", segmentor()
    resume = Resume(path, steps_per_epoch=2, batch=BATCH)
    fitted(trained_network, [resume], epochs=1)
    names = [variable.name for variable in resume._variables()]
    assert names.count("invalid_words") == 1
    with np.load(path) as file:
        kept = [file[f"{number:05}"] for number, name in enumerate(names) if name != "invalid_words"]
        about = file["about"]
    np.savez(path, about=about, **{f"{number:05}": value for number, value in enumerate(kept)})
    network = segmentor()
    fitted(network, [again := Resume(path, steps_per_epoch=2, batch=BATCH)], epochs=0)
    again.set_model(network)
    again.on_train_begin()
    assert again.step == 2
    for one, other in zip(network.get_weights(), trained_network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("spoil", ["cut", "zeroed", "half zeroed", "junk", "array", "other entries"])
def test_a_damaged_checkpoint_is_named(tmp_path, spoil):
    path = tmp_path / "checkpoint.npz"
    about = {"step": 3, "history": {}, "best": None, "health": None}
    np.savez(path, **{"00000": np.arange(500.0), "about": np.array(json.dumps(about))})
    assert Resume(path, steps_per_epoch=2, batch=None).step == 3
    data = path.read_bytes()
    changed = {"cut": data[:300], "zeroed": bytes(len(data)), "junk": b"{}"}
    changed["half zeroed"] = bytes(len(data) // 2) + data[len(data) // 2 :]
    if spoil == "array":
        np.save(path.open("wb"), np.arange(3))
    elif spoil == "other entries":
        np.savez(path, weights=np.arange(3))
    else:
        path.write_bytes(changed[spoil])
    with pytest.raises(
        ValueError, match=r"^A checkpoint must be whole\. Received: .*checkpoint\.npz\]\. Remove the file"
    ):
        Resume(path, steps_per_epoch=2, batch=None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: Resume(path, steps_per_epoch=0, batch=None),
            "`steps_per_epoch` must be an integer of at least 1",
        ),
        (
            lambda path: Resume(path, steps_per_epoch=2, batch=BATCH[0]),
            r"`batch` must be a tuple \(inputs, targets\) or",
        ),
        (lambda path: Resume(path, steps_per_epoch=2, batch=None, seconds="9"), "`seconds` must be a number"),
        (lambda path: GameHealth(path, patience="3"), "`patience` must be an integer of at least 1"),
        (lambda path: GameHealth(path, keep_every=0), "`keep_every` must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_named(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "state.npz")
