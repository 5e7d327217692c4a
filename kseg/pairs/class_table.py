"""A proposed table of classes for masks that come without one: their values, shares and colours. numpy and Pillow only.

Values come from grey masks and palette indices, colours from palettes and RGB masks; a value without a colour gets one of PASCAL
VOC's. Refused: more values or colours than there can be classes. Names are placeholders that the user replaces.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import time
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from kseg.labels import COLUMNS, VOID, voc_colour
from kseg.pairs.decoding import MAX_PIXELS
from kseg.pairs.errors import PairError
from kseg.pairs.mask_files import SMOOTHED_CURE, decode_mask, format_counts

SCAN_SECONDS = 10.0
MAX_COLOURS = 4096
"""An RGB mask with more colours is not counted, and ends the scan."""

VOC_VOID = voc_colour(VOID)
DISTINCT = 16
"""Sum of channel differences above which the colours of a palette can be told apart."""


@dataclasses.dataclass
class MaskScan:
    """What the scanned masks hold.

    Attributes:
        total: masks of the data set.
        scanned: masks that were decoded.
        values: pixels by value, of grey and palette masks.
        palette: colour by value, of palette masks; the first palette that has a value counts.
        indexed: pixels by (value, colour), of palette masks.
        colours: pixels by (red, green, blue), of RGB masks.
        too_many_colours: whether an RGB mask has more than `MAX_COLOURS`.
        errors: of masks that cannot be read.
    """

    total: int
    scanned: int = 0
    values: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    palette: dict[int, tuple] = dataclasses.field(default_factory=dict)
    indexed: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    colours: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    too_many_colours: bool = False
    errors: list[PairError] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class ProposedRow:
    """A row of the proposed table; `share` is that of the pixels scanned."""

    value: int
    name: str
    colour: tuple[int, int, int]
    share: float


def scan_masks(
    masks: Iterable,
    read: Callable,
    total: int,
    *,
    max_pixels: int = MAX_PIXELS,
    seconds: float = SCAN_SECONDS,
) -> MaskScan:
    """Counts the values and colours of masks, of all or as many as the time allows.

    Args:
        masks: references to masks, in an order whose beginning is a fair sample.
        read: `read(mask) -> (data, where)`: the encoded file and its path for messages.
        total: number of masks.
        max_pixels: height times width above which a mask is not decoded.
        seconds: time after which no further mask is read.
    """
    scan, end = MaskScan(total), time.monotonic() + seconds
    for mask in masks:
        try:
            _count(scan, *decode_mask(*read(mask), max_pixels))
        except PairError as error:
            scan.errors.append(error)
        if scan.too_many_colours or len(scan.colours) > MAX_COLOURS or time.monotonic() > end:
            break
    return scan


def _count(scan: MaskScan, pixels: np.ndarray, palette) -> None:
    scan.scanned += 1
    if pixels.ndim == 3:
        colours = Image.fromarray(pixels).getcolors(MAX_COLOURS)
        scan.too_many_colours |= colours is None
        scan.colours.update({colour: number for number, colour in colours or ()})
        return
    counts = np.bincount(pixels.ravel(), minlength=256)
    for value in np.flatnonzero(counts).tolist():
        scan.values[value] += int(counts[value])
        if palette and value < len(palette):
            scan.palette.setdefault(value, palette[value])
            scan.indexed[value, palette[value]] += int(counts[value])


def propose_classes(scan: MaskScan, ignore_value: int | None = None) -> list[ProposedRow]:
    """Makes the rows of a table of classes.

    Classes are called class_0, class_1, ...; the row of `ignore_value`, or else of a value that is probably void, is called void.

    Args:
        scan: of the masks.
        ignore_value: raw value of void, if it is known.

    Returns:
        Rows in order of value.

    Raises:
        PairError: no mask can be read; the error of the first one.
        ValueError: there are more values and colours than there can be classes.

    Example:
        >>> scan = MaskScan(total=2, scanned=2, values=collections.Counter({0: 60, 1: 30, 255: 10}))
        >>> [(row.value, row.name, row.share) for row in propose_classes(scan)]
        [(0, 'class_0', 0.6), (1, 'class_1', 0.3), (255, 'void', 0.1)]
    """
    if not scan.scanned:
        raise scan.errors[0]
    pixels, colours = _merge(_read_reordered_by_colour(scan), ignore_value)
    void = ignore_value if ignore_value is not None else _probable_void(pixels, colours)
    if scan.too_many_colours or len(pixels) - (void in pixels) > VOID:
        raise ValueError(_too_many_message(scan, pixels))
    everything, unused = sum(pixels.values()), (c for c in map(voc_colour, range(VOID)) if c not in colours.values())
    rows = []
    for value, count in sorted(pixels.items()):
        name = "void" if value == void else f"class_{len(rows) - any(row.name == 'void' for row in rows)}"
        if value not in colours:
            colours[value] = VOC_VOID if value == void and VOC_VOID not in colours.values() else next(unused)
        rows.append(ProposedRow(value, name, colours[value], count / everything))
    return rows


def _read_reordered_by_colour(scan: MaskScan) -> MaskScan:
    """The scan with palette masks counted by colour, if a colour has several values, as where tools sorted the palettes."""
    values_of: dict[tuple, set[int]] = {}
    for value, colour in scan.indexed:
        values_of.setdefault(colour, set()).add(value)
    several = {colour for colour, values in values_of.items() if len(values) > 1}
    if not any(colour in several and scan.palette[value] != colour for value, colour in scan.indexed):
        return scan  # no value has another colour elsewhere
    values, colours = scan.values.copy(), scan.colours.copy()
    for (value, colour), pixels in scan.indexed.items():
        values[value] -= pixels
        colours[colour] += pixels
    return dataclasses.replace(scan, values=+values, palette={}, colours=colours)


def _merge(scan: MaskScan, ignore_value: int | None) -> tuple[dict[int, int], dict[int, tuple]]:
    """Pixels and known colours by value, with a value for each colour of RGB masks."""
    pixels, colours = dict(scan.values), _usable_palette(scan)
    grey = all(red == green == blue for red, green, blue in scan.colours)
    of_colour = {colour: value for value, colour in colours.items()}
    free = (value for value in range(10**6) if value not in scan.values and value not in (VOID, ignore_value))
    for colour, count in sorted(scan.colours.items(), key=lambda row: (-row[1], row[0])):
        value = of_colour.get(colour)
        if value is None:
            value = colour[0] if grey else VOID if colour == VOC_VOID and VOID not in pixels else next(free)
        pixels[value] = pixels.get(value, 0) + count
        colours[value] = colour
    return pixels, colours


def _usable_palette(scan: MaskScan) -> dict[int, tuple]:
    """Colours of the palette by value, or nothing if two of them look alike, as in a grey ramp."""
    colours = np.array(list(scan.palette.values()), int).reshape(-1, 3)
    differences = np.abs(colours[:, None] - colours).sum(-1) + DISTINCT * np.eye(len(colours), dtype=int)
    return dict(scan.palette) if (differences >= DISTINCT).all() else {}


def _probable_void(pixels: dict[int, int], colours: dict[int, tuple]) -> int | None:
    """255 if it stands apart: VOC's void colour, or at least two other values, all below 128; else None.

    Values that spread evenly over 0..255, such as 0, 127, 255, or 0 and 255 alone, are levels of classes.
    """
    others = [value for value in pixels if value != VOID]
    apart = len(others) >= 2 and max(others) < 127
    return VOID if VOID in pixels and (colours.get(VOID) == VOC_VOID or apart) else None


def _too_many_message(scan: MaskScan, pixels) -> str:
    found = f"more than {MAX_COLOURS} colours in one" if scan.too_many_colours else f"{len(pixels)} values and colours"
    counts = {**scan.values, **scan.colours}
    listed = f": {format_counts(counts)}" if counts else ""
    return (
        f"Masks must hold at most {VOID} classes. Received: {found}, {scan.scanned} of {scan.total} masks scanned{listed}. "
        f"{SMOOTHED_CURE}"
    )


def format_table(rows: list[ProposedRow]) -> str:
    """The rows as CSV, which `LabelMap.from_csv` reads; it ignores the column of shares."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, "share"])
    writer.writerows([row.value, row.name, *row.colour, f"{100 * row.share:.3g}%"] for row in rows)
    return stream.getvalue()
