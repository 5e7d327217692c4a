"""The trainer on two devices of one machine, with and without a game: equal to one device, also when resumed."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import kseg.games
import kseg.layers  # noqa: F401  (Keras finds what is stored once it is imported)
from kseg.labels import VOID
from kseg.pairs.split_names import UNLABELLED
from tests.conftest import ROOT
from tests.pipeline.conftest import IMAGE_SIZE, LABELS
from tests.prepared_pairs import write_prepared

SMALL = {
    "filters": (4, 8), "epochs": 2, "batch_size": 4, "learning_rate": 1e-4, "weight_decay": 0.0, "precision": "float32",
    "discriminator": "small_fov_light", "discriminator_filters": 4, "label_stride": 4,
    "scale": (1.0, 2.0), "discriminator_learning_rate": 1e-4,
}  # fmt: skip
TRAIN = """
import json, os, pathlib, sys
import keras, tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from pipeline.components.trainer import trainer
from pipeline.settings.config import Trainer

class Killed(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 3:
            os._exit(9)

def fit(model, *arguments, callbacks, **settings):
    print(model.distribute_strategy.num_replicas_in_sync, "replicas from epoch", settings["initial_epoch"], flush=True)
    return whole(model, *arguments, callbacks=[*callbacks, *([Killed()] if killed else [])], **settings)

whole, keras.Model.fit = keras.Model.fit, fit
transform, out, settings, killed = *map(pathlib.Path, sys.argv[1:3]), json.loads(sys.argv[3]), len(sys.argv) > 4
out.mkdir(exist_ok=True)
settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
trainer(out, Trainer(**settings), transform=transform)
"""
"""Trains on two logical CPU devices; with an argument, dies in the second epoch. A process has at most one MirroredStrategy."""


@pytest.fixture
def transform(tmp_path):
    """Writes a transform artifact with 8 training pairs and a given number for validation.

    No image is flat: in flat regions differences in rounding between devices would grow.
    """
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (8, *IMAGE_SIZE, 3), np.uint8)
    pairs = [(image, image.argmax(axis=-1).astype(np.uint8)) for image in images]
    for number, (_, label_map) in enumerate(pairs):
        label_map[: 2 * number] = VOID  # unevenly spread

    def written(validation, unlabelled=0):
        splits = {"train": pairs, "validation": pairs[:validation]}
        if unlabelled:
            splits[UNLABELLED] = [(255 - image, np.full_like(ids, VOID)) for image, ids in pairs[:unlabelled]]
        folder = write_prepared(tmp_path / "transform", splits, LABELS)
        plan = {"image_size": IMAGE_SIZE, "channels": 3, "class_weights": [1.0, 2.0, 3.0]}
        if unlabelled:
            plan["unlabelled_domain"] = "target"
        examples = {split: len(members) for split, members in splits.items()}
        (folder / "plan.json").write_text(json.dumps(plan | {"examples": examples}))
        return folder

    return written


def start(transform, out, *more, **settings):
    """Starts a training in a subprocess."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, "-c", TRAIN, transform, out, json.dumps(SMALL | settings), *more]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process, status=0):
    """Waits for the end; returns the line with the number of replicas and the first epoch."""
    output, errors = process.communicate()
    assert process.returncode == status, output + errors
    return output.partition("\n")[0]


def results(out):
    """The weights of the networks of a training, its history, and the names of its files."""
    networks = [keras.saving.load_model(path, compile=False) for path in sorted(out.glob("*.keras"))]
    weights = {f"{network.name} {weight.path}": np.array(weight) for network in networks for weight in network.weights}
    files = [path.relative_to(out).as_posix() for path in out.glob("**/*") if path.is_file()]
    return weights, json.loads((out / "history.json").read_text()), {name for name in files if "events." not in name}


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "weight"), [("mirrored", 0.0), ("auto", 0.1)])
def test_two_devices_equal_one_and_resume_after_being_killed(strategy, weight, transform, tmp_path):
    folder = transform(7)  # two batches: 4 images, then 3, of which one device gets 2 and the other 1
    settings, out = {"adversarial_weight": weight, "strategy": strategy}, tmp_path / "out"
    alone = start(folder, tmp_path / "one", **settings | {"strategy": "one"})
    assert finish(start(folder, out, "killed", **settings), status=9) == "2 replicas from epoch 0"
    assert {path.name for path in out.iterdir()} >= {"checkpoint.npz", "best.weights.h5", "overlays"}
    assert finish(start(folder, out, **settings)) == "2 replicas from epoch 1"
    assert finish(alone) == "1 replicas from epoch 0"
    (two, history, files), (one, expected, as_one) = results(out), results(tmp_path / "one")
    assert files == as_one >= {"overlays/epoch_0001.png", "overlays/epoch_0002.png", "model.keras"}
    assert history.keys() == expected.keys() and len(history["loss"]) == SMALL["epochs"]
    for name in history:
        if not name.endswith(("norm", "share")):  # means over replicas, each of its own images
            np.testing.assert_allclose(history[name], expected[name], rtol=1e-4, err_msg=name)
    assert two.keys() == one.keys() and ("segmentation_game segmentation_game/step" in two) == (weight > 0)
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_two_devices_adapt_to_images_without_masks_as_one_does(transform, tmp_path):
    folder = transform(7, unlabelled=6)
    settings = {"adaptation": "entropy", "pseudo_label_weight": 0.0, "adversarial_weight": 0.0}
    for strategy in ("one", "mirrored"):
        finish(start(folder, tmp_path / strategy, **settings, strategy=strategy))
    (one, *_), (two, *_) = (results(tmp_path / strategy) for strategy in ("one", "mirrored"))
    assert two.keys() == one.keys() and "domain_game domain_game/step" in two
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_two_devices_may_share_a_validation_batch_unevenly(weight, transform, tmp_path):
    finish(start(transform(3), tmp_path / "out", strategy="mirrored", adversarial_weight=weight, epochs=1))
    assert (tmp_path / "out" / "model.keras").exists()
