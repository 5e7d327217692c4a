"""Which images equal an earlier one pixel by pixel, and which look nearly like one. numpy and Pillow only.

The *perceptual hash* of an image has 128 bits: the signs of the brightness differences to the right and downwards on a grid of
8x8 (dHash in both directions). JPEG compression, halving the size or brightening change few of them; copies that are rotated,
flipped or cropped by more than about 3 % are not found.
"""

from __future__ import annotations

import array
import dataclasses
import hashlib
import itertools
from collections.abc import Iterable

import numpy as np
from PIL import Image

from kseg.pairs.split_names import SPLITS as LABELLED
from kseg.pairs.split_names import UNLABELLED
from kseg.pictures import pillow_picture

GRID = 8
COMPARISONS = 2**18  # at a time

EXHAUSTIVE = 20_000
"""Images of which all pairs are compared."""

BANDED_BITS = 15
"""In which the hashes of near duplicates may differ among more images: bands then have 16 bits at least."""

DIFFERENCE, NOTHING = 2**40, 2**62
"""A score is DIFFERENCE for each bit plus the position of an image; NOTHING where there is no image."""

SPLITS = (*LABELLED, UNLABELLED)


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 of shape and values: equal for two files with the same pixels."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def perceptual_hash(image: np.ndarray) -> str:
    """The perceptual hash of an image (H, W, C), or of its picture, as 32 hexadecimal digits.

    Example:
        >>> perceptual_hash(np.zeros((4, 4, 1), np.uint8)) == 32 * "0"  # no difference is positive
        True
    """
    grey = pillow_picture(image).convert("L")
    across = np.asarray(grey.resize((GRID + 1, GRID), Image.Resampling.BOX), np.int16)
    down = np.asarray(grey.resize((GRID, GRID + 1), Image.Resampling.BOX), np.int16)
    return (
        np.packbits(np.concatenate([np.diff(across, axis=1) > 0, np.diff(down, axis=0) > 0], axis=None)).tobytes().hex()
    )


class ImageTable:
    """What is known of many images, in some 150 bytes each.

    Args:
        rows: {"split", "key", "pixels" and "labels" (digests of the image and of its label map), "hash" (perceptual), "size"
            (height, width), "void" (whether no pixel has a class)}, the last three only where they are asked for.
    """

    def __init__(self, rows: Iterable[dict] = ()):
        self._keys, self._splits, self._sides, self._void = [], bytearray(), array.array("L"), bytearray()
        self._pixels, self._labels, self._hashes = bytearray(), bytearray(), bytearray()
        for row in rows:
            self.append(row)

    def append(self, row: dict):
        """Adds an image."""
        self._keys.append(row["key"])
        self._splits.append(SPLITS.index(row["split"]))
        self._sides.append(min(row.get("size", (0,))))
        self._void.append(row.get("void", False))
        self._pixels += _short_digest(row["pixels"])
        self._labels += _short_digest(row["labels"])
        self._hashes += bytes.fromhex(row.get("hash", 32 * "0"))

    def __len__(self) -> int:
        return len(self._keys)

    def columns(self) -> Columns:
        """The images by split, train first, then by key: this order says which of two is the earlier."""
        order = np.array(sorted(range(len(self)), key=lambda index: (self._splits[index], self._keys[index])), np.intp)
        return Columns(
            keys=[self._keys[index] for index in order],
            splits=np.array(self._splits, np.uint8)[order],
            sides=np.array(self._sides)[order],
            void=np.array(self._void, bool)[order],
            pixels=np.array(self._pixels).view("V16")[order],
            labels=np.array(self._labels).view("V16")[order],
            hashes=np.array(self._hashes).view(np.uint64).reshape(-1, 2)[order],
        )


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of an `ImageTable` of N images in order.

    Attributes:
        keys: of the images.
        splits: (N,), positions in SPLITS.
        sides: (N,), the shorter side in pixels.
        void: (N,), whether no pixel has a class.
        pixels: (N,), digest of the image.
        labels: (N,), digest of its label map.
        hashes: (N, 2), uint64, the perceptual hash.
    """

    keys: list[str]
    splits: np.ndarray
    sides: np.ndarray
    void: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray
    hashes: np.ndarray

    def name(self, index: int) -> str:
        """ "split/key"."""
        return f"{SPLITS[self.splits[index]]}/{self.keys[index]}"

    def names(self, mask: np.ndarray) -> list[str]:
        """The names of those images where `mask` (N,) is true."""
        return [self.name(index) for index in np.flatnonzero(mask)]


def _short_digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def columns_of(images: Columns | ImageTable | Iterable[dict]) -> Columns:
    """The columns of a table or of the rows of one."""
    if isinstance(images, Columns):
        return images
    return (images if isinstance(images, ImageTable) else ImageTable(images)).columns()


def exact_duplicates(images: Columns | ImageTable | Iterable[dict]) -> list[dict]:
    """Images whose pixels equal those of an earlier one.

    Args:
        images: with the digests of image and label map.

    Returns:
        A row for each: {"image", "of" (the first with these pixels), "same_labels"}, images as "split/key".
    """
    images = columns_of(images)
    _, firsts, which = np.unique(images.pixels, return_index=True, return_inverse=True)
    first = firsts[which]
    return [
        {
            "image": images.name(index),
            "of": images.name(first[index]),
            "same_labels": bool(images.labels[index] == images.labels[first[index]]),
        }
        for index in np.flatnonzero(first < np.arange(len(first)))
    ]


def held_out_images(images: Columns) -> list[str]:
    """The keys of the images without masks whose pixels equal those of an image of validation or test."""
    _, which = np.unique(images.pixels, return_inverse=True)
    scored = np.isin(images.splits, [SPLITS.index("validation"), SPLITS.index("test")])
    found = (images.splits == SPLITS.index(UNLABELLED)) & np.isin(which, which[scored])
    return [images.keys[index] for index in np.flatnonzero(found)]


def check_near_duplicate_bits(images: int, max_bits: int):
    """Whether so many images can be searched for near duplicates.

    Raises:
        ValueError: they are too many for so many bits.
    """
    if images > EXHAUSTIVE and max_bits > BANDED_BITS:
        raise ValueError(
            f"`near_duplicate_bits` must not exceed {BANDED_BITS} where more than {EXHAUSTIVE} images are to be compared. "
            f"Received: statistics_gen.near_duplicate_bits={max_bits}, {images} images. "
            f"Set statistics_gen.near_duplicate_bits={BANDED_BITS} or less."
        )


def near_duplicates(images: Columns | ImageTable | Iterable[dict], max_bits: int) -> list[dict]:
    """Images that look like an earlier one without equalling it pixel by pixel.

    All pairs of up to EXHAUSTIVE images are compared. Of more, only those are that agree in a part of their hashes, up to a bit:
    of `max_bits` // 2 + 1 parts there is always such a one, so no pair is missed.

    Args:
        images: with digest of the image and perceptual hash.
        max_bits: number of the 128 bits in which two hashes may differ.

    Returns:
        For each image, and each split with a similar earlier one, a row {"image", "of" (the most similar), "bits"}.

    Raises:
        ValueError: there are too many images for so many bits.
    """
    images = columns_of(images)
    check_near_duplicate_bits(len(images.keys), max_bits)
    if not len(images.keys):
        return []
    _, firsts, which = np.unique(
        np.ascontiguousarray(images.hashes).view("V16")[:, 0], return_index=True, return_inverse=True
    )
    similar = _most_similar(images.hashes[firsts], _first_by_split(which, images.splits), max_bits)
    _, copies = np.unique(images.pixels, return_inverse=True)
    first_copies = _first_by_split(copies, images.splits)
    rows, position = [], np.arange(len(images.keys))
    for split in range(len(SPLITS)):
        same = _first_by_split(which, images.splits)[which, split]
        found = np.where(same < position, same, similar[which, images.splits, split])
        listed = (images.splits >= split) & (found < NOTHING) & ~(first_copies[copies, split] < position)
        for index in np.flatnonzero(listed):
            bits, of = divmod(int(found[index]), DIFFERENCE)
            rows.append({"image": images.name(index), "of": images.name(of), "bits": bits})
    return rows


def _first_by_split(groups: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """(G, 4): the first of the images (N,) of each group in each split, or NOTHING."""
    first = np.full((groups.max() + 1, len(SPLITS)), NOTHING)
    np.minimum.at(first, (groups, splits), np.arange(len(groups)))
    return first


def _most_similar(hashes: np.ndarray, first: np.ndarray, max_bits: int) -> np.ndarray:
    """For each of different hashes (U, 2), as in one split, the most similar other one of an earlier image in another split.

    Args:
        hashes: (U, 2).
        first: (U, 4), the first image of each hash in each split.
        max_bits: in which two may differ.

    Returns:
        (U, 4, 4): DIFFERENCE times the differing bits plus the image, for the first image of hash and split; or NOTHING.
    """
    best = np.full((len(hashes), len(SPLITS), len(SPLITS)), NOTHING)
    pairs = _all_pairs(len(hashes)) if len(hashes) <= EXHAUSTIVE else _agreeing_pairs(hashes, max_bits)
    for left, right in pairs:
        bits = np.bitwise_count(hashes[left] ^ hashes[right]).sum(axis=1, dtype=np.int64)
        near = bits <= max_bits
        left, right, bits = left[near], right[near], bits[near]
        for one, other in ((left, right), (right, left)):
            for split in range(len(SPLITS)):
                for earlier in range(split + 1):
                    of = first[other, earlier]
                    valid = of < first[one, split]
                    valid &= first[one, split] < NOTHING
                    scores = bits[valid] * DIFFERENCE + of[valid]
                    np.minimum.at(best, (one[valid], split, earlier), scores)
    return best


def _all_pairs(number: int):
    """Yields every pair of positions below `number`, as two arrays, COMPARISONS at a time."""
    rows = max(1, COMPARISONS // max(1, number))
    for start in range(0, number, rows):
        left, right = np.meshgrid(np.arange(start, min(start + rows, number)), np.arange(number), indexing="ij")
        later = right > left
        yield left[later], right[later]


def _agreeing_pairs(hashes: np.ndarray, max_bits: int):
    """Yields pairs of positions, as two arrays, COMPARISONS at a time, among them all that differ in `max_bits` at most.

    The bits of a hash are dealt to bands. If two hashes differed in two bits or more of each band, they would differ in more than
    `max_bits`; so there is a band in which they agree, or differ in one bit.
    """
    bands = max(4, max_bits // 2 + 1)  # of 32 bits at most
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, 16), axis=1)
    for band in range(bands):
        chosen = bits[:, band::bands]  # not neighbours: a sky has no differences at all
        keys = np.zeros(len(bits), np.uint64)
        for column in chosen.T:
            keys = keys * np.uint64(2) + column
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        yield from _expand(order, np.arange(1, len(keys) + 1), np.searchsorted(keys, keys, "right"), order)
        if max_bits < bands:
            continue  # they agree in one band entirely
        for bit in range(chosen.shape[1]):
            without = np.flatnonzero(keys >> np.uint64(bit) & np.uint64(1) == 0)
            wanted = keys[without] | np.uint64(1 << bit)
            yield from _expand(
                order[without], np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, "right"), order
            )


def _expand(left, starts, ends, order):
    """Yields pairs of `left[n]` with each of `order[starts[n]:ends[n]]`, about COMPARISONS at a time."""
    some = starts < ends
    left, starts, counts = left[some], starts[some], (ends - starts)[some]
    ends = np.cumsum(counts)
    parts = np.searchsorted(ends, np.arange(COMPARISONS, counts.sum() + COMPARISONS, COMPARISONS)) + 1
    for first, last in itertools.pairwise([0, *np.unique(np.minimum(parts, len(left)))]):
        numbers = counts[first:last]
        offsets = np.arange(numbers.sum()) - np.repeat(np.cumsum(numbers) - numbers, numbers)
        yield np.repeat(left[first:last], numbers), order[np.repeat(starts[first:last], numbers) + offsets]
