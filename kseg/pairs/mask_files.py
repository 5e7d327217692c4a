"""One encoded mask: raw values or colours become class ids. numpy and Pillow only.

Read are PNGs: grey ones by their samples, those with a palette by their indices, RGB ones by their colours, which the table of
classes must hold. Refused is whatever would silently become a wrong label: JPEG, which changes values at every edge, values and
colours without a class, transparency, and files that describe their pixels twice in contradiction.

A mask with a palette, and an RGB mask whose colours are all grey, can be read in two ways: VALUES are indices or grey levels,
COLOURS those of the table. Where both are possible and mean different classes, the data set must decide (`mask_reading`).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from kseg.labels import VOID, LabelMap
from kseg.pairs.channels import TENSOR, read_tensor
from kseg.pairs.decoding import JPEG, MAX_PIXELS, decode_16_bits, open_image, png_header, turn_upright
from kseg.pairs.errors import LOSSY_CURE, PairError

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG
MAX_LISTED = 8  # values in a message; more unknown values come from a brush or a resize, not from a missing class
SMOOTHED_CURE = (
    "So many come from anti-aliased or resized edges: draw the mask without smoothing, resize it by nearest neighbour; "
    "or this is not a mask."
)
EDGES_CURE = (
    "{} lie between their neighbours, as on anti-aliased or resized edges: draw the mask without smoothing, resize it by nearest "
    "neighbour; if they are classes, add them to classes.csv."
)


MAX_CHROMA = 48  # difference of channels that compression makes in a grey picture
VALUES, COLOURS = "values", "colours"
EDGE_SHARE = 0.9  # of the pixels of a value that lie between their neighbours, from which it comes from smoothed edges


def read_mask(
    data: bytes, labels: LabelMap, where: str, max_pixels: int = MAX_PIXELS, reading: str | None = None
) -> np.ndarray:
    """Decodes a mask into class ids (H, W), uint8; 255 where void.

    One bit means 0 and 1. Programs that save space also write masks of 0 and 255 with one bit, so it means 0 and 255 if `labels`
    have the value 255 and not 1, or 0 and 1 in one class, as ranges of values do.

    Args:
        data: a PNG file; a grey JPEG where the classes have all values 0..255.
        labels: the classes.
        where: path of the file, for messages.
        max_pixels: height times width above which the file is refused before it is decoded.
        reading: VALUES or COLOURS, where a mask can be read in both ways; None: as is possible, values before colours.

    Raises:
        PairError: the file is not a PNG, is damaged or too large, a value or colour has no class, or both ways of reading it are
            possible, differ, and `reading` is None.
    """
    if data.startswith(JPEG) and len(labels.ids_by_value) == 256:  # ranges of values, which a lossy grey level stays in
        return labels.to_ids(_decode_lossy_levels(data, where, max_pixels))
    pixels, palette = decode_mask(data, where, max_pixels)
    if png_header(data) == (1, GREY) and _white_is_255(labels):
        pixels = pixels * np.uint8(255)
    used = find_used_colours(pixels, palette)
    if used is None:
        return (_ids_of_colours if pixels.ndim == 3 else _ids_of_values)(pixels, labels, where)
    possible = compare_readings(used, labels)
    if reading is None and possible.contradict:
        raise contradiction_error(used, labels, where)
    grey_colours = pixels.ndim == 3
    if reading is None:
        reading = COLOURS if grey_colours and (possible.colours or not possible.values) else VALUES
    if reading == VALUES:
        return _ids_of_values(pixels[..., 0] if grey_colours else pixels, labels, where)
    colours = pixels if grey_colours else np.array((palette + [(0, 0, 0)] * 256)[:256], np.uint8)[pixels]
    return _ids_of_colours(colours, labels, where)


def _white_is_255(labels) -> bool:
    """Whether a mask of one bit has the values 0 and 255."""
    of_value = labels.ids_by_value
    return 255 in of_value and (1 not in of_value or (of_value[1] == of_value.get(0) != of_value[255]))


@dataclasses.dataclass(frozen=True)
class PossibleReadings:
    """Whether a mask can be read by its values and by its colours, and whether the two are possible and differ."""

    values: bool
    colours: bool
    contradict: bool


def find_used_colours(pixels: np.ndarray, palette: list | None) -> dict[int, tuple[int, int, int] | None] | None:
    """The values that a mask uses and the colours that it has for them; None where it has only values or only colours.

    Args:
        pixels: values (H, W) or colours (H, W, 3), from `decode_mask`.
        palette: colours by value, from `decode_mask`.

    Returns:
        Colours by value: of a palette, or of an RGB mask whose colours are all grey; None for a value beyond the palette.
    """
    if pixels.ndim == 2:
        if not palette:
            return None
        values = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256)).tolist()
        return {value: palette[value] if value < len(palette) else None for value in values}
    if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
        return None
    values = np.flatnonzero(np.bincount(pixels[..., 0].ravel(), minlength=256)).tolist()
    return {value: (value, value, value) for value in values}


def compare_readings(used: dict[int, tuple[int, int, int] | None], labels: LabelMap) -> PossibleReadings:
    """Compares what values and colours of a mask mean. Values of one colour, as in an incomplete palette, are no colours to read.

    Args:
        used: colours by value, from `find_used_colours`.
        labels: the classes.

    Example:
        >>> labels = LabelMap(("ground", "car"), ((0, 0, 0), (255, 0, 0)), (0, 1))
        >>> compare_readings({0: (255, 0, 0), 1: (0, 0, 0)}, labels)
        PossibleReadings(values=True, colours=True, contradict=True)
    """
    of_value, of_colour = labels.ids_by_value, _ids_by_colour(labels) or {}
    by_value = [of_value.get(value) for value in used]
    by_colour = [of_colour.get(colour) for colour in used.values()]
    values, colours = None not in by_value, None not in by_colour and len(set(used.values())) == len(used)
    return PossibleReadings(values, colours, values and colours and by_value != by_colour)


def contradiction_error(used: dict[int, tuple[int, int, int] | None], labels: LabelMap, where: str) -> PairError:
    """The error that values and colours of a mask mean different classes, with both readings of one value."""
    of_value, of_colour = labels.ids_by_value, _ids_by_colour(labels) or {}
    names = {**dict(enumerate(labels.names)), VOID: "void"}
    value, colour = next((v, c) for v, c in used.items() if of_value.get(v) != of_colour.get(c))
    return PairError(
        "contradictory_mask",
        f"Values and colours of a mask must mean the same classes. Received: value {value} ({names[of_value[value]]}) in the "
        f"colour {colour} ({names[of_colour[colour]]})",
        where,
        f"Look at a mask. If its colours are right, pass --set example_gen.mask_reading={COLOURS}; if they only happen to be "
        f"those of the table, pass --set example_gen.mask_reading={VALUES}, or change them in classes.csv.",
    )


def _ids_by_colour(labels) -> dict[tuple, int] | None:
    """Class ids by colour, the void colour among them; None if two classes have one colour."""
    ids = {colour: number for number, colour in enumerate(labels.colours)}
    if len(ids) < labels.num_classes:
        return None
    return ids if labels.ignore_value is None else {labels.void_colour: VOID} | ids


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
            LOSSY_CURE,
        )
    if data.startswith(TENSOR):
        raise _not_class_values(read_tensor(data, where), where)
    image = turn_upright(open_image(data, where, max_pixels))
    depth, colour_type = png_header(data)
    if depth == 16 and colour_type != GREY:  # Pillow would cut the samples to their upper 8 bits
        _require_8_bits(decode_16_bits(data), where)
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


def _not_class_values(pixels, where) -> PairError:
    """Why an array that no PNG holds is no mask."""
    whole = pixels.shape[-1] == 1 and np.array_equal(pixels, np.floor(pixels))
    found = f"{pixels.min():g} to {pixels.max():g}" if whole else f"{pixels.dtype} {pixels.shape}"
    return PairError(
        "values_above_255" if whole else "unsupported_array",
        f"A mask must hold whole numbers in 0..255, one a pixel. Received: {found}",
        where,
        "Write class values with 8 bits, and void as 255.",
    )


def _decode_lossy_levels(data, where, max_pixels) -> np.ndarray:
    """The grey levels (H, W), uint8, of a JPEG mask, which must not have colours."""
    image = turn_upright(open_image(data, where, max_pixels))
    if image.mode != "L":
        channels = np.asarray(image.convert("RGB")).astype(np.int16)
        coloured = (channels.max(-1) - channels.min(-1) > MAX_CHROMA).mean()
        if coloured > 0.01:
            raise PairError(
                "lossy_mask",
                f"A JPEG mask read by ranges of values must be grey. Received: colours at {coloured:.0%} of the pixels",
                where,
                "Export the mask again as PNG.",
            )
    return np.asarray(image.convert("L"))


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


def _require_8_bits(samples, where):
    """Refuses samples of 16 bits that are no 8-bit colours, v * 257."""
    if (samples % 257).any():
        raise PairError(
            "values_above_255",
            f"Colours of a 16-bit mask must be those of 8 bits, times 257. Received: {samples.max()}",
            where,
            "Write the mask with 8 bits.",
        )


def _without_alpha(image, where):
    """The image without its alpha channel or transparent colour, which must not hide anything."""
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
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
            f"Mask values must be {labels.permitted_values}. Received: {format_counts(unknown)}",
            where,
            _cure_of_values(values, unknown, labels),
        )
    return labels.to_ids(values)


def _cure_of_values(values, unknown, labels) -> str:
    if set(unknown) == {255} and sorted(labels.values) == [0, 1] and not (values == 1).any():
        name = labels.names[labels.values.index(1)]
        return (
            f"The mask holds 255 and no 1: if 255 means {name}, write 255 instead of 1 in classes.csv; if it means void, pass "
            "--ignore-value 255."
        )
    if len(unknown) > MAX_LISTED:
        return SMOOTHED_CURE
    if smoothed := _on_edges(values[..., None], {value: values == value for value in unknown}):
        return EDGES_CURE.format(smoothed)
    return "Add them to classes.csv, pass the void value with --ignore-value, or correct the mask."


def _ids_of_colours(pixels, labels, where) -> np.ndarray:
    """Class ids of an RGB mask, whose colours the table of classes must hold."""
    ids = _ids_by_colour(labels)
    if ids is None:
        raise PairError(
            "ambiguous_colours",
            "Reading RGB masks needs a different colour for each class. Received: two classes of one colour in classes.csv",
            where,
            "Give each class another colour, or write masks of values.",
        )
    packed = pack_colours(pixels)
    label_map, known = np.zeros(packed.shape, np.uint8), np.zeros(packed.shape, bool)
    for colour, class_id in ids.items():
        found = packed == pack_colours(np.array(colour))
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
        _cure_of_colours(pixels, unknown, labels),
    )


def _cure_of_colours(pixels, unknown, labels) -> str:
    if len(unknown) > MAX_LISTED:
        return SMOOTHED_CURE
    if smoothed := _on_edges(pixels, {colour: (pixels == colour).all(-1) for colour in unknown}):
        return EDGES_CURE.format(smoothed)
    used = np.flatnonzero(pixels.any((0, 1)))
    if len(used) == 1 and pixels.max() <= max(labels.known_values):
        channel = ("red", "green", "blue")[used[0]]
        return f"Only the {channel} channel is used: if it holds class values, save it alone as a grey PNG."
    if (0, 0, 0) in unknown and labels.ignore_value is None:
        free = next(value for value in range(VOID, -1, -1) if value not in labels.known_values)
        others = "" if len(unknown) == 1 else " Add the other colours to classes.csv."
        return (
            f"If black means void, pixels without a label, pass --ignore-value {free}, which no class has; if it is a class, add "
            f"it to classes.csv.{others}"
        )
    return "Add them to classes.csv, or write masks of values instead of colours."


def _on_edges(pixels: np.ndarray, places: dict) -> str:
    """The values or colours that lie nearly everywhere between their neighbours, as smoothing makes them; "" if none do.

    Args:
        pixels: (H, W, C), uint8.
        places: by value or colour, the pixels (H, W), bool, that have it.
    """
    channels = pixels.astype(np.int16)
    padded = np.pad(channels, ((1, 1), (1, 1), (0, 0)), "edge")
    height, width = pixels.shape[:2]
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    between = ((np.minimum.reduce(around) < channels) & (channels < np.maximum.reduce(around))).any(-1)
    return ", ".join(str(value) for value, place in places.items() if between[place].mean() >= EDGE_SHARE)
