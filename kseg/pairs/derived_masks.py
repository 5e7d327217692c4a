"""Masks that are made of other masks: values renamed, a threshold, one mask per label joined. numpy and Pillow only."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from kseg.labels import VOID, format_values
from kseg.pairs.decoding import JPEG, MAX_PIXELS, open_image
from kseg.pairs.errors import PairError
from kseg.pairs.mask_files import decode_mask, format_counts
from kseg.pairs.other_formats import encode
from kseg.pairs.sides import Side

DOUBTFUL_SHARE = 0.05
"""Share of the pixels that may lie between the two levels of a binary mask; compression makes such at edges alone."""


@dataclasses.dataclass(frozen=True)
class _Derived:
    """What masks made of one other mask have in common; see `Side`."""

    mask: Side

    kind = None

    @property
    def name(self) -> str:
        return self.mask.name

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return self.mask.files

    @property
    def own_file(self) -> pathlib.Path | None:
        return self.mask.own_file

    def has_colour(self) -> bool:
        return False


@dataclasses.dataclass(frozen=True)
class RenamedValues(_Derived):
    """A mask whose values are renamed, as where several of them mean void; see `Side`.

    Args:
        mask: the mask as it is stored.
        values: what each stored value becomes.
    """

    values: tuple[tuple[int, int], ...]

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        pixels, _ = decode_mask(self.mask.read(max_pixels), self.name, max_pixels)
        table = np.full(256, -1)
        table[[old for old, _ in self.values]] = [new for _, new in self.values]
        if pixels.ndim != 2:
            raise PairError(
                "unexpected_colours",
                "A mask of this layout must hold one value for each pixel. Received: colours",
                self.name,
                "Download it again; the masks of colours are other files.",
            )
        renamed = table[pixels]
        if renamed.min() < 0:
            values, counts = np.unique(pixels[renamed < 0], return_counts=True)
            raise PairError(
                "unknown_values",
                f"Mask values must be those of the layout ({format_values(old for old, _ in self.values)}). "
                f"Received: {format_counts(dict(zip(values.tolist(), counts.tolist(), strict=True)))}",
                self.name,
                "Correct the mask, or pass --classes with a table of its values.",
            )
        return encode(Image.fromarray(renamed.astype(np.uint8)))


@dataclasses.dataclass(frozen=True)
class Thresholded(_Derived):
    """A mask of two levels, which compression has blurred: 255 from 128 on, else 0; see `Side`."""

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        data = self.mask.read(max_pixels)
        if data.startswith(JPEG):
            pixels = np.asarray(open_image(data, self.name, max_pixels).convert("L"))
        else:
            pixels, _ = decode_mask(data, self.name, max_pixels)
            pixels = pixels if pixels.ndim == 2 else pixels.max(axis=-1)
        between = np.mean((pixels > 64) & (pixels < 192))
        if between > DOUBTFUL_SHARE:
            raise PairError(
                "no_binary_mask",
                f"At most {DOUBTFUL_SHARE:.0%} of the pixels of a mask of two levels may lie between them. "
                f"Received: {between:.0%} in 65..191",
                self.name,
                "Check that it is a mask of black and white.",
            )
        return encode(Image.fromarray(np.where(pixels >= 128, np.uint8(255), np.uint8(0))))


@dataclasses.dataclass(frozen=True)
class PureColours(_Derived):
    """A mask of colours whose channels are 0 or 255, which compression has blurred: 255 from 128 on, else 0; see `Side`."""

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        pixels, _ = decode_mask(self.mask.read(max_pixels), self.name, max_pixels)
        pixels = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        return encode(Image.fromarray(np.where(pixels >= 128, np.uint8(255), np.uint8(0))))


@dataclasses.dataclass(frozen=True)
class JoinedMasks:
    """One mask of 0 and another value per label, joined into one; see `Side`.

    A pixel of no label is 0. One of several labels is void, since nobody said which counts.

    Args:
        masks: (value, mask) of each label; the same value may come several times.
        picture: place of the picture that they label, for messages.
        binary: whether a mask of more than two values is refused, where nothing but names says that it is of one label.
    """

    masks: tuple[tuple[int, Side], ...]
    picture: str
    binary: bool = False

    kind = None
    own_file = None

    @property
    def name(self) -> str:
        return self.masks[0][1].name if self.masks else f"no mask of {self.picture}"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        return tuple(path for _, mask in self.masks for path in mask.files)

    def has_colour(self) -> bool:
        return False

    def read(self, max_pixels: int = MAX_PIXELS) -> bytes:
        joined = None
        for value, mask in self.masks:
            pixels, _ = decode_mask(mask.read(max_pixels), mask.name, max_pixels)
            pixels = pixels if pixels.ndim == 2 else pixels.max(axis=-1)
            if self.binary:
                _refuse_several_values(pixels, mask.name)
            inside = pixels > 0
            joined = np.zeros(inside.shape, np.uint8) if joined is None else joined
            if joined.shape != inside.shape:
                raise PairError(
                    "size_mismatch",
                    "The masks of one picture must have one size. "
                    f"Received: {inside.shape[1]}x{inside.shape[0]} beside {joined.shape[1]}x{joined.shape[0]}",
                    mask.name,
                    "Export them again.",
                )
            joined = paint(joined, inside, value)
        return encode(Image.fromarray(joined))


def _refuse_several_values(pixels, where):
    values, counts = np.unique(pixels, return_counts=True)
    if len(values) > 2 or (len(values) == 2 and values[0] > 0):
        raise PairError(
            "no_binary_mask",
            "A mask of one label must hold 0 and one other value. "
            f"Received: {format_counts(dict(zip(values.tolist(), counts.tolist(), strict=True)))}",
            where,
            "If the masks are whole ones of several kinds, choose one kind by two patterns, --images and --masks.",
        )


def paint(values: np.ndarray, inside: np.ndarray, value: int) -> np.ndarray:
    """Values (H, W), uint8, with `value` where `inside` is true, and void where another value was before.

    Example:
        >>> paint(np.array([0, 1, 2], np.uint8), np.array([True, True, True]), 1).tolist()
        [1, 1, 255]
    """
    free = (values == 0) | (values == value)
    return np.where(inside, np.where(free, np.uint8(value), np.uint8(VOID)), values)
