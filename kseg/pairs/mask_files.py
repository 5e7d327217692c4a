"""One encoded mask: raw values or colours become class ids.

Read are PNGs: the samples of grey ones, the indices of those with a palette, and the colours of RGB ones where the table of
classes has them. Refused is what would become a wrong label without a word: JPEG, which changes values at every edge, values and
colours that nobody named, and alpha. numpy and Pillow only.
"""

from __future__ import annotations

import numpy as np

from kseg.labels import VOID, LabelMap
from kseg.pairs.decoding import JPEG, MAX_PIXELS, PairError, open_image, png_header, upright_transpose

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
SHOWN = 8  # values in a message; more unknown ones than that come from a brush or a resize, not from a missing class


def read_mask(data: bytes, labels: LabelMap, where: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Class ids (H, W), uint8, of an encoded mask; 255 where void.

    The samples of grey PNGs of fewer than 8 bits are taken as they are stored, so 1 bit means 0 and 1; programs that save space
    write masks of 0 and 255 with 1 bit too, so it means 0 and 255 where `labels` name 255 and not 1.

    Args:
        data: a PNG file.
        labels: the classes.
        where: its place, for the message.
        max_pixels: height times width above which it is refused unseen.

    Raises:
        PairError: the file is no PNG, damaged or too large, or a value or colour has no class.
    """
    if data.startswith(JPEG):
        raise PairError(
            "lossy_mask",
            "A mask must be PNG. Received: JPEG, which changes values at every edge",
            where,
            "Export the mask anew as PNG; converting the JPEG would keep its wrong values.",
        )
    picture = open_image(data, where, max_pixels)
    picture = picture if upright_transpose(picture) is None else picture.transpose(upright_transpose(picture))
    depth, colour_type = png_header(data)
    if colour_type in (RGB, RGB_ALPHA) or picture.mode in ("RGB", "RGBA"):
        return _from_colours(_without_alpha(picture, where).convert("RGB"), labels, where)
    values = np.asarray(_without_alpha(picture, where))
    if colour_type == GREY and depth in (2, 4):
        values = values // (255 // (2**depth - 1))  # Pillow spreads samples over 0..255
    if colour_type == GREY and depth == 1:
        one = 255 if 255 in labels.named and 1 not in labels.named else 1
        values = values.astype(np.uint8) * np.uint8(one)
    if values.max() > 255:
        raise PairError(
            "values_above_255",
            f"Mask values must lie in 0..255. Received: {values.max()}",
            where,
            "Write class values with 8 bits.",
        )
    return _from_values(values.astype(np.uint8), labels, where)


def _without_alpha(picture, where):
    """The picture without its alpha channel, which must not hide anything."""
    if picture.mode not in ("LA", "RGBA", "La", "RGBa"):
        return picture
    lowest, _ = picture.getchannel(picture.mode[-1].upper()).getextrema()
    if lowest < 255:
        raise PairError(
            "mask_alpha",
            f"A mask must not be transparent anywhere, since a label is there or is not. Received: alpha down to {lowest}",
            where,
            "Write the mask without alpha, and a value of void where nothing is labelled.",
        )
    return picture.convert(picture.mode[:-1])


def _from_values(values, labels, where) -> np.ndarray:
    unknown = labels.unknown(values)
    if unknown:
        raise PairError(
            "unknown_values",
            f"Mask values must be among the classes {sorted(labels.values)} or be the value of void "
            f"({labels.ignore_value}). Received: {_listed(unknown)}",
            where,
            _smoothed(unknown)
            or "Name them in classes.csv, or say with --ignore-value which value is void; or correct the mask.",
        )
    return labels.to_ids(values)


def _from_colours(picture, labels, where) -> np.ndarray:
    """Class ids of an RGB picture whose colours stand in the table of classes."""
    colours = list(labels.colours)
    if len(set(colours)) < len(colours):
        raise PairError(
            "ambiguous_colours",
            "A mask of colours needs a colour of its own for each class. Received: two classes in classes.csv of one colour",
            where,
            "Give each class another colour, or write masks of values.",
        )
    channels = np.asarray(picture).astype(np.uint32)
    packed = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    ids = dict(zip(map(_packed, colours), range(labels.num_classes), strict=True))
    if labels.ignore_value is not None:
        ids.setdefault(_packed(labels.void_colour), VOID)
    label_map, known = np.zeros(packed.shape, np.uint8), np.zeros(packed.shape, bool)
    for colour, number in ids.items():
        found = packed == colour
        label_map[found] = number
        known |= found
    if known.all():
        return label_map
    values, pixels = np.unique(packed[~known], return_counts=True)
    unknown = {
        (value >> 16, value >> 8 & 255, value & 255): count
        for value, count in zip(values.tolist(), pixels.tolist(), strict=True)
    }
    raise PairError(
        "unknown_colours",
        f"The colours of a mask must be those of the classes. Received: {_listed(unknown)}",
        where,
        _smoothed(unknown) or "Name them in classes.csv, or write masks of values instead of colours.",
    )


def _packed(colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _listed(unknown: dict) -> str:
    """The commonest unknown values or colours with their pixels."""
    rows = sorted(unknown.items(), key=lambda row: (-row[1], row[0]))
    text = ", ".join(f"{value} ({pixels} pixels)" for value, pixels in rows[:SHOWN])
    return f"{text}, ... ({len(rows)} in all)" if len(rows) > SHOWN else text


def _smoothed(unknown: dict) -> str | None:
    """What to do where there are so many unknown values that somebody has smoothed or resized the mask."""
    if len(unknown) > SHOWN:
        return (
            "So many come from anti-aliased or resized edges: draw the mask without smoothing, resize it by nearest neighbour; "
            "or this is no mask."
        )
    return None
