"""Words in names of folders, files and columns that say whether these hold images or masks. Standard library only."""

from __future__ import annotations

import re

IMAGE_WORDS = frozenset(
    re.split(
        r"\s+",
        "image images img imgs photo photos picture pictures pic pics input inputs original originals frame frames rgb sat",
    )
)
MASK_WORDS = frozenset(
    re.split(
        r"\s+",
        "mask masks label labels lbl lbls lab labs labelled labeled annotation annotations annotated annot annots anno annos ann "
        "anns gt gts truth truths groundtruth groundtruths target targets segmentation segmentations seg segs manual manuals",
    )
)


def role_of(name: str) -> str:
    """ "image" or "mask" by a word in the name, or "".

    Example:
        >>> [role_of(name) for name in ("imgs", "Ground Truth", "images_prepped", "image_masks", "monday")]
        ['image', 'mask', 'image', 'mask', '']
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    words = set(re.findall(r"[^\W\d_]+", text))
    return "mask" if words & MASK_WORDS else "image" if words & IMAGE_WORDS else ""


def is_image_name(stem: str) -> bool:
    """Whether the first or last word of a file's name is one of images."""
    return _ends_with_one_of(stem, IMAGE_WORDS | {"color", "colour"})


def is_mask_name(stem: str) -> bool:
    """Whether the first or last word of a file's name is one of masks, perhaps with a number behind.

    Example:
        >>> [is_mask_name(stem) for stem in ("001_mask", "mask_001", "a (2)_mask_1", "masked man", "001")]
        [True, True, True, False, False]
    """
    return _ends_with_one_of(stem, MASK_WORDS)


def _ends_with_one_of(stem, words) -> bool:
    found = re.findall(r"[^\W\d_]+", stem.casefold())
    return bool(found) and bool({found[0], found[-1]} & words)
