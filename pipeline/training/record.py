"""`training.json`: the network and its cost; when, where and how long it trained. TensorFlow, for the list of accelerators.

network, discriminator   name, parameters; multiply-adds of the network at `image_size`
pretrained               the weights that the encoder began with: their digest, licence and source (kseg/serving/manifest.py)
trained_on               the splits that it learned from
started, finished        UTC, ISO 8601
seconds                  in `fit`, summed over the sessions of a training that was killed and resumed
hardware, versions       of the last session
logs                     folder of TensorBoard's run, below the artifact
"""

from __future__ import annotations

import datetime
import pathlib
import platform
import time

import keras
import tensorflow as tf

import kseg
from kseg.complexity import multiply_adds
from pipeline.engine import hardware as machine
from pipeline.engine.files import read_json, write_json
from pipeline.settings.encoders import named_encoder
from pipeline.settings.trainer import ADAPTATIONS, Trainer, discriminator_module

FILE = "training.json"


class Stopwatch(keras.callbacks.Callback):
    """Adds up the seconds of a training in `path`, over all its sessions.

    Args:
        path: file to read and update; a resumed training finds there what the killed session had reached.
        logs: folder of TensorBoard's run, to be recorded too.
    """

    def __init__(self, path: pathlib.Path, logs: str):
        super().__init__()
        self.path = path
        self.record = read_json(
            path, {"started": utc_now(), "seconds": 0.0, "logs": logs}, keys=("started", "seconds", "logs")
        )
        self._seconds_before = self.record["seconds"]
        self._start = time.monotonic()

    def on_train_begin(self, logs=None):
        """Starts to count."""
        self._start = time.monotonic()
        self._save()

    def on_epoch_end(self, epoch, logs=None):
        """Saves the seconds so far."""
        self._save()

    def _save(self):
        self.record["seconds"] = round(self._seconds_before + time.monotonic() - self._start, 3)
        write_json(self.path, self.record)


def describe_training(
    config: Trainer, segmentor, discriminator, image_size, image_scale, crop_size, replicas: int
) -> dict:
    """What `training.json` adds to the time: networks, hardware, versions.

    Args:
        config: of the trainer.
        segmentor: the trained network.
        discriminator: its opponent, or None.
        image_size: (height, width) that images are fitted into, pixels; None: they keep their own sizes.
        image_scale: factor on the sides of these, or None.
        crop_size: (height, width) of what a step sees, pixels.
        replicas: number of devices that trained in step.
    """
    network = {"name": config.model, "width": config.width, "parameters": segmentor.count_params()}
    network |= {"encoder": encoder} if (encoder := named_encoder(config)) else {}
    size = tuple(image_size or crop_size)
    network |= {"multiply_adds": multiply_adds(segmentor, size), "image_size": list(size)}
    network |= {"image_scale": image_scale, "crop_size": list(crop_size)}
    opponent = discriminator and {
        "name": discriminator_module(config).removeprefix("_"),
        "parameters": discriminator.count_params(),
        "game": f"between domains by {config.adaptation}" if config.adaptation in ADAPTATIONS else config.game,
        "weight": config.domain_weight if config.adaptation in ADAPTATIONS else config.adversarial_weight,
    }
    return {
        "network": network,
        "discriminator": opponent,
        "finished": utc_now(),
        "hardware": hardware() | {"replicas": replicas},
        "versions": versions(),
    }


def utc_now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of what computes."""
    return {
        "kseg": kseg.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
    }


def hardware() -> dict:
    """Processor, cores that this process may use, memory in bytes, names of the accelerators."""
    accelerators = [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        for device in tf.config.list_physical_devices("GPU")
    ]
    return machine.describe() | {"accelerators": accelerators}
