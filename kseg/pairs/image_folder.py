"""Pairs of image and mask files: which there are, and how one is read into what is stored.

`list_pairs` knows four layouts:

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits train, val (or validation) and test
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key
    JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/<split>.txt      as PASCAL VOC has it
    pairs.csv with the columns image, mask and, if wanted, split               paths relative to the file

Folders may be nested below a split; the key is the path without its suffix. Images are JPEG or PNG, masks are PNG, for JPEG
changes values. What is wrong with the source as a whole is raised; what is wrong with one pair is a fault in the listing, or is
raised when that pair is read. numpy, Pillow and simplejpeg only: Beam workers import this; the TFDS builder for scripts is in
`image_folder_builder`.
"""

from __future__ import annotations

import os
import pathlib

from kseg.labels import LabelMap
from kseg.pairs.decoding import MAX_PIXELS, PairError, has_colour, printable
from kseg.pairs.folder_files import Files, find_file_error, find_files, walk_files
from kseg.pairs.image_files import prepare_pair
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, SPLITS, Fault, Listing, Pair, assign_splits
from kseg.pairs.pair_table import read_table

LAYOUTS = (
    "images/ and masks/, or JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/; "
    "or give a CSV file with the columns image and mask"
)
BYTES_A_PIXEL = 8  # of a PNG with four channels of 16 bits that does not shrink at all
METADATA_BYTES = 2**26


def list_pairs(root, *, validation_share: float = 0.1, test_share: float = 0.1) -> Listing:
    """Finds the pairs of a folder or CSV file, without opening an image.

    Args:
        root: the folder or the CSV file, in one of the layouts above.
        validation_share: share of pairs assigned to validation if the source has no splits.
        test_share: likewise for test.

    Returns:
        The pairs, and what else was found.

    Raises:
        PairError: the folder has another layout, a folder is missing or empty, or no image has a mask.
        ValueError: the shares leave nothing to train on.
    """
    root = pathlib.Path(root)
    if not (root.is_file() or root.is_dir()):
        raise PairError(
            "no_data",
            "The data must be a folder or a file. Received: nothing of the kind",
            printable(root),
            "Check the path that was given.",
        )
    if root.is_file():
        listing = read_table(root)
    elif (root / "images").is_dir():
        listing = _in_folders(root / "images", root / "masks")
    elif (root / "JPEGImages").is_dir():
        listing = _in_voc(root)
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


def _in_folders(images, masks) -> Listing:
    """Pairs of images/ and masks/, with or without folders of splits."""
    entries = [images / name for name in sorted(os.listdir(images)) if not name.startswith(".")]
    if not any(entry.is_dir() and entry.name in SPLITS for entry in entries):
        return _matched(images, masks, "")
    listings, foreign, splits = [], [], {entry.name for entry in entries}
    for entry in entries:
        if entry.name in SPLITS and entry.is_dir():
            listings.append(_matched(entry, masks / entry.name, SPLITS[entry.name]))
        elif entry.is_dir():
            raise PairError(
                "unknown_split",
                "Beside folders of splits there must be no other. Received: one of another name",
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


def _matched(image_folder, mask_folder, split) -> Listing:
    """Images and masks by their keys."""
    images = _present(image_folder, IMAGE_SUFFIXES)
    masks = _present(mask_folder, MASK_SUFFIXES)
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
            faults.append(Fault(Pair(key, split, image, mask), _without_mask(image, mask)))
    if not pairs and images.files and not masks.faults:
        raise _none_has_a_mask(images.files, mask_folder)
    masks_by_key = masks.files | {key: path for key, (path, _) in masks.faults.items()}
    unused = [path for key, path in masks_by_key.items() if key not in images.files and key not in images.faults]
    return Listing(pairs, faults, sorted(unused), [*images.foreign, *masks.foreign])


def _present(folder, suffixes) -> Files:
    """The files of a folder that must not be empty."""
    if not folder.is_dir():
        raise PairError(
            "no_folder",
            f"A folder of pairs must hold {LAYOUTS}. Received: no such folder",
            printable(folder),
            "Add the folder; what lies in images/<split> has its masks in masks/<split>.",
        )
    found = find_files(folder, suffixes)
    if not found.files and not found.faults:
        raise PairError(
            "empty_folder",
            f"A folder of pairs must not be empty. Received: no {' or '.join(suffixes)} in it",
            printable(folder),
            "Put pairs into it, or remove the folder.",
        )
    return found


def _without_mask(image, mask) -> PairError:
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: no {printable(mask)}",
        printable(image),
        "Add the mask, take the image out, or list pairs of other names in a CSV file.",
    )


def _none_has_a_mask(images, masks) -> PairError:
    """That not one image has a mask, and where a file of the right name lies, if there is one."""
    image = next(iter(images.values()))
    above = masks if masks.name == "masks" else masks.parent
    others = {above / split for split in SPLITS} - {masks}
    found = (path for path in walk_files(above) if path.stem == image.stem and not others & set(path.parents))
    elsewhere = next(found, None)
    cure = "Give images and masks the same names, or list the pairs in a CSV file."
    if elsewhere:
        cure = f"There is {printable(elsewhere)}: put masks into the same folders as images, or list the pairs in a CSV file."
    return PairError(
        "missing_mask",
        f"Every image must have a mask of the same name. Received: none of {len(images)} has one below {printable(masks)}",
        printable(image),
        cure,
    )


def _in_voc(root) -> Listing:
    """Pairs of the lists in ImageSets/Segmentation; only what they name counts."""
    lists = root / "ImageSets" / "Segmentation"
    found = [(split, lists / f"{name}.txt") for name, split in SPLITS.items() if (lists / f"{name}.txt").is_file()]
    if not found:
        raise PairError(
            "bad_list",
            "The VOC layout must have lists of its splits. Received: no train.txt or val.txt",
            printable(lists),
            "Add a text file for each split, with a name without suffix in each line.",
        )
    pairs, faults = {}, []
    for split, path in found:
        for number, key in enumerate(_names(path), start=1):
            pair = _voc_pair(root, split, key)
            error = _voc_fault(pair, (split, key) in pairs, f"{printable(path)}, name {number}")
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs[split, key] = pair
    return Listing(list(pairs.values()), faults)


def _names(path) -> list[str]:
    """The names of a list, of which there is one at least."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise PairError(
            "bad_list", f"A list must be UTF-8. Received: {error}", printable(path), "Write it anew."
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


def _voc_fault(pair, seen, where) -> PairError | None:
    if seen:
        return PairError(
            "listed_twice",
            f"A name must stand once in a list. Received: {printable(pair.key)} again",
            where,
            "Remove one.",
        )
    if ".." in pathlib.PurePath(pair.key).parts or pathlib.PurePath(pair.key).is_absolute() or "\0" in pair.key:
        return PairError(
            "outside_folder",
            f"A list must name files of its own data set. Received: {printable(pair.key)}",
            where,
            "Copy the files into it.",
        )
    error = find_file_error(pair.image) or find_file_error(pair.mask)
    return error and PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)


def count_channels(pairs) -> int:
    """3 where any image has colour, else 1: all images of a data set are stored with one number of channels.

    Headers alone are read, and of a data set with colour only the first few. A file that cannot be read says nothing here.
    """
    return 3 if any(has_colour(pair.image) for pair in pairs) else 1


def read_pair(
    pair: Pair, labels: LabelMap, channels: int = 3, max_pixels: int = MAX_PIXELS
) -> tuple[bytes, bytes, str | None]:
    """Reads one pair of files into what is stored; see `image_files.prepare_pair`.

    Args:
        pair: the two files.
        labels: the classes; they say what the values of the mask mean.
        channels: of all images of the data set, 1 or 3.
        max_pixels: height times width above which a picture is refused unseen.

    Returns:
        image_bytes, label_map_bytes, and the reason why the image was stored anew as a PNG, or None.

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
        size, most = os.path.getsize(path), BYTES_A_PIXEL * max_pixels + METADATA_BYTES
        if size > most:
            raise PairError(
                "too_many_bytes",
                f"A file must have at most {most:,} bytes, which is what example_gen.max_pixels={max_pixels:,} can take. "
                f"Received: {size:,}",
                printable(path),
                "Look what it is; raise example_gen.max_pixels if it is a picture.",
            )
        return path.read_bytes()
    except OSError as error:
        raise PairError(
            "unreadable_file",
            f"The files of a pair must be readable. Received: {error.strerror}",
            printable(path),
            "Look whether it is still there, and whether it may be read.",
        ) from error
