"""Tables of classes by name, or as text; those in files are read by `class_files`. Standard library only.

voc, cityscapes, ade20k, ...            the classes of a public data set
background=0-127,polyp=128-255          a name for each value or range of values
"""

from __future__ import annotations

from kseg.labels import parse_values, voc_colour
from kseg.pairs.layouts import ade20k, camvid, cityscapes, voc
from kseg.pairs.layouts.recognised import Classes

BUILT_IN = {
    "ade20k": ade20k.TABLE,
    "camvid": camvid.COLOURS,
    "camvid11": camvid.ELEVEN,
    "cityscapes": cityscapes.TABLE,
    "cityscapes-labelids": cityscapes.LABEL_ID_TABLE,
    "voc": voc.TABLE,
}
"""By name; each names its source."""


def described_classes(text: str) -> Classes:
    """The classes that a name or a list of names and values describes.

    Args:
        text: one of `BUILT_IN`, or "name=values,name=values"; values are a number or a range such as 128-255, and a name that
            comes several times is one class.

    Raises:
        ValueError: it is neither.

    Example:
        >>> described_classes("background=0-1,cat=2").rows
        ((0, 'background', (0, 0, 0)), (1, 'background', (0, 0, 0)), (2, 'cat', (128, 0, 0)))
    """
    if text in BUILT_IN:
        return BUILT_IN[text]
    rows, numbers = [], {}
    try:
        for part in text.split(","):
            name, sign, values = part.rpartition("=")
            if not sign or not name.strip():
                raise ValueError(f"no name and values: {part}")
            colour = voc_colour(numbers.setdefault(name.strip(), len(numbers)))
            rows += [(value, name.strip(), colour) for value in parse_values(values)]
    except ValueError as error:
        raise ValueError(
            "Classes must be a file, name=values,name=values, such as background=0-127,polyp=128-255, or one of "
            f"{', '.join(BUILT_IN)}. Received: {text} [{error}]. Correct the text."
        ) from error
    return Classes(tuple(rows), "--classes")
