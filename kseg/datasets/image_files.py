"""One encoded image or mask: what of it is stored.

Images keep their bytes where every decoder reads them alike, which is plain 8-bit grey or RGB; everything else (turned by EXIF,
CMYK, 16 bits, alpha, palette) is read rightly and becomes a PNG, with a reason to be counted. Masks become class ids. Refused
are files that are damaged, and masks with colours or with values that no class has. numpy and Pillow only.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps

from kseg.labels import LabelMap

ORIENTATION = 0x0112  # EXIF tag
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are damaged, cut off or of another kind."""

TURNED = "turned by EXIF"


class PairError(ValueError):
    """Image and mask files that cannot be used as they are; the message names the path and the cure."""


def joined(
    image: bytes, mask: bytes, labels: LabelMap, channels: int, image_place: str, mask_place: str
) -> tuple[bytes, bytes, str | None]:
    """One pair as it is stored.

    Args:
        image: an encoded image, JPEG or PNG.
        mask: its encoded mask, PNG.
        labels: the classes; they say what the values of the mask mean.
        channels: of all images of the data set, 1 or 3.
        image_place: where the image lies, for messages; likewise `mask_place`.

    Returns:
        image_bytes: JPEG or PNG, 8-bit grey (channels 1) or RGB (channels 3).
        label_map_bytes: PNG of class ids, 255 where void.
        reason: why the image was stored anew as a PNG, or None where `image_bytes` is `image`.

    Raises:
        PairError: a file is damaged, the sizes differ, or the mask has values without a class.
    """
    image_bytes, size, reason = stored_image(image, channels, image_place)
    label_map = read_mask(mask, labels, mask_place)
    if label_map.shape != size:
        turned = ", turned as its EXIF says" if reason == TURNED else ""
        raise PairError(
            f"A mask must have the size of its image. Received: mask {_size(label_map.shape)} [{mask_place}], image "
            f"{_size(size)}{turned} [{image_place}]. Take the pair out, or make its mask anew."
        )
    return image_bytes, encode_png(label_map), reason


def _size(shape) -> str:
    return f"{shape[1]}x{shape[0]}"


def stored_image(data: bytes, channels: int, where: str) -> tuple[bytes, tuple[int, int], str | None]:
    """An encoded image as it is stored: its own bytes where every decoder reads them alike, else a PNG.

    Alpha is dropped and 16 bits are cut to the upper 8, as TensorFlow does with the images that a model is sent later.

    Args:
        data: a JPEG or PNG file.
        channels: 1 or 3.
        where: its place, for the message.

    Returns:
        The bytes, (height, width) in pixels, and the reason for a PNG or None.

    Raises:
        PairError: the file is damaged.
    """
    picture = _decoded(data, ("JPEG", "PNG"), where)
    reason = _not_plain(picture, data, channels)
    if reason is None:
        return data, (picture.height, picture.width), None
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    image = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return encode_png(image), image.shape[:2], reason


def _not_plain(picture, data, channels) -> str | None:
    """Why another decoder might see something else in the file, or None."""
    if picture.getexif().get(ORIENTATION, 1) in range(2, 9):
        return TURNED
    if picture.mode == "CMYK":
        return "CMYK"
    if picture.format == "PNG":
        depth, colour_type = _png_header(data)
        if colour_type == 3:
            return "palette"
        if colour_type in (4, 6) or "transparency" in picture.info:
            return "alpha channel"
        if depth != 8:
            return f"{depth} bits"
    if picture.mode == "L" and channels == 3:
        return "grey among colour"
    return "colour among grey" if picture.mode == "RGB" and channels == 1 else None


def read_mask(data: bytes, labels: LabelMap, where: str) -> np.ndarray:
    """Class ids (H, W), uint8, of an encoded mask: the samples of a grey PNG, or the indices of a palette PNG.

    The samples of PNGs of fewer than 8 bits are taken as they are stored, so 1 bit means 0 and 1; programs that save space
    write masks of 0 and 255 with 1 bit too, so it means 0 and 255 where `labels` name 255 and not 1.

    Args:
        data: a PNG file.
        labels: the classes.
        where: its place, for the message.

    Raises:
        PairError: the file is damaged or has colours, or a value has no class.
    """
    picture = _decoded(data, ("PNG",), where)
    depth, colour_type = _png_header(data)
    if colour_type not in (0, 3):
        raise PairError(
            f"A mask must have one channel, grey or palette. Received: {picture.mode} [{where}]. "
            "Write the values of classes.csv, not colours."
        )
    values = np.asarray(ImageOps.exif_transpose(picture)).astype(np.int32)
    if colour_type == 0 and depth in (2, 4):
        values //= 255 // (2**depth - 1)  # Pillow spreads samples over 0..255
    if colour_type == 0 and depth == 1 and 255 in _named(labels) and 1 not in _named(labels):
        values *= 255
    if values.max() > 255:
        raise PairError(
            f"Mask values must lie in 0..255. Received: {values.max()} [{where}]. Write class values with 8 bits."
        )
    try:
        return labels.to_ids(values.astype(np.uint8))
    except ValueError as error:
        raise PairError(f"{error} [{where}]") from error


def _named(labels) -> tuple:
    return (*labels.values, labels.ignore_value)


def _png_header(data) -> tuple[int, int]:
    """Bits a sample and colour type: bytes 24 and 25 of every PNG."""
    return data[24], data[25]


def _decoded(data, formats, where):
    """A Pillow image with its pixels loaded."""
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)
        if picture.format == "PNG":
            picture.verify()  # checksums: load() alone lets changed bits pass, which TensorFlow then refuses
            picture = Image.open(io.BytesIO(data), formats=formats)
        picture.load()
    except Image.UnidentifiedImageError as error:
        raise PairError(
            f"A file must be {' or '.join(formats)} inside, whatever its name. Received: {len(data)} bytes of another kind "
            f"[{where}]. Convert it, or take the pair out."
        ) from error
    except UNREADABLE as error:
        raise PairError(
            f"A file must be whole. Received: {error} [{where}]. Copy it anew, or take the pair out."
        ) from error
    return picture


def decode_image(data: bytes) -> np.ndarray:
    """The pixels (H, W, C), uint8, of a stored image or label map."""
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG of uint8 pixels (H, W), (H, W, 1) or (H, W, 3), without metadata."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(stream, "PNG")
    return stream.getvalue()
