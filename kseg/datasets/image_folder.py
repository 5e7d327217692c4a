"""Pairs of image and mask files: which there are, and how one is read into what is stored.

`list_pairs` knows four layouts:

    images/<split>/<key>.jpg + masks/<split>/<key>.png         splits train, val (or validation) and test
    images/<key>.jpg + masks/<key>.png                         split by a hash of the key
    JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/<split>.txt      as PASCAL VOC has it
    pairs.csv with the columns image, mask and, if wanted, split               paths relative to the file

Folders may be nested below a split; the key is the path without its suffix. Images are JPEG or PNG, masks are PNG, for JPEG
changes values. `read_pair` keeps the bytes of plain 8-bit grey and RGB files, and reads everything else into a PNG that shows
the same to every decoder. What does not fit together is refused with its path. numpy and Pillow only: Beam workers import this;
the TFDS builder for scripts is in `image_folder_builder`.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import pathlib

from PIL import Image

from kseg.datasets.image_files import UNREADABLE, PairError, joined
from kseg.labels import LabelMap

SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Names of splits as people write them, and as they are stored."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
MASK_SUFFIXES = (".png",)
LAYOUTS = (
    "images/ and masks/, or JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/; "
    "or give a CSV file with the columns image and mask"
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image file and its mask file; `key` is unique within `split` (train, validation or test)."""

    key: str
    split: str
    image: pathlib.Path
    mask: pathlib.Path


def list_pairs(
    root, *, validation_share: float = 0.1, test_share: float = 0.1
) -> tuple[list[Pair], list[pathlib.Path]]:
    """Finds the pairs of a folder or CSV file, without opening an image.

    Args:
        root: the folder or the CSV file, in one of the layouts above.
        validation_share: of a source without splits, the share of keys that fall into validation.
        test_share: likewise into test.

    Returns:
        The pairs, in order of split and key; and the mask files that belong to no image.

    Raises:
        PairError: a folder or file is missing or empty, an image has no mask, or two files have one stem.
        ValueError: the shares leave nothing to train on.
    """
    if min(validation_share, test_share) < 0 or validation_share + test_share >= 1:
        raise ValueError(
            "`validation_share` and `test_share` must not be negative and leave a share to train on. "
            f"Received: validation_share={validation_share}, test_share={test_share}."
        )
    root, shares = pathlib.Path(root), (validation_share, test_share)
    if not root.exists():
        raise PairError(f"The data must exist. Received: {root}. Check the path that was given.")
    if root.is_file():
        pairs, unused = _pairs_of_csv(root, shares), []
    elif (root / "images").is_dir():
        pairs, unused = _pairs_of_folders(root / "images", root / "masks", shares)
    elif (root / "JPEGImages").is_dir():
        pairs, unused = _pairs_of_voc(root), []
    else:
        found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise PairError(f"A folder of pairs must hold {LAYOUTS}. Received: {root}, which holds {found}.")
    _refuse_twins(pairs)
    return sorted(pairs, key=lambda pair: (pair.split, pair.key)), unused


def split_of(key: str, validation_share: float, test_share: float) -> str:
    """The split of a pair by a hash of its key: it stays where it is when others come or go."""
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if position < validation_share:
        return "validation"
    return "test" if position < validation_share + test_share else "train"


def _pairs_of_folders(images, masks, shares) -> tuple[list[Pair], list[pathlib.Path]]:
    """Pairs of images/ and masks/, and masks without an image."""
    entries = [entry for entry in sorted(images.iterdir()) if not entry.name.startswith(".")]
    if not any(entry.is_dir() and entry.name in SPLITS for entry in entries):
        named = _matched(images, masks)
        pairs = [Pair(key, split_of(key, *shares), *files) for key, files in named.items()]
        return pairs, _unused(masks, pairs)
    for entry in entries:
        if not entry.is_dir() or entry.name not in SPLITS:
            raise PairError(
                f"Beside folders of splits there must be nothing else. Received: {entry}. "
                f"Move it into one of {', '.join(SPLITS)}, or rename it to one of them."
            )
    pairs = [
        Pair(key, SPLITS[entry.name], *files)
        for entry in entries
        for key, files in _matched(entry, masks / entry.name).items()
    ]
    return pairs, _unused(masks, pairs)


def _matched(images, masks) -> dict[str, tuple[pathlib.Path, pathlib.Path]]:
    """Image and mask by key; every image has a mask."""
    image_files, mask_files = _files(images, IMAGE_SUFFIXES), _files(masks, MASK_SUFFIXES)
    for key, path in image_files.items():
        if key not in mask_files:
            missing = len(image_files.keys() - mask_files.keys())
            raise PairError(
                f"Every image must have a mask of the same name. Received: {path} without {masks / key}.png "
                f"({missing} of {len(image_files)} images have none). Add the mask, take the image out, or list pairs of "
                "other names in a CSV file."
            )
    return {key: (path, mask_files[key]) for key, path in image_files.items()}


def _files(folder, suffixes) -> dict[str, pathlib.Path]:
    """Files below `folder` by their path without suffix; hidden ones are left out."""
    if not folder.is_dir():
        raise PairError(f"A folder of pairs must hold {LAYOUTS}. Received: {folder}, which is no folder.")
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") for part in relative.parts):
            continue
        if path.suffix.lower() not in suffixes:
            raise PairError(
                f"Files of this folder must end in {', '.join(suffixes)}. Received: {path}. "
                "Convert it (masks without loss, to PNG), or move it elsewhere."
            )
        key = relative.with_suffix("").as_posix()
        if key in found:
            raise PairError(
                f"Two files must not have one stem, since a mask is found by it. Received: {found[key]} and {path}. "
                "Rename or remove one of them."
            )
        found[key] = path
    if not found:
        raise PairError(f"A folder of pairs must not be empty. Received: no {' or '.join(suffixes)} below {folder}.")
    return found


def _unused(masks, pairs) -> list[pathlib.Path]:
    """Masks that belong to no image; hidden files are left out."""
    used = {pair.mask for pair in pairs}
    found = (path for path in masks.rglob("*") if path.suffix.lower() in MASK_SUFFIXES)
    return sorted(path for path in found if path not in used and not path.name.startswith("."))


def _pairs_of_voc(root) -> list[Pair]:
    """Pairs of the lists in ImageSets/Segmentation; only what they name counts."""
    lists = root / "ImageSets" / "Segmentation"
    found = [(split, lists / f"{name}.txt") for name, split in SPLITS.items() if (lists / f"{name}.txt").is_file()]
    if not found:
        raise PairError(f"The VOC layout must have lists of its splits. Received: no train.txt or val.txt in {lists}.")
    pairs = []
    for split, path in found:
        for key in path.read_text(encoding="utf-8").split():
            images = [root / "JPEGImages" / f"{key}{suffix}" for suffix in IMAGE_SUFFIXES]
            image = next((candidate for candidate in images if candidate.is_file()), images[0])
            pairs.append(_existing(Pair(key, split, image, root / "SegmentationClass" / f"{key}.png"), path))
    if not pairs:
        raise PairError(f"The lists of the VOC layout must not be empty. Received: {found[0][1]}.")
    return pairs


def _pairs_of_csv(path, shares) -> list[Pair]:
    """Pairs of a table with the columns image, mask and perhaps split."""
    if path.suffix.lower() != ".csv":
        raise PairError(f"A file of pairs must be a table that ends in .csv. Received: {path}.")
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    missing = [column for column in ("image", "mask") if not rows or column not in rows[0]]
    if missing:
        raise PairError(
            "A table of pairs must have a header with the columns image, mask and, if wanted, split, and a row for each pair. "
            f"Received: {path} without {', '.join(missing)}."
        )
    pairs = []
    for number, row in enumerate(rows, start=2):
        given = SPLITS.get((row["split"] or "").strip()) if "split" in row else "by hash"
        if not (row["image"] and row["mask"] and given):
            raise PairError(
                f"Every row of pairs must name an image, a mask and, where there is such a column, a split among "
                f"{', '.join(SPLITS)}. Received: {row} [{path}, line {number}]."
            )
        key = pathlib.PurePath(row["image"]).with_suffix("").as_posix()
        split = given if "split" in row else split_of(key, *shares)
        pairs.append(_existing(Pair(key, split, path.parent / row["image"], path.parent / row["mask"]), path))
    return pairs


def _existing(pair: Pair, listed_in) -> Pair:
    """`pair`, after a look at whether both files are there."""
    for what, path, suffixes in (("image", pair.image, IMAGE_SUFFIXES), ("mask", pair.mask, MASK_SUFFIXES)):
        if not path.is_file():
            raise PairError(
                f"Every pair must have an image and a mask. Received: {pair.key} of {listed_in} without its {what} {path}. "
                "Add the file, or take the pair out of the list."
            )
        if path.suffix.lower() not in suffixes:
            raise PairError(f"The {what} of a pair must end in {', '.join(suffixes)}. Received: {path}. Convert it.")
    return pair


def _refuse_twins(pairs):
    first = {}
    for pair in pairs:
        other = first.setdefault((pair.split, pair.key), pair)
        if other is not pair:
            raise PairError(
                f"A key must stand once in a split. Received: {pair.key} of {pair.split} from {other.image} and {pair.image}."
                " Rename or remove one of them."
            )


def channels_of(pairs) -> int:
    """3 where any image has colour, else 1: all images of a data set are stored with one number of channels.

    Headers alone are read, and of a data set with colour only the first few. A file that cannot be read says nothing here.
    """
    return 3 if any(_has_colour(pair.image) for pair in pairs) else 1


def _has_colour(path) -> bool:
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as picture:
            return picture.mode not in ("1", "L", "LA", "I", "I;16")
    except UNREADABLE:  # read_pair says which file it is and why
        return False


def read_pair(pair: Pair, labels: LabelMap, channels: int = 3) -> tuple[bytes, bytes, str | None]:
    """Reads one pair of files into what is stored; see `image_files.joined`.

    Args:
        pair: the two files.
        labels: the classes; they say what the values of the mask mean.
        channels: of all images of the data set, 1 or 3.

    Returns:
        image_bytes, label_map_bytes, and the reason why the image was stored anew as a PNG, or None.

    Raises:
        PairError: a file is missing or damaged, the sizes differ, or the mask has values without a class.
    """
    return joined(_bytes(pair.image), _bytes(pair.mask), labels, channels, str(pair.image), str(pair.mask))


def _bytes(path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PairError(f"The files of a pair must be readable. Received: {error.strerror} [{path}].") from error
