"""Pairs of image and mask files: finding them in a folder, and reading one. numpy, Pillow and simplejpeg only.

`recognisers` knows the layouts of public data sets, of label tools and of people's own folders; docs/data.md lists them. The
plainest:

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits by their names, see split_names
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key
    pairs.csv with the columns image, mask and optionally split                paths relative to the file, or absolute

No file outside the folder is opened; of a table, none outside its folder or a data root. Folders may be nested below a split; the
key is the path without its suffix. Images are JPEG or PNG, masks are PNG, because JPEG changes values. A fault of the source as a
whole is raised; a fault of one pair is part of the listing, or is raised when that pair is read. Beam workers import this module
without TensorFlow; the TFDS builder for scripts is in `image_folder_builder`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from kseg.labels import LabelMap
from kseg.pairs.conventions import PLAIN, Conventions
from kseg.pairs.decoding import MAX_PIXELS
from kseg.pairs.errors import PairError, SeveralReadingsError, printable
from kseg.pairs.folder_files import Boundary, boundary_of
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.layouts.implied_splits import (
    draw_validation,
    is_only_train,
    refuse_unknown_splits,
    split_by_file_names,
)
from kseg.pairs.layouts.other_files import cure_of_other_files
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.layouts.shifted_numbers import NAME, ORDER, first_names, pair_by_order
from kseg.pairs.layouts.split_lists import split_by_lists
from kseg.pairs.layouts.tables_beside import read_tables_beside
from kseg.pairs.listing import Fault, Listing, Pair, assign_splits
from kseg.pairs.other_formats import check_lossless
from kseg.pairs.recognisers import find_readings
from kseg.pairs.sides import Side

LAYOUTS = (
    "images/ and masks/, or folders whose names say as much, or the layout of a data set or label tool, which docs/data.md "
    "lists"
)


def list_pairs(
    root,
    *,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    data_root: str | os.PathLike | None = None,
    follow_links: bool = False,
) -> Listing:
    """Lists the pairs of a source without opening an image; see `recognise_pairs`."""
    return recognise_pairs(
        root,
        validation_share=validation_share,
        test_share=test_share,
        data_root=data_root,
        follow_links=follow_links,
    ).listing


def recognise_pairs(
    root,
    *,
    layout: str | None = None,
    images: str | None = None,
    masks: str | None = None,
    pair_by: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    data_root: str | os.PathLike | None = None,
    follow_links: bool = False,
) -> Recognised:
    """Recognises the layout of a folder or file, and lists its pairs without opening an image.

    Args:
        root: a folder or file in one of the layouts above.
        layout: name of a layout in `recognisers.RECOGNISERS`, where several readings lie there; None: the one that is
            recognised.
        images: pattern of the images, with `masks`, of a folder of no known layout, such as "left/**/*_rgb.png".
        masks: pattern of the masks; what the wildcards take ties both together.
        pair_by: "name" or "order", where the numbers of the masks are those of the images plus or minus a constant.
        validation_share: share of pairs assigned to validation if the source has no splits.
        test_share: share of pairs assigned to test if the source has no splits.
        data_root: folder outside which no file is opened; None: `root`, or the folder of the CSV file. Paths in the file may be
            relative to it.
        follow_links: whether links may lead out of that folder.

    Returns:
        The pairs, the faults found, and the classes that the layout brings.

    Raises:
        SeveralReadingsError: the source can be read in several ways.
        PairError: the layout is unknown, a folder is missing, empty or elsewhere, or no image has a mask.
        ValueError: `layout` is unknown or goes with patterns, or the shares leave no pair to train on.
    """
    root = pathlib.Path(root)
    if not (root.is_file() or root.is_dir()):
        raise PairError(
            "no_data",
            "The data must be a folder or a file. Received: neither",
            printable(root),
            "Check the path.",
        )
    boundary = boundary_of(root, data_root, follow_links)
    readings = find_readings(root, layout, images, masks, boundary)
    if not readings:
        raise _unknown_layout(root)
    if len(readings) > 1 or readings[0].guessed:
        raise SeveralReadingsError(root, readings)
    found = _choose_pairing(readings[0], pair_by, layout, images, masks)
    if found.layout in ("", "folders"):
        with boundary.enforced():
            found = split_by_lists(found, root)
            found = found if layout or images else read_tables_beside(found, root)
    if not found.layout and images is None:  # nothing but names describes the folders
        found = dataclasses.replace(found, listing=split_by_file_names(found.listing))
        refuse_unknown_splits(found.listing, found.root, found.options)
    inside = _keep_inside(found.listing, boundary)
    only_train = is_only_train(inside)
    listing = assign_splits(draw_validation(inside) if only_train else inside, validation_share, test_share)
    notes = list(found.notes)
    if any(not pair.split for pair in found.listing.pairs):
        notes.append("No splits are given, so a hash of each key assigns them.")
    if only_train and any(pair.split == "validation" for pair in listing.pairs):
        notes.append("There is no split but train, so validation is drawn from it by a hash of each key.")
    listing = listing.map_pairs(lambda pair: dataclasses.replace(pair, mask=_as_mask(pair.mask)))
    return dataclasses.replace(found, listing=listing, notes=tuple(notes))


def _as_mask(side: Side) -> Side:
    return dataclasses.replace(side, is_mask=True) if hasattr(side, "is_mask") else side


def _choose_pairing(found: Recognised, pair_by, layout, images, masks) -> Recognised:
    """The reading paired by names, or by order where the numbers in the names are shifted and `pair_by` says so."""
    by_order = pair_by_order(found.listing)
    if by_order is None and pair_by == ORDER:
        raise PairError(
            "no_shifted_numbers",
            "Only files whose numbers are shifted by a constant can be paired by order. Received: none such",
            printable(found.root),
            "Leave pair_by out.",
        )
    if by_order is None or pair_by == NAME:
        return found
    if pair_by == ORDER:
        note = f"Images and masks are paired by the order of their numbers: {first_names(by_order)}."
        return dataclasses.replace(found, listing=by_order, notes=(*found.notes, note))
    given = {"--layout": layout, "--images": images, "--masks": masks}
    options = [text for flag, value in given.items() if value for text in (flag, value)]
    readings = [
        dataclasses.replace(
            found,
            listing=listing,
            name=f"{found.name}, {first_names(listing)}",
            options=(*options, "--set", f"example_gen.pair_by={way}"),
        )
        for way, listing in ((NAME, found.listing), (ORDER, by_order))
    ]
    raise SeveralReadingsError(found.root, readings)


def _keep_inside(listing: Listing, boundary: Boundary) -> Listing:
    """Makes faults of pairs outside the boundary, whatever the layout that found them."""
    errors = [next(filter(None, map(boundary.find_error, pair.files)), None) for pair in listing.pairs]
    found = list(zip(listing.pairs, errors, strict=True))
    return dataclasses.replace(
        listing,
        pairs=[pair for pair, error in found if not error],
        faults=[*listing.faults, *(Fault(pair, error) for pair, error in found if error)],
    )


def _unknown_layout(root) -> PairError:
    if root.is_file():
        return PairError(
            "unknown_layout",
            f"A file of pairs must be a table, COCO, Parquet or numpy's. Received: a {root.suffix or 'file'} of other content",
            printable(root),
            "Pass a folder of images and masks, or a table of them as CSV.",
        )
    names = sorted(entry.name for entry in root.iterdir())
    found = ", ".join(names[:8]) or "nothing"
    return PairError(
        "unknown_layout",
        f"A folder of pairs must hold {LAYOUTS}. Received: {printable(found)}",
        printable(root),
        cure_of_other_files(root)
        or "Move the folders, name them by two patterns (--images 'left/*.png' --masks 'right/*.png'; `images` and `masks` in a "
        "script), or list the pairs in a CSV file.",
    )


def read_pair(
    pair: Pair,
    labels: LabelMap,
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    conventions: Conventions = PLAIN,
) -> tuple[bytes, bytes, str | None]:
    """Reads one pair and converts it to what is stored; see `image_files.prepare_pair`.

    Args:
        pair: image and mask.
        labels: the classes of the data set.
        channels: of every image of the data set.
        max_pixels: height times width above which an image is refused before it is decoded.
        conventions: of the data set, from `find_conventions`.

    Returns:
        image_bytes, label_map_bytes, and the reason why the image was re-encoded as PNG, or None.

    Raises:
        PairError: a file is missing or damaged, the sizes differ, or the mask has values without a class.
    """
    check_lossless(pair.mask)
    encoded = [side.read(max_pixels) for side in (pair.image, pair.mask)]
    image_bytes, label_map_bytes, reason = prepare_pair(
        *encoded, labels, channels, pair.image.name, pair.mask.name, max_pixels, conventions
    )
    return image_bytes, label_map_bytes, reason or pair.image.kind
