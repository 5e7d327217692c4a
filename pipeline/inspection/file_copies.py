"""Image files that are copies of others, found without decoding: files of one size are compared by their digests.

This finds what leaks between splits also where not all pairs can be read.
"""

from __future__ import annotations

import collections
import os
import time

from pipeline.engine.contents import file_digest

SECONDS = 4.0


def find_copies(sides: dict, seconds: float = SECONDS) -> list[dict]:
    """Pairs whose image file has the bytes of another one's.

    Args:
        sides: (image, mask) by split and key, as `kseg.pairs.sides.Side`.
        seconds: time after which no further file is read.

    Returns:
        Rows {"split", "key", "pixels", "labels"} as `image_hashes.exact_duplicates` takes them, digests of the files for both.
    """
    by_size = collections.defaultdict(list)
    for (split, key), (image, mask) in sides.items():
        if image.own_file and image.own_file.is_file():
            by_size[os.path.getsize(image.own_file)].append((split, key, image, mask))
    rows, end = [], time.monotonic() + seconds
    for group in by_size.values():
        for split, key, image, mask in group if len(group) > 1 else ():
            if time.monotonic() > end:
                return rows
            labels = _digest(mask.own_file) if mask.own_file else None
            rows.append({"split": split, "key": key, "pixels": _digest(image.own_file), "labels": labels})
    return rows


def _digest(path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return f"unreadable: {path}"
