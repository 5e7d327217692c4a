"""Pairs of image and mask files: finding them in a folder, and reading one. numpy, Pillow and simplejpeg only.

`list_pairs` knows four layouts:

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits train, val (or validation) and test
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key
    JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/<split>.txt      the layout of PASCAL VOC
    pairs.csv with the columns image, mask and optionally split                paths relative to the file

Folders may be nested below a split; the key is the path without its suffix. Images are JPEG or PNG, masks are PNG, because JPEG
changes values. A fault of the source as a whole is raised; a fault of one pair is part of the listing, or is raised when that
pair is read. Beam workers import this module without TensorFlow; the TFDS builder for scripts is in `image_folder_builder`.
"""

from __future__ import annotations

import os
import pathlib

from kseg.labels import LabelMap
from kseg.pairs.decoding import MAX_PIXELS, has_colour
from kseg.pairs.errors import PairError, printable
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.layouts.csv_table import read_table
from kseg.pairs.layouts.folders import list_folders
from kseg.pairs.layouts.voc import list_voc
from kseg.pairs.listing import SPLITS, Listing, Pair, assign_splits

LAYOUTS = (
    "images/ and masks/, or JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/; "
    "or give a CSV file with the columns image and mask"
)
BYTES_PER_PIXEL = 8  # of an incompressible PNG with four channels of 16 bits
METADATA_BYTES = 2**26


def list_pairs(root, *, validation_share: float = 0.1, test_share: float = 0.1) -> Listing:
    """Lists the pairs of a folder or CSV file without opening an image.

    Args:
        root: a folder or CSV file in one of the layouts above.
        validation_share: share of pairs assigned to validation if the source has no splits.
        test_share: share of pairs assigned to test if the source has no splits.

    Returns:
        The pairs, and the faults found.

    Raises:
        PairError: the layout is unknown, a folder is missing or empty, or no image has a mask.
        ValueError: the shares leave no pair to train on.
    """
    root = pathlib.Path(root)
    if not (root.is_file() or root.is_dir()):
        raise PairError(
            "no_data",
            "The data must be a folder or a file. Received: neither",
            printable(root),
            "Check the path.",
        )
    if root.is_file():
        listing = read_table(root)
    elif (root / "images").is_dir():
        listing = list_folders(root)
    elif (root / "JPEGImages").is_dir():
        listing = list_voc(root)
    else:
        raise _unknown_layout(root)
    return assign_splits(listing, validation_share, test_share)


def _unknown_layout(root) -> PairError:
    found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
    swapped = [name for name in SPLITS if (root / name / "images").is_dir()]
    cure = "Move the folders, or list the pairs in a CSV file."
    if swapped:
        cure = (
            f"Put the split inside: {swapped[0]}/images becomes images/{swapped[0]}; or list the pairs in a CSV file."
        )
    return PairError(
        "unknown_layout", f"A folder of pairs must hold {LAYOUTS}. Received: {printable(found)}", printable(root), cure
    )


def count_channels(pairs) -> int:
    """The number of channels of a data set: 3 if any image has colours, else 1.

    Only headers are read, up to the first image with colours. Unreadable files are skipped.
    """
    return 3 if any(has_colour(pair.image) for pair in pairs) else 1


def read_pair(
    pair: Pair, labels: LabelMap, channels: int = 3, max_pixels: int = MAX_PIXELS
) -> tuple[bytes, bytes, str | None]:
    """Reads one pair of files and converts it to what is stored; see `image_files.prepare_pair`.

    Args:
        pair: the two files.
        labels: the classes of the data set.
        channels: of every image of the data set, 1 or 3.
        max_pixels: height times width above which an image is refused before it is decoded.

    Returns:
        image_bytes, label_map_bytes, and the reason why the image was re-encoded as PNG, or None.

    Raises:
        PairError: a file is missing or damaged, the sizes differ, or the mask has values without a class.
    """
    encoded = [read_file(path, max_pixels) for path in (pair.image, pair.mask)]
    return prepare_pair(*encoded, labels, channels, printable(pair.image), printable(pair.mask), max_pixels)


def read_file(path: pathlib.Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of an image or mask file.

    Raises:
        PairError: the file cannot be read, or is larger than any image of `max_pixels`.
    """
    try:
        size, limit = os.path.getsize(path), BYTES_PER_PIXEL * max_pixels + METADATA_BYTES
        if size > limit:
            raise PairError(
                "too_many_bytes",
                f"A file must have at most {limit:,} bytes, which is enough for example_gen.max_pixels={max_pixels:,}. "
                f"Received: {size:,}",
                printable(path),
                "Check what it is; raise example_gen.max_pixels if it is an image.",
            )
        return path.read_bytes()
    except OSError as error:
        raise PairError(
            "unreadable_file",
            f"The files of a pair must be readable. Received: {error.strerror}",
            printable(path),
            "Check that it still exists and that its permissions allow reading.",
        ) from error
