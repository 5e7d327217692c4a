"""Pairs of files that nothing but their names ties together. Standard library only.

A file has a split, where a folder names one, and a key: what its path says besides. Image and mask belong together where split
and key agree; or agree without an affix that most images or masks carry, such as _mask; or with their numbers written alike, as
7.jpg and 007.png; or where each folder holds one image, as case7/image.png and case7/mask.png.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
import pathlib
import re
import unicodedata
from collections.abc import Callable, Iterable

from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import find_file_error
from kseg.pairs.layouts.matching import NEARLY_ALL, Affixes, find_affixes
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

    def __post_init__(self):
        object.__setattr__(
            self, "key", unicodedata.normalize("NFC", self.key)
        )  # a Mac writes `\u00e9` as two characters

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
        how: a sentence on what ties the names together, where it is not their being equal; or "".
    """

    pairs: list[tuple[Named, Named]]
    images: list[Named]
    masks: list[Named]
    how: str = ""


def match_names(images: list[Named], masks: list[Named]) -> Matched:
    """Matches files by split and key; where these do not pair them, as the first paragraph above says.

    Args:
        images: files of images.
        masks: files of masks.

    Raises:
        PairError: several folders have a mask for one image.
    """
    equal = _match(images, masks, _address, Affixes())
    if equal.pairs:
        rest = _match_rest(equal)
        return rest or equal
    for address in (_address, lambda file: file.key, _name):
        if found := _match_by_affixes(images, masks, address):
            rest = _match(found.images, found.masks, address, Affixes())
            return _joined(found, rest)
    return _match_by_numbers(images, masks) or _match_by_folder(images, masks) or equal


def _address(file: Named) -> str:
    return file.address


def _name(file: Named) -> str:
    return file.key.rpartition("/")[2]


def _match_rest(equal: Matched) -> Matched | None:
    """Files of equal names, and the others by an affix or by their numbers, where these pair nearly all that is left."""
    if min(len(equal.images), len(equal.masks)) < 2:
        return None
    for address in (_address, lambda file: f"{file.split}/{_name(file)}"):
        if found := _match_by_affixes(equal.images, equal.masks, address):
            return _joined(equal, found)
    rest = _match_by_numbers(equal.images, equal.masks)
    return rest and _joined(equal, rest)


def _joined(first: Matched, second: Matched) -> Matched:
    """Both as one, of which the second was made from what the first left."""
    return Matched([*first.pairs, *second.pairs], second.images, second.masks, first.how or second.how)


def _match_by_affixes(images, masks, address) -> Matched | None:
    affixes = find_affixes(map(address, images), map(address, masks))
    return affixes and _match(images, masks, address, affixes)


def _match_by_numbers(images, masks) -> Matched | None:
    """Files whose names are equal once numbers and capitals are written alike, perhaps but for an affix; None if few are."""

    def by_number(file):
        return re.sub(r"[0-9]{1,18}", lambda number: str(int(number[0])), file.address).casefold()

    if any(len(set(map(by_number, files))) < len(files) for files in (images, masks)):
        return None
    found = _match(images, masks, by_number, Affixes())
    found = found if found.pairs else _match_by_affixes(images, masks, by_number)
    if not found or len(found.pairs) < NEARLY_ALL * min(len(images), len(masks)):
        return None
    image, mask = min(found.pairs, key=lambda pair: len(pair[0].key))
    alike = image.address.casefold() == mask.address.casefold()
    what = "whatever their capitals" if alike else "by their numbers"
    how = f"Images and masks belong together {what}, as {image.path.name} and {mask.path.name}."
    return dataclasses.replace(found, how=how)


def _match_by_folder(images, masks) -> Matched | None:
    """Files in folders that hold one image and one mask each; None unless nearly all are in such."""
    by_folder = group_by_folder(images, masks)
    alone = [
        (of_image[0], of_mask[0]) for of_image, of_mask in by_folder.values() if len(of_image) == len(of_mask) == 1
    ]
    if len(alone) < max(2, NEARLY_ALL * len(by_folder)):
        return None
    used = {file for pair in alone for file in pair}
    left = ([file for file in files if file not in used] for files in (images, masks))
    return Matched(alone, *left, how="Each folder holds an image and its mask.")


def group_by_folder(images: list[Named], masks: list[Named]) -> dict[tuple[str, str], tuple[list[Named], list[Named]]]:
    """Images and masks by their split and what their keys say of folders."""
    found = collections.defaultdict(lambda: ([], []))
    for number, files in enumerate((images, masks)):
        for file in files:
            found[file.split, file.key.rpartition("/")[0]][number].append(file)
    return dict(found)


def _match(images, masks, address: Callable[[Named], str], affixes: Affixes) -> Matched:
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
    how = "" if affixes.image == affixes.mask else f"Images and masks belong together as {describe_affixes(affixes)}."
    return Matched(pairs, left, [mask for mask in masks if mask not in used], how)


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
    images = [*(image for image, _ in matched.pairs), *matched.images]
    pairs, faults, seen = [], [], collections.Counter((image.split, image.key) for image in images)
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
        side, twice = side_of(image.path), seen[image.split, image.key] > 1
        error = _same_key_error(image) if twice else _missing_error(image, names)
        faults.append(Fault(Pair(image.key, image.split, side, side), error))
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
