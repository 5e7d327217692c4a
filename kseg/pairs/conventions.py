"""How the files of a data set are to be read where one file alone leaves it open: properties of the data set, like its channels.

Masks that describe their pixels twice, by values and by colours, are read by what is possible in all of them. Where both are, and
contradict each other, colours count if the palettes differ from file to file, since only colours survive a tool that sorts a
palette; otherwise nobody but the owner can know.

Images of 16 bits seldom use all of them: cameras have 12 bits, reflectance ends at 10,000. The largest sample of the data set
becomes 255, in training and in serving alike, instead of 65535, which would leave few grey levels. numpy and Pillow only.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

from kseg.labels import VOID, LabelMap
from kseg.pairs.channels import TENSOR, PixelKind, alpha_levels, kind_of, varies_like_a_picture
from kseg.pairs.decoding import FULL_RANGE, JPEG, MAX_PIXELS, PNG, decode_16_bits, has_16_bits, open_image
from kseg.pairs.errors import PairError
from kseg.pairs.listing import Pair
from kseg.pairs.mask_files import COLOURS, VALUES, compare_readings, contradiction_error, decode_mask, find_used_colours
from kseg.pairs.other_formats import find_no_data
from kseg.pairs.sides import Side

MAX_LOOKED_AT = 64
"""Masks that are converted on reading, such as polygons, and RGB masks: so many are looked at, evenly over the data set."""

HEADER_BYTES = 2**14
"""Enough for the header of a PNG, its palette and usual metadata before it."""


@dataclasses.dataclass(frozen=True)
class Conventions:
    """How the files of a data set are read.

    Attributes:
        mask_reading: "values" or "colours", of masks that have both; None: as each file allows, which refuses contradictions.
        reordered_masks: masks whose palette contradicts the table, and that are read by colour.
        image_range: sample of 16-bit images that becomes 255; None: 65535, or there are no such images.
        dtype: of the images, one of `channels.DTYPES`.
    """

    mask_reading: str | None = None
    reordered_masks: int = 0
    image_range: int | None = None
    dtype: str = "uint8"


PLAIN = Conventions()
"""Those of a data set in which every file speaks for itself."""


def find_conventions(
    pairs: Iterable[Pair],
    labels: LabelMap,
    *,
    mask_reading: str | None = None,
    image_range: int | None = None,
    kind: PixelKind | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Conventions:
    """Looks at the files of a data set; decodes those alone that may leave open how they are read.

    Args:
        pairs: of all splits.
        labels: the classes.
        mask_reading: "values" or "colours" where the owner of the data has said so.
        image_range: sample that becomes 255 where the owner has said so.
        kind: of the images, from `find_pixel_kind`; None: plain. Samples of others are not scaled.
        max_pixels: height times width above which a file is not decoded.

    Raises:
        PairError: values and colours of the masks contradict each other, with one palette for all; both readings are named.
    """
    pairs = list(pairs)
    found = Conventions(mask_reading) if mask_reading else _mask_conventions(pairs, labels, max_pixels)
    if kind and not kind.is_plain:
        return dataclasses.replace(found, dtype=kind.dtype)
    return dataclasses.replace(found, image_range=image_range or find_image_range(pairs, max_pixels))


def void_of_missing_data(pairs: list[Pair]) -> int | None:
    """The raw mask value of pixels without data, as the headers of TIFF masks say it: one in 0..255, or 255 for any other.

    Args:
        pairs: of all splits.

    Returns:
        The value of most of the masks that are looked at; None if they say none.
    """
    found = [value for pair in _evenly(pairs) if (value := find_no_data(pair.mask)) is not None]
    values = collections.Counter(int(value) if value in range(256) else VOID for value in found)
    return values.most_common(1)[0][0] if values else None


def count_missing_data(pairs: list[Pair]) -> tuple[int, int]:
    """How many images of those that are looked at say in their headers which value means missing data, and how many those are."""
    looked_at = _evenly(pairs)
    return sum(find_no_data(pair.image) is not None for pair in looked_at), len(looked_at)


def find_pixel_kind(pairs: list[Pair], max_pixels: int = MAX_PIXELS) -> PixelKind:
    """What the images of a data set hold: the kind of most of those that are looked at.

    Grey and RGB of 8 and 16 bits count as one kind, which is stored with 8 bits and has 3 channels if any image has colours. An
    image with alpha is of that kind, too, unless its alpha varies like a picture.

    Args:
        pairs: of all splits.
        max_pixels: height times width above which an image is not decoded.
    """
    found = collections.Counter(_kind_beyond_plain(pair.image, max_pixels) for pair in _evenly(pairs))
    kind = found.most_common(1)[0][0] if found else None
    return kind or PixelKind(count_channels(pairs))


def count_channels(pairs) -> int:
    """The number of channels of a data set of grey and RGB images: 3 if any image has colours, else 1.

    Only headers are read, up to the first image with colours. Unreadable files are skipped.
    """
    return 3 if any(pair.image.has_colour() for pair in pairs) else 1


def _kind_beyond_plain(side: Side, max_pixels) -> PixelKind | None:
    """The kind of an image; None if it is grey or RGB of 8 or 16 bits, or cannot be read."""
    header = _header(side)
    if header is not None and header[25:26] not in (b"\4", b"\6"):
        return None
    try:
        data = side.read(max_pixels)
        if data.startswith(JPEG):
            return None
        if not data.startswith(TENSOR):
            image = open_image(data, side.name, max_pixels)
            return kind_of(data) if varies_like_a_picture(*alpha_levels(image, data)) else None
    except PairError:  # is reported when the pair is read
        return None
    return kind_of(data)


def find_image_range(pairs: list[Pair], max_pixels: int = MAX_PIXELS) -> int | None:
    """The largest sample of all 16-bit images; None if there are none, or if it is 65535 or 0.

    Args:
        pairs: of all splits.
        max_pixels: height times width above which an image is not decoded.
    """
    deep, converted = [], []
    for pair in pairs:  # no header is kept: those of many images are large together
        header = _header(pair.image)
        if header is None:
            converted.append(pair)
        elif header and has_16_bits(header):
            deep.append(pair)
    if any(_largest_sample(pair.image, max_pixels) for pair in _evenly(converted)):
        deep += converted
    return smaller_range(_largest_sample(pair.image, max_pixels) for pair in deep)


def smaller_range(samples: Iterable[int]) -> int | None:
    """The largest of the largest samples of images; None if it is 0 or all of 16 bits."""
    largest = max(samples, default=0)
    return largest if 0 < largest < FULL_RANGE else None


def largest_sample(data: bytes, where: str, max_pixels: int = MAX_PIXELS) -> int:
    """The largest colour or grey sample of an encoded image of 16 bits; 0 if it has 8 or is damaged."""
    if not has_16_bits(data):
        return 0
    try:
        open_image(data, where, max_pixels)
    except PairError:  # is reported when the pair is read
        return 0
    return int(decode_16_bits(data).max())


def _largest_sample(side: Side, max_pixels) -> int:
    try:
        return largest_sample(side.read(max_pixels), side.name, max_pixels)
    except PairError:  # as above
        return 0


def _evenly(some: list[Pair]) -> list[Pair]:
    """At most MAX_LOOKED_AT of them, evenly over the data set."""
    return some[:: -(-len(some) // MAX_LOOKED_AT) or 1]


def _mask_conventions(pairs, labels, max_pixels) -> Conventions:
    doubtful, agreeing = _doubtful_masks(pairs, labels)
    masks = [mask for pair in doubtful if (mask := _used_colours(pair, max_pixels))]
    possible = [compare_readings(used, labels) for _, used, _ in masks]
    contradictions = [mask for mask, one in zip(masks, possible, strict=True) if one.contradict]
    only_colours = [m for m, one in zip(masks, possible, strict=True) if m[2] and one.colours and not one.values]
    by_values, by_colours = all(one.values for one in possible), all(one.colours for one in possible)
    reordered = _differ([used for _, used, _ in contradictions], agreeing, labels)
    if reordered or (by_colours and not by_values and (contradictions or only_colours)):
        return Conventions(COLOURS, len(contradictions) + len(only_colours))
    if contradictions and by_values and by_colours:
        pair, used, _ = contradictions[0]
        raise contradiction_error(used, labels, pair.mask.name)
    return Conventions(VALUES if contradictions and by_values else None)


def _differ(palettes: list[dict], agreeing: set[int], labels: LabelMap) -> bool:
    """Whether two palettes have different colours for one value; `agreeing` values have the table's colour in some mask."""
    seen: dict = {}
    return any(
        seen.setdefault(value, colour) != colour
        or (value in agreeing and compare_readings({value: colour}, labels).contradict)
        for used in palettes
        for value, colour in used.items()
    )


def _doubtful_masks(pairs: list[Pair], labels: LabelMap) -> tuple[list[Pair], set[int]]:
    """The pairs whose masks must be decoded, and the values that have the table's colour in the palette of some mask.

    To decode are masks in whose palette a colour of the table stands for another class, and some of those without a palette.
    """
    doubtful, converted, colours, agreeing = [], [], [], set()
    seen: dict[tuple | None, tuple[bool, set[int]]] = {None: (True, set())}
    for pair in pairs:
        header = _header(pair.mask)
        if header is None:
            converted.append(pair)
        elif header[25:26] in (b"\2", b"\6"):
            colours.append(pair)
        elif header[25:26] == b"\3":
            palette = _palette(header)
            if palette not in seen:  # most data sets have one palette
                seen[palette] = _compare_palette(palette, labels)
            is_doubtful, agree = seen[palette]
            agreeing |= agree
            if is_doubtful:
                doubtful.append(pair)
    return [*doubtful, *_evenly(converted), *_evenly(colours)], agreeing


def _compare_palette(palette: tuple, labels: LabelMap) -> tuple[bool, set[int]]:
    """Whether a mask of a palette must be decoded, and the values that have the table's colour in it."""
    each = {value: compare_readings({value: colour}, labels) for value, colour in enumerate(palette)}
    agree = {value for value, one in each.items() if one.values and one.colours and not one.contradict}
    return any(one.colours and (one.contradict or not one.values) for one in each.values()), agree


def _header(side: Side) -> bytes | None:
    """The first bytes of an image or mask; b"" if it cannot be read or is no PNG, None if it is converted on reading."""
    if side.kind is not None or side.own_file is None:
        return None
    try:
        with open(side.own_file, "rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:  # is reported when the pair is read
        return b""
    return header if header.startswith(PNG) else b""


def _palette(header: bytes) -> tuple[tuple[int, int, int], ...] | None:
    """The palette of a PNG; None if it lies further behind."""
    start = header.find(b"PLTE")
    end = start + 4 + int.from_bytes(header[start - 4 : start], "big")
    if start < 0 or end > len(header):
        return None
    body = header[start + 4 : end]
    return tuple(zip(body[::3], body[1::3], body[2::3], strict=False))


def _used_colours(pair: Pair, max_pixels) -> tuple[Pair, dict, bool] | None:
    """The pair, the colours by value that its mask uses, and whether it has a palette; None if it cannot be read in two ways."""
    try:
        pixels, palette = decode_mask(pair.mask.read(max_pixels), pair.mask.name, max_pixels)
    except PairError:  # is reported when the pair is read
        return None
    used = find_used_colours(pixels, palette)
    return used and (pair, used, palette is not None)
