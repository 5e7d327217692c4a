"""One encoded image and its mask: what is stored of them. numpy and Pillow only.

An image keeps its bytes if every decoder reads them alike, that is plain 8-bit grey or RGB; all others (EXIF orientation, CMYK,
16 bits, alpha, palette) are converted to PNG, with a reason that is counted. In a data set of another kind, see
`kseg.pairs.channels`, every image keeps its numbers. Masks become class ids. Refused: damaged files, pairs whose sizes differ,
images of another kind.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.channels import (
    TENSOR,
    PixelKind,
    alpha_levels,
    check_finite,
    decode_tensor,
    encode_pixels,
    read_tensor,
    transpose_pixels,
    varies_like_a_picture,
)
from kseg.pairs.conventions import PLAIN, Conventions
from kseg.pairs.decoding import (
    JPEG,
    MAX_PIXELS,
    PNG,
    check_pixels,
    decode_16_bits,
    decode_samples,
    has_16_bits,
    open_image,
    png_header,
    reopen_image,
    to_8_bits,
    upright_transpose,
)
from kseg.pairs.errors import PairError
from kseg.pairs.mask_files import read_mask

ROTATED = "rotated by EXIF"
ROTATED_ALIKE = (
    "rotated by EXIF, size unchanged"  # so the size of the mask does not tell whether it was drawn on the rotated image
)
DARK = "16 bits, the upper 4 unused"
SAME_SIZE = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM)


def prepare_pair(
    image: bytes,
    mask: bytes,
    labels: LabelMap,
    channels: int,
    image_path: str,
    mask_path: str,
    max_pixels: int = MAX_PIXELS,
    conventions: Conventions = PLAIN,
) -> tuple[bytes, bytes, str | None]:
    """Converts one pair to what is stored.

    Args:
        image: an encoded image, JPEG, PNG or what `encode_pixels` returned.
        mask: its encoded mask, PNG.
        labels: the classes of the data set.
        channels: of every image of the data set.
        image_path: where the image lies, for messages.
        mask_path: where the mask lies, for messages.
        max_pixels: height times width above which an image is refused before it is decoded.
        conventions: of the data set.

    Returns:
        image_bytes: JPEG or PNG, 8-bit grey (channels 1) or RGB (channels 3); otherwise what `encode_pixels` returns.
        label_map_bytes: PNG of class ids, 255 where void.
        reason: why the image was re-encoded as PNG, or None if `image_bytes` is `image`.

    Raises:
        PairError: a file is damaged, the sizes differ, or the mask has values without a class.
    """
    image_bytes, size, reason = prepare_image(
        image, channels, image_path, max_pixels, conventions.image_range, conventions.dtype
    )
    label_map = read_mask(mask, labels, mask_path, max_pixels, conventions.mask_reading)
    if label_map.shape != size:
        rotated, cure = "", "Check that they belong together; draw the mask again, or remove the pair."
        if reason == ROTATED:
            rotated = ", after rotation by its EXIF"
        if reason == ROTATED and label_map.shape == size[::-1]:
            cure = (
                "The mask was drawn on the pixels as stored: rotate it as the EXIF orientation says, or remove that orientation "
                "from the image."
            )
        raise PairError(
            "size_mismatch",
            "A mask must have the size of its image. "
            f"Received: mask {_size(label_map.shape)}, image {_size(size)}{rotated}",
            f"{mask_path}, {image_path}",
            cure,
        )
    return image_bytes, encode_png(label_map), reason


def _size(shape) -> str:
    return f"{shape[1]}x{shape[0]}"


def prepare_image(
    data: bytes,
    channels: int,
    where: str,
    max_pixels: int = MAX_PIXELS,
    image_range: int | None = None,
    dtype: str = "uint8",
) -> tuple[bytes, tuple[int, int], str | None]:
    """Converts an encoded image to what is stored: its own bytes if every decoder reads them alike, else a PNG or a tensor.

    In a data set of 8-bit grey or RGB, alpha is dropped and 16 bits are scaled to 8, as an exported model does when it is served.
    In any other, numbers are kept; integers become floating-point numbers where all others are.

    Args:
        data: a JPEG or PNG file, or what `encode_pixels` returned.
        channels: of the data set.
        where: path of the file, for messages.
        max_pixels: height times width above which the file is refused before it is decoded.
        image_range: sample of 16-bit images that becomes 255; None: 65535.
        dtype: of the data set, one of `channels.DTYPES`.

    Returns:
        The bytes, (height, width) in pixels, and the reason for other bytes or None.

    Raises:
        PairError: the file is empty, of another format, damaged, animated or too large, its alpha is a picture, it is of another
            kind than the data set, or a number is not finite.
    """
    kind = PixelKind(channels, dtype)
    if not kind.is_plain:
        return _prepare_channels(data, kind, where, max_pixels)
    if data.startswith(TENSOR):
        raise _kind_error(PixelKind.of(read_tensor(data, where)), kind, where)
    image = open_image(data, where, max_pixels)
    reason = _reencoding_reason(image, data, channels)
    if reason is None:
        return data, (image.height, image.width), None
    _refuse_picture_in_alpha(image, data, where)
    upright = upright_transpose(image)
    if has_16_bits(data):
        samples = decode_16_bits(data)
        if image_range is None and reason == "16 bits" and samples.max() < 2**12:
            reason = DARK
        pixels = to_8_bits(samples, image_range)
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image = image if upright is None else image.transpose(upright)
    image = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return encode_png(image), image.shape[:2], reason


def _refuse_picture_in_alpha(image, data, where):
    """Refuses an alpha channel that varies like a picture: it is another band, such as near infrared, and must not be dropped."""
    levels, share = alpha_levels(image, data)
    if varies_like_a_picture(levels, share):
        raise PairError(
            "picture_in_alpha",
            "Alpha must be transparency, which is 0 or 255 nearly everywhere. "
            f"Received: {levels} values between, at {share:.0%} of the pixels",
            where,
            "If it is another band, such as near infrared, most images of the data set must have it, which then has four "
            "channels; or save all as RGB or grey; if it is transparency, save the image without it.",
        )


def _prepare_channels(data, kind: PixelKind, where, max_pixels) -> tuple[bytes, tuple[int, int], str | None]:
    """`prepare_image` of a data set whose images are not plain."""
    if data.startswith(TENSOR):
        upright, pixels = None, read_tensor(data, where)
        check_pixels(pixels.shape[1], pixels.shape[0], where, max_pixels)
    else:
        image = open_image(data, where, max_pixels)
        upright = upright_transpose(image)
        if data.startswith(JPEG) or image.mode in ("1", "P"):
            image = image.convert("L" if image.mode in ("1", "L") else "RGB")
        pixels = decode_samples(data) if has_16_bits(data) else np.atleast_3d(image)
    own = PixelKind.of(pixels)
    if own.channels != kind.channels or kind.dtype not in (own.dtype, "float32"):
        raise _kind_error(own, kind, where)
    check_finite(pixels, where)
    if own == kind and upright is None and data.startswith(PNG) == kind.is_png:
        return data, pixels.shape[:2], None
    pixels = transpose_pixels(pixels, upright).astype(kind.dtype)
    reason = ROTATED_ALIKE if upright in SAME_SIZE else ROTATED if upright else f"stored with {kind}"
    return encode_pixels(pixels), pixels.shape[:2], reason


def _kind_error(own: PixelKind, kind: PixelKind, where) -> PairError:
    return PairError(
        "other_channels",
        f"Every image of a data set must hold the same: {kind}. Received: {own}",
        where,
        "Save it as the others are, or leave it out.",
    )


def _reencoding_reason(image, data, channels) -> str | None:
    """Why another decoder might read something else, or None."""
    if (upright := upright_transpose(image)) is not None:
        swaps = upright not in SAME_SIZE and image.width != image.height
        return ROTATED if swaps else ROTATED_ALIKE
    if image.mode == "CMYK":
        return "CMYK"
    if image.format == "PNG":
        depth, colour_type = png_header(data)
        if colour_type == 3:
            return "palette"
        if colour_type in (4, 6) or "transparency" in image.info:
            return "alpha channel"
        if depth != 8:
            return f"{depth} bits"
    if image.mode == "L" and channels == 3:
        return "grey among colour"
    return "colour among grey" if image.mode == "RGB" and channels == 1 else None


def decode_image(data: bytes) -> np.ndarray:
    """Decodes a stored image or label map to (H, W, C), uint8 unless the images of its data set are of another type."""
    if data.startswith(TENSOR):
        return decode_tensor(data)
    return decode_samples(data) if has_16_bits(data) else np.atleast_3d(reopen_image(data))


def encode_image(pixels: np.ndarray) -> bytes:
    """Encodes an image (H, W, C) as it is stored: as PNG by `encode_png` where it is plain, else by `encode_pixels`."""
    return encode_png(pixels) if PixelKind.of(pixels).is_plain else encode_pixels(pixels)


def encoding_of(data: bytes) -> str:
    """The format of a stored image: "JPEG", "PNG" or "tensor"."""
    return "JPEG" if data.startswith(JPEG) else "tensor" if data.startswith(TENSOR) else "PNG"


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes pixels (H, W), (H, W, 1) or (H, W, 3), uint8, as PNG without metadata.

    Raises:
        ValueError: the pixels have another rank, number of channels or dtype.
    """
    channels = pixels.shape[2:]
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or channels not in ((), (1,), (3,)):
        raise ValueError(
            f"`pixels` must be uint8 of shape (H, W), (H, W, 1) or (H, W, 3). Received: pixels={pixels.dtype} {pixels.shape}."
        )
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == (1,) else pixels).save(stream, "PNG")
    return stream.getvalue()
