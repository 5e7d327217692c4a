"""Settings of the component example_gen. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, Count, Share, Whole


@dataclasses.dataclass(frozen=True)
class ExampleGen(Checked):
    """How the source becomes a prepared data set of image, label map and key."""

    ignore_value: Whole | None = None  # raw mask value that means void; None: every pixel has a class
    void_is_class: bool = False  # whether a class may be called void, ignore, unlabelled or unknown
    max_pixels: Count = 50_000_000  # of one picture; larger ones are set aside unseen
    validation_share: Share = 0.1  # of a source without splits, drawn by a hash of each key
    test_share: Share = 0.1
    image_feature: str = "image"  # of a `tfds:` source
    mask_feature: str = "segmentation_mask"
    examples_per_shard: Count = 64
    streets_train: Count = 512  # generated streets: images a split, their size and seed
    streets_validation: Whole = 64
    streets_test: Whole = 96
    streets_size: tuple[Count, Count] = (96, 128)  # height, width
    streets_seed: Whole = 0
