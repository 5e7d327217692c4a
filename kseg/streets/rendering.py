"""Generated streets: photograph-like images with exact labels from a seed, available without a download. numpy only.

`render` casts four rays through each pixel of a `Scene`. Void of one or two pixels separates classes, as in hand-drawn labels. A
small part of an image does not determine its class: glass belongs to a shop or a house depending on the sign at the foot of the
building, worn paint continues where its line continues, a line continues behind a car, glass reflects the sky, and walls, roads
and cars share colours.

Equal (seed, split, index, size) give equal bytes in every process, and on every platform as far as possible (see `canvas`). Beam
workers draw without TensorFlow or TFDS; the TFDS builder is in `builder`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from kseg.labels import VOID, LabelMap
from kseg.streets.background import add_haze, paint_background
from kseg.streets.canvas import Canvas, F
from kseg.streets.sampling import SPLITS, scene
from kseg.streets.scenes import Scene
from kseg.streets.things import paint_things

__all__ = ["LABELS", "SPLITS", "VERSION", "Rendering", "Scene", "draw", "render", "scene"]

VERSION = "1.2.0"
"""Changes with any image or label map; scores on different versions must not be compared."""

LABELS = LabelMap(
    names=("sky", "building", "house_window", "shop_window", "road", "lane_marking", "car", "wheel"),
    colours=(
        (110, 170, 220),
        (140, 120, 110),
        (60, 60, 160),
        (230, 120, 40),
        (100, 95, 105),
        (250, 240, 150),
        (190, 30, 60),
        (60, 220, 140),
    ),
    values=tuple(range(8)),
    ignore_value=VOID,
)
"""The 8 classes. `road` includes pavements; lamp posts, trees and people are void."""


@dataclasses.dataclass(frozen=True)
class Rendering:
    """An image and its ground truth.

    Attributes:
        image: uint8 (H, W, 3).
        label_map: ids of `LABELS`, uint8 (H, W); 255 where void.
        cars: the car at each pixel, uint8 (H, W): its index in `scene.cars` plus 1, or 0.
    """

    image: np.ndarray
    label_map: np.ndarray
    cars: np.ndarray


def draw(index: int, *, split: str, size: tuple[int, int] = (96, 128), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws one example of the data set.

    Args:
        index: number of the example within its split, from 0.
        split: one of "train", "validation", "test".
        size: height and width in pixels.
        seed: of the data set.

    Returns:
        image uint8 (H, W, 3) and label_map uint8 (H, W): ids of `LABELS`, 255 where void.

    Raises:
        ValueError: the split is unknown, `index` or `seed` is negative, or a side is below 16 pixels.

    Example:
        >>> image, label_map = draw(0, split="train", size=(48, 64))
        >>> image.shape, label_map.shape
        ((48, 64, 3), (48, 64))
    """
    rendering = render(scene(index, split=split, seed=seed), size)
    return rendering.image, rendering.label_map


def render(scene: Scene, size: tuple[int, int]) -> Rendering:
    """Renders an image of a scene.

    Args:
        scene: the scene.
        size: height and width in pixels. Another size gives the same view at another resolution.

    Raises:
        ValueError: a side is below 16 pixels.
    """
    height, width = size
    if min(height, width) < 16:
        raise ValueError(f"`size` must be at least 16 pixels high and wide. Received: size={(height, width)}.")
    canvas = Canvas(scene, 2 * height, 2 * width)
    paint_background(canvas)
    paint_things(canvas)
    add_haze(canvas)
    cars = _subsamples(canvas.car)
    return Rendering(
        image=_expose(canvas.colour, scene),
        label_map=_label_map(canvas.label),
        cars=np.where(cars.min(0) == cars.max(0), cars[0], np.uint8(0)),
    )


def _subsamples(rays: np.ndarray) -> np.ndarray:
    """Groups an array of rays (2H, 2W, ...) by pixel: (4, H, W, ...)."""
    return np.stack([rays[row::2, column::2] for row in (0, 1) for column in (0, 1)])


def _label_map(rays: np.ndarray) -> np.ndarray:
    """Class ids (H, W) from the ids that the rays (2H, 2W) hit, with a border of void between classes."""
    four = _subsamples(rays)
    label_map = np.where(four.min(0) == four.max(0), four[0], np.uint8(VOID))
    for here, there in ((label_map[:-1], label_map[1:]), (label_map[:, :-1], label_map[:, 1:])):
        here[(here != there) & (here != VOID) & (there != VOID)] = VOID  # a border that runs between two pixels
    return label_map


def _expose(rays: np.ndarray, scene: Scene) -> np.ndarray:
    """The image (H, W, 3), uint8, that a camera takes of light (2H, 2W, 3): lens, exposure, white balance, gamma and noise."""
    lens = scene.light
    one, two, three, four = _subsamples(rays)
    light = (one + two + three + four) * F(0.25)
    for axis in (0, 1):
        padded = np.pad(light, [(int(a == axis),) * 2 for a in range(3)], "edge")
        last = padded.shape[axis]
        sides = padded.take(range(last - 2), axis) + padded.take(range(2, last), axis)
        light = (light + sides * F(lens.blur / 2)) / F(1 + lens.blur)
    height, width, _ = light.shape
    y, x = np.linspace(-1, 1, height, dtype=F)[:, None], np.linspace(-1, 1, width, dtype=F)
    light = light * (1 - F(0.12) * (x * x + y * y))[..., None] * np.asarray(lens.balance, F) * F(lens.exposure)
    display = np.sqrt(np.clip(light, 0, 4))
    display = np.where(
        display > 0.8, 1 - F(0.04) / np.maximum(display - F(0.6), F(0.04)), display
    )  # compresses highlights
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([scene.grain, height, width])))
    grain = generator.random((height, width, 4), dtype=F) + generator.random((height, width, 4), dtype=F) - 1
    coarse = grain[::2, ::2, 3:].repeat(2, 0).repeat(2, 1)[:height, :width]  # like compression, in blocks of 2 x 2
    display = display + (grain[..., :3] + coarse) * (F(1.1) - display * F(0.6)) * F(1.6 * lens.noise)
    return np.clip(display * 255 + F(0.5), 0, 255).astype(np.uint8)
