"""One encoded mask: raw values or colours become class ids. numpy and Pillow only.

Read are PNGs: grey ones by their samples, those with a palette by their indices, RGB ones by their colours, which the table of
classes must hold. Refused is whatever would silently become a wrong label: JPEG, which changes values at every edge, values and
colours without a class, and transparency.
"""

from __future__ import annotations

import numpy as np

from kseg.labels import VOID, LabelMap
from kseg.pairs.decoding import JPEG, MAX_PIXELS, open_image, png_header, upright_transpose
from kseg.pairs.errors import PairError

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
MAX_LISTED = 8  # values in a message; more unknown values come from a brush or a resize, not from a missing class
SMOOTHED_CURE = (
    "So many come from anti-aliased or resized edges: draw the mask without smoothing, resize it by nearest neighbour; "
    "or this is not a mask."
)


def read_mask(data: bytes, labels: LabelMap, where: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes a mask into class ids (H, W), uint8; 255 where void.

    One bit means 0 and 1. Programs that save space also write masks of 0 and 255 with one bit, so it means 0 and 255 if `labels`
    have the value 255 and not 1.

    Args:
        data: a PNG file.
        labels: the classes.
        where: path of the file, for messages.
        max_pixels: height times width above which the file is refused before it is decoded.

    Raises:
        PairError: the file is not a PNG, is damaged or too large, or a value or colour has no class.
    """
    pixels, _ = decode_mask(data, where, max_pixels)
    if pixels.ndim == 3:
        return _ids_of_colours(pixels, labels, where)
    if png_header(data) == (1, GREY) and 255 in labels.known_values and 1 not in labels.known_values:
        pixels = pixels * np.uint8(255)
    return _ids_of_values(pixels, labels, where)


def decode_mask(
    data: bytes, where: str, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, list[tuple[int, int, int]] | None]:
    """Decodes a mask without a table of classes.

    Args:
        data: a PNG file.
        where: path of the file, for messages.
        max_pixels: height times width above which the file is refused before it is decoded.

    Returns:
        pixels: values (H, W), or colours (H, W, 3) of an RGB mask; uint8. Samples of fewer than 8 bits are as stored.
        palette: colours by value, where the file has a palette; else None.

    Raises:
        PairError: the file is not a PNG, is damaged, too large or transparent, or a value exceeds 255.
    """
    if data.startswith(JPEG):
        raise PairError(
            "lossy_mask",
            "A mask must be PNG. Received: JPEG, which changes values at every edge",
            where,
            "Export the mask again as PNG; converting the JPEG would keep its wrong values.",
        )
    image = open_image(data, where, max_pixels)
    image = image if upright_transpose(image) is None else image.transpose(upright_transpose(image))
    depth, colour_type = png_header(data)
    if colour_type in (RGB, RGB_ALPHA) or image.mode in ("RGB", "RGBA"):
        return np.asarray(_without_alpha(image, where).convert("RGB")), None
    image = _without_alpha(image, where)
    values = np.asarray(image)
    if colour_type == GREY and depth in (2, 4):
        values = values // (255 // (2**depth - 1))  # Pillow scales samples to 0..255
    if values.max() > 255:
        raise PairError(
            "values_above_255",
            f"Mask values must lie in 0..255. Received: {values.max()}",
            where,
            "Write class values with 8 bits.",
        )
    palette = image.getpalette() if image.mode == "P" else None
    colours = [tuple(palette[start : start + 3]) for start in range(0, len(palette), 3)] if palette else None
    return values.astype(np.uint8), colours


def pack_colours(pixels: np.ndarray) -> np.ndarray:
    """Colours (..., 3), uint8, as one integer each, 0xRRGGBB."""
    channels = np.asarray(pixels).astype(np.uint32)
    return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]


def unpack_colour(packed: int) -> tuple[int, int, int]:
    """The inverse of `pack_colours` for one colour."""
    return packed >> 16, packed >> 8 & 255, packed & 255


def format_counts(counts: dict) -> str:
    """The most common values or colours with their pixels, for messages."""
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    text = ", ".join(f"{value} ({pixels} pixels)" for value, pixels in rows[:MAX_LISTED])
    return f"{text}, ... ({len(rows)} in all)" if len(rows) > MAX_LISTED else text


def _without_alpha(image, where):
    """The image without its alpha channel, which must not hide anything."""
    if image.mode not in ("LA", "RGBA", "La", "RGBa"):
        return image
    lowest, _ = image.getchannel(image.mode[-1].upper()).getextrema()
    if lowest < 255:
        raise PairError(
            "mask_alpha",
            f"A mask must be opaque everywhere: a pixel has a label or it has none. Received: alpha down to {lowest}",
            where,
            "Write the mask without alpha, and with a void value where nothing is labelled.",
        )
    return image.convert(image.mode[:-1])


def _ids_of_values(values, labels, where) -> np.ndarray:
    unknown = labels.unknown_values(values)
    if unknown:
        raise PairError(
            "unknown_values",
            f"Mask values must be those of the classes {sorted(labels.values)} or of void ({labels.ignore_value}). "
            f"Received: {format_counts(unknown)}",
            where,
            _smoothed_cure(unknown)
            or "Add them to classes.csv, pass the void value with --ignore-value, or correct the mask.",
        )
    return labels.to_ids(values)


def _ids_of_colours(pixels, labels, where) -> np.ndarray:
    """Class ids of an RGB mask, whose colours the table of classes must hold."""
    colours = list(labels.colours)
    if len(set(colours)) < len(colours):
        raise PairError(
            "ambiguous_colours",
            "Reading RGB masks needs a different colour for each class. Received: two classes of one colour in classes.csv",
            where,
            "Give each class another colour, or write masks of values.",
        )
    packed = pack_colours(pixels)
    ids = dict(zip(pack_colours(np.array(colours)).tolist(), range(labels.num_classes), strict=True))
    if labels.ignore_value is not None:
        ids.setdefault(int(pack_colours(labels.void_colour)), VOID)
    label_map, known = np.zeros(packed.shape, np.uint8), np.zeros(packed.shape, bool)
    for colour, class_id in ids.items():
        found = packed == colour
        label_map[found] = class_id
        known |= found
    if known.all():
        return label_map
    values, counts = np.unique(packed[~known], return_counts=True)
    unknown = {unpack_colour(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}
    raise PairError(
        "unknown_colours",
        f"The colours of a mask must be those of the classes. Received: {format_counts(unknown)}",
        where,
        _smoothed_cure(unknown) or "Add them to classes.csv, or write masks of values instead of colours.",
    )


def _smoothed_cure(unknown: dict) -> str | None:
    """The cure for masks that were smoothed or resized, which so many unknown values tell."""
    return SMOOTHED_CURE if len(unknown) > MAX_LISTED else None
