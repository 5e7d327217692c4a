"""Pictures and models that are served."""

from __future__ import annotations

import io
import pathlib

import numpy as np
from PIL import Image

from kseg import streets

FILTERS = (16, 32, 64, 128)
TRAINED_ON = 200  # streets
BATCH = 8


def encode(image: np.ndarray, size: tuple[int, int]) -> bytes:
    """A JPEG of an image (H, W, 3), uint8, resized to (height, width)."""
    file = io.BytesIO()
    Image.fromarray(image).resize(size[::-1]).save(file, "JPEG", quality=90)
    return file.getvalue()


def draw(number: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Images (H, W, 3), uint8, of streets of the test split."""
    return [streets.draw(index, split="test", size=size)[0] for index in range(number)]


def drawn_network(seed: int = 1):
    """A narrow U-Net of drawn weights."""
    import keras

    import kseg

    keras.utils.set_random_seed(seed)
    return kseg.UNet(streets.LABELS.num_classes, filters=FILTERS)


def trained_network(size: tuple[int, int], epochs: int):
    """A narrow U-Net, trained on streets of (height, width)."""
    import keras

    import kseg

    pairs = [streets.draw(index, split="train", size=size)[:2] for index in range(TRAINED_ON)]
    images, label_maps = (np.stack(part) for part in zip(*pairs, strict=True))
    network = drawn_network()
    network.compile(keras.optimizers.Adam(2e-3), kseg.losses.CrossEntropy())
    network.fit(images.astype(np.float32), label_maps, batch_size=BATCH, epochs=epochs, verbose=0)
    return network


def export_two(folder: pathlib.Path) -> pathlib.Path:
    """A model of two versions, U-Nets of drawn weights at 240x176; returns its folder."""
    import kseg

    for seed in (1, 2):
        kseg.export(drawn_network(seed), folder / "model" / str(seed), labels=streets.LABELS, image_size=(176, 240))
    return folder / "model"
