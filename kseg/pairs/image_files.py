"""One encoded image and its mask: what of them is stored.

Images keep their bytes where every decoder reads them alike, which is plain 8-bit grey or RGB; everything else (rotated by EXIF,
CMYK, 16 bits, alpha, palette) is read rightly and becomes a PNG, with a reason to be counted. Masks become class ids
(`mask_files`). Refused are files that are not whole (`pictures`), and pairs whose sizes differ. numpy and Pillow only.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.decoding import MAX_PIXELS, PairError, open_image, png_header, reopen_image, upright_transpose
from kseg.pairs.mask_files import read_mask

ROTATED = "rotated by EXIF"
DARK = "16 bits, the upper 4 unused"


def prepare_pair(
    image: bytes,
    mask: bytes,
    labels: LabelMap,
    channels: int,
    image_place: str,
    mask_place: str,
    max_pixels: int = MAX_PIXELS,
) -> tuple[bytes, bytes, str | None]:
    """One pair as it is stored.

    Args:
        image: an encoded image, JPEG or PNG.
        mask: its encoded mask, PNG.
        labels: the classes; they say what the values of the mask mean.
        channels: of all images of the data set, 1 or 3.
        image_place: where the image lies, for messages; likewise `mask_place`.
        max_pixels: height times width above which a picture is refused unseen.

    Returns:
        image_bytes: JPEG or PNG, 8-bit grey (channels 1) or RGB (channels 3).
        label_map_bytes: PNG of class ids, 255 where void.
        reason: why the image was stored anew as a PNG, or None where `image_bytes` is `image`.

    Raises:
        PairError: a file is damaged, the sizes differ, or the mask has values without a class.
    """
    image_bytes, size, reason = prepare_image(image, channels, image_place, max_pixels)
    label_map = read_mask(mask, labels, mask_place, max_pixels)
    if label_map.shape != size:
        turned = ", turned as its EXIF says" if reason == ROTATED else ""
        raise PairError(
            "size_mismatch",
            "A mask must have the size of its image. "
            f"Received: mask {_size(label_map.shape)}, image {_size(size)}{turned}",
            f"{mask_place}, {image_place}",
            "Look whether they belong together; make the mask anew, or take the pair out.",
        )
    return image_bytes, encode_png(label_map), reason


def _size(shape) -> str:
    return f"{shape[1]}x{shape[0]}"


def prepare_image(
    data: bytes, channels: int, where: str, max_pixels: int = MAX_PIXELS
) -> tuple[bytes, tuple[int, int], str | None]:
    """An encoded image as it is stored: its own bytes where every decoder reads them alike, else a PNG.

    Alpha is dropped and 16 bits are cut to the upper 8, as TensorFlow does with the images that a model is sent later.

    Args:
        data: a JPEG or PNG file.
        channels: 1 or 3.
        where: its place, for the message.
        max_pixels: height times width above which it is refused unseen.

    Returns:
        The bytes, (height, width) in pixels, and the reason for a PNG or None.

    Raises:
        PairError: the file is empty, of another kind, damaged, animated or too large.
    """
    picture = open_image(data, where, max_pixels)
    reason = _not_plain(picture, data, channels)
    if reason is None:
        return data, (picture.height, picture.width), None
    if reason == ROTATED:
        picture = picture.transpose(upright_transpose(picture))
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        reason = DARK if values.max() < 2**12 else reason
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    image = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return encode_png(image), image.shape[:2], reason


def _not_plain(picture, data, channels) -> str | None:
    """Why another decoder might see something else in the file, or None."""
    if upright_transpose(picture) is not None:
        return ROTATED
    if picture.mode == "CMYK":
        return "CMYK"
    if picture.format == "PNG":
        depth, colour_type = png_header(data)
        if colour_type == 3:
            return "palette"
        if colour_type in (4, 6) or "transparency" in picture.info:
            return "alpha channel"
        if depth != 8:
            return f"{depth} bits"
    if picture.mode == "L" and channels == 3:
        return "grey among colour"
    return "colour among grey" if picture.mode == "RGB" and channels == 1 else None


def decode_image(data: bytes) -> np.ndarray:
    """The pixels (H, W, C), uint8, of a stored image or label map."""
    pixels = np.asarray(reopen_image(data))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def encode_png(pixels: np.ndarray) -> bytes:
    """PNG of uint8 pixels (H, W), (H, W, 1) or (H, W, 3), without metadata."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels).save(stream, "PNG")
    return stream.getvalue()
