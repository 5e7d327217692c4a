"""Settings of the component example_gen. Standard library only."""

from __future__ import annotations

import dataclasses
import os
from typing import Annotated, Literal

from pipeline.settings.values import (
    Checked,
    Count,
    Fraction,
    Name,
    Number,
    Pixels,
    Place,
    PositiveInt,
    Seed,
    Side,
    Text,
)

CLASS_TABLES = ("ade20k", "camvid", "camvid11", "cityscapes", "cityscapes-labelids", "voc")
"""Tables of classes that are known by name."""

LAYOUTS = (
    "ade20k",
    "camvid",
    "carvana",
    "cityscapes",
    "cityscapes-labelids",
    "class-folders",
    "coco-instances",
    "coco-panoptic",
    "coco-stuff",
    "cvc-clinicdb",
    "deepglobe",
    "drive",
    "folders",
    "hugging-face",
    "isbi2012",
    "kvasir-seg",
    "label-studio",
    "labelme",
    "loveda",
    "nnunet",
    "numpy",
    "oxford-pet",
    "parquet",
    "potsdam",
    "potsdam-irrg",
    "roboflow",
    "run-lengths",
    "supervisely",
    "table",
    "vistas",
    "vistas-v2",
    "voc",
    "voc-aug",
    "yolo",
)
"""Layouts that are known by name, as in `kseg.pairs.recognisers`."""


@dataclasses.dataclass(frozen=True)
class ExampleGen(Checked):
    """How the source becomes a prepared data set of image, label map and key."""

    # raw mask value that means void; None: every pixel has a class
    ignore_value: Annotated[int, Number(minimum=0, maximum=255, integer=True)] | None = None
    # classes by name or as text; None: those of a file
    classes: Annotated[str, Text("a table's name or name=values,name=values", 4000)] | None = None
    # of a folder or file that can be read in several ways; None: the one that is recognised
    layout: Literal[*LAYOUTS] | None = None
    images: Name | None = None  # pattern of the images in a folder of no known layout, and of the masks
    masks: Name | None = None
    # what pairs files whose numbers are shifted, such as img_1 to img_30 with mask_0 to mask_29; None: such files stop the run
    pair_by: Literal["name", "order"] | None = None
    # which of the two counts in masks that have both; None: what is possible in all of them
    mask_reading: Literal["values", "colours"] | None = None
    # sample of 16-bit images that becomes 255; None: the largest one in the data
    image_range: Annotated[int, Number(minimum=1, maximum=65535, integer=True)] | None = None
    void_is_class: bool = False  # whether a class may be called void, ignore, unlabelled or unknown
    # folder outside which no file of `--data` is opened; None: itself, or the folder of the file
    data_root: Annotated[str, Place()] | None = None
    follow_links: bool = False  # whether links in the data may lead out of that folder
    max_pixels: Pixels = 50_000_000  # of one image; larger ones are quarantined without decoding
    validation_share: Fraction = 0.1  # of a source without splits, by a hash of each key
    test_share: Fraction = 0.1
    image_feature: Name = "image"  # of `tfds:` sources
    mask_feature: Name = "segmentation_mask"
    streets_train: PositiveInt = 512  # generated streets: images per split, their size and seed
    streets_validation: Count = 64
    streets_test: Count = 96
    streets_size: tuple[Side, Side] = (96, 128)  # height, width
    streets_seed: Seed = 0

    def __post_init__(self):
        super().__post_init__()
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                "`validation_share` and `test_share` must leave pairs to train on: their sum must lie below 1. Received: "
                f"example_gen.validation_share={self.validation_share:g}, example_gen.test_share={self.test_share:g}."
            )
        height, width = self.streets_size
        if height * width > self.max_pixels:
            raise ValueError(
                "`streets_size` must not have more pixels than `max_pixels`. Received: "
                f"example_gen.streets_size={height},{width}, example_gen.max_pixels={self.max_pixels}."
            )


def take_classes(config: ExampleGen, classes: str | None) -> tuple[ExampleGen, str | None]:
    """What `--classes` gives: settings with classes by name or as text, or else the file of a table; such a file comes first."""
    if classes and (classes in CLASS_TABLES or "=" in classes) and not os.path.exists(classes):
        return dataclasses.replace(config, classes=classes), None
    return config, classes
