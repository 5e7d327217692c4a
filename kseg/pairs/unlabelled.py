"""Images without masks: every picture below a folder, whatever its layout. numpy and Pillow only.

Folders are nested as one likes, and every format is read that images of pairs may have. Masks that lie there, too, are found by
the layouts of pairs or by the names of their folders, and left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from collections.abc import Iterable

import numpy as np

from kseg.labels import VOID
from kseg.pairs.channels import TENSOR
from kseg.pairs.conventions import PLAIN, Conventions, find_pixel_kind
from kseg.pairs.decoding import DECODE_ERRORS, MAX_PIXELS, has_16_bits
from kseg.pairs.errors import PairError, printable
from kseg.pairs.folder_files import (
    OTHER_IMAGE_SUFFIXES,
    Boundary,
    file_key,
    find_file_error,
    find_suffix_error,
    walk_files,
)
from kseg.pairs.image_files import decode_image, encode_png, prepare_image
from kseg.pairs.layouts.stacks import MAX_STACKS
from kseg.pairs.layouts.stacks import SUFFIXES as STACK_SUFFIXES
from kseg.pairs.layouts.words import is_mask_name, role_of
from kseg.pairs.listing import IMAGE_SUFFIXES, Fault, Listing, Pair
from kseg.pairs.other_formats import ConvertedFile, side_of
from kseg.pairs.recognisers import find_readings
from kseg.pairs.sides import Side
from kseg.pairs.split_names import UNLABELLED
from kseg.pairs.tiff import count_full_pages

MASK_COLOURS = 64
"""Different colours of a mask, at most; a photograph has more."""
LOOKED_AT = 5
"""Pictures that may be masks are decoded, so many."""
SAMPLE = 64
"""Images that are looked at, evenly over the folder, for what all of them hold."""


@dataclasses.dataclass(frozen=True)
class NoMask:
    """The side of an image that has no mask; see `kseg.pairs.sides.Side`."""

    name = ""
    files = ()
    own_file = None
    kind = None

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        raise PairError("no_mask", "A mask must have been drawn. Received: an image alone", self.name, "Draw one.")

    def has_colour(self) -> bool:
        return False


def list_unlabelled(folder: pathlib.Path, *, follow_links: bool = False) -> Listing:
    """Lists the images below a folder without opening them, but for TIFFs that may be stacks, and for what may be masks.

    Args:
        folder: an existing folder, outside which no file is opened.
        follow_links: whether links may lead out of it.

    Returns:
        The images as pairs without a mask, of the split `UNLABELLED`, in the order of their keys; unreadable ones as faults; the
        masks that lie there as `unused_masks`, and what is no picture as `foreign_files`.

    Raises:
        PairError: the pictures of two folders may be images and masks.
    """
    boundary = Boundary(folder, follow_links)
    with boundary.enforced():
        sides, masks = _recognised(folder, boundary)
        listing = Listing([], [], [], [])
        keys = set()
        for side, key in sides:
            pair = Pair(_unique(key, keys), UNLABELLED, side, NoMask())
            error = next(filter(None, map(boundary.find_error, side.files)), None)
            if error is None:
                listing.pairs.append(pair)
            else:
                listing.faults.append(Fault(pair, error))
        taken = {file for side, _ in sides for file in side.files}
        paths = [path for path in walk_files(folder) if path not in taken]
        if masks is None:
            masks = _named_masks(paths, folder)
        stacks = sum(path.suffix.lower() in STACK_SUFFIXES for path in paths) <= MAX_STACKS
        for path in paths:
            suffix, error = path.suffix.lower(), find_file_error(path)
            if path in masks:
                listing.unused_masks.append(path)
                continue
            if error is None and suffix not in IMAGE_SUFFIXES:
                if suffix not in OTHER_IMAGE_SUFFIXES:
                    listing.foreign_files.append(path)
                    continue
                error = find_suffix_error(path, IMAGE_SUFFIXES, "An image")
            key = _unique(file_key(path, folder), keys, path.suffix)
            pages = _pages(path) if stacks and error is None and suffix in STACK_SUFFIXES else [side_of(path)]
            for number, side in enumerate(pages):
                own = f"{key}/{number:0{len(str(len(pages) - 1))}}" if len(pages) > 1 else key
                pair = Pair(own, UNLABELLED, side, NoMask())
                if error is None:
                    listing.pairs.append(pair)
                else:
                    listing.faults.append(Fault(pair, error))
    listing.pairs.sort(key=lambda pair: pair.key)
    return listing


def _pages(path: pathlib.Path) -> list[Side]:
    """A side for each page of a TIFF of several."""
    number = count_full_pages(path)
    return [ConvertedFile(path, page) for page in range(number)] if number > 1 else [side_of(path)]


def _unique(key: str, keys: set[str], suffix: str = "") -> str:
    """The key, or where there is that one already another, which is added to the keys."""
    names = itertools.chain((key, f"{key}{suffix}"), (f"{key}{suffix}_{number}" for number in itertools.count(2)))
    found = next(name for name in names if name not in keys)
    keys.add(found)
    return found


def _recognised(folder, boundary) -> tuple[list[tuple[Side, str]], set[pathlib.Path] | None]:
    """What a layout of pairs says about a folder.

    Returns:
        Images, each with a key, where there is one reading; all files that are masks in any, or None where there is no reading.
    """
    try:
        readings = find_readings(folder, boundary=boundary)
    except ValueError:  # among them PairError: the layout is known, and something is wrong with it
        return [], None
    sure = [reading for reading in readings if not reading.guessed and _is_certain(reading)]
    guessed = [reading for reading in readings if reading.guessed and _shows_masks(reading.listing.pairs)]
    if guessed:
        raise PairError(
            "unlabelled_with_masks",
            "A folder of images without masks must hold images alone. Received: pictures of a few colours, which may be masks: "
            f"{guessed[0].name}",
            printable(folder),
            "Give the folder of the images.",
        )
    if not sure:
        return [], None
    listings = [reading.listing for reading in sure]
    masks = {file for listing in listings for pair in listing.every_pair for file in pair.mask.files}
    masks |= {file for listing in listings for file in listing.unused_masks}
    if len(listings) > 1:
        return [], masks
    pairs = listings[0].pairs
    images = {file for pair in pairs for file in pair.image.files}
    sides = [(pair.image, "/".join(filter(None, (pair.split, pair.key)))) for pair in pairs]
    return sides, masks - images


def _is_certain(reading) -> bool:
    """Whether a layout, a name or the pictures themselves say that there are masks; a.png beside a.jpg may be a second image."""
    if reading.layout:
        return True
    paths = [file.relative_to(reading.root) for pair in reading.listing.pairs[:1] for file in pair.mask.files]
    named = any(is_mask_name(path.stem) or any(map(_means_masks, path.parent.parts)) for path in paths)
    return named or _shows_masks(reading.listing.pairs)


def _means_masks(folder: str) -> bool:
    return role_of(folder) == "mask"


def _shows_masks(pairs: list[Pair]) -> bool:
    """Whether most of what may be masks has the few colours of masks, unlike the images."""

    def share(sides):
        return np.mean([_has_few_colours(side) for side in sides])

    some = pairs[:LOOKED_AT]
    if not some:
        return False
    return share(pair.mask for pair in some) > 0.5 >= share(pair.image for pair in some)


def _has_few_colours(side: Side) -> bool:
    try:
        pixels = decode_image(side.read())
    except (PairError, *DECODE_ERRORS):
        return False
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) <= MASK_COLOURS


def _named_masks(paths, folder) -> set[pathlib.Path]:
    """The pictures in folders whose names say that they hold masks, unless all are."""

    def is_mask(path):
        return any(map(_means_masks, path.relative_to(folder).parent.parts))

    pictures = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    masks = set(filter(is_mask, pictures))
    return masks if len(masks) < len(pictures) else set()


@dataclasses.dataclass(frozen=True)
class Contents:
    """What images hold.

    Attributes:
        kind: their `PixelKind`; None where none can be read.
        depths: bits of a sample: 8, 16 or both; none of numbers that PNG does not hold.
    """

    kind: object
    depths: frozenset[int]


def find_contents(sides: Iterable[Side], max_pixels: int = MAX_PIXELS) -> Contents:
    """What images hold, by a look at some of them, evenly over all.

    Args:
        sides: the images.
        max_pixels: height times width above which an image is not decoded.
    """
    sides = list(sides)
    readable, depths = [], set()
    for side in sides[:: -(-len(sides) // SAMPLE) or 1]:
        try:
            data = side.read(max_pixels)
            if not data.startswith(TENSOR):
                decode_image(data)
                depths.add(16 if has_16_bits(data) else 8)
        except (PairError, *DECODE_ERRORS):
            continue
        readable.append(Pair("", UNLABELLED, side, NoMask()))
    return Contents(find_pixel_kind(readable, max_pixels) if readable else None, frozenset(depths))


def read_unlabelled(
    pair: Pair,
    channels: int,
    max_pixels: int = MAX_PIXELS,
    conventions: Conventions = PLAIN,
    depths: frozenset[int] = frozenset((8, 16)),
) -> tuple[bytes, bytes, str | None]:
    """Reads one image and converts it to what is stored, as `kseg.pairs.image_folder.read_pair` does with a pair.

    Args:
        pair: of `list_unlabelled`.
        channels: of every image of the data set.
        max_pixels: height times width above which an image is refused before it is decoded.
        conventions: of the data set.
        depths: bits of a sample that its grey and RGB images have.

    Returns:
        image_bytes; label_map_bytes, void everywhere; and the reason why the image was re-encoded as PNG, or None.

    Raises:
        PairError: the file is missing, damaged, or holds another kind of image.
    """
    data, name = pair.image.read(max_pixels), pair.image.name
    depth = 16 if has_16_bits(data) else 8
    if not data.startswith(TENSOR) and conventions.dtype == "uint8" and depth not in depths:
        raise PairError(
            "other_depth",
            f"An image without a mask must have as many bits as the labelled ones, {min(depths)}. Received: {depth}",
            name,
            "Save it as those are.",
        )
    image_bytes, size, reason = prepare_image(
        data, channels, name, max_pixels, conventions.image_range, conventions.dtype
    )
    return image_bytes, encode_png(np.full(size, VOID, np.uint8)), reason or pair.image.kind
