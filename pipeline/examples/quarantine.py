"""Copies of quarantined pairs, each with its reason, for people to look at. Standard library only."""

from __future__ import annotations

import pathlib
import shutil

MAX_PAIRS = 1000
MAX_BYTES = 2**30
"""Limits of what is copied: where nearly all pairs are bad, the run stops anyway, and must not have filled the disk by then."""


def copy_quarantined(
    folder: pathlib.Path, rows: list[dict], files: dict[tuple[str, str], tuple[pathlib.Path, pathlib.Path]]
) -> list[dict]:
    """Writes `folder/<number>/reason.txt` for each row, and copies image and mask up to the limits.

    Args:
        folder: created if there are rows.
        rows: as of `sources.source.quarantine_row`.
        files: image and mask file by split and key; of other pairs only the reason is written.

    Returns:
        The rows with `kept`: the name of the subfolder, or None beyond the first MAX_PAIRS.
    """
    left = MAX_BYTES
    for number, row in enumerate(rows[:MAX_PAIRS]):
        place = folder / f"{number:03}"
        place.mkdir(parents=True)
        text = f"{row['name']}: {row['what']} [{row['where']}]. {row['cure']}"
        (place / "reason.txt").write_text("\n".join([row["image"], row["mask"], text, ""]), encoding="utf-8")
        for name, path in zip(("image", "mask"), files.get((row["split"], row["key"]), ()), strict=False):
            size = path.stat().st_size if path.is_file() else MAX_BYTES
            if size < left:
                shutil.copyfile(path, place / f"{name}{path.suffix}")
                left -= size
    return [row | {"kept": f"{n:03}" if n < MAX_PAIRS else None} for n, row in enumerate(rows)]
