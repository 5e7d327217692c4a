"""Tables of classes by name, as text, or in a file of any form that data sets and label tools use. Standard library only.

voc, cityscapes, ade20k, ...            the classes of a public data set
background=0-127,polyp=128-255          a name for each value or range of values
class_dict.csv, labelmap.txt, ...       a file that is known by its name; any other is read by `LabelMap.from_csv`
"""

from __future__ import annotations

import pathlib

from kseg.labels import parse_values, voc_colour
from kseg.pairs.errors import PairError, printable
from kseg.pairs.layouts import ade20k, camvid, cityscapes, label_tools, nnunet, vistas, voc
from kseg.pairs.layouts.class_files import READERS, yaml_names
from kseg.pairs.layouts.matching import file_in
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


COMMON = ("dataset.json", "config.json", "data.yaml")
FOUND = (*READERS, "_classes.csv", *COMMON)
"""Names of the files that are looked for beside pairs."""


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


def read_known_file(path: pathlib.Path) -> Classes | None:
    """The table of a file that is known by its name; None if it is not.

    Raises:
        PairError: the file is known, and its content is another.
    """
    name = path.name.lower()
    if name in READERS:
        return READERS[name](path)
    if name == "_classes.csv":
        return label_tools.read_roboflow_classes(path)
    if name == "dataset.json":
        return nnunet.read_classes(path)
    if name.startswith("config") and name.endswith(".json"):
        return vistas.read_classes(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(path)
    return None


def find_classes(root: pathlib.Path) -> Classes | None:
    """The table that lies in a folder under one of the names that data sets and label tools use, or None.

    Raises:
        PairError: there is such a file, and its content is another, unless other programs use its name, too.
    """
    for name in FOUND:
        if path := file_in(root, name):
            try:
                return read_known_file(path)
            except PairError:
                if name not in COMMON:
                    raise
    return None


def _read_yaml(path) -> Classes:
    """The names of a YAML file as Ultralytics writes it; the values are their numbers."""
    names = yaml_names(path)
    if not names or not all(0 <= value <= 255 for value in names):
        raise PairError(
            "bad_table",
            f"The YAML must name classes by numbers in 0..255. Received: {names or 'no names'}",
            printable(path),
            "Add them under names.",
        )
    rows = tuple((value, name, voc_colour(value)) for value, name in sorted(names.items()))
    return Classes(rows, path.name)
