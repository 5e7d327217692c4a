"""transform: decides on the working size and the class weights, and brings all pairs to that size.

`plan.json` holds the decisions. The pairs are a prepared data set in the same folder, scaled with their aspect ratio kept. numpy
and Pillow in Beam workers, no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil

from kseg.pairs import class_balance
from kseg.pairs.channels import PixelKind
from kseg.pairs.image_files import decode_image, encode_image, encode_png
from kseg.pairs.resizing import fitted_size, resize_image, resize_label_map, working_size
from kseg.pairs.split_names import UNLABELLED
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.examples.parts import worked_on
from pipeline.settings.transform import Transform
from pipeline.validation import anomalies
from pipeline.validation.checks.working_size import check_working_size

LONGER_SIDE = 240
"""Limit of the default working size, which two cores train on in minutes."""

CROP_SIDE = 256
"""Limit of the default crop, where images keep their own sizes."""


def transform(
    out: pathlib.Path,
    config: Transform,
    *,
    examples: pathlib.Path,
    statistics: pathlib.Path,
    normalized_as: pathlib.Path | None = None,
    beam_options: list[str] = (),
):
    """Writes the plan and the fitted pairs.

    `plan.json` holds `image_size` (height, width) that images are fitted into or, where that is null, `image_scale`, the factor
    on their own sides, and `crop_size` (height, width), what training sees of these unless trainer.crop_size says otherwise;
    `channels`, `dtype`, `normalization` (None, or `mean` and `deviation` of each channel), `image_range` of 16-bit images,
    `num_classes`, `class_weights` (K,) and `examples` (pairs per split; images without masks as `unlabelled`, those of validation
    and test left out), and where there are such images `unlabelled_domain`. `labels.json` is copied from the examples;
    `anomalies.json` holds warnings about the size, as that of example_validator.

    Args:
        out: folder to write to.
        config: working size and rule of the class weights.
        examples: artifact of example_gen.
        statistics: artifact of statistics_gen.
        normalized_as: artifact of transform whose `normalization` is taken: networks of both see one image alike; None: that of
            the statistics.
        beam_options: Beam's command line.

    Raises:
        ValueError: there is no training split, or it has no labelled pixel.
    """
    found = read_json(statistics / "statistics.json")
    counts = found["splits"].get("train")
    if counts is None:
        raise ValueError(f"There must be a split to train on. Received: none [{examples}]. Name one 'train'.")
    image_size = None if config.image_scale else _image_size(config.image_size, counts)
    scale = config.image_scale or image_size
    kind = PixelKind.recorded(counts)
    examples_left = prepared.split_sizes(examples)
    held_out = frozenset(found.get(UNLABELLED, {}).get("held_out", ()))
    if UNLABELLED in examples_left:
        examples_left[UNLABELLED] -= len(held_out)
        _check_left(examples_left[UNLABELLED], len(held_out))
    plan = {
        "image_size": image_size,
        "image_scale": config.image_scale,
        "crop_size": _crop_size(config.image_scale, counts) if config.image_scale else None,
        "channels": kind.channels,
        "dtype": kind.dtype,
        "normalization": read_json(normalized_as / "plan.json")["normalization"]
        if normalized_as
        else normalization(counts),
        "image_range": found.get("image_range"),
        "num_classes": len(counts["class_pixels"]),
        "class_weights": class_weights(config.class_weights, counts),
        "examples": examples_left,
    }
    if UNLABELLED in examples_left:
        plan["unlabelled_domain"] = found[UNLABELLED]["domain"]
    progress.set_total(sum(prepared.split_sizes(examples).values()))
    shards = [(split, *row) for split, paths in prepared.shard_paths(examples).items() for row in _shards(paths)]
    with worked_on(out, shards, FitShard(out, scale, held_out), beam_options, [examples]):
        pass  # the pairs are all that it leaves
    what = (
        f"fitted into {image_size[1]}x{image_size[0]}" if image_size else f"at {config.image_scale:g} of their own size"
    )
    prepared.write_metadata(out, kind, f"Image and mask pairs {what}.", plan["examples"])
    shutil.copyfile(examples / "labels.json", out / "labels.json")
    write_json(out / "plan.json", plan, allow_nan=False)
    narrow = [dataclasses.asdict(anomaly) for anomaly in check_working_size(found["splits"], scale)]
    write_json(out / anomalies.FILE, {"anomalies": narrow})


def _check_left(images: int, held_out: int):
    if not images:
        raise ValueError(
            "An image without a mask must be none of validation and test. "
            f"Received: {held_out} images, all of which are. Name a folder of others."
        )


def _image_size(given: tuple[int, int] | None, counts: dict) -> tuple[int, int]:
    """The given size, or the median height and width of the training split, scaled down to LONGER_SIDE."""
    if given is None:
        size = counts["height"]["median"], counts["width"]["median"]
        return size if max(size) <= LONGER_SIDE else fitted_size(*size, (LONGER_SIDE, LONGER_SIDE))
    return tuple(given)


def _crop_size(factor: float, counts: dict) -> tuple[int, int]:
    """The median height and width of the training split at `factor`, each at most CROP_SIDE."""
    median = working_size(counts["height"]["median"], counts["width"]["median"], factor)
    return tuple(min(side, CROP_SIDE) for side in median)


def normalization(counts: dict) -> dict[str, list[float]] | None:
    """By what images are normalised to the range of 8-bit images, see `kseg.data.levels`; None if they have 8 bits.

    Args:
        counts: statistics of the training split.
    """
    if PixelKind.recorded(counts).dtype == "uint8":
        return None
    deviations = [deviation or 1.0 for deviation in counts["channel_deviation"]]  # 0 where a channel is constant
    return {"mean": counts["channel_mean"], "deviation": deviations}


def class_weights(rule: str, counts: dict) -> list[float]:
    """Weights (K,) of the classes in the loss.

    Args:
        rule: one of "none" (1 for all), "inverse_square_root", "median_frequency"; see `kseg.pairs.class_balance`.
        counts: statistics of the training split.

    Raises:
        ValueError: there is no labelled pixel.
    """
    if not any(counts["class_pixels"]):
        raise ValueError(f"Class weights need labelled pixels. Received: none in train, {counts['void_pixels']} void.")
    if rule == "none":
        return [1.0] * len(counts["class_pixels"])
    return class_balance.class_weights(counts["class_pixels"], rule, counts["class_image_pixels"])


def _shards(paths):
    """(number, number of all, path) of each shard."""
    return [(number, len(paths), path.absolute()) for number, path in enumerate(paths)]


class FitShard:
    """Brings the pairs of a shard to their working size: the work of `parts.worked_on`.

    Args:
        out: folder to write to.
        working_scale: (height, width) that pairs are fitted into, or a factor on their sides.
        held_out: keys of images without masks that are left out.
    """

    def __init__(
        self, out: pathlib.Path, working_scale: tuple[int, int] | float, held_out: frozenset[str] = frozenset()
    ):
        self._out, self._working_scale, self._held_out = out.absolute(), working_scale, held_out

    def __call__(self, shard):
        """Writes the shard of the same number; there are no rows."""
        split, number, of, path = shard
        records = (self.fit(record) for record in prepared.read_records(path) if self._is_kept(split, record))
        prepared.write_records(self._out / prepared.shard_name(split, number, of), records)
        return ()

    def _is_kept(self, split: str, record: bytes) -> bool:
        return split != UNLABELLED or not self._held_out or prepared.from_record(record)[0] not in self._held_out

    def fit(self, record: bytes) -> bytes:
        """A record at its working size; one that has it already keeps its bytes."""
        key, image_bytes, label_map_bytes = prepared.from_record(record)
        label_map = decode_image(label_map_bytes)[..., 0]
        size = working_size(*label_map.shape, self._working_scale)
        progress.advance()
        if size == label_map.shape:
            return record
        image = encode_image(resize_image(decode_image(image_bytes), size))
        return prepared.to_record(key, image, encode_png(resize_label_map(label_map, size)))
