"""A small prepared data set, written as the pipeline writes them."""

import pathlib

import numpy as np
import pytest

from kseg.labels import VOID, LabelMap
from tests.prepared_pairs import write_prepared

LABELS = LabelMap(("ground", "left", "right"), ((90, 90, 90), (220, 60, 50), (50, 90, 220)), (0, 1, 2))
SIZES = [(40, 56), (56, 40), (37, 61), (48, 64), (20, 28), (64, 48), (41, 41)]


def make_pair(index: int, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose classes differ by colour: image (H, W, C) and label map (H, W), uint8, with a void row on top."""
    generator = np.random.default_rng(index)
    height, width = SIZES[index % len(SIZES)]
    label_map = np.zeros((height, width), np.uint8)
    label_map[height // 3 :, : width // 3] = 1
    label_map[height // 2 :, width // 2 :] = 2
    colours = np.array(LABELS.colours)[label_map][..., :channels]
    image = np.clip(colours + generator.normal(0, 12, colours.shape), 1, 255).astype(np.uint8)
    label_map[0] = VOID
    return image, label_map


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> pathlib.Path:
    """Seven training pairs and three validation pairs, every size different, RGB."""
    pairs = [make_pair(index) for index in range(10)]
    return write_prepared(tmp_path_factory.mktemp("rgb"), {"train": pairs[:7], "validation": pairs[7:]}, LABELS)


@pytest.fixture(scope="session")
def prepared_grey(tmp_path_factory) -> pathlib.Path:
    """Two grey training pairs."""
    return write_prepared(tmp_path_factory.mktemp("grey"), {"train": [make_pair(0, 1), make_pair(1, 1)]}, LABELS)
