"""Folders that people make themselves: imgs/ and masks/, train/images/ and train/masks/, images_train/ and labels_train/ ...

A folder holds images or masks by a word in its name or in that of a folder above, and belongs to a split likewise. Every way to
pair them that pairs at least one file is a reading; a folder with one reading needs no option.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import re

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import may_list
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.implied_splits import two_folders_error
from kseg.pairs.layouts.matching import JUNK
from kseg.pairs.layouts.named_files import Matched, Named, describe_affixes, list_matched, match_names
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.listing import IMAGE_SUFFIXES
from kseg.pairs.split_names import split_in_name, split_of_name

IMAGE_WORDS = frozenset(
    re.split(
        r"\s+",
        "image images img imgs photo photos picture pictures pic pics input inputs original originals frame frames rgb sat",
    )
)
MASK_WORDS = frozenset(
    re.split(
        r"\s+",
        "mask masks label labels lbl lbls labelled labeled annotation annotations annotated annot annots anno annos ann anns "
        "gt gts truth groundtruth target targets segmentation segmentations seg segs",
    )
)
MAX_DEPTH = 4
MAX_FOLDERS = 2000


@dataclasses.dataclass(frozen=True)
class PictureFolder:
    """A folder with pictures directly in it.

    Attributes:
        path: of the folder.
        role: "image", "mask" or "" where no name says so.
        token: name of the folder that says the role, without the split.
        split: train, validation, test or "".
        context: names of the other folders, which are part of the key.
    """

    path: pathlib.Path
    role: str
    token: str
    split: str
    context: tuple[str, ...]


def recognise(root: pathlib.Path) -> Recognised | None:
    """A folder in which images and masks can be paired in exactly one way."""
    found = find_own_readings(root)
    return next(iter(found.values())) if len(found) == 1 else None


def find_own_readings(root: pathlib.Path) -> dict[tuple[str, str], Recognised]:
    """Every way to pair images with masks, by the tokens of their folders.

    Where no folder holds masks, files whose names begin or end with such a word are the masks of the others beside them.

    Args:
        root: an existing folder.

    Raises:
        PairError: two folders are of one split, or the only readings have several masks for one image.
    """
    folders = find_picture_folders(root)
    for role in ("image", "mask"):
        _refuse_two_folders_of_one_split(root, [folder for folder in folders if folder.role == role])
    masks = _by_token(folder for folder in folders if folder.role == "mask")
    if masks:
        images = _by_token(folder for folder in folders if folder.role == "image")
        images = images or _by_token(folder for folder in folders if not folder.role)
    else:
        every = _files(folders)
        images = {"": [file for file in every if not _is_mask_file(file.path)]}
        masks = {"masks beside them": [file for file in every if _is_mask_file(file.path)]}
    found, errors = {}, []
    for image_token, image_files in images.items():
        for mask_token, mask_files in masks.items():
            try:
                matched = match_names(image_files, mask_files)
            except PairError as error:
                errors.append(error)
                continue
            if matched.pairs:
                reading = _recognised(root, image_token, mask_token, matched)
                patterns = [
                    pattern_of(root, [file.path.parent for file in files]) for files in (image_files, mask_files)
                ]
                options = ("--images", patterns[0], "--masks", patterns[1])
                found[image_token, mask_token] = dataclasses.replace(reading, options=options)
    if errors and not found:
        raise errors[0]
    return found


def _refuse_two_folders_of_one_split(root, folders):
    """Refuses train2014 beside train2017."""
    names: dict[tuple[str, str], set[str]] = {}
    for folder in folders:
        part = next((part for part in folder.path.relative_to(root).parts if _split_and_rest(part)[0]), None)
        if part:
            names.setdefault((folder.token, folder.split), set()).add(part)
    for (_, split), found in names.items():
        if len(found) > 1:
            raise two_folders_error(sorted(found), split, root)


def pattern_of(root: pathlib.Path, folders: list[pathlib.Path]) -> str:
    """A pattern of the files in some folders, for `layouts.patterns`.

    Example:
        >>> pattern_of(pathlib.Path("d"), [pathlib.Path("d/train/imgs_1"), pathlib.Path("d/val/imgs_2")])
        '*/imgs_*/*'
    """
    places = sorted({folder.relative_to(root).parts for folder in folders})
    if len({len(parts) for parts in places}) > 1:
        start = _shared_start(places)
        return "/".join((*start, "**", "*"))
    return "/".join((*(_common(names) for names in zip(*places, strict=True)), "*"))


def _common(names) -> str:
    """The names as one, with * for that in which they differ."""
    if len(set(names)) == 1:
        return names[0]
    start = "".join(_shared_start(names))
    end = "".join(_shared_start([name[len(start) :][::-1] for name in names]))[::-1]
    return f"{start}*{end}"


def _shared_start(sequences) -> list:
    """What sequences have in common from the first item on."""
    same = itertools.takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False))
    return [items[0] for items in same]


def _is_mask_file(path) -> bool:
    """Whether the first or last word of a file's name is one of masks."""
    words = re.findall(r"[^\W\d_]+", path.stem.casefold())
    return bool(words) and bool({words[0], words[-1]} & MASK_WORDS)


def says_something(name: str) -> bool:
    """Whether the name of a folder says a role or a split."""
    split, rest = _split_and_rest(name)
    return bool(split or role_of(rest))


def has_pictures(folder: pathlib.Path) -> bool:
    """Whether pictures lie directly in a folder."""
    with os.scandir(folder) as entries:
        return any(_is_picture(entry.name) for entry in entries)


def _is_picture(name) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _recognised(root, image_token, mask_token, matched: Matched) -> Recognised:
    listing, notes = list_matched(matched), []
    if matched.affixes.image != matched.affixes.mask:
        notes.append(f"Images and masks belong together as {describe_affixes(matched.affixes)}.")
    name = f"folders {image_token or 'of images'} and {mask_token}"
    splits = {pair.split for pair in listing.pairs}
    every = listing.every_pair
    unused = {pair.split for pair in every} - splits
    unused |= {""} if len(splits) > 1 else set()
    left = sorted({printable(pair.image.path.parent) for pair in every if pair.split in unused})
    if left:
        notes.append(f"{', '.join(left)}: no masks, or no known split; left out.")
        pairs = [pair for pair in listing.pairs if pair.split not in unused]
        faults = [fault for fault in listing.faults if fault.pair.split not in unused]
        listing = dataclasses.replace(listing, pairs=pairs, faults=faults, unused_splits=left)
    return Recognised(name, listing, root, find_classes(root), tuple(notes))


def find_picture_folders(root: pathlib.Path) -> list[PictureFolder]:
    """The folders below `root` that hold pictures directly, to a depth of MAX_DEPTH."""
    found, pending, looked = [], [(root, ())], 0
    while pending:
        folder, parts = pending.pop()
        looked += 1
        if looked > MAX_FOLDERS:
            return []
        has_pictures = False
        if not may_list(folder):
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in JUNK:
                    continue
                if entry.is_dir(follow_symlinks=False) and len(parts) < MAX_DEPTH:
                    pending.append((folder / entry.name, (*parts, entry.name)))
                has_pictures = has_pictures or _is_picture(entry.name)
        if has_pictures:
            found.append(_classify(folder, parts))
    return sorted(found, key=lambda folder: folder.path)


def _classify(path, parts) -> PictureFolder:
    role, token, split, context = "", "", "", []
    for part in parts:
        part_split, rest = _split_and_rest(part)
        part_role = role_of(rest)
        if part_split and not split:
            split = part_split
        if part_role and not role:
            role, token = part_role, rest
        elif rest and not (part_split and not part_role):
            context.append(rest)
    return PictureFolder(path, role, token, split, tuple(context))


def _split_and_rest(part) -> tuple[str, str]:
    """The split that a folder's name means, and what else it says."""
    if split := split_of_name(part):
        return split, ""
    if (found := split_in_name(part)) and role_of(found[1]):
        return found
    return "", part


def role_of(name: str) -> str:
    """ "image" or "mask" by a word in the name, or "".

    Example:
        >>> [role_of(name) for name in ("imgs", "Ground Truth", "images_prepped", "image_masks", "monday")]
        ['image', 'mask', 'image', 'mask', '']
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    words = set(re.findall(r"[^\W\d_]+", text))
    return "mask" if words & MASK_WORDS else "image" if words & IMAGE_WORDS else ""


def _by_token(folders) -> dict[str, list[Named]]:
    """The pictures of folders by the token of these."""
    found = {}
    for folder in folders:
        found.setdefault(folder.token, []).extend(_files([folder]))
    return found


def _files(folders) -> list[Named]:
    """The pictures directly in the folders."""
    found = []
    for folder in folders:
        for name in sorted(filter(_is_picture, os.listdir(folder.path))):
            key = "/".join((*folder.context, os.path.splitext(name)[0]))
            found.append(Named(folder.split, key, folder.path / name))
    return found
