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
from kseg.pairs.decoding import MAX_PIXELS, PairError, has_colour, printable
from kseg.pairs.folder_files import FolderFiles, find_file_error, find_files, walk_files
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, SPLITS, Fault, Listing, Pair, assign_splits
from kseg.pairs.pair_table import read_table

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
        test_share: likewise for test.

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
        listing = _list_folders(root / "images", root / "masks")
    elif (root / "JPEGImages").is_dir():
        listing = _list_voc(root)
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


def _list_folders(images, masks) -> Listing:
    """The pairs of images/ and masks/, with or without folders of splits."""
    entries = [images / name for name in sorted(os.listdir(images)) if not name.startswith(".")]
    if not any(entry.is_dir() and entry.name in SPLITS for entry in entries):
        return _match(images, masks, "")
    listings, foreign, splits = [], [], {entry.name for entry in entries}
    for entry in entries:
        if entry.name in SPLITS and entry.is_dir():
            listings.append(_match(entry, masks / entry.name, SPLITS[entry.name]))
        elif entry.is_dir():
            raise PairError(
                "unknown_split",
                "Next to folders of splits there must be no other folder. Received: one of another name",
                printable(entry),
                f"Move it into one of {', '.join(SPLITS)}, or rename it to one of them.",
            )
        else:
            foreign.append(entry)
    foreign += [path for path in walk_files(masks) if path.relative_to(masks).parts[0] not in splits]
    return Listing(
        pairs=[pair for listing in listings for pair in listing.pairs],
        faults=[fault for listing in listings for fault in listing.faults],
        unused_masks=[path for listing in listings for path in listing.unused_masks],
        foreign_files=[*foreign, *(path for listing in listings for path in listing.foreign_files)],
    )


def _match(image_folder, mask_folder, split) -> Listing:
    """The pairs whose image and mask have the same key."""
    images = _require_files(image_folder, IMAGE_SUFFIXES)
    masks = _require_files(mask_folder, MASK_SUFFIXES)
    pairs, faults = [], []
    for key, (image, error) in images.faults.items():
        faults.append(Fault(Pair(key, split, image, mask_folder / f"{key}.png"), error))
    for key, image in images.files.items():
        if key in masks.files:
            pairs.append(Pair(key, split, image, masks.files[key]))
        elif key in masks.faults:
            mask, error = masks.faults[key]
            faults.append(Fault(Pair(key, split, image, mask), error))
        else:
            mask = mask_folder / f"{key}.png"
            faults.append(Fault(Pair(key, split, image, mask), _missing_mask_error(image, mask)))
    if not pairs and images.files and not masks.faults:
        raise _no_mask_error(images.files, mask_folder)
    masks_by_key = masks.files | {key: path for key, (path, _) in masks.faults.items()}
    unused = [path for key, path in masks_by_key.items() if key not in images.files and key not in images.faults]
    return Listing(pairs, faults, sorted(unused), [*images.foreign, *masks.foreign])


def _require_files(folder, suffixes) -> FolderFiles:
    """The files of a folder, which must not be empty."""
    if not folder.is_dir():
        raise PairError(
            "no_folder",
            f"A folder of pairs must hold {LAYOUTS}. Received: no such folder",
            printable(folder),
            "Add the folder; the masks of images/<split> belong in masks/<split>.",
        )
    found = find_files(folder, suffixes)
    if not found.files and not found.faults:
        raise PairError(
            "empty_folder",
            f"A folder of pairs must not be empty. Received: no {' or '.join(suffixes)} in it",
            printable(folder),
            "Add pairs, or remove the folder.",
        )
    return found


def _missing_mask_error(image, mask) -> PairError:
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: no {printable(mask)}",
        printable(image),
        "Add the mask, remove the image, or list pairs with different names in a CSV file.",
    )


def _no_mask_error(images, masks) -> PairError:
    """The error that no image has a mask; it names a file with the right name elsewhere, if there is one."""
    image = next(iter(images.values()))
    above = masks if masks.name == "masks" else masks.parent
    others = {above / split for split in SPLITS} - {masks}
    found = (path for path in walk_files(above) if path.stem == image.stem and not others & set(path.parents))
    elsewhere = next(found, None)
    cure = "Give images and masks the same names, or list the pairs in a CSV file."
    if elsewhere:
        cure = (
            f"Found {printable(elsewhere)}: put masks into the same folders as images, or list the pairs in a CSV file."
        )
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: none of {len(images)} has one below {printable(masks)}",
        printable(image),
        cure,
    )


def _list_voc(root) -> Listing:
    """The pairs named by the lists in ImageSets/Segmentation."""
    lists = root / "ImageSets" / "Segmentation"
    found = [(split, lists / f"{name}.txt") for name, split in SPLITS.items() if (lists / f"{name}.txt").is_file()]
    if not found:
        raise PairError(
            "bad_list",
            "The VOC layout must list its splits. Received: no train.txt or val.txt",
            printable(lists),
            "Add a text file for each split, with one file name without suffix per line.",
        )
    pairs, faults = {}, []
    for split, path in found:
        for number, key in enumerate(_read_names(path), start=1):
            pair = _voc_pair(root, split, key)
            error = _voc_error(pair, (split, key) in pairs, f"{printable(path)}, name {number}")
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs[split, key] = pair
    return Listing(list(pairs.values()), faults)


def _read_names(path) -> list[str]:
    """The names in a list; at least one."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise PairError(
            "bad_list", f"A list must be UTF-8. Received: {error}", printable(path), "Save it as UTF-8."
        ) from error
    if not names:
        raise PairError(
            "bad_list",
            "The lists of the VOC layout must not be empty. Received: no name",
            printable(path),
            "Remove it.",
        )
    return names


def _voc_pair(root, split, key) -> Pair:
    images = [root / "JPEGImages" / f"{key}{suffix}" for suffix in IMAGE_SUFFIXES]
    image = next((candidate for candidate in images if candidate.is_file()), images[0])
    return Pair(key, split, image, root / "SegmentationClass" / f"{key}.png")


def _voc_error(pair, seen, where) -> PairError | None:
    if seen:
        return PairError(
            "listed_twice",
            f"A list must not repeat names. Received: {printable(pair.key)} again",
            where,
            "Remove one.",
        )
    if ".." in pathlib.PurePath(pair.key).parts or pathlib.PurePath(pair.key).is_absolute() or "\0" in pair.key:
        return PairError(
            "outside_folder",
            f"A list must name files inside its data set. Received: {printable(pair.key)}",
            where,
            "Copy the files into the data set.",
        )
    error = find_file_error(pair.image) or find_file_error(pair.mask)
    return error and PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)


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
