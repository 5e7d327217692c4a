"""Folders that people make themselves: imgs/ and masks/, train/images/ and train/masks/, images_train/ and labels_train/ ...

A folder holds images or masks by a word in its name or in that of a folder above, and belongs to a split likewise. Every way to
pair them that pairs at least one file is a reading; a folder with one reading needs no option.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import may_list
from kseg.pairs.layouts.class_files import find_classes
from kseg.pairs.layouts.implied_splits import two_folders_error
from kseg.pairs.layouts.joined_masks import join_classes, join_objects, kinds_by_folder
from kseg.pairs.layouts.masks_beside import masks_beside, others_beside, without_companions
from kseg.pairs.layouts.matching import JUNK, SEPARATORS
from kseg.pairs.layouts.named_files import Matched, Named, list_matched, match_names
from kseg.pairs.layouts.recognised import Recognised
from kseg.pairs.layouts.words import role_of
from kseg.pairs.listing import IMAGE_SUFFIXES, TRAIN_OR_VALIDATION
from kseg.pairs.split_names import is_train_and_validation, split_in_name, split_of_name

MAX_DEPTH = 4
MAX_FOLDERS = 20_000
MAX_EACH = 3
"""So many folders of masks, or fewer, may be kinds of which one is meant; more are classes."""


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

    Where no folder holds masks, files beside the images may be their masks: those whose names begin or end with such a word,
    those of the same names that are no JPEG, and those whose names have a suffix more.

    Args:
        root: an existing folder.

    Raises:
        PairError: two folders are of one split, or the only readings have several masks for one image.
    """
    folders = find_picture_folders(root)
    for role in ("image", "mask"):
        _refuse_two_folders_of_one_split(root, [folder for folder in folders if folder.role == role])
    masks = _by_token(folder for folder in folders if folder.role == "mask")
    if not masks:
        files = _files(folders)
        images, masks = masks_beside(files)
        found = _read_kinds(root, images, masks, pattern_of_names)
        return _note_left_out(found, [file.path for file in others_beside(files, images, masks)])
    images = _by_token(folder for folder in folders if folder.role == "image")
    if images:
        return _read_kinds(root, images, masks, pattern_of_folders)
    others = [folder for folder in folders if not folder.role]
    found = _read_kinds(root, _by_token(others), masks, pattern_of_folders)
    found = {kinds: _without_unpaired_folders(one) for kinds, one in found.items()}
    named = [_token_by_last_name(folder) for folder in others]
    return found or _read_kinds(root, _by_token(named), masks, pattern_of_folders)


def _note_left_out(found, paths) -> dict[tuple[str, str], Recognised]:
    if not paths:
        return found
    note = f"{len(paths)} files are neither images nor masks by their names, and left out, the first: {printable(paths[0])}."
    return {kinds: dataclasses.replace(one, notes=(*one.notes, note)) for kinds, one in found.items()}


def _without_unpaired_folders(found: Recognised) -> Recognised:
    """The reading without folders none of whose pictures has a mask, where no word says that they hold images, by name."""
    used = {pair.image.path.parent for pair in found.listing.pairs if pair.image.own_file}
    faults = [fault for fault in found.listing.faults if fault.pair.image.path.parent in used]
    left = sorted({printable(fault.pair.image.path.parent) for fault in found.listing.faults if fault not in faults})
    if not left:
        return found
    listing = dataclasses.replace(found.listing, faults=faults)
    note = f"{', '.join(left[:3])}{', ...' if len(left) > 3 else ''}: no picture has a mask; left out."
    return dataclasses.replace(found, listing=listing, notes=(*found.notes, note))


def has_one_kind_each(root: pathlib.Path) -> bool:
    """Whether the pictures below `root` lie in folders of one kind of images and one kind of masks."""
    kinds = {(folder.role, folder.token) for folder in find_picture_folders(root)}
    return sorted(role for role, _ in kinds) == ["image", "mask"]


def _token_by_last_name(folder: PictureFolder) -> PictureFolder:
    """A folder whose name says nothing, with that name as its token."""
    *context, token = folder.context or ("",)
    return dataclasses.replace(folder, token=token, context=tuple(context))


def _read_kinds(root, images, masks, pattern) -> dict[tuple[str, str], Recognised]:
    """The readings of kinds of images and of masks: all as one where they fit, else each with each.

    Args:
        root: of the data.
        images: files of each kind by its token.
        masks: likewise.
        pattern: `pattern(root, files)` of some files, for the command that selects a reading.
    """
    if joint := _match_all(images, masks):
        tokens = " and ".join(filter(None, images)), " and ".join(masks)
        sides = [list(files) for files in zip(*joint.pairs, strict=True)]
        options = ("--images", pattern(root, sides[0]), "--masks", pattern(root, sides[1]))
        return {tokens: dataclasses.replace(recognised_names(root, *tokens, joint), options=options)}
    found, errors = {}, []

    def options(image_files, mask_files):
        return "--images", pattern(root, image_files), "--masks", pattern(root, mask_files)

    def add(image_token, image_files, mask_token, mask_files):
        try:
            reading = join_objects(root, image_files, mask_files)
            matched = None if reading else match_names(image_files, mask_files)
        except PairError as error:
            kinds = kinds_by_folder(mask_files) if error.name == "several_masks" else {}
            if not kinds:
                errors.append(error)
            if classes := kinds and join_classes(root, image_files, mask_files):
                chosen = "--layout", "class-folders", *options(image_files, mask_files)
                found[image_token, f"{mask_token}/*"] = dataclasses.replace(classes, options=chosen)
            for name, files in kinds.items() if not classes or len(kinds) <= MAX_EACH else ():
                add(image_token, image_files, f"{mask_token}/{name}", files)
            return
        kinds = kinds_by_folder(image_files) if matched and _has_several_images(matched) else {}
        for name, files in kinds.items():
            add(f"{image_token}/{name}", files, mask_token, mask_files)
        if not kinds and (reading or matched.pairs):
            used = mask_files if reading else [mask for _, mask in matched.pairs]
            reading = _leave_out(reading) if reading else recognised_names(root, image_token, mask_token, matched)
            found[image_token, mask_token] = dataclasses.replace(reading, options=options(image_files, used))

    for image_token, image_files in images.items():
        for mask_token, mask_files in masks.items():
            add(image_token, image_files, mask_token, mask_files)
    if errors and not found:
        raise errors[0]
    return found


def _match_all(images, masks) -> Matched | None:
    """All images with all masks, where there are several kinds of one of them, and every mask and every kind is used."""
    if len(images) < 2 and len(masks) < 2:
        return None
    try:
        matched = match_names(*([file for files in kinds.values() for file in files] for kinds in (images, masks)))
    except PairError:
        return None
    used = {file for pair in matched.pairs for file in pair}
    every_kind = all(used & set(files) for files in (*images.values(), *masks.values()))
    return matched if every_kind and not matched.masks else None


def _has_several_images(matched: Matched) -> bool:
    """Whether masks have several images each in folders that say nothing of the masks, as in colour and in infrared."""
    if any(_folder_of(image) == _folder_of(mask) for image, mask in matched.pairs):
        return False
    paired = {_last_name(image) for image, _ in matched.pairs} or {_last_name(mask) for mask in matched.masks}
    left = [image for image in matched.images if _last_name(image) in paired]
    return len({_folder_of(image) for image in left}) > (not matched.pairs) and 2 * len(left) >= len(paired)


def _folder_of(file: Named) -> str:
    return file.key.rpartition("/")[0]


def _last_name(file: Named) -> str:
    return file.key.rpartition("/")[2]


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


def pattern_of_folders(root: pathlib.Path, files: list[Named]) -> str:
    """A pattern of the folders of some files."""
    return pattern_of(root, [file.path.parent for file in files])


def pattern_of_names(root: pathlib.Path, files: list[Named]) -> str:
    """A pattern of some files by their folders and what the ends of their names have in common."""
    end = "".join(_shared_start([file.path.name[::-1] for file in files]))[::-1]
    start = next((number for number, letter in enumerate(end) if letter in SEPARATORS), len(end))
    return pattern_of_folders(root, files) + end[start:]


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


def by_last_name(root: pathlib.Path) -> dict[tuple[str, str], list[Named]]:
    """The pictures below `root` by role and by the names of their folders, whatever these mean."""
    found = {}
    for folder in find_picture_folders(root):
        named = folder if folder.role else _token_by_last_name(folder)
        found.setdefault((named.role, named.token), []).extend(_files([named]))
    return found


def recognised_names(root: pathlib.Path, image_token: str, mask_token: str, matched: Matched) -> Recognised:
    """The reading of files that belong together.

    Args:
        root: of the data.
        image_token: what the folders of images are called.
        mask_token: likewise.
        matched: the files.
    """
    matched, notes = without_companions(matched)
    listing, notes = list_matched(matched), [*([matched.how] if matched.how else []), *notes]
    if any(pair.split == TRAIN_OR_VALIDATION for pair in listing.pairs):
        notes.append("Train and validation lie in one folder, so validation is drawn from it by a hash of each key.")
    name = f"folders {image_token or 'of images'} and {mask_token}"
    return _leave_out(Recognised(name, listing, root, find_classes(root), tuple(notes)))


def _leave_out(found: Recognised) -> Recognised:
    """The reading without splits that have no masks, and without files of no split where there are several, by name."""
    listing = found.listing
    splits = {pair.split for pair in listing.pairs}
    every = listing.every_pair
    unused = {pair.split for pair in every} - splits
    unused |= {""} if len(splits) > 1 else set()
    left = sorted({printable(_folder_of_split(pair, found.root)) for pair in every if pair.split in unused})
    if not left:
        return found
    note = f"{', '.join(left[:3])}{', ...' if len(left) > 3 else ''}: no masks, or no known split; left out."
    pairs = [pair for pair in listing.pairs if pair.split not in unused]
    faults = [fault for fault in listing.faults if fault.pair.split not in unused]
    listing = dataclasses.replace(listing, pairs=pairs, faults=faults, unused_splits=left)
    return dataclasses.replace(found, listing=listing, notes=(*found.notes, note))


def _folder_of_split(pair, root) -> pathlib.Path:
    """The folder whose name says the split of a pair; that of its image where none does."""
    place = pair.image.path.parent
    above = [place, *place.parents][: len(place.relative_to(root).parts)]
    named = [folder for folder in above if (split_in_name(folder.name) or ("",))[0] == pair.split]
    return named[-1] if named else place


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
            found.append((folder, parts))
    places = [parts for _, parts in found]
    splits, above = _splits_of_siblings(places), len(_shared_start(places)) if len(places) > 1 else 0
    return sorted((_classify(*place, splits, above) for place in found), key=lambda folder: folder.path)


def _classify(path, parts, splits, above) -> PictureFolder:
    """What the parts of a path say.

    Args:
        path: of the folder.
        parts: below the root.
        splits: places whose names mean splits, of `_splits_of_siblings`.
        above: number of parts that all folders share: the names of a data set, which say no role.
    """
    role, token, split, context = "", "", "", []
    for number, part in enumerate(parts, 1):
        part_split, rest = split_in_name(part) if parts[:number] in splits else _split_and_rest(part)
        part_role = role_of(rest) if number > above else ""
        if part_split and not split:
            split = part_split
        if part_role and not role:
            role, token = part_role, rest
        elif rest and not (part_split and not part_role) and not (number <= above and role_of(rest)):
            context.append(rest)
    return PictureFolder(path, role, token, split, tuple(context))


def _split_and_rest(part) -> tuple[str, str]:
    """The split that a folder's name means, and what else it says."""
    if split := split_of_name(part):
        return split, ""
    if is_train_and_validation(part):
        return TRAIN_OR_VALIDATION, ""
    if (found := split_in_name(part)) and role_of(found[1]):
        return found
    return "", part


def _splits_of_siblings(places: list[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The folders whose names mean splits beside a word that folders of other splits share, as city_train and city_val.

    Args:
        places: folders as parts of their paths.
    """
    named = {}
    for place in {parts[:end] for parts in places for end in range(1, len(parts) + 1)}:
        if found := split_in_name(place[-1]):
            words = [word for word in found[1].split("_") if len(word) > 1]
            named.setdefault((place[:-1], "_".join(words)), []).append((found[0], place))
    return {place for same in named.values() if len({split for split, _ in same}) == len(same) > 1 for _, place in same}


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
