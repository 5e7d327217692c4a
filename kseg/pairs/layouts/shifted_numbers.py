"""Masks that are numbered from another number than their images: img_1 to img_30 beside mask_0 to mask_29. Standard library only.

Paired by name, all but one image get the mask of a neighbour. Nothing but a look at the pictures tells whether that is so, or
whether the first mask and the last image were lost; therefore the user has to choose.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re

from kseg.pairs.listing import Listing, Pair
from kseg.pairs.other_formats import side_of

NAME, ORDER = "name", "order"
"""Ways to pair files whose numbers are shifted: by the numbers in their names, or by the order of these."""

POSITIONS = (-1, -2, -3)
"""Which number of a name may count the pictures, from the end."""


def pair_by_order(listing: Listing) -> Listing | None:
    """The listing with images and masks paired by the order of their numbers, where these are shifted; else None.

    They are shifted where images without a mask and masks without an image are left, as many images lie in a folder as masks,
    and the numbers of the masks are those of the images plus or minus a constant.

    Args:
        listing: pairs of equal numbers, images without a mask among the faults, and the unused masks.
    """
    lonely = [
        fault.pair for fault in listing.faults if fault.error.name == "missing_mask" and fault.pair.image.own_file
    ]
    if not (lonely and listing.unused_masks and listing.pairs):
        return None
    for position in POSITIONS:
        if moved := _find_partners(listing, lonely, position):
            taken = [pair for pair in lonely if pair.image.own_file in moved]
            pairs = [_with_mask(pair, moved) for pair in (*listing.pairs, *taken)]
            faults = [fault for fault in listing.faults if fault.pair not in taken]
            used = set(moved.values())
            unused = [path for path in listing.unused_masks if path not in used]
            return dataclasses.replace(listing, pairs=pairs, faults=faults, unused_masks=unused)
    return None


def _with_mask(pair: Pair, moved: dict[pathlib.Path, pathlib.Path]) -> Pair:
    """The pair with the mask that belongs to its image, if that is another one."""
    mask = moved.get(pair.image.own_file)
    return dataclasses.replace(pair, mask=side_of(mask)) if mask else pair


def _find_partners(listing, lonely, position) -> dict[pathlib.Path, pathlib.Path]:
    """The mask of each image of the series that are shifted."""
    images = _series([pair.image.own_file for pair in (*listing.pairs, *lonely)], position)
    masks = _series([*(pair.mask.own_file for pair in listing.pairs), *listing.unused_masks], position)
    partners = collections.defaultdict(set)
    for pair in listing.pairs:
        image, mask = (_address(side.own_file, position) for side in (pair.image, pair.mask))
        if image and mask and image[1] == mask[1]:
            partners[image[0]].add(mask[0])
    moved = {}
    for series, others in partners.items():
        if len(others) == 1:
            moved |= _by_order(images[series], masks[others.pop()])
    return moved


def _series(paths, position) -> dict[tuple, dict[int, pathlib.Path]]:
    """Files by their number, of each series: those of one folder whose names differ in this number alone."""
    found = collections.defaultdict(dict)
    for path in paths:
        if address := _address(path, position):
            found[address[0]][address[1]] = path
    return found


def _address(path: pathlib.Path | None, position: int) -> tuple[tuple, int] | None:
    """The series of a file, and its number in it; None where the name has no such number."""
    numbers = list(re.finditer(r"[0-9]{1,18}", path.stem)) if path else []
    if len(numbers) < -position:
        return None
    number = numbers[position]
    return (path.parent, path.stem[: number.start()], path.stem[number.end() :]), int(number[0])


def _by_order(images: dict[int, pathlib.Path], masks: dict[int, pathlib.Path]) -> dict[pathlib.Path, pathlib.Path]:
    """The mask of each image, where the numbers of both are shifted by a constant; else nothing."""
    numbers = list(zip(sorted(images), sorted(masks), strict=False))
    shifts = {mask - image for image, mask in numbers}
    if len(images) != len(masks) or len(shifts) != 1 or shifts == {0}:
        return {}
    return {images[image]: masks[mask] for image, mask in numbers}


def first_names(listing: Listing) -> str:
    """The file names of the first pair, for people."""
    pair = listing.pairs[0]
    return " with ".join(side.own_file.name if side.own_file else side.name for side in (pair.image, pair.mask))
