"""Images and masks of a layout matched by their names. Standard library only.

Each folder gives files by key; where the names of masks carry a suffix or prefix of their own, as in a.png and a_mask.png, it is
taken off the key. What cannot be paired is a fault of its pair alone.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterable

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import FolderFiles, check_file, find_files, may_list, walk_files
from kseg.pairs.listing import IMAGE_SUFFIXES, MASK_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import side_of

JUNK = {"__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin"}
"""What systems leave in folders, in lower case."""

MOST = 0.5  # share of the names that have an affix
NEARLY_ALL = 0.8  # share of the images, or of the masks, that affixes have to pair
SEPARATORS = set("_-. ")
SAMPLE = 200  # names of which one must have a partner, before all are compared


def subfolders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folders in a folder by their name in lower case, without hidden ones and what systems leave."""
    if not (folder.is_dir() and may_list(folder)):
        return {}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    names = sorted(name for name in names if not name.startswith(".") and name.lower() not in JUNK)
    return {name.lower(): folder / name for name in reversed(names)}


def subfolder(folder: pathlib.Path, *names: str) -> pathlib.Path | None:
    """The first of the named folders in a folder, in any case; a name may be a path."""
    for name in names:
        found = folder
        for part in name.split("/"):
            found = found and subfolders(found).get(part.lower())
        if found:
            return found
    return None


def file_in(folder: pathlib.Path, *names: str) -> pathlib.Path | None:
    """The first of the named files in a folder, in any case.

    Raises:
        PairError: it lies outside the boundary of the data.
    """
    if not (folder.is_dir() and may_list(folder)):
        return None
    found = {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)}
    paths = (folder / found[name.lower()] for name in names if name.lower() in found)
    path = next((path for path in paths if path.is_file()), None)
    if path:
        check_file(path)
    return path


def walk(folder: pathlib.Path) -> list[pathlib.Path]:
    """Every file below a folder in order of path, without hidden ones and what systems leave."""
    return [path for path in walk_files(folder) if not JUNK & {part.lower() for part in path.parts[-3:]}]


def find_images(folder: pathlib.Path) -> FolderFiles:
    """The images below a folder by key."""
    return without_junk(find_files(folder, IMAGE_SUFFIXES))


def find_masks(folder: pathlib.Path, *, ending: str = "") -> FolderFiles:
    """The masks below a folder by key; files whose stem does not end as given are left out, and the ending of the others is."""
    return keep_ending(without_junk(find_files(folder, MASK_SUFFIXES)), ending)


def without_junk(files: FolderFiles) -> FolderFiles:
    """The files without what systems leave."""
    foreign = [path for path in files.foreign if path.name.lower() not in JUNK]
    return dataclasses.replace(files, foreign=foreign)


def keep_ending(files: FolderFiles, ending: str) -> FolderFiles:
    """The files whose key ends as given, by the key without it."""
    kept = {key.removesuffix(ending): path for key, path in files.files.items() if key.endswith(ending)}
    faults = {key.removesuffix(ending): fault for key, fault in files.faults.items() if key.endswith(ending)}
    return FolderFiles(kept, faults, files.foreign)


def missing_mask_error(image: pathlib.Path, mask: pathlib.Path) -> PairError:
    """The error that an image has no mask, which should lie at `mask`."""
    return PairError(
        "missing_mask",
        f"Every image must have a mask. Received: no {printable(mask)}",
        printable(image),
        "Add the mask, remove the image, or list the pairs in a CSV file.",
    )


def match(
    images: FolderFiles,
    masks: FolderFiles,
    split: str,
    place: Callable[[str], pathlib.Path],
    *,
    missing: Callable[[pathlib.Path, pathlib.Path], PairError] = missing_mask_error,
) -> Listing:
    """The pairs whose image and mask have one key.

    Args:
        images: by key.
        masks: by key.
        split: of the pairs.
        place: where the mask of a key should lie, for messages.
        missing: the error of an image, whose mask should lie at a place.

    Example:
        match(find_images(root / "train"), find_masks(root / "train_labels", ending="_L"), "train", lambda key: ...)
    """
    pairs, faults = [], []
    for key, (path, error) in images.faults.items():
        faults.append(Fault(Pair(key, split, side_of(path), side_of(masks.files.get(key, place(key)))), error))
    for key, path in images.files.items():
        image = side_of(path)
        if key in masks.files:
            pairs.append(Pair(key, split, image, side_of(masks.files[key])))
        elif key in masks.faults:
            mask, error = masks.faults[key]
            faults.append(Fault(Pair(key, split, image, side_of(mask)), error))
        else:
            faults.append(Fault(Pair(key, split, image, side_of(place(key))), missing(path, place(key))))
    by_key = masks.files | {key: path for key, (path, _) in masks.faults.items()}
    unused = [path for key, path in by_key.items() if key not in images.files and key not in images.faults]
    return Listing(pairs, faults, sorted(unused), [*images.foreign, *masks.foreign])


def join(listings: Iterable[Listing]) -> Listing:
    """Several listings as one."""
    listings = list(listings)
    return Listing(
        pairs=[pair for listing in listings for pair in listing.pairs],
        faults=[fault for listing in listings for fault in listing.faults],
        unused_masks=[path for listing in listings for path in listing.unused_masks],
        foreign_files=[path for listing in listings for path in listing.foreign_files],
    )


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not blank, without white space around them.

    Raises:
        PairError: it is not UTF-8, or must not be opened.
    """
    check_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise PairError(
            "bad_list", f"A list must be UTF-8. Received: {error}", printable(path), "Save it as UTF-8."
        ) from error
    return [line.strip() for line in lines if line.strip()]


@dataclasses.dataclass(frozen=True)
class Affixes:
    """What the names of images and of masks carry around the part that they share."""

    image: tuple[str, str] = ("", "")
    mask: tuple[str, str] = ("", "")

    def image_core(self, stem: str) -> str | None:
        """The shared part of an image's stem, or None."""
        return _core(stem, *self.image)

    def mask_core(self, stem: str) -> str | None:
        """The shared part of a mask's stem, or None."""
        return _core(stem, *self.mask)


def _core(stem, prefix, suffix) -> str | None:
    folder, slash, name = stem.rpartition("/")
    if not (name.startswith(prefix) and name.endswith(suffix) and len(name) > len(prefix) + len(suffix)):
        return None
    return folder + slash + name[len(prefix) : len(name) - len(suffix)]


def find_affixes(images: Iterable[str], masks: Iterable[str]) -> Affixes | None:
    """The affixes by which names of images and masks belong together, or None.

    They must give nearly every image a mask of its own, or nearly every mask an image of its own. Those count that pair most,
    then those that take off least; if such pair the names differently, there is no answer.

    Args:
        images: names without suffix, with "/" between folders.
        masks: likewise.

    Example:
        >>> find_affixes(["001", "002"], ["001_mask", "002_mask"]).mask
        ('', '_mask')
        >>> find_affixes(["a_rgb", "b_rgb"], ["gt_a", "gt_b"])
        Affixes(image=('', '_rgb'), mask=('gt_', ''))
    """
    images, masks = list(images), list(masks)
    of_image = {affixes: _by_core(images, *affixes) for affixes in _affixes(images)}
    of_mask = {affixes: _by_core(masks, *affixes) for affixes in _affixes(masks)}
    best, answers = (math.ceil(NEARLY_ALL * min(len(images), len(masks))), -math.inf), {}
    for image_affixes, mask_affixes in itertools.product(of_image, of_mask):
        by_image, by_mask = of_image[image_affixes], of_mask[mask_affixes]
        few, many = sorted((by_image, by_mask), key=len)
        if not any(core in many for core in itertools.islice(few, SAMPLE)):
            continue
        shared = by_image.keys() & by_mask.keys()
        rank = len(shared), -len("".join((*image_affixes, *mask_affixes)))
        if shared and rank >= best:
            answers = answers if rank == best else {}
            best = rank
            pairing = frozenset((by_image[core], by_mask[core]) for core in shared)
            answers.setdefault(pairing, _with_separators(Affixes(image_affixes, mask_affixes), shared))
    return next(iter(answers.values())) if len(answers) == 1 else None


def _with_separators(affixes, cores) -> Affixes:
    """The affixes with a separator that every shared part begins or ends with."""
    names = [core.rpartition("/")[2] for core in cores]
    first, last = {name[0] for name in names}, {name[-1] for name in names}
    before = "".join(first) if len(first) == 1 and first <= SEPARATORS else ""
    behind = "".join(last) if len(last) == 1 and last <= SEPARATORS else ""
    image, mask = ((prefix + before, behind + suffix) for prefix, suffix in (affixes.image, affixes.mask))
    return Affixes(image, mask)


def _affixes(stems) -> list[tuple[str, str]]:
    """Prefixes and suffixes that most names have, at the bounds of words."""
    names = [stem.rpartition("/")[2] for stem in stems]
    prefixes, suffixes = collections.Counter(), collections.Counter()
    for name in names:
        bounds = [match.end() for match in re.finditer(r"[_\-. ]+|(?<=\d)(?=[^\d_\-. ])|(?<=[^\d_\-. ])(?=\d)", name)]
        prefixes.update({name[:bound] for bound in bounds})
        suffixes.update(
            {name[bound:] for bound in bounds} | {name[m.start() :] for m in re.finditer(r"[_\-. ]+", name)}
        )
    least = MOST * len(names)

    def common(counts):
        return ["", *sorted((affix for affix, count in counts.items() if affix and count > least), key=len)][:8]

    return [(prefix, suffix) for prefix in common(prefixes) for suffix in common(suffixes)]


def _by_core(names, prefix, suffix) -> dict[str, str]:
    """Names by what remains without the affixes; nothing if the same remains of two."""
    found = {}
    for name in names:
        core = _core(name, prefix, suffix)
        if core is not None and found.setdefault(core, name) != name:
            return {}
    return found
