"""Writes docs/data.md from what the code recognises: `python docs/write_data_page.py`, run from the checkout."""

from __future__ import annotations

import pathlib
import re

from kseg.pairs import recognisers
from kseg.pairs.layouts import class_files, class_tables
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES

PAGE = pathlib.Path(__file__).resolve().parent / "data.md"

START = """# Data

Written by `docs/write_data_page.py` from what the code recognises; a test holds both together.

    python -m pipeline.run --data FOLDER

is enough where the layout itself says everything: it is recognised by what lies in the folder, or in the folders in it, and the
first lines of the run say what was found ("CamVid as downloaded: 701 pairs ..."). Classes come from, in this order,
`--classes`, `classes.csv` in the folder, the layout's own table. Splits are those of the layout, or of lists of names or a
table beside folders of pictures (`train.txt`, `splits/test.txt`, `splits.csv` with the columns image and split, `train.csv`; a
table that pairs otherwise than the folders do is a second reading); where there are none, a hash of each key assigns them.
Where train is the only split that has masks, validation is drawn from it by a hash, and the log says so. Splits without masks
are left out by name. What cannot be paired or read is set aside by name, and the rest is read.
"""
SEVERAL = """
## Where several readings lie in a folder

The run stops and prints a command for each, with `--layout NAME` from the table above, or with two patterns. Masks numbered from
another number than their images, as img_1 to img_30 and mask_0 to mask_29, are such a case: `--set example_gen.pair_by=order`
pairs img_1 with mask_0, `=name` with mask_1. These are read on request alone, since another reading is the usual one:
"""
OWN_FOLDERS = """
**Folders of your own** need no layout. Images and masks are told by words in the names of folders or files, and paired by these
names; what ties them is in the log:

| what lies there | how it is read |
| --- | --- |
| imgs/7.jpg, gt/7.png; train/images/7.jpg, train/masks/7.png; images_val/, labels_val/ | by equal names; splits by their names |
| 7.jpg, 7_mask.png; seg_7.png; 7_m.png for every image | a suffix or prefix that marks the masks; two such are two readings |
| 7.jpg, 7.png in one folder | the JPEG is the image |
| 7.jpg, 007.png | by their numbers |
| case7/image.png, case7/mask.png | a folder for each image |
| case7/images/x.png, case7/masks/1.png, 2.png | masks of objects, joined to one class; or of classes, named alike |
| part_1/, part_2/ of images, one folder of masks | as one, where each image has a mask |
| city_train/, city_val/; train_val/, test/ | splits; validation is drawn from train_val |
| X_train.npy, y_train.npy, X_val.npy, y_val.npy | arrays of many pictures |
| masks/road/7.png, masks/tree/7.png; 7_road.png, 7_tree.png | a mask for each class, by `--layout class-folders` |
| left/7.jpg, right/7.png | asks: the message has the command |

Hidden files and what systems leave (`Thumbs.db`, `__MACOSX`, `._7.jpg`) are not looked at.
"""
PATTERNS = """
## Any other folder

    python -m pipeline.run --data FOLDER --images 'left/**/*_rgb.png' --masks 'gt/**/*_label.tif'

Two patterns read any folder. `*` and `?` take parts of a name, `**` takes folders, and a folder alone means everything in it. An
image and a mask for which the wildcards take the same belong together; a suffix or prefix such as `_mask` that is left over is
found where only one pairs the names. A name of a split that a wildcard takes is the split.
"""

CHANNELS = """
**Channels.** Images may have any number of channels, up to 512, of 8 or 16 bits or of floating-point numbers: TIFF (tiled, a
plane a band, compressed, GeoTIFF, cloud-optimised), `.npy` with the channels last or first, and PNG whose fourth channel varies
like a picture. All images of a data set are of one kind, that of most of at most 64 that are looked at; others are quarantined as
`other_channels`. What they hold is kept as it is:

| images | stored as | the served model takes |
| --- | --- | --- |
| grey or RGB of 8 or 16 bits | JPEG, PNG; 16 bits become 8 by the range in use | JPEG and PNG; uint8 |
| 4 channels of 8 or 16 bits | PNG | PNG of these channels and bits; uint8 or uint16 |
| 2 channels of 8 or 16 bits | tensor | PNG of these channels and bits; uint8 or uint16 |
| more channels of 8 or 16 bits | tensor | uint8 or uint16 |
| floating-point numbers, and other whole numbers | tensor of float32 | float32 |

Numbers that are not of 8 bits are normalised inside the served model, by the mean and the standard deviation of each channel in
the training split (`plan.json`, `assets/export.json`). Training changes brightness and contrast of any channels, saturation and
hue of 8-bit RGB alone. People see the first three channels, or the first one, stretched."""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            START,
            "## Layouts",
            "",
            "| `--layout` | recognised by |",
            "| --- | --- |",
            *(f"| `{name}` | {first_line(function)} |" for name, function in recognisers.NAMED.items()),
            "| `folders` | images/ and masks/, with or without folders of splits. |",
            *(f"| `{name}` | {first_line(function)} |" for name, function in recognisers.TABLES.items()),
            "| (none) | Folders named by such words as imgs, photos, labels, gt, with one way to pair them; see below. |",
            OWN_FOLDERS,
            SEVERAL,
            "| command | what it reads |",
            "| --- | --- |",
            *(f"| `--data FOLDER --layout {name}` | {first_line(f)} |" for name, f in recognisers.ON_REQUEST.items()),
            PATTERNS,
            "## Formats",
            "",
            f"- images: {suffixes(IMAGE_SUFFIXES)}; JPEG and PNG keep their bytes, all others become PNG and are counted",
            f"- masks: {suffixes(MASK_SUFFIXES)}; JPEG where a table of ranges says which levels are which class",
            "- JPEG 2000, as a mask without loss only; PPM and PGM of samples up to 255 or 65,535; CMYK becomes RGB or grey",
            "- GDAL's value of missing data is void in TIFF masks, unless the table calls it a class; images that hold it are",
            "  quarantined as `no_data` if of floating-point or signed numbers, others are kept as they are, and the log says so",
            "- stacks of pages, arrays of numpy, Parquet and COCO's JSON, read picture by picture; Parquet, COCO, YAML and TIFF",
            "  beyond 8-bit grey and RGB need `pip install 'kseg[formats]'`",
            CHANNELS,
            "",
            "## Tables of classes",
            "",
            "| file in the folder | what it holds |",
            "| --- | --- |",
            "| `classes.csv` | The columns value, name, red, green, blue. |",
            *(f"| `{name}` | {first_line(read)} |" for name, read in class_files.READERS.items()),
            f"| `colormap.csv`, `palette.txt`, `class_colours.tsv`, ... | {first_line(class_files.read_text_table)} |",
            f"| `colors.json`, `classes.json`, `legend.json`, ... | {first_line(class_files.read_json_table)} |",
            "",
            "| `--classes` | source |",
            "| --- | --- |",
            *(f"| `{name}` | {table.source} |" for name, table in class_tables.BUILT_IN.items()),
            "",
        ]
    )


def first_line(function) -> str:
    """The first line of a docstring."""
    line = function.__doc__.strip().splitlines()[0].replace("|", "or")
    return re.sub(r"([*<])", r"\\\1", line)


def suffixes(known) -> str:
    return ", ".join(f"`{suffix}`" for suffix in known)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
