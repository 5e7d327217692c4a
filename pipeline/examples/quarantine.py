"""Keeps the files of pairs that were set aside, each with its reason, where people can look at them. Standard library only."""

from __future__ import annotations

import pathlib
import shutil

MOST_PAIRS = 1000
MOST_BYTES = 2**30
"""What is kept at most: where nearly all pairs are bad the run stops anyway, and the disk must not be full by then."""


def keep(
    folder: pathlib.Path, rows: list[dict], files: dict[tuple[str, str], tuple[pathlib.Path, pathlib.Path]]
) -> list[dict]:
    """Writes `folder/<number>/reason.txt` for each row, and copies of its image and mask as long as they fit.

    Args:
        folder: to be made where there are rows.
        rows: of `sources.source.quarantine_row`.
        files: image and mask file by split and key; of a pair that is not among them, the reason alone is kept.

    Returns:
        The rows, each with `kept`: the name of its subfolder, or None beyond the first MOST_PAIRS.
    """
    left = MOST_BYTES
    for number, row in enumerate(rows[:MOST_PAIRS]):
        place = folder / f"{number:03}"
        place.mkdir(parents=True)
        text = f"{row['name']}: {row['what']} [{row['where']}]. {row['cure']}"
        (place / "reason.txt").write_text("\n".join([row["image"], row["mask"], text, ""]), encoding="utf-8")
        for name, path in zip(("image", "mask"), files.get((row["split"], row["key"]), ()), strict=False):
            size = path.stat().st_size if path.is_file() else MOST_BYTES
            if size < left:
                shutil.copyfile(path, place / f"{name}{path.suffix}")
                left -= size
    return [row | {"kept": f"{n:03}" if n < MOST_PAIRS else None} for n, row in enumerate(rows)]
