"""Quarantined pairs by reason, with small pictures of the first ones. numpy and Pillow.

Only the copies that example_gen left in its own folder are read, never the data; a link among them is not followed. What cannot
be decoded has no picture.
"""

from __future__ import annotations

import io
import pathlib
import re
import stat

import numpy as np
from PIL import Image

from kseg.labels import voc_colour
from kseg.pairs.decoding import DECODE_ERRORS, JPEG, PNG, open_image, turn_upright
from kseg.pairs.errors import PairError
from pipeline.report.pictures import encode_uri

SIZE = (96, 72)  # pixels of a picture
PAIRS = 4  # with pictures, of each reason
LISTED = 200  # keys of each reason
MAX_BYTES, MAX_PIXELS = 2**26, 30_000_000
OTHER_FORMATS = ("TIFF", "GIF", "BMP", "WEBP")
MOST_COLOURS = 64  # values of a mask that are drawn in VOC's colours; more are levels of grey


def group_by_reason(rows: list[dict], folder: pathlib.Path) -> list[dict]:
    """One row for each reason, the most common one first.

    Args:
        rows: `quarantined` of ingestion.json.
        folder: `quarantine` in the artifact of example_gen.

    Returns:
        {"name", "what", "cure" of the first pair, "count", "pairs", "others" (further keys), "unlisted" (how many more)}.
        A pair is {"key", "where", "sides"}, a side {"what", "uri", "size"}; `uri` is None where there is nothing to show.
    """
    groups = {}
    for row in rows:
        groups.setdefault(row["name"], []).append(row)
    return [
        {
            "name": name,
            "what": group[0]["what"],
            "cure": group[0]["cure"],
            "count": len(group),
            "pairs": [_show(row, folder) for row in group[:PAIRS]],
            "others": [row["key"] for row in group[PAIRS : PAIRS + LISTED]],
            "unlisted": max(0, len(group) - PAIRS - LISTED),
        }
        for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _show(row: dict, folder: pathlib.Path) -> dict:
    kept = row.get("kept") or ""
    files = _kept_files(folder / kept) if re.fullmatch(r"\d+", kept) else {}
    sides = [{"what": what, **_thumbnail(files.get(what), what == "mask")} for what in ("image", "mask")]
    return {"key": row["key"], "where": row["where"], "sides": sides}


def _kept_files(place: pathlib.Path) -> dict[str, pathlib.Path]:
    """Regular files in the folder of a pair, by their names without suffix."""
    if place.is_symlink() or not place.is_dir():
        return {}
    return {path.stem: path for path in sorted(place.iterdir()) if stat.S_ISREG(path.lstat().st_mode)}


def _thumbnail(path: pathlib.Path | None, is_mask: bool) -> dict:
    """A small PNG or JPEG as URI, and the size of the original; both None where it cannot be shown."""
    try:
        picture = _open(path) if path and path.stat().st_size <= MAX_BYTES else None
    except (PairError, OSError, *DECODE_ERRORS, Image.DecompressionBombError):
        picture = None
    if picture is None:
        return {"uri": None, "size": None}
    size, picture = f"{picture.width}x{picture.height}", _in_colours(picture, is_mask)
    factor = min(SIZE[0] / picture.width, SIZE[1] / picture.height)
    smooth = Image.Resampling.NEAREST if is_mask or factor > 1 else Image.Resampling.BOX
    small = picture.resize([max(1, round(factor * side)) for side in picture.size], smooth)
    return {"uri": encode_uri(small, "PNG" if is_mask else "JPEG"), "size": size}


def _open(path: pathlib.Path) -> Image.Image | None:
    """The decoded picture, upright."""
    data = path.read_bytes()
    if data.startswith((PNG, JPEG)):
        picture = open_image(data, path.name, MAX_PIXELS)
    else:
        picture = Image.open(io.BytesIO(data), formats=OTHER_FORMATS)
        if picture.width * picture.height > MAX_PIXELS:
            return None
        picture.load()
    return turn_upright(picture)


def _in_colours(picture: Image.Image, is_mask: bool) -> Image.Image:
    """RGB; values of a mask in VOC's colours, and more than 8 bits scaled to the largest one."""
    if picture.mode not in ("1", "L") and not picture.mode.startswith(("I", "F")):
        return picture.convert("RGB")
    values = np.asarray(picture).astype(float)
    found = np.unique(values)
    if is_mask and len(found) <= MOST_COLOURS:
        colours = np.array([voc_colour(int(value) % 256) for value in found], np.uint8)
        return Image.fromarray(colours[np.searchsorted(found, values)])
    largest = 255 if picture.mode == "L" else max(1.0, values.max())
    return Image.fromarray(np.clip(values * 255 / largest, 0, 255).astype(np.uint8)).convert("RGB")
