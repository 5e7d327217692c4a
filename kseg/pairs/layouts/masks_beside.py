"""Masks in the folders of their images: told apart by a word, a suffix or the format. Standard library only.

a.png + a_mask.png                          a word of masks at the beginning or the end
a.jpg + a.png                               JPEG and another format
a.jpg + a_m.png, perhaps a_m2.png           a suffix that most images have, each suffix a kind of masks
"""

from __future__ import annotations

import collections
import dataclasses
import re

from kseg.pairs.errors import printable
from kseg.pairs.folder_files import JPEG_SUFFIXES
from kseg.pairs.layouts.matching import MOST, NEARLY_ALL, SEPARATORS
from kseg.pairs.layouts.named_files import Matched, Named
from kseg.pairs.layouts.words import is_image_name, is_mask_name
from kseg.pairs.listing import MASK_SUFFIXES

Kinds = dict[str, list[Named]]


def masks_beside(files: list[Named]) -> tuple[Kinds, Kinds]:
    """Kinds of images and kinds of masks among files of folders whose names tell neither.

    Args:
        files: all of them.

    Returns:
        Files by a name of their kind; no kind of masks where none is found.
    """
    masks = [file for file in files if is_mask_name(file.path.stem)]
    if not masks:
        masks = _other_format(files)
    kinds = {"masks beside them": masks} if masks else _by_suffix(files)
    taken = {file for found in kinds.values() for file in found}
    images = [file for file in files if file not in taken]
    named = [file for file in images if is_image_name(file.path.stem)]
    if masks and len(named) >= NEARLY_ALL * len(masks):
        return {"": named}, kinds
    return _kinds_of_images(images, masks) or {"": images}, kinds


def _kinds_of_images(images, masks) -> Kinds:
    """The images by suffix, where nearly each mask has one of each of several, as a_t1.png and a_t2.png beside a_seg.png."""
    bases = {re.sub(r"[_\-. ]+[^_\-. /]*$", "", mask.address) for mask in masks}
    found = collections.defaultdict(list)
    for image in images:
        bounds = [match.start() for match in re.finditer(r"[_\-. ]+", image.address)]
        base = next((image.address[:bound] for bound in bounds if image.address[:bound] in bases), None)
        if base:
            found[image.address[len(base) :]].append(image)
    kinds = {f"images *{suffix}": same for suffix, same in found.items() if len(same) >= NEARLY_ALL * len(masks)}
    return kinds if len(kinds) > 1 else {}


def others_beside(files: list[Named], images: Kinds, masks: Kinds) -> list[Named]:
    """The files that are neither images nor masks."""
    taken = {file for kinds in (images, masks) for found in kinds.values() for file in found}
    return [file for file in files if file not in taken]


def _other_format(files) -> list[Named]:
    """The files that are no JPEG, where nearly each has a JPEG of its name."""
    jpegs = {file.address for file in files if file.path.suffix.lower() in JPEG_SUFFIXES}
    others = [file for file in files if file.path.suffix.lower() in MASK_SUFFIXES]
    both = [file for file in others if file.address in jpegs]
    return both if both and len(both) >= NEARLY_ALL * max(len(others), len(jpegs)) else []


def _by_suffix(files) -> Kinds:
    """The files whose names are those of others with a suffix more, by suffix; of one that nearly all the others have."""
    found = collections.defaultdict(list)
    names = {file.address for file in files}
    for file in files:
        bounds = [match.start() for match in re.finditer(r"[_\-. ]+", file.address) if match.start() > 0]
        base = next((file.address[:bound] for bound in bounds if file.address[:bound] in names), None)
        if base:
            found[file.address[len(base) :]].append(file)
    bases = len(names) - sum(map(len, found.values()))
    return {
        f"masks *{suffix}": same
        for suffix, same in found.items()
        if len(same) >= NEARLY_ALL * bases and all(file.path.suffix.lower() in MASK_SUFFIXES for file in same)
    }


def without_companions(matched: Matched) -> tuple[Matched, list[str]]:
    """The files without images that only accompany others, as a_superpixels.png does a.jpg, b_superpixels.png b.jpg and so on.

    A file of a suffix that few have is an image without a mask.

    Returns:
        The files that remain, and a note that says what was left out.
    """
    paired = {image.address for image, _ in matched.pairs}
    found = collections.defaultdict(list)
    for image in matched.images:
        bounds = [match.start() for match in re.finditer("|".join(map(re.escape, SEPARATORS)), image.address)]
        base = next((image.address[:bound] for bound in bounds if image.address[:bound] in paired), None)
        if base:
            found[image.address[len(base) :]].append(image)
    left_out = [image for same in found.values() if len(same) > MOST * len(paired) for image in same]
    if not left_out:
        return matched, []
    note = (
        f"{len(left_out)} files beside images of the same names are left out, the first: {printable(left_out[0].path)}."
    )
    kept = [image for image in matched.images if image not in set(left_out)]
    return dataclasses.replace(matched, images=kept), [note]
