"""Check of the size at which a network sees the images: what scaling would lose."""

from __future__ import annotations

from kseg.pairs.resizing import fitted_size
from pipeline.validation.anomalies import Anomaly

MIN_SIDE = 32
"""Pixels; networks reduce images by up to this factor, so a shorter side becomes less than one position of the coarsest map."""
MAX_SUGGESTED = 2048
"""Pixels of the longer side of a size that is suggested; beyond it, images are better cut."""


def check_working_size(splits: dict[str, dict], image_size: tuple[int, int]):
    """Yields a warning about images whose shorter side falls below `MIN_SIDE` when they are fitted.

    Args:
        splits: statistics by split.
        image_size: (height, width) in pixels that images are fitted into.
    """
    numbers, total = {}, 0
    for split in splits.values():
        for size, number in split["sizes"].items():
            width, height = map(int, size.split("x"))
            numbers[height, width] = numbers.get((height, width), 0) + number
            total += number
    fitted = {size: fitted_size(*size, image_size) for size in numbers}
    narrow = sorted((size for size in numbers if min(fitted[size]) < MIN_SIDE), key=lambda size: min(fitted[size]))
    if narrow:
        count = sum(numbers[size] for size in narrow)
        yield Anomaly(
            "warn",
            "narrow_at_training_size",
            f"An image should keep a shorter side of at least {MIN_SIDE} pixels at the size of training. "
            f"Received: {count} of {total}, down to {_text(fitted[narrow[0]])}",
            f"fitted into {_text(image_size)}",
            _cure(narrow[0], fitted[narrow[0]], image_size),
            count=count,
            examples=tuple(f"{_text(size)} becomes {_text(fitted[size])}" for size in narrow[:5]),
        )


def _cure(size: tuple[int, int], fitted: tuple[int, int], image_size: tuple[int, int]) -> str:
    """What to do about the narrowest image, whose size is `fitted` when it fits into `image_size`."""
    if min(size) < MIN_SIDE // 4:
        return f"Check images such as {_text(size)}, which show too little at any size of training."
    larger = tuple(-(-side * MIN_SIDE // min(fitted)) for side in image_size)
    cut = f"Cut long images such as {_text(size)} into pieces"
    if max(larger) > MAX_SUGGESTED:
        return f"{cut}."
    return f"Train at --image-size {_text(larger)} or more" + (
        f", or c{cut[1:]}." if max(size) > 4 * min(size) else "."
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
