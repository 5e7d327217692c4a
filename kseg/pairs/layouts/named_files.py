"""Pairs of files that nothing but their names ties together. Standard library only.

A file has a split, where a folder names one, and a key: what its path says besides. Image and mask belong together where split
and key agree, or agree without an affix that all images or all masks carry, such as _mask.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import pathlib
from collections.abc import Iterable

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import find_file_error
from kseg.pairs.layouts.matching import Affixes, find_affixes
from kseg.pairs.listing import Fault, Listing, Pair
from kseg.pairs.other_formats import side_of

NO_SPLIT = "-"


@dataclasses.dataclass(frozen=True)
class Named:
    """A file with what its path says.

    Attributes:
        split: train, validation or test, or "" where no folder names one.
        key: the other folders and the name without suffix, with "/" between them.
        path: of the file.
    """

    split: str
    key: str
    path: pathlib.Path

    @property
    def address(self) -> str:
        """Split and key in one."""
        return f"{self.split or NO_SPLIT}/{self.key}"


@dataclasses.dataclass(frozen=True)
class Matched:
    """Files that belong together.

    Attributes:
        pairs: (image, mask).
        images: those without a mask.
        masks: those without an image.
        affixes: what was taken off the names.
    """

    pairs: list[tuple[Named, Named]]
    images: list[Named]
    masks: list[Named]
    affixes: Affixes


def match_names(images: list[Named], masks: list[Named]) -> Matched:
    """Matches files by split and key; where none agree, by what remains without an affix, and then by the name alone.

    Args:
        images: files of images.
        masks: files of masks.

    Raises:
        PairError: several folders have a mask for one image.
    """
    first = _match(images, masks, lambda file: file.address, Affixes())
    if first.pairs:
        return first
    for address in (lambda file: file.address, lambda file: file.key, lambda file: file.key.rpartition("/")[2]):
        affixes = find_affixes(map(address, images), map(address, masks))
        if affixes:
            return _match(images, masks, address, affixes)
    return first


def _match(images, masks, address, affixes) -> Matched:
    by_core = {}
    for mask in masks:
        core = affixes.mask_core(address(mask))
        if core is not None:
            by_core.setdefault(core, []).append(mask)
    pairs, left, used = [], [], set()
    for image in images:
        mask, *others = by_core.get(affixes.image_core(address(image)), [None])
        if mask is None or mask in used:
            left.append(image)
        else:
            _refuse_several_masks(image, mask, others)
            used.add(mask)
            pairs.append((image, mask))
    return Matched(pairs, left, [mask for mask in masks if mask not in used], affixes)


def _refuse_several_masks(image, mask, others):
    """Refuses masks of one image in several folders: of each class, or of several kinds."""
    other = next((other for other in others if other.path.parent != mask.path.parent), None)
    if other:
        raise PairError(
            "several_masks",
            f"Each image must have one mask. Received: {printable(mask.path)} and {printable(other.path)}",
            printable(image.path),
            "If each mask is of one class, write one mask with a value for each class; if they are of several kinds, choose one "
            "by two patterns, --images and --masks.",
        )


def list_matched(matched: Matched) -> Listing:
    """The pairs as a listing; images without a mask and files that cannot be opened are faults."""
    pairs, faults, seen = [], [], collections.Counter((image.split, image.key) for image, _ in matched.pairs)
    for image, mask in matched.pairs:
        pair = Pair(image.key, image.split, side_of(image.path), side_of(mask.path))
        error = find_file_error(image.path) or find_file_error(mask.path)
        if seen[image.split, image.key] > 1:
            error = error or _same_key_error(image)
        if error:
            faults.append(Fault(pair, error))
        else:
            pairs.append(pair)
    names = [mask.key for mask in matched.masks]
    for image in matched.images:
        side = side_of(image.path)
        faults.append(Fault(Pair(image.key, image.split, side, side), _missing_error(image, names)))
    return Listing(pairs, faults, unused_masks=sorted(mask.path for mask in matched.masks))


def _missing_error(image, names) -> PairError:
    near = difflib.get_close_matches(image.key, names[:1000], n=3, cutoff=0.3)
    return PairError(
        "missing_mask",
        f"Every image must have a mask of its name. Received: none; the nearest unused are "
        f"{', '.join(map(printable, near)) or 'none'}",
        printable(image.path),
        "Add the mask, remove the image, or list the pairs in a CSV file.",
    )


def _same_key_error(image) -> PairError:
    return PairError(
        "two_of_one_stem",
        "File names must differ without their suffix, since masks are found by it. Received: two of one stem",
        printable(image.path),
        "Rename or remove one of them.",
    )


def describe_affixes(affixes: Affixes) -> str:
    """The names of images and masks as text, such as `X and X_mask`."""
    return " and ".join(f"{prefix}X{suffix}" for prefix, suffix in (affixes.image, affixes.mask))


def examples(files: Iterable[Named], count: int = 3) -> str:
    """The first keys, for messages."""
    return ", ".join(printable(file.key) for file in list(files)[:count])
