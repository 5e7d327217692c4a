"""The layout of PASCAL VOC: JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/<split>.txt. Standard library only.

PASCAL Context has SegmentationClassContext/ and ImageSets/SegmentationContext/, others have other endings, where no
SegmentationClass/ lies there.
CVAT writes it as "Segmentation mask 1.1" with labelmap.txt, LabelMe's labelme2voc without lists and with class_names.txt. A name
in a list that cannot be used is a fault of its pair; a missing or unreadable list is an error.
"""

from __future__ import annotations

import pathlib
import re

from kseg.labels import voc_colour
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import check_file, check_inside, find_file_error
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.matching import file_in, find_images, find_masks, match, subfolder, subfolders
from kseg.pairs.layouts.recognised import Classes, Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import side_of
from kseg.pairs.split_names import KNOWN, splits_of_names

NAMES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
    "sheep sofa train tvmonitor"
)
TABLE = Classes(
    tuple((value, name, voc_colour(value)) for value, name in enumerate(NAMES.split())), "PASCAL VOC (devkit)", void=255
)
OWN_NAME = re.compile(r"\d{4}_\d{6}")
"""How VOC itself names its pictures; the table of other data in this layout is unknown."""

AUGMENTED = "SegmentationClassAug"
MASKS, LISTS = "SegmentationClass", "Segmentation"
CONTEXT = "Context"
CONTEXT_NAMES = (
    "background aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus cabinet car cat ceiling chair "
    "cloth computer cow cup curtain dog door fence floor flower food grass ground horse keyboard light motorbike mountain "
    "mouse person plate platform pottedplant road rock sheep shelves sidewalk sign sky snow sofa table track train tree "
    "truck tvmonitor wall water window wood"
)
CONTEXT_TABLE = Classes(
    tuple((value, name, voc_colour(value)) for value, name in enumerate(CONTEXT_NAMES.split())),
    "PASCAL Context, the 59 classes and background as MMSegmentation writes them",
    void=255,
)
PICTURES = ("visualization", "viz", "npy", "raw")
"""Endings of folders that hold the masks in another form, beside another folder of masks."""


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder with JPEGImages/ and SegmentationClass/.

    Raises:
        PairError: there is no list, or one is empty or not UTF-8.
    """
    images, masks = subfolder(root, "JPEGImages"), _find_masks_folder(root)
    if not images:
        return None
    ending = masks.name[len(MASKS) :] if masks else ""
    classes = find_classes(root) or (CONTEXT_TABLE if ending == CONTEXT else None)
    if masks and not subfolder(root, "ImageSets"):
        listing = match(find_images(images), find_masks(masks), "", lambda key: masks / f"{key}.png")
        name = "VOC layout of LabelMe" if file_in(root, "class_names.txt") else "VOC layout without lists"
        return Recognised(name, listing, root, classes) if listing.pairs else None
    lists = next((name for name in (f"{LISTS}{ending}", LISTS) if subfolder(root, f"ImageSets/{name}")), None)
    if lists is None and list((root / "ImageSets").glob("*.txt")):
        lists = ""  # as AeroScapes has them, in ImageSets/ itself
    listing, notes = list_voc(root, masks.name if masks else MASKS, lists=LISTS if lists is None else lists), ()
    if ending == CONTEXT and classes is CONTEXT_TABLE:
        return Recognised("PASCAL Context", listing, root, classes)
    if subfolder(root, AUGMENTED) and masks.name != AUGMENTED:
        notes = (f"{AUGMENTED}/ lies there, too; --layout voc-aug reads it, with trainaug.txt.",)
    if classes:
        name = "CVAT, segmentation mask 1.1" if file_in(root, "labelmap.txt") else "VOC layout"
        return Recognised(name, listing, root, classes, notes)
    return _of_voc(root, listing, "PASCAL VOC", notes)


def _find_masks_folder(root) -> pathlib.Path | None:
    """SegmentationClass/, or else the only folder whose name is that with an ending, such as SegmentationClassContext/."""
    others = [path for name, path in subfolders(root).items() if name.startswith(MASKS.lower())]
    masks = [path for path in others if not path.name.lower().endswith(PICTURES)] or others
    return subfolder(root, MASKS) or (masks[0] if len(masks) == 1 else None)


def recognise_augmented(root: pathlib.Path) -> Recognised | None:
    """A folder with JPEGImages/ and SegmentationClassAug/: train is trainaug.txt where there is one.

    Raises:
        PairError: there is no list, or one is empty or not UTF-8.
    """
    masks = subfolder(root, AUGMENTED)
    if not (masks and subfolder(root, "JPEGImages")):
        return None
    return _of_voc(root, list_voc(root, masks.name, train="trainaug"), f"PASCAL VOC, {AUGMENTED}", ())


def _of_voc(root, listing, name, notes) -> Recognised:
    keys = [pair.key for pair in listing.pairs]
    own = bool(keys) and all(OWN_NAME.fullmatch(key) for key in keys)
    return Recognised(name if own else "VOC layout", listing, root, TABLE if own else None, notes)


def list_voc(root: pathlib.Path, masks: str = MASKS, train: str = "train", lists: str = LISTS) -> Listing:
    """Lists the pairs named in root/ImageSets/Segmentation; other files are ignored.

    Args:
        root: of the layout.
        masks: name of the folder of masks.
        train: name of a list that is taken for train.txt, where it exists.
        lists: name of the folder of lists.

    Raises:
        PairError: there is no list, or one is empty or not UTF-8.
    """
    for folder in ("JPEGImages", masks):
        check_inside(root / folder)
    lists = root / "ImageSets" / lists
    paths = [path for path in sorted(lists.glob("*.txt")) if not path.name.startswith(".")]
    larger = lists / f"{train}.txt"
    if larger in paths:
        paths = [path for path in paths if path.stem != "train" or train == "train"]
    others = [path for path in paths if path != larger or train == "train"]
    found = _splits_of_lists(lists, others) | ({larger: "train"} if larger in paths else {})
    names = {path: _read_names(path) for path in found}
    pairs, faults = {}, []
    without_masks = [
        path for path, split in found.items() if split == "test" and not _any_mask(root, masks, names[path])
    ]
    for path, split in found.items():
        if path in without_masks:
            continue
        for number, key in enumerate(names[path], start=1):
            pair = _voc_pair(root, masks, split, key)
            error = _voc_error(pair, (split, key) in pairs, f"{printable(path)}, name {number}")
            if error:
                faults.append(Fault(pair, error))
            else:
                pairs[split, key] = pair
    unused = _lists_of_others(set(paths) - found.keys(), {key for path in found for key in names[path]})
    return Listing(list(pairs.values()), faults, unused_splits=[*map(printable, without_masks), *unused])


def _any_mask(root, masks, names) -> bool:
    """Whether a name of a list has a mask; those of test sets are often kept back."""
    return any(_voc_pair(root, masks, "", name).mask.path.is_file() for name in names if "\0" not in name)


def _lists_of_others(paths, listed) -> list[str]:
    """The lists among `paths` that name something which is not in `listed`; trainval.txt, for example, seldom does."""
    found = []
    for path in sorted(paths):
        try:
            others = set(_read_names(path)) - listed
        except PairError:
            others = {"unreadable"}
        if others:
            found.append(printable(path))
    return found


def _splits_of_lists(folder, lists) -> dict[pathlib.Path, str]:
    """The split of each list that is used; "" for the only list, if its name is none of a split."""
    paths = {path.stem: path for path in lists}
    try:
        splits = splits_of_names(paths)
    except ValueError as error:
        raise PairError("bad_list", printable(str(error)), printable(folder), "Remove one, or join them.") from error
    if not splits and len(paths) == 1:
        splits = dict.fromkeys(paths, "")
    if not splits:
        raise PairError(
            "bad_list",
            f"The VOC layout must list its splits, or all its pairs in one list. Received: "
            f"{', '.join(printable(path.name) for path in lists) or 'no lists'}",
            printable(folder),
            f"Add a text file for each split, with one file name without suffix per line; known are {KNOWN}.",
        )
    order = {"train": 0, "validation": 1, "test": 2, "": 3}
    return {paths[name]: split for name, split in sorted(splits.items(), key=lambda item: order[item[1]])}


def _read_names(path) -> list[str]:
    """The names in a list; at least one."""
    check_file(path)
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


def _voc_pair(root, masks, split, key) -> Pair:
    """The pair of a name, which may carry the suffix of the image."""
    bare = key[: -len(pathlib.PurePath(key).suffix)] if pathlib.PurePath(key).suffix.lower() in IMAGE_SUFFIXES else key
    image = _existing(root / "JPEGImages", bare, IMAGE_SUFFIXES)
    return Pair(bare, split, side_of(image), side_of(_existing(root / masks, bare, MASK_SUFFIXES)))


def _existing(folder, key, suffixes) -> pathlib.Path:
    """The file of a name with one of the suffixes, in lower or upper case; the first where none exists."""
    candidates = [folder / f"{key}{suffix}" for lower in suffixes for suffix in (lower, lower.upper())]
    return next((path for path in candidates if path.is_file()), candidates[0])


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
    error = find_file_error(pair.image.path) or find_file_error(pair.mask.path)
    return error and PairError(error.name, error.what, f"{error.where}, named in {where}", error.cure)
