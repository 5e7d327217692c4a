"""Counts over the pairs of a data set, and the statistics that follow from them. numpy and Pillow only.

Everything is derived from sums of whole numbers, so the statistics are exact and the same for any runner and number of workers.
"""

from __future__ import annotations

import collections
import dataclasses
import math

import numpy as np
from PIL import Image

from kseg.labels import VOID

BRIGHTNESS_BINS = 32


@dataclasses.dataclass
class ExampleCounts:
    """Whole numbers of one or more examples.

    Attributes:
        images: number of images.
        sizes: number of images per (height, width).
        formats: number of images per encoding, "JPEG" or "PNG".
        classes: int64 (5, K): per class its pixels, the images that contain it, all pixels of those images, the images whose
            every labelled pixel belongs to it, and the borders of its pixels with pixels of other classes or void.
        void_pixels: pixels without a class.
        histogram: int64 (C, 256): pixels per channel and value.
        brightness: int64 (256,): pixels per brightness, 0.299 red + 0.587 green + 0.114 blue.
    """

    images: int
    sizes: collections.Counter
    formats: collections.Counter
    classes: np.ndarray
    void_pixels: int
    histogram: np.ndarray
    brightness: np.ndarray

    def __add__(self, other: ExampleCounts) -> ExampleCounts:
        own, others = self.histogram, other.histogram
        return ExampleCounts(
            self.images + other.images,
            self.sizes + other.sizes,
            self.formats + other.formats,
            self.classes + other.classes,
            self.void_pixels + other.void_pixels,
            own + others if own.size and others.size else own if own.size else others,  # empty: C is not known yet
            self.brightness + other.brightness,
        )


def empty_counts(num_classes: int) -> ExampleCounts:
    """The counts of no example, the neutral element of the sum."""
    return ExampleCounts(
        images=0,
        sizes=collections.Counter(),
        formats=collections.Counter(),
        classes=np.zeros((5, num_classes), np.int64),
        void_pixels=0,
        histogram=np.zeros((0, 256), np.int64),
        brightness=np.zeros(256, np.int64),
    )


def count_example(image: np.ndarray, label_map: np.ndarray, num_classes: int, encoding: str = "PNG") -> ExampleCounts:
    """Counts one example.

    Args:
        image: (H, W, C), uint8.
        label_map: ids (H, W), uint8, 255 where void.
        num_classes: K.
        encoding: of the stored image, one of "JPEG", "PNG".
    """
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    found = np.array(Image.fromarray(label_map).histogram())  # np.bincount would take 8 bytes a pixel
    pixels = found[:num_classes]
    present = (pixels > 0).astype(np.int64)
    return ExampleCounts(
        images=1,
        sizes=collections.Counter({label_map.shape: 1}),
        formats=collections.Counter({encoding: 1}),
        classes=np.stack(
            [
                pixels,
                present,
                present * label_map.size,
                present * (present.sum() == 1),
                _count_borders(label_map)[:num_classes],
            ]
        ),
        void_pixels=int(found[VOID]),
        histogram=np.array(picture.histogram()).reshape(-1, 256),
        brightness=np.array(picture.convert("L").histogram()),
    )


def _count_borders(label_map) -> np.ndarray:
    """Per id (256,), the sides that its pixels share with pixels of other ids."""
    borders = np.zeros(256, np.int64)
    for before, after in ((label_map[:, :-1], label_map[:, 1:]), (label_map[:-1], label_map[1:])):
        other = before != after
        borders += np.bincount(before[other], minlength=256) + np.bincount(after[other], minlength=256)
    return borders


def summarize(counts: ExampleCounts) -> dict:
    """The statistics of a split, as JSON values.

    Returns:
        `images`; `sizes` (images per "WIDTHxHEIGHT"); `height` and `width` (min, median, max in pixels, the lower median);
        `formats` (images per format); `channels`; `pixels`; `void_pixels`; per class `class_pixels`, `class_images` (images that
        contain it), `class_image_pixels` (all pixels of those images), `single_class_images` (images that contain no other) and
        `class_widths` (mean width of its objects in pixels: that of a long stripe with as many pixels and borders; None where it
        has no border);
        per channel `channel_mean` and `channel_deviation` of all pixels, in 0..1; `brightness` (pixels in 32 bins from black to
        white).
    """
    class_pixels, class_images, class_image_pixels, single_class_images, borders = counts.classes.tolist()
    moments = [_mean_and_deviation(histogram) for histogram in counts.histogram]
    return {
        "images": counts.images,
        "sizes": {f"{width}x{height}": number for (height, width), number in sorted(counts.sizes.items())},
        "height": _range([(height, number) for (height, _), number in counts.sizes.items()]),
        "width": _range([(width, number) for (_, width), number in counts.sizes.items()]),
        "formats": dict(sorted(counts.formats.items())),
        "channels": len(counts.histogram),
        "pixels": sum(class_pixels) + counts.void_pixels,
        "void_pixels": counts.void_pixels,
        "class_pixels": class_pixels,
        "class_images": class_images,
        "class_image_pixels": class_image_pixels,
        "single_class_images": single_class_images,
        "class_widths": [
            2 * pixels / sides if sides else None for pixels, sides in zip(class_pixels, borders, strict=True)
        ],
        "channel_mean": [mean for mean, _ in moments],
        "channel_deviation": [deviation for _, deviation in moments],
        "brightness": counts.brightness.reshape(BRIGHTNESS_BINS, -1).sum(axis=1).tolist(),
    }


def _range(sides: list[tuple[int, int]]) -> dict:
    """Smallest, median and largest of (side, number of images)."""
    sides = sorted(side for side, number in sides for _ in range(number))
    return {"min": sides[0], "median": sides[(len(sides) - 1) // 2], "max": sides[-1]}


def _mean_and_deviation(histogram: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of pixel values / 255, from whole sums."""
    pixels = sum(histogram.tolist())
    total = sum(value * number for value, number in enumerate(histogram.tolist()))
    squares = sum(value * value * number for value, number in enumerate(histogram.tolist()))
    return total / pixels / 255, math.sqrt(pixels * squares - total * total) / pixels / 255
