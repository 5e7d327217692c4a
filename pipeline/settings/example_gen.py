"""Settings of the component example_gen. Standard library only."""

from __future__ import annotations

import dataclasses

from pipeline.settings.values import Checked, Fraction, NonNegativeInt, PositiveInt


@dataclasses.dataclass(frozen=True)
class ExampleGen(Checked):
    """How the source becomes a prepared data set of image, label map and key."""

    ignore_value: NonNegativeInt | None = None  # raw mask value that means void; None: every pixel has a class
    layout: str | None = None  # of a folder or file that can be read in several ways; None: the one that is recognised
    void_is_class: bool = False  # whether a class may be called void, ignore, unlabelled or unknown
    max_pixels: PositiveInt = 50_000_000  # of one image; larger ones are quarantined without decoding
    validation_share: Fraction = 0.1  # of a source without splits, by a hash of each key
    test_share: Fraction = 0.1
    image_feature: str = "image"  # of `tfds:` sources
    mask_feature: str = "segmentation_mask"
    examples_per_shard: PositiveInt = 64
    streets_train: PositiveInt = 512  # generated streets: images per split, their size and seed
    streets_validation: NonNegativeInt = 64
    streets_test: NonNegativeInt = 96
    streets_size: tuple[PositiveInt, PositiveInt] = (96, 128)  # height, width
    streets_seed: NonNegativeInt = 0
