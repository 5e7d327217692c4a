"""statistics_gen: counts over a prepared data set, of each split and of all of them, and which images repeat others.

Every figure follows from whole numbers that are added up, so it is exact and the same for any runner and number of workers.
numpy and Pillow in Beam workers, no TensorFlow.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib

import apache_beam as beam
import numpy as np
from PIL import Image

from kseg.labels import VOID, LabelMap
from kseg.pairs.decoding import JPEG
from kseg.pairs.image_files import decode_image
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.records import ReadSplits
from pipeline.examples.runner_options import pipeline_options
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.validation import duplicates

ALL = "all"
BRIGHTNESS_BINS = 32


def statistics_gen(out: pathlib.Path, config: StatisticsGen, *, examples: pathlib.Path, beam_options: list[str] = ()):
    """Writes `out/statistics.json`: what `summary` says of each of the `splits` and of `all`, and what concerns single images.

    `classes` are their names; `unusable` counts the pairs that were set aside by the name of their fault; `duplicates` and
    `near_duplicates` are those of `pipeline.validation.duplicates`; `empty_masks` names the images ("split/key") of which every
    pixel is void, `tiny_images` those with a side below `config.tiny_side`.

    Args:
        out: folder to write below.
        config: what counts as nearly the same, and as tiny.
        examples: artifact of example_gen.
        beam_options: Beam's command line.
    """
    labels = LabelMap.load(examples)
    progress.total(sum(prepared.split_sizes(examples).values()))
    counted, seen = out / "counts.jsonl", out / "images.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        found = (
            pipeline
            | "Read" >> ReadSplits(examples)
            | "Count" >> beam.ParDo(CountExample(labels.num_classes)).with_outputs("counts", main="images")
        )
        _ = (
            found.counts
            | "Add" >> beam.CombinePerKey(AddCounts(labels.num_classes))
            | "Summarise" >> beam.MapTuple(_named)
            | "Collect" >> Collect(counted)
        )
        _ = found.images | "Collect images" >> Collect(seen)
    summaries, images = dict(read_collected(counted)), duplicates.in_order(read_collected(seen))
    ingestion = read_json(examples / "ingestion.json")
    statistics = {
        "classes": list(labels.names),
        "splits": {split: summaries[split] for split in duplicates.SPLITS if split in summaries},
        "all": summaries[ALL],
        "unusable": dict(sorted(collections.Counter(row["name"] for row in ingestion["quarantined"]).items())),
        "duplicates": duplicates.exact_duplicates(images),
        "near_duplicates": duplicates.near_duplicates(images, config.near_duplicate_bits),
        "empty_masks": [duplicates.name(image) for image in images if image["void"]],
        "tiny_images": [duplicates.name(image) for image in images if min(image["size"]) < config.tiny_side],
    }
    write_json(out / "statistics.json", statistics)


@dataclasses.dataclass
class Counts:
    """Whole numbers of one or more examples.

    Attributes:
        images: how many.
        sizes: images of each (height, width).
        formats: images of each encoding, JPEG or PNG.
        classes: int64 (4, K): pixels of each class, images that contain it, all pixels of these images, and images in which every
            labelled pixel is of it.
        void_pixels: pixels without a class.
        histogram: int64 (C, 256): pixels of each channel by value.
        brightness: int64 (256,): pixels by brightness, 0.299 red + 0.587 green + 0.114 blue.
    """

    images: int
    sizes: collections.Counter
    formats: collections.Counter
    classes: np.ndarray
    void_pixels: int
    histogram: np.ndarray
    brightness: np.ndarray

    def __add__(self, other: Counts) -> Counts:
        own, others = self.histogram, other.histogram
        return Counts(
            self.images + other.images,
            self.sizes + other.sizes,
            self.formats + other.formats,
            self.classes + other.classes,
            self.void_pixels + other.void_pixels,
            own + others if own.size and others.size else own if own.size else others,  # none yet, before the first
            self.brightness + other.brightness,
        )


def none(num_classes: int) -> Counts:
    """The counts of no example."""
    return Counts(
        images=0,
        sizes=collections.Counter(),
        formats=collections.Counter(),
        classes=np.zeros((4, num_classes), np.int64),
        void_pixels=0,
        histogram=np.zeros((0, 256), np.int64),
        brightness=np.zeros(256, np.int64),
    )


def count(image: np.ndarray, label_map: np.ndarray, num_classes: int, encoding: str = "PNG") -> Counts:
    """Counts one example.

    Args:
        image: (H, W, C), uint8.
        label_map: ids (H, W), uint8, 255 where void.
        num_classes: K.
        encoding: of the stored image, JPEG or PNG.
    """
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    found = np.array(Image.fromarray(label_map).histogram())  # np.bincount would take 8 bytes a pixel
    pixels = found[:num_classes]
    present = (pixels > 0).astype(np.int64)
    return Counts(
        images=1,
        sizes=collections.Counter({label_map.shape: 1}),
        formats=collections.Counter({encoding: 1}),
        classes=np.stack([pixels, present, present * label_map.size, present * (present.sum() == 1)]),
        void_pixels=int(found[VOID]),
        histogram=np.array(picture.histogram()).reshape(-1, 256),
        brightness=np.array(picture.convert("L").histogram()),
    )


class CountExample(beam.DoFn):
    """(split, key, image_bytes, label_map_bytes) to a row of its own, and to "counts": (split, counts) and ("all", counts).

    The row is {"split", "key", "size" (height, width), "void" (whether every pixel is), "pixels", "labels", "look"}, the last
    three as `pipeline.validation.duplicates` needs them.
    """

    def __init__(self, num_classes: int):
        self._num_classes = num_classes

    def process(self, example):
        split, key, image_bytes, label_map_bytes = example
        image, label_map = decode_image(image_bytes), decode_image(label_map_bytes)[..., 0]
        encoding = "JPEG" if image_bytes.startswith(JPEG) else "PNG"
        counts = count(image, label_map, self._num_classes, encoding)
        progress.advance()
        for part in (split, ALL):
            yield beam.pvalue.TaggedOutput("counts", (part, counts))
        yield {
            "split": split,
            "key": key,
            "size": label_map.shape,
            "void": counts.void_pixels == label_map.size,
            "pixels": duplicates.pixel_digest(image),
            "labels": duplicates.pixel_digest(label_map),
            "look": duplicates.look(image),
        }


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
    """What `statistics_gen` writes of a split.

    `images`; `sizes` (images of each "WIDTHxHEIGHT"); `height` and `width` (min, median, max, in pixels, the median being the
    lower one); `formats` (images of each); `channels`; `pixels`; `void_pixels`; for each class `class_pixels`, `class_images`
    (images that contain it), `class_image_pixels` (all pixels of these images) and `single_class_images` (images that contain no
    other); for each channel `channel_mean` and `channel_deviation` of all pixels, in 0..1; and `brightness` (pixels in 32 bins
    from black to white).
    """
    class_pixels, class_images, class_image_pixels, single_class_images = counts.classes.tolist()
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
        "channel_mean": [mean for mean, _ in moments],
        "channel_deviation": [deviation for _, deviation in moments],
        "brightness": counts.brightness.reshape(BRIGHTNESS_BINS, -1).sum(axis=1).tolist(),
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
