"""Check of the size at which a network sees the images: what scaling would lose."""

from __future__ import annotations

import math

from kseg.pairs.resizing import working_size
from pipeline.validation.anomalies import Anomaly

MIN_SIDE = 32
"""Pixels; networks reduce images by up to this factor, so a shorter side becomes less than one position of the coarsest map."""
MAX_SUGGESTED = 2048
"""Pixels of the longer side of a size that is suggested; beyond it, images are better cut."""


def check_working_size(splits: dict[str, dict], working_scale: tuple[int, int] | float):
    """Yields a warning about images whose shorter side falls below `MIN_SIDE` at their working size.

    Args:
        splits: statistics by split.
        working_scale: (height, width) in pixels that images are fitted into, or a factor on their own sides.
    """
    numbers, total = {}, 0
    for split in splits.values():
        for size, number in split["sizes"].items():
            width, height = map(int, size.split("x"))
            numbers[height, width] = numbers.get((height, width), 0) + number
            total += number
    fitted = {size: working_size(*size, working_scale) for size in numbers}
    narrow = sorted((size for size in numbers if min(fitted[size]) < MIN_SIDE), key=lambda size: min(fitted[size]))
    boxed = isinstance(working_scale, tuple | list)
    if narrow:
        count = sum(numbers[size] for size in narrow)
        yield Anomaly(
            "warn",
            "narrow_at_training_size",
            f"An image should keep a shorter side of at least {MIN_SIDE} pixels at the size of training. "
            f"Received: {count} of {total}, down to {_text(fitted[narrow[0]])}",
            f"fitted into {_text(working_scale)}" if boxed else f"{working_scale:g} of their own size",
            _cure(narrow[0], fitted[narrow[0]], working_scale if boxed else None),
            count=count,
            examples=tuple(f"{_text(size)} becomes {_text(fitted[size])}" for size in narrow[:5]),
        )


def _cure(size: tuple[int, int], fitted: tuple[int, int], image_size: tuple[int, int] | None) -> str:
    """What to do about the narrowest image, whose size is `fitted` when it fits into `image_size` or, with None, is scaled."""
    if min(size) < MIN_SIDE // 4:
        return f"Check images such as {_text(size)}, which show too little at any size of training."
    if image_size is None:
        enough = math.ceil(100 * MIN_SIDE / min(size)) / 100
        return "Leave out such images." if enough > 1 else f"Raise transform.image_scale to {enough:g} or more."
    larger = tuple(-(-side * MIN_SIDE // min(fitted)) for side in image_size)
    cut = f"Cut long images such as {_text(size)} into pieces"
    if max(larger) > MAX_SUGGESTED:
        return f"{cut}."
    return f"Train at --image-size {_text(larger)} or more" + (
        f", or c{cut[1:]}." if max(size) > 4 * min(size) else "."
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
