"""A data set from its pairs: what is noted of each one, and the statistics of all. numpy and Pillow only.

statistics_gen does this in Beam workers, pipeline.inspect without Beam.
"""

from __future__ import annotations

import collections

import numpy as np

from kseg.labels import LabelMap
from kseg.pairs.split_names import SPLITS, UNLABELLED
from pipeline.validation import image_hashes
from pipeline.validation.image_hashes import ImageTable
from pipeline.validation.statistics import ExampleCounts, count_example


def count_pair(
    split: str, key: str, image: np.ndarray, label_map: np.ndarray, num_classes: int, encoding: str
) -> tuple[dict, ExampleCounts]:
    """Counts one pair.

    Args:
        split: of the pair.
        key: of the pair.
        image: (H, W, C), uint8.
        label_map: ids (H, W), uint8, 255 where void.
        num_classes: K.
        encoding: of the stored image, one of "JPEG", "PNG".

    Returns:
        A row {"split", "key", "size" (height, width), "void" (whether every pixel is), "pixels", "labels", "hash"}, the last
        three as `image_hashes` needs them, and the counts.
    """
    counts = count_example(image, label_map, num_classes, encoding)
    row = {
        "split": split,
        "key": key,
        "size": label_map.shape,
        "void": counts.void_pixels == label_map.size,
        "pixels": image_hashes.pixel_digest(image),
        "labels": image_hashes.pixel_digest(label_map),
        "hash": image_hashes.perceptual_hash(image),
    }
    return row, counts


def data_set_statistics(
    labels: LabelMap,
    summaries: dict[str, dict],
    total: dict,
    images: ImageTable | list[dict],
    quarantined: list[dict],
    *,
    near_duplicate_bits: int,
    tiny_side: int,
) -> dict:
    """The contents of statistics.json.

    Args:
        labels: the classes.
        summaries: `summarize` of each split that has a pair, and of the images without masks, if there are any.
        total: `summarize` of all pairs.
        images: rows of `count_pair`, or a table of them.
        quarantined: rows of pairs that cannot be used.
        near_duplicate_bits: in which the hashes of two near duplicates may differ.
        tiny_side: pixels; images with a shorter side are listed.
    """
    columns = image_hashes.columns_of(images)
    unlabelled = columns.splits == image_hashes.SPLITS.index(UNLABELLED)
    found = {
        "classes": list(labels.names),
        "splits": {split: summaries[split] for split in SPLITS if split in summaries},
        "all": total,
        "unusable": dict(sorted(collections.Counter(row["name"] for row in quarantined).items())),
        "duplicates": image_hashes.exact_duplicates(columns),
        "near_duplicates": image_hashes.near_duplicates(columns, near_duplicate_bits),
        "empty_masks": columns.names(columns.void & ~unlabelled),
        "tiny_images": columns.names(columns.sides < tiny_side),
    }
    if UNLABELLED in summaries:
        found["unlabelled"] = summaries[UNLABELLED] | {"held_out": image_hashes.held_out_images(columns)}
    return found
