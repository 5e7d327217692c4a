"""Folders of which no name says what they hold, but whose pictures pair: proposed to the user, never read without being asked.

A JPEG is rather the image than the mask. Standard library only.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib

from kseg.pairs.errors import PairError
from kseg.pairs.folder_files import JPEG_SUFFIXES
from kseg.pairs.layouts.matching import NEARLY_ALL
from kseg.pairs.layouts.named_files import match_names
from kseg.pairs.layouts.own_folders import by_last_name, pattern_of_folders, recognised_names
from kseg.pairs.layouts.recognised import Recognised

MAX_KINDS = 8


def guess_readings(root: pathlib.Path) -> list[Recognised]:
    """Ways to pair the pictures of two kinds of folders, each with the patterns that select it.

    Args:
        root: an existing folder, which no recogniser knows.
    """
    kinds = by_last_name(root) if root.is_dir() else {}
    known = any(role == "image" for role, _ in kinds)
    found = []
    for kind, other in itertools.permutations(list(kinds.items())[:MAX_KINDS], 2):
        ((role, token), images), ((mask_role, mask_token), masks) = kind, other
        if role != "image" * known or mask_role == "image" or (_are_jpegs(masks) and not _are_jpegs(images)):
            continue
        try:
            matched = match_names(images, masks)
        except PairError:
            continue
        if len(matched.pairs) >= max(2, NEARLY_ALL * min(len(images), len(masks))):
            options = ("--images", pattern_of_folders(root, images), "--masks", pattern_of_folders(root, masks))
            reading = recognised_names(root, token, mask_token, matched)
            found.append(dataclasses.replace(reading, options=options, guessed=True))
    return found


def _are_jpegs(files) -> bool:
    return all(file.path.suffix.lower() in JPEG_SUFFIXES for file in files)
