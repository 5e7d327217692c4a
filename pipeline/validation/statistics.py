"""Counts over the pairs of a data set, and the statistics that follow from them. numpy and Pillow only.

Everything is derived from sums of whole numbers, or of an image's sums of floating-point numbers as fractions, so the statistics
are the same for any runner and number of workers.
"""

from __future__ import annotations

import collections
import dataclasses
import fractions
import math

import numpy as np
from PIL import Image

from kseg.labels import VOID
from kseg.pairs.channels import PixelKind

BRIGHTNESS_BINS = 32


@dataclasses.dataclass
class ChannelSums:
    """What is counted of the pixels of images that are not 8-bit grey or RGB.

    Attributes:
        dtype: of the images.
        pixels: number of pixels.
        rows: for each channel its sum, the sum of its squares, its smallest and its largest value. Sums are exact, apart from
            those within one image of floating-point numbers.
    """

    dtype: str
    pixels: int
    rows: list[tuple[fractions.Fraction, fractions.Fraction, float, float]]

    def __add__(self, other: ChannelSums) -> ChannelSums:
        rows = [
            (own[0] + others[0], own[1] + others[1], min(own[2], others[2]), max(own[3], others[3]))
            for own, others in zip(self.rows, other.rows, strict=True)
        ]
        return ChannelSums(self.dtype, self.pixels + other.pixels, rows)


@dataclasses.dataclass
class ExampleCounts:
    """Whole numbers of one or more examples.

    Attributes:
        images: number of images.
        sizes: number of images per (height, width).
        formats: number of images per encoding, "JPEG", "PNG" or "tensor".
        classes: int64 (5, K): per class its pixels, the images that contain it, all pixels of those images, the images whose
            every labelled pixel belongs to it, and the borders of its pixels with pixels of other classes or void.
        void_pixels: pixels without a class.
        histogram: int64 (C, 256): pixels per channel and value, of 8-bit grey and RGB; otherwise C is 0.
        brightness: int64 (256,): pixels per brightness, 0.299 red + 0.587 green + 0.114 blue; 0 where there is no histogram.
        sums: of images without a histogram.
    """

    images: int
    sizes: collections.Counter
    formats: collections.Counter
    classes: np.ndarray
    void_pixels: int
    histogram: np.ndarray
    brightness: np.ndarray
    sums: ChannelSums | None = None

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
            self.sums + other.sums if self.sums and other.sums else self.sums or other.sums,
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
        image: (H, W, C), of one of `channels.DTYPES`.
        label_map: ids (H, W), uint8, 255 where void.
        num_classes: K.
        encoding: of the stored image, one of "JPEG", "PNG", "tensor".
    """
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
        **_count_pixels(image),
    )


def _count_borders(label_map) -> np.ndarray:
    """Per id (256,), the sides that its pixels share with pixels of other ids."""
    borders = np.zeros(256, np.int64)
    for before, after in ((label_map[:, :-1], label_map[:, 1:]), (label_map[:-1], label_map[1:])):
        other = before != after
        borders += np.bincount(before[other], minlength=256) + np.bincount(after[other], minlength=256)
    return borders


def _count_pixels(image: np.ndarray) -> dict:
    """The last three attributes of `ExampleCounts`."""
    if PixelKind.of(image).is_plain:
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        histogram = np.array(picture.histogram()).reshape(-1, 256)
        return {"histogram": histogram, "brightness": np.array(picture.convert("L").histogram()), "sums": None}
    rows = []
    for channel in range(image.shape[-1]):
        values = image[..., channel].astype(np.float64 if image.dtype.kind == "f" else np.uint64)
        sums = (fractions.Fraction(total.item()) for total in (values.sum(), np.square(values).sum()))
        rows.append((*sums, values.min().item(), values.max().item()))
    sums = ChannelSums(image.dtype.name, image.shape[0] * image.shape[1], rows)
    return {"histogram": np.zeros((0, 256), np.int64), "brightness": np.zeros(256, np.int64), "sums": sums}


def summarize(counts: ExampleCounts) -> dict:
    """The statistics of a split, as JSON values.

    Returns:
        `images`; `sizes` (images per "WIDTHxHEIGHT"); `height` and `width` (min, median, max in pixels, the lower median);
        `formats` (images per format); `channels`; `dtype`; `pixels`; `void_pixels`; per class `class_pixels`, `class_images`
        (images that contain it), `class_image_pixels` (all pixels of those images), `single_class_images` (images that contain
        no other) and `class_widths` (mean width of its objects in pixels: that of a long stripe with as many pixels and borders;
        None where it has no border);
        per channel `channel_min`, `channel_max`, `channel_mean` and `channel_deviation` of all pixels, in 0..1 for uint8,
        otherwise as stored; `brightness` (pixels in 32 bins from black to white), 0 unless images are 8-bit grey or RGB.
    """
    class_pixels, class_images, class_image_pixels, single_class_images, borders = counts.classes.tolist()
    sums = counts.sums or _sums_of_histogram(counts.histogram)
    unit = 255 if sums.dtype == "uint8" else 1
    return {
        "images": counts.images,
        "sizes": {f"{width}x{height}": number for (height, width), number in sorted(counts.sizes.items())},
        "height": _range([(height, number) for (height, _), number in counts.sizes.items()]),
        "width": _range([(width, number) for (_, width), number in counts.sizes.items()]),
        "formats": dict(sorted(counts.formats.items())),
        "channels": len(sums.rows),
        "dtype": sums.dtype,
        "pixels": sum(class_pixels) + counts.void_pixels,
        "void_pixels": counts.void_pixels,
        "class_pixels": class_pixels,
        "class_images": class_images,
        "class_image_pixels": class_image_pixels,
        "single_class_images": single_class_images,
        "class_widths": [
            2 * pixels / sides if sides else None for pixels, sides in zip(class_pixels, borders, strict=True)
        ],
        "channel_min": [low / unit for _, _, low, _ in sums.rows],
        "channel_max": [high / unit for _, _, _, high in sums.rows],
        "channel_mean": [float(total) / sums.pixels / unit for total, *_ in sums.rows],
        "channel_deviation": [_deviation(sums.pixels, total, squares) / unit for total, squares, *_ in sums.rows],
        "brightness": counts.brightness.reshape(BRIGHTNESS_BINS, -1).sum(axis=1).tolist(),
    }


def _range(sides: list[tuple[int, int]]) -> dict:
    """Smallest, median and largest of (side, number of images)."""
    sides = sorted(side for side, number in sides for _ in range(number))
    return {"min": sides[0], "median": sides[(len(sides) - 1) // 2], "max": sides[-1]}


def _sums_of_histogram(histogram: np.ndarray) -> ChannelSums:
    """What a histogram (C, 256) of 8-bit images says."""
    rows = []
    for counts in histogram.tolist():
        values = [value for value, number in enumerate(counts) if number]
        sums = (sum(value**power * counts[value] for value in values) for power in (1, 2))
        rows.append((*sums, min(values), max(values)))
    return ChannelSums("uint8", int(histogram[:1].sum()), rows)


def _deviation(pixels: int, total, squares) -> float:
    """The standard deviation, from exact sums of the values and of their squares."""
    return math.sqrt(max(pixels * squares - total * total, 0)) / pixels
