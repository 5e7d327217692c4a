"""The contents of training.json: time over all sessions, the network's cost, hardware, versions."""

import datetime
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.complexity import multiply_adds
from pipeline.settings.trainer import Trainer
from pipeline.training import record


def small_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def fit(watch, epochs=1):
    small_model().fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=epochs, verbose=0, callbacks=[watch])


class Clock:
    """Stands for the module `time`: the test sets it."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(record, "time", clock)
    return clock


def test_seconds_add_up_over_the_sessions_of_a_killed_training(tmp_path, clock):
    class Wait(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            clock.now += 0.25

    for _ in range(2):
        model, watch = small_model(), record.Stopwatch(tmp_path / "training.json", logs="logs/run")
        model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=2, verbose=0, callbacks=[Wait(), watch])
        clock.now += 60  # between the sessions
    kept = json.loads((tmp_path / "training.json").read_text())
    assert kept["seconds"] == 1.0 and kept["logs"] == "logs/run"
    assert kept["started"] <= record.utc_now()


def test_the_start_is_that_of_the_first_session(tmp_path, clock):
    first = {"started": "2020-01-02T03:04:05+00:00", "seconds": 3600.0, "logs": "logs/first"}
    (tmp_path / "training.json").write_text(json.dumps(first))
    fit(record.Stopwatch(tmp_path / "training.json", logs="logs/second"))
    kept = json.loads((tmp_path / "training.json").read_text())
    assert (kept["started"], kept["logs"]) == (first["started"], "logs/first") and kept["seconds"] == 3600


def test_the_networks_are_described_with_what_they_cost():
    image = keras.Input((None, None, 3))
    segmentor = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same")(image))
    facts = record.describe_training(Trainer(model="unet"), segmentor, segmentor, (8, 16), None, (4, 8), replicas=2)
    cost = 8 * 16 * 3 * 3 * 3 * 4
    assert multiply_adds(segmentor, (8, 16)) == cost
    network = {"name": "unet", "width": "narrow", "parameters": 112, "multiply_adds": cost, "image_size": [8, 16]}
    assert facts["network"] == network | {"image_scale": None, "crop_size": [4, 8]}
    assert facts["discriminator"] == {"name": "two_branch", "parameters": 112, "game": "adversarial", "weight": 0.0}
    between = Trainer(adaptation="entropy", domain_weight=0.3)
    opponent = record.describe_training(between, segmentor, segmentor, (8, 16), None, (8, 16), 1)["discriminator"]
    assert (opponent["name"], opponent["game"], opponent["weight"]) == ("patch_gan", "between domains by entropy", 0.3)
    assert record.describe_training(Trainer(), segmentor, None, (8, 16), None, (8, 16), 1)["discriminator"] is None
    assert facts["versions"]["tensorflow"] == tf.__version__ and facts["versions"]["keras"] == keras.__version__
    assert facts["hardware"]["cores"] >= 1 and facts["hardware"]["memory_bytes"] > 2**28
    assert facts["hardware"]["replicas"] == 2 and facts["hardware"]["processor"]
    assert datetime.datetime.fromisoformat(facts["finished"]).utcoffset() == datetime.timedelta(0)
