"""statistics_gen: counts over a prepared data set, of each split and of all of them.

Every figure follows from whole numbers that are added up, so it is exact and the same for any runner and number of workers.
numpy and Pillow in Beam workers, no TensorFlow.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import pathlib

import apache_beam as beam
import numpy as np

from kseg.datasets.image_files import decode_image
from kseg.labels import VOID, LabelMap
from pipeline import beam as shards
from pipeline import prepared, progress
from pipeline.config import StatisticsGen

ALL = "all"


def statistics_gen(out: pathlib.Path, config: StatisticsGen, *, examples: pathlib.Path, beam_options: list[str] = ()):
    """Writes `out/statistics.json`: {"splits": {split: statistics}, "all": statistics}.

    The statistics of a split are: `images`; `sizes` (images of each "WIDTHxHEIGHT"); `height` and `width` (min, median, max, in
    pixels, the median being the lower one); `channels`; `pixels`; `void_pixels`; for each class `class_pixels`, `class_images`
    (images that contain it) and `class_image_pixels` (all pixels of these images); and for each channel `channel_mean` and
    `channel_deviation` of all pixels, in 0..1.

    Args:
        out: folder to write below.
        config: nothing to choose.
        examples: artifact of example_gen.
        beam_options: Beam's command line.
    """
    num_classes = LabelMap.load(examples).num_classes
    splits = prepared.splits(examples)
    progress.total(sum(splits.values()))
    file = out / "statistics.jsonl"
    with beam.Pipeline(options=shards.pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Read" >> shards.ReadSplits(examples)
            | "Count" >> beam.ParDo(CountExample(num_classes))
            | "Add" >> beam.CombinePerKey(AddCounts(num_classes))
            | "Summarise" >> beam.MapTuple(_named)
            | "Collect" >> shards.Collect(file)
        )
    found = dict(shards.collected(file))
    statistics = {"splits": {split: found[split] for split in ("train", "validation", "test") if split in found}}
    (out / "statistics.json").write_text(json.dumps(statistics | {"all": found[ALL]}, indent=1))


@dataclasses.dataclass
class Counts:
    """Whole numbers of one or more examples.

    Attributes:
        images: how many.
        sizes: images of each (height, width).
        classes: int64 (3, K): pixels of each class, images that contain it, and all pixels of these images.
        void_pixels: pixels without a class.
        histogram: int64 (C, 256): pixels of each channel by value.
    """

    images: int
    sizes: collections.Counter
    classes: np.ndarray
    void_pixels: int
    histogram: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        own, others = self.histogram, other.histogram
        return Counts(
            self.images + other.images,
            self.sizes + other.sizes,
            self.classes + other.classes,
            self.void_pixels + other.void_pixels,
            own + others if own.size and others.size else own if own.size else others,  # none yet, before the first
        )


def none(num_classes: int) -> Counts:
    """The counts of no example."""
    return Counts(0, collections.Counter(), np.zeros((3, num_classes), np.int64), 0, np.zeros((0, 256), np.int64))


def count(image: np.ndarray, label_map: np.ndarray, num_classes: int) -> Counts:
    """Counts one example.

    Args:
        image: (H, W, C), uint8.
        label_map: ids (H, W), uint8, 255 where void.
        num_classes: K.
    """
    found = np.bincount(label_map.ravel(), minlength=256)
    pixels = found[:num_classes]
    present = (pixels > 0).astype(np.int64)
    return Counts(
        images=1,
        sizes=collections.Counter({label_map.shape: 1}),
        classes=np.stack([pixels, present, present * label_map.size]),
        void_pixels=int(found[VOID]),
        histogram=np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, -1, 0)]),
    )


class CountExample(beam.DoFn):
    """(split, key, image_bytes, label_map_bytes) to (split, counts) and ("all", counts)."""

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def process(self, example):
        split, _, image_bytes, label_map_bytes = example
        counts = count(decode_image(image_bytes), decode_image(label_map_bytes)[..., 0], self._num_classes)
        progress.advance()
        yield split, counts
        yield ALL, counts


class AddCounts(beam.CombineFn):
    """Adds `Counts`."""

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def create_accumulator(self):
        return none(self._num_classes)

    def add_input(self, accumulator, counts):
        return accumulator + counts

    def merge_accumulators(self, accumulators):
        return sum(accumulators, none(self._num_classes))

    def extract_output(self, accumulator):
        return accumulator


def _named(split: str, counts: Counts) -> tuple[str, dict]:
    return split, summary(counts)


def summary(counts: Counts) -> dict:
    """What `statistics_gen` writes of a split."""
    class_pixels, class_images, class_image_pixels = counts.classes.tolist()
    moments = [_mean_and_deviation(histogram) for histogram in counts.histogram]
    return {
        "images": counts.images,
        "sizes": {f"{width}x{height}": number for (height, width), number in sorted(counts.sizes.items())},
        "height": _range([(height, number) for (height, _), number in counts.sizes.items()]),
        "width": _range([(width, number) for (_, width), number in counts.sizes.items()]),
        "channels": len(counts.histogram),
        "pixels": sum(class_pixels) + counts.void_pixels,
        "void_pixels": counts.void_pixels,
        "class_pixels": class_pixels,
        "class_images": class_images,
        "class_image_pixels": class_image_pixels,
        "channel_mean": [mean for mean, _ in moments],
        "channel_deviation": [deviation for _, deviation in moments],
    }


def _range(sides: list[tuple[int, int]]) -> dict:
    """Smallest, median and largest of sides with their numbers of images."""
    sides = sorted(side for side, number in sides for _ in range(number))
    return {"min": sides[0], "median": sides[(len(sides) - 1) // 2], "max": sides[-1]}


def _mean_and_deviation(histogram: np.ndarray) -> tuple[float, float]:
    """Of pixel values as parts of 255, from whole sums."""
    pixels = sum(histogram.tolist())
    total = sum(value * number for value, number in enumerate(histogram.tolist()))
    squares = sum(value * value * number for value, number in enumerate(histogram.tolist()))
    return total / pixels / 255, math.sqrt(pixels * squares - total * total) / pixels / 255
