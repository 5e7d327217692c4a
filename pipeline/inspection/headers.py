"""Sizes and kinds of all image and mask files, from their headers alone. Pillow only."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import time
import warnings

from PIL import Image

from kseg.pairs.decoding import DECODE_ERRORS, PNG, png_header, upright_transpose
from kseg.pairs.folder_files import OTHER_IMAGE_SUFFIXES
from kseg.pairs.listing import IMAGE_SUFFIXES

SECONDS = 4.0
SWAPPED = (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)
PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}
MODES = {  # words of Pillow's modes, and bits per sample
    "1": ("grey", 1),
    "L": ("grey", 8),
    "LA": ("grey and alpha", 8),
    "P": ("palette", 8),
    "RGB": ("RGB", 8),
    "RGBA": ("RGB and alpha", 8),
    "CMYK": ("CMYK", 8),
    "I;16": ("grey", 16),
    "I;16B": ("grey", 16),
    "I": ("grey", 32),
    "F": ("grey, floating point", 32),
}


@dataclasses.dataclass
class Headers:
    """What the headers of a source say.

    Attributes:
        total: pairs of the source.
        read: pairs whose headers were read.
        sizes: pairs by (width, height) of the image as displayed.
        images: images by kind, such as "JPEG, RGB, 8 bits"; other than files of pictures are counted by suffix.
        masks: masks by kind.
        turned: images that their EXIF orientation turns.
    """

    total: int
    read: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    images: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    masks: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    turned: int = 0


def read_headers(sides, seconds: float = SECONDS) -> Headers:
    """Reads the headers of pairs, of all or as many as the time allows.

    Args:
        sides: (image, mask) of each pair, as `kseg.pairs.sides.Side`.
        seconds: time after which no further pair is read.
    """
    sides = list(sides)
    found, end = Headers(len(sides)), time.monotonic() + seconds
    step = max(1, len(sides) // 1000)  # every part of the source comes early, in case the time does not suffice
    for image, mask in itertools.chain.from_iterable(sides[start::step] for start in range(step)):
        kind, size, turned = _read_header(image)
        found.images[kind] += 1
        found.turned += turned
        if size:
            found.sizes[size] += 1
        found.masks[_read_header(mask)[0]] += 1
        found.read += 1
        if time.monotonic() > end:
            break
    return found


def _read_header(side) -> tuple[str, tuple[int, int] | None, bool]:
    """Kind, (width, height) as displayed or None, and whether the EXIF orientation turns it."""
    if side.own_file is None:
        return side.kind or "part of a file", None, False
    try:
        with open(side.own_file, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of very large pictures, which reading refuses
            start = file.read(32)
            file.seek(0)
            picture = Image.open(file)
            known = (
                picture.format != "PNG" or "exif" in picture.info
            )  # else Pillow decodes a PNG to look behind its pixels
            transpose = upright_transpose(picture) if known else None
    except (*DECODE_ERRORS, Image.DecompressionBombError):
        kind = side.own_file.suffix[1:] or "no suffix"
        is_picture = side.own_file.suffix.lower() in {*IMAGE_SUFFIXES, *OTHER_IMAGE_SUFFIXES} - {".npy"}
        if not side.own_file.exists():
            return "no file", None, False
        return side.kind or (f"{kind} without a readable header" if is_picture else kind), None, False
    size = picture.size[::-1] if transpose in SWAPPED else picture.size
    return _describe(picture, start), size, transpose is not None


def _describe(picture: Image.Image, start: bytes) -> str:
    words, bits = MODES.get(picture.mode, (picture.mode, 8))
    if start.startswith(PNG):
        bits, colour_type = png_header(start)
        words = PNG_COLOURS.get(colour_type, words)
    return f"{picture.format}, {words}, {bits} bit{'s' * (bits > 1)}"
