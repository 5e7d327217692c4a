"""Checks of single pairs and files: quarantined pairs, images and masks of little use, files that belong to no pair."""

from __future__ import annotations

import math

from kseg.pairs.image_files import DARK, ROTATED, ROTATED_ALIKE
from kseg.pairs.split_names import KNOWN
from pipeline.engine.ancestry import count_set_aside
from pipeline.validation.anomalies import Anomaly, anomaly_at, quarantined_pair


def check_quarantined(ingestion: dict, max_quarantined: float):
    """Yields one anomaly per quarantined pair or image without a mask, and one that stops the run where there are too many.

    Args:
        ingestion: ingestion.json of example_gen.
        max_quarantined: as a share of all pairs, and of all images without masks.
    """
    usable = sum(ingestion["pairs"].values()), ingestion.get("unlabelled", {}).get("images", 0)
    kinds = zip(("pairs", "images without masks"), count_set_aside(ingestion), usable, strict=True)
    for what, unusable, others in kinds:
        number = unusable + others
        if unusable > max_quarantined * number:
            yield Anomaly(
                "stop",
                "too_many_quarantined",
                f"Too many {what} are unusable: at most {max_quarantined:.1%} may be. "
                f"Received: {unusable} of {number} ({unusable / number:.1%})",
                "example_validator.max_quarantined",
                f"Repair or remove the {what} below, or train without them: "
                f"--set example_validator.max_quarantined={math.ceil(100 * unusable / number) / 100:g}.",
            )
    yield from map(quarantined_pair, ingestion["quarantined"])


def check_pictures(statistics: dict, ingestion: dict):
    """Yields warnings about pairs from which little can be learnt.

    Args:
        statistics: statistics.json of statistics_gen.
        ingestion: ingestion.json of example_gen.
    """
    if empty := statistics["empty_masks"]:
        yield anomaly_at(
            empty,
            "warn",
            "empty_masks",
            f"A mask should have labelled pixels. Received: {len(empty)} entirely void",
            "They teach nothing and are not scored: label them, or remove them.",
        )
    if tiny := statistics["tiny_images"]:
        yield anomaly_at(
            tiny,
            "warn",
            "tiny_images",
            f"An image should be large enough to show something. Received: {len(tiny)} of a few pixels",
            "Check whether they replace lost images; lower statistics_gen.tiny_side if they are intended.",
        )
    if reordered := ingestion["conventions"]["reordered_masks"]:
        yield Anomaly(
            "warn",
            "reordered_palettes",
            "Palettes of masks should have the order of the table of classes. "
            f"Received: {reordered} masks of another order, so masks are read by their colours",
            "ingestion.json, conventions",
            "Look at a mask. If its values are right, pass --set example_gen.mask_reading=values.",
            count=reordered,
        )
    if (turned := ingestion["reencoded"].get(ROTATED_ALIKE, 0)) and not ingestion["reencoded"].get(ROTATED):
        yield Anomaly(
            "warn",
            "exif_orientation",
            "Masks must be drawn on images as they are displayed, rotated by their EXIF orientation. "
            f"Received: {turned} images whose masks have the same size either way",
            "ingestion.json, reencoded",
            "Lay a mask over its image. If they do not agree, remove the orientation from the images.",
            count=turned,
        )
    if dark := ingestion["reencoded"].get(DARK, 0):
        yield Anomaly(
            "warn",
            "dark_16_bit",
            f"16-bit images should use all 16 bits, since only the upper 8 are kept. Received: {dark} with no value above 4095",
            "ingestion.json, reencoded",
            "They are nearly black, since another image uses more bits: if its brighter samples are faults of the sensor, pass "
            "--set example_gen.image_range=4095.",
            count=dark,
        )


def check_files(ingestion: dict):
    """Yields warnings about masks without an image, about files that are not pictures, and about splits that are left out.

    Args:
        ingestion: ingestion.json of example_gen.
    """
    if unused := ingestion["unused_masks"]:
        yield anomaly_at(
            unused,
            "warn",
            "unused_masks",
            f"A mask should belong to an image. Received: {len(unused)} without one",
            "Check whether images are missing, or whether some have several masks, of which one alone is read.",
        )
    if foreign := ingestion["foreign_files"]:
        yield anomaly_at(
            foreign,
            "warn",
            "foreign_files",
            f"Folders of pairs should hold only pictures. Received: {len(foreign)} other file{'s' * (len(foreign) > 1)}",
            "Check whether they should have been read; move them elsewhere.",
        )
    if splits := ingestion["unused_splits"]:
        yield anomaly_at(
            splits,
            "warn",
            "unused_splits",
            f"Every split should have a known name. Received: {len(splits)} of another one, left out",
            f"If it belongs to the data, rename it; known are {KNOWN}.",
        )
