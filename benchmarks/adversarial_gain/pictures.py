"""The two data sets of the comparison, small enough for many runs a day. numpy, Pillow and SciPy."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from benchmarks.adversarial_gain import structure
from kseg import streets
from kseg.labels import LabelMap
from kseg.pairs import image_files, image_folder
from kseg.pairs.resizing import resize_image, resize_label_map

STREETS, CAMVID = f"streets {streets.VERSION}", "camvid"
STREETS_SIZE, CAMVID_SIZE = (96, 128), (90, 120)
STREETS_PICTURES = {"train": 256, "validation": 64, "test": 128}
CAMVID_VOID = 11


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Examples of one split.

    Attributes:
        images: uint8 (N, H, W, 3).
        label_maps: ids, uint8 (N, H, W); 255 where void.
        cars: on streets, the number of the car at each pixel, uint8 (N, H, W); else None.
    """

    images: np.ndarray
    label_maps: np.ndarray
    cars: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """Data of one comparison.

    Attributes:
        name: with the version, if any.
        splits: train, and the scored ones.
        class_names: K of them.
        impossible: on streets, neighbours that no training image has; else None.
        crop_size: (height, width) of what a step of training sees of an image; None: all of it.
    """

    name: str
    splits: dict[str, Pictures]
    class_names: tuple[str, ...]
    impossible: np.ndarray | None = None
    crop_size: tuple[int, int] | None = None


def load(name: str) -> Data:
    """Loads the data set of that name.

    Raises:
        ValueError: the name is unknown.
    """
    if name == STREETS:
        return load_streets()
    if name == CAMVID:
        return load_camvid_at(CAMVID, CAMVID_SIZE)
    raise ValueError(f"`name` must be {STREETS!r} or {CAMVID!r}. Received: name={name!r}.")


def load_streets() -> Data:
    """Generated streets of 128 x 96."""
    splits = {}
    for split, count in STREETS_PICTURES.items():
        drawn = [streets.render(streets.scene(index, split=split), STREETS_SIZE) for index in range(count)]
        fields = ("image", "label_map", "cars")
        splits[split] = Pictures(*(np.stack([getattr(one, field) for one in drawn]) for field in fields))
    impossible = structure.impossible_neighbours(splits["train"].label_maps)
    return Data(STREETS, splits, streets.LABELS.names, impossible)


def load_camvid_at(name: str, size: tuple[int, int], crop_size: tuple[int, int] | None = None) -> Data:
    """CamVid at (height, width) pixels, from KSEG_DATA or ../shared/data, under a name of its own."""
    data = load_camvid(pathlib.Path(os.environ.get("KSEG_DATA", "../shared/data")) / "camvid", size)
    return dataclasses.replace(data, name=name, crop_size=crop_size)


def load_camvid(folder: pathlib.Path, size: tuple[int, int] = CAMVID_SIZE) -> Data:
    """CamVid, its 11 classes and void; it has no test split here, so validation is reported."""
    labels = LabelMap.from_csv(folder / "classes.csv", ignore_value=CAMVID_VOID)
    images, label_maps = {}, {}
    for pair in image_folder.list_pairs(folder).pairs:
        image, label_map, _ = image_folder.read_pair(pair, labels)
        image, label_map = image_files.decode_image(image), image_files.decode_image(label_map)[..., 0]
        images.setdefault(pair.split, []).append(resize_image(image, size))
        label_maps.setdefault(pair.split, []).append(resize_label_map(label_map, size))
    splits = {split: Pictures(np.stack(images[split]), np.stack(label_maps[split])) for split in images}
    return Data(CAMVID, splits, labels.names)
