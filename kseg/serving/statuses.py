"""What `serve_bytes` answers about each image, 0 where it is labelled and otherwise why not; and the limits behind it.

Standard library only. The names are those of the faults that ingestion quarantines (`docs/data_validation.md`).
"""

from __future__ import annotations

import math
import numbers

GOOD, EMPTY, UNSUPPORTED_FORMAT, DAMAGED, TOO_MANY_PIXELS, BATCH_TOO_LARGE, BAD_EXAMPLE = range(7)

NAMES = (
    "good",
    "empty_file",
    "unsupported_format",
    "damaged_file",
    "too_many_pixels",
    "batch_too_large",
    "bad_example",
)
"""By status."""

ACCEPTED = "An image must be a JPEG or PNG file. Received: another format. Convert it to PNG."

MAX_PIXELS = 50_000_000
"""Default limit of a request, that of ingestion."""

SCORE_MEMORY = 1.0
"""Default of the memory for class scores, GiB."""

SCORE_BYTES = {"probabilities": 9, "tiles": 22, "DenseCRF": 240}
"""Bytes of memory per pixel and class, measured: what needs the scores of many pixels at once, by what asks for them."""

TILE = (512, 512)
"""(height, width) of the tiles that label large images of their own sizes, in pixels at working scale."""

MAX_SIDE = 65_535
"""Pixels of the longer side of an image: the most that a JPEG can have."""

NETWORK_PIXELS = 2**20
"""Pixels that a network sees at once, above which an image is labelled by tiles, and a request for `network` is refused."""


def messages(max_pixels: int, cause: str, accepted: str = ACCEPTED, max_side: int = MAX_SIDE) -> tuple[str, ...]:
    """What must hold, by status; empty for GOOD.

    Args:
        max_pixels: of a request.
        cause: what sets that limit, with the way to raise it.
        accepted: what an image must be, and the cure where it is not.
        max_side: pixels of the longer side.
    """
    return (
        "",
        "An image must not be empty. Received: 0 bytes. Send the content of a file.",
        accepted,
        "An image must be whole. Received: a damaged or truncated file. Send it again; if the original is damaged, save it again "
        "from a program that opens it.",
        f"An image must have at most {max_pixels:,} pixels ({cause}), and no side above {max_side:,}. Scale it down.",
        f"The images of a batch must have at most {max_pixels:,} pixels together ({cause}). Send this image in another batch.",
        "An example must be a serialized tf.Example whose feature 'image' is one bytes value, the content of an image file. "
        "Received: another content. Write it with tf.train.Example.",
    )


def image_pixels(num_classes: int, crf: bool, max_pixels: int, score_memory: float) -> int:
    """Pixels of the largest image that an export labels.

    Args:
        num_classes: K.
        crf: whether DenseCRF refines its probabilities.
        max_pixels: of a request.
        score_memory: GiB.
    """
    return min(max_pixels, score_pixels("DenseCRF", num_classes, score_memory)) if crf else max_pixels


def score_pixels(name: str, num_classes: int, score_memory: float) -> int:
    """Pixels whose class scores fit into memory.

    Args:
        name: of `SCORE_BYTES`.
        num_classes: K.
        score_memory: GiB.
    """
    return int(score_memory * 2**30 / (SCORE_BYTES[name] * num_classes))


def check_limits(
    working_scale: tuple[int, int] | float, num_classes: int, *, crf: bool, max_pixels: int, score_memory: float
):
    """Refuses limits under which an export could not label an image of the size that it was trained at.

    Args:
        working_scale: (height, width) that images are fitted into, in pixels, or a factor on their own sides.
        num_classes: K.
        crf: whether DenseCRF refines the probabilities.
        max_pixels: as in `kseg.export`.
        score_memory: as in `kseg.export`.

    Raises:
        ValueError: they are too small, or no numbers.
    """
    boxed = isinstance(working_scale, tuple | list)
    pixels = working_scale[0] * working_scale[1] if boxed else 1
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, numbers.Integral) or max_pixels < pixels:
        raise ValueError(
            f"`max_pixels` must be a whole number of pixels, at least those of `image_size`, {pixels:,}. "
            f"Received: max_pixels={max_pixels!r}."
        )
    if isinstance(score_memory, bool) or not isinstance(score_memory, numbers.Real) or not 0 < score_memory < math.inf:
        raise ValueError(f"`score_memory` must be a number of GiB above 0. Received: score_memory={score_memory!r}.")
    for name in ("probabilities", "DenseCRF") if crf else ("probabilities",):
        if score_pixels(name, num_classes, score_memory) < pixels:
            least = pixels * num_classes * SCORE_BYTES[name] / 2**30
            raise ValueError(
                f"`score_memory` must suffice for {name} of {num_classes} classes at `image_size`, {pixels:,} pixels. "
                f"Received: score_memory={score_memory:g} GiB. Raise it to {math.ceil(least * 100) / 100:g} or more."
            )


def takes_pictures(channels: int, dtype: str) -> bool:
    """Whether an export takes JPEG and PNG of any kind, which become images of 8-bit grey or RGB."""
    return dtype == "uint8" and channels in (1, 3)


def takes_bytes(channels: int, dtype: str) -> bool:
    """Whether an export has the signature serve_bytes: a PNG has up to 4 channels of 8 or 16 bits."""
    return dtype in ("uint8", "uint16") and channels <= 4


def takes_overlays(channels: int, dtype: str) -> bool:
    """Whether an export has the signature overlay: a JPEG shows 8-bit grey and RGB."""
    return takes_pictures(channels, dtype)


def accepted_png(channels: int, dtype: str) -> str:
    """What an encoded image must be, as in `messages`.

    Args:
        channels: of the images that the export takes.
        dtype: of these images.
    """
    if takes_pictures(channels, dtype):
        return ACCEPTED
    bits = 16 if dtype == "uint16" else 8
    kind = f"PNG file of {channels} channel{'s' if channels > 1 else ''} of {bits} bits"
    return f"An image must be a {kind}. Received: another format. Save it so, or send its pixels to serving_default."
