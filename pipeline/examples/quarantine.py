"""Copies of quarantined pairs, each with its reason, for people to look at.

Nothing is copied that the source did not open: files outside the boundary of the data, and what is not a file or not readable.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import stat

from kseg.pairs.decoding import JPEG
from kseg.pairs.errors import PairError
from kseg.pairs.sides import Side

MAX_PAIRS = 1000
MAX_BYTES = 2**30
"""Limits of what is copied: where nearly all pairs are bad, the run stops anyway, and must not have filled the disk by then."""


def copy_quarantined(
    folder: pathlib.Path, rows: list[dict], sides: dict[tuple[str, str], tuple[Side, Side]], max_pixels: int
) -> list[dict]:
    """Writes `folder/<number>/reason.txt` for each row, and copies image and mask up to the limits.

    A side that is a file of its own is copied as it is, any other as the picture that is read from it, if it can be read;
    reason.txt says the place of both.

    Args:
        folder: created if there are rows.
        rows: as of `sources.source.quarantine_row`.
        sides: image and mask by split and key; of other pairs only the reason is written.
        max_pixels: height times width above which a side without a file of its own is not read.

    Returns:
        The rows with `kept`: the name of the subfolder, or None beyond the first MAX_PAIRS.
    """
    left = MAX_BYTES
    for number, row in enumerate(rows[:MAX_PAIRS]):
        place = folder / f"{number:03}"
        place.mkdir(parents=True)
        text = f"{row['name']}: {row['what']} [{row['where']}]. {row['cure']}"
        (place / "reason.txt").write_text("\n".join([row["image"], row["mask"], text, ""]), encoding="utf-8")
        for name, side in zip(("image", "mask"), sides.get((row["split"], row["key"]), ()), strict=False):
            left -= _copy(side, place / name, left, max_pixels)
    return [row | {"kept": f"{n:03}" if n < MAX_PAIRS else None} for n, row in enumerate(rows)]


def _copy(side: Side, place: pathlib.Path, left: int, max_pixels: int) -> int:
    """Copies a side of fewer than `left` bytes to `place` with a suffix; returns the bytes written."""
    if side.own_file:
        return _copy_file(side.own_file, place.with_name(f"{place.name}{side.own_file.suffix}"), left)
    try:
        data = side.read(max_pixels)
    except PairError:
        return 0
    if len(data) >= left:
        return 0
    place.with_suffix(".jpg" if data.startswith(JPEG) else ".png").write_bytes(data)
    return len(data)


def _copy_file(source: pathlib.Path, target: pathlib.Path, limit: int) -> int:
    """Copies a readable file of fewer than `limit` bytes, with at most its permissions; returns the number of bytes."""
    if not source.is_file():
        return 0
    try:
        file = source.open("rb")
    except OSError:  # the reason of the row says why
        return 0
    with file:
        status = os.fstat(file.fileno())
        if status.st_size >= limit:
            return 0
        new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IMODE(status.st_mode) & 0o666)
        with open(new, "wb") as copy:
            shutil.copyfileobj(file, copy)
    return status.st_size
