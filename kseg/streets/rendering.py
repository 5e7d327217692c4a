"""Generated streets: photograph-like scenes with exact labels, drawn from a seed, so that everything runs without a download.

A `streets_scene.Scene` says what stands where, in metres; `render` casts four rays through each pixel. Void of one or two
pixels lies between classes, as people leave out borders when they label by hand. A small window of a picture does not tell its
class: glass belongs to a shop or to a house by the sign at the foot of the building, worn paint goes on where the line goes on,
a line goes on behind the car, glass mirrors the sky, and walls, roads and cars share their colours.

The same (seed, split, index, size) gives the same bytes in every process, and on every platform as far as that can be had (see
`streets_canvas`). numpy alone: Beam workers draw without TensorFlow or TFDS; the TFDS builder is in `streets_builder`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from kseg.labels import VOID, LabelMap
from kseg.streets.background import add_haze, paint_background
from kseg.streets.canvas import Canvas, F
from kseg.streets.scenes import SPLITS, Scene, scene
from kseg.streets.things import paint_things

__all__ = ["LABELS", "SPLITS", "VERSION", "Rendering", "Scene", "draw", "render", "scene"]

VERSION = "1.2.0"
"""Changes whenever any picture or label map changes: scores of different versions must not be compared."""

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
"""The 8 classes. `road` is all paved ground with its pavements; lamp posts, trees and people are void."""


@dataclasses.dataclass(frozen=True)
class Rendering:
    """A picture and what is known of it.

    Attributes:
        image: uint8 (H, W, 3).
        label_map: ids of `LABELS`, uint8 (H, W); 255 where void.
        cars: the car that each pixel shows, uint8 (H, W): its index in `scene.cars` plus 1, or 0.
    """

    image: np.ndarray
    label_map: np.ndarray
    cars: np.ndarray


def draw(index: int, *, split: str, size: tuple[int, int] = (96, 128), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One example of the data set.

    Args:
        index: number of the example within its split, from 0.
        split: train, validation or test.
        size: height and width in pixels.
        seed: another seed is another data set.

    Returns:
        image uint8 (H, W, 3) and label_map uint8 (H, W): ids of `LABELS`, 255 where void.

    Raises:
        ValueError: there is no such split, `index` or `seed` is negative, or a side is below 16 pixels.

    Example:
        >>> image, label_map = draw(0, split="train", size=(48, 64))
        >>> image.shape, label_map.shape
        ((48, 64, 3), (48, 64))
    """
    rendering = render(scene(index, split=split, seed=seed), size)
    return rendering.image, rendering.label_map


def render(scene: Scene, size: tuple[int, int]) -> Rendering:
    """Takes a picture of a scene.

    Args:
        scene: what there is to see.
        size: height and width in pixels. The same scene at another size is the same view, finer or coarser.

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
    cars = _four(canvas.car)
    return Rendering(
        image=_photograph(canvas.colour, scene),
        label_map=_label_map(canvas.label),
        cars=np.where(cars.min(0) == cars.max(0), cars[0], np.uint8(0)),
    )


def _four(rays: np.ndarray) -> np.ndarray:
    """The four rays of each pixel, (4, H, W, ...), of an array (2H, 2W, ...)."""
    return np.stack([rays[row::2, column::2] for row in (0, 1) for column in (0, 1)])


def _label_map(rays: np.ndarray) -> np.ndarray:
    """Class ids (H, W) of the ids that the rays (2H, 2W) met, with a border of void between classes."""
    four = _four(rays)
    label_map = np.where(four.min(0) == four.max(0), four[0], np.uint8(VOID))
    for here, there in ((label_map[:-1], label_map[1:]), (label_map[:, :-1], label_map[:, 1:])):
        here[(here != there) & (here != VOID) & (there != VOID)] = VOID  # where a border runs between two pixels
    return label_map


def _photograph(rays: np.ndarray, scene: Scene) -> np.ndarray:
    """What a camera makes of light (2H, 2W, 3): lens, exposure, white balance, film and noise; uint8 (H, W, 3)."""
    lens = scene.light
    one, two, three, four = _four(rays)
    light = (one + two + three + four) * F(0.25)
    for axis in (0, 1):
        padded = np.pad(light, [(int(a == axis),) * 2 for a in range(3)], "edge")
        last = padded.shape[axis]
        sides = padded.take(range(last - 2), axis) + padded.take(range(2, last), axis)
        light = (light + sides * F(lens.blur / 2)) / F(1 + lens.blur)
    height, width, _ = light.shape
    y, x = np.linspace(-1, 1, height, dtype=F)[:, None], np.linspace(-1, 1, width, dtype=F)
    light = light * (1 - F(0.12) * (x * x + y * y))[..., None] * np.asarray(lens.balance, F) * F(lens.exposure)
    shown = np.sqrt(np.clip(light, 0, 4))
    shown = np.where(shown > 0.8, 1 - F(0.04) / np.maximum(shown - F(0.6), F(0.04)), shown)  # highlights bend over
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([scene.grain, height, width])))
    grain = generator.random((height, width, 4), dtype=F) + generator.random((height, width, 4), dtype=F) - 1
    coarse = grain[::2, ::2, 3:].repeat(2, 0).repeat(2, 1)[:height, :width]  # of compression, in blocks of 2 x 2
    shown = shown + (grain[..., :3] + coarse) * (F(1.1) - shown * F(0.6)) * F(1.6 * lens.noise)
    return np.clip(shown * 255 + F(0.5), 0, 255).astype(np.uint8)
