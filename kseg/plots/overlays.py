"""Label maps drawn over their images, errors against the truth, and the legend of the colours. numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg.array_checks import check_ids, check_image_range
from kseg.labels import VOID, LabelMap, display_name
from kseg.pictures import OPACITY, picture_of

PANEL_WIDTH = 320  # pixels: small images are enlarged to about this width; images of twice the width are reduced
MARGIN = 12
TEXT_SIZE = 15
INK, PAPER = (30, 30, 30), (255, 255, 255)
WRONG_COLOUR, VOID_COLOUR = (214, 39, 40), (150, 150, 150)  # of an error map
MAX_CLASSES = 40  # in a legend; of more, those that cover most pixels
NAME_LENGTH = 24  # characters of a class's name
FADE = 0.75  # how far an error map lightens correct pixels towards white


def overlay(image: np.ndarray, label_map: np.ndarray, labels: LabelMap) -> Image.Image:
    """Draws the class colours over an image, at the image's own size; void shows the darkened image.

    Args:
        image: (H, W, C) in [0, 255], any dtype; where C is neither 1 nor 3, the picture of `kseg.pictures` is drawn.
        label_map: (H, W), class ids, 255 where void.
        labels: the classes and their colours.

    Returns:
        An RGB picture of W x H pixels.

    Raises:
        ValueError: the sizes differ, or an id is neither a class nor void.

    Example:
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> image = np.full((96, 128, 3), 200, np.uint8)
        >>> label_map = np.zeros((96, 128), np.uint8)
        >>> kseg.plots.overlay(image, label_map, labels).size
        (128, 96)
    """
    label_map = np.asarray(label_map)
    image = _as_rgb(image, label_map=label_map)
    _check_label_map(label_map, labels, "label_map")
    return Image.fromarray(_blend(image, label_map, labels))


def error_map(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, labels: LabelMap) -> Image.Image:
    """Draws where a prediction is wrong: wrong pixels red, void flat grey, correct pixels as the image, faded.

    Args:
        image: (H, W, C) in [0, 255], any dtype; where C is neither 1 nor 3, the picture of `kseg.pictures` is drawn.
        truth: (H, W), class ids, 255 where void; void pixels are neither right nor wrong.
        prediction: (H, W), class ids.
        labels: the classes.

    Returns:
        An RGB picture of W x H pixels.

    Raises:
        ValueError: the sizes differ, or an id is neither a class nor void.

    Example:
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> truth, prediction = np.array([[0, 1, 255]]), np.array([[0, 0, 0]])
        >>> np.asarray(kseg.plots.error_map(np.zeros((1, 3, 1)), truth, prediction, labels))[0].tolist()
        [[191, 191, 191], [171, 31, 32], [150, 150, 150]]
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    image = _as_rgb(image, truth=truth, prediction=prediction)
    _check_label_map(truth, labels, "truth")
    _check_label_map(prediction, labels, "prediction")
    grey = image.mean(axis=-1, keepdims=True)
    correct = FADE * 255 + (1 - FADE) * grey
    wrong = 0.8 * np.array(WRONG_COLOUR) + 0.2 * grey  # a trace of the image shows what was mistaken
    is_void, is_wrong = (truth == VOID)[..., None], (truth != prediction)[..., None]
    return Image.fromarray(np.where(is_void, VOID_COLOUR, np.where(is_wrong, wrong, correct)).astype(np.uint8))


def overlay_sheet(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    labels: LabelMap,
    *,
    errors: bool = False,
) -> Image.Image:
    """Draws one row per example: the image, the truth over it, the prediction over it; the legend is below.

    Void pixels of the truth show the darkened image.

    Args:
        images: N images (H, W, C), as of `overlay`; sizes may differ.
        truths: N label maps (H, W), class ids, 255 where void.
        predictions: N label maps (H, W), class ids.
        labels: the classes and their colours.
        errors: whether a fourth column shows each `error_map`.

    Returns:
        An RGB picture.

    Raises:
        ValueError: sizes or numbers differ, there is no example, or an id is neither a class nor void.

    Example:
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> image, truth = np.zeros((96, 128, 3), np.uint8), np.zeros((96, 128), np.uint8)
        >>> kseg.plots.overlay_sheet([image], [truth], [truth], labels).size
        (816, 276)
    """
    if not len(images) == len(truths) == len(predictions) > 0:
        raise ValueError(
            "`images`, `truths` and `predictions` must have the same number of examples, at least 1. "
            f"Received: {len(images)}, {len(truths)} and {len(predictions)}."
        )
    rows = [_row(*example, labels, errors) for example in zip(images, truths, predictions, strict=True)]
    columns, panel_width = len(rows[0]), max(row[0].width for row in rows)
    width = columns * panel_width + (columns + 1) * MARGIN
    key = legend(_legend_entries(labels, [*truths, *predictions], errors), width)
    heading = TEXT_SIZE + 2 * MARGIN
    height = heading + sum(row[0].height + MARGIN for row in rows) + key.height
    sheet = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT_SIZE)
    lefts = [MARGIN + column * (panel_width + MARGIN) for column in range(columns)]
    for left, title in zip(lefts, ("image", "truth", "prediction", "errors"), strict=False):
        draw.text((left + panel_width / 2, heading / 2), title, INK, font, anchor="mm")
    top = heading
    for row in rows:
        for left, panel in zip(lefts, row, strict=True):
            sheet.paste(panel, (left + (panel_width - panel.width) // 2, top))
        top += row[0].height + MARGIN
    sheet.paste(key, (0, top))
    return sheet


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int, text_size: int = TEXT_SIZE) -> Image.Image:
    """Draws a colour patch next to each name, on as many lines as they need.

    Args:
        entries: (name, (red, green, blue)) of each; long names are shortened.
        width: width of the picture, pixels.
        text_size: height of the text, pixels.

    Example:
        >>> kseg.plots.legend([("ground", (90, 90, 90)), ("car", (220, 60, 50))], width=300).size
        (300, 33)
    """
    font, step = ImageFont.load_default(text_size), text_size + MARGIN
    entries = [(display_name(name, NAME_LENGTH), colour) for name, colour in entries]
    corners, left, top = [], MARGIN, MARGIN // 2
    for name, _ in entries:
        length = step + font.getlength(name) + MARGIN
        if left + length > width and left > MARGIN:
            left, top = MARGIN, top + step
        corners.append((left, top))
        left += length
    picture = Image.new("RGB", (width, top + step), PAPER)
    draw = ImageDraw.Draw(picture)
    for (left, top), (name, colour) in zip(corners, entries, strict=True):
        draw.rectangle((left, top, left + text_size, top + text_size), fill=tuple(colour), outline=INK)
        draw.text((left + step - MARGIN / 2, top + text_size / 2), name, INK, font, anchor="lm")
    return picture


def _legend_entries(labels: LabelMap, label_maps, errors: bool) -> list[tuple[str, tuple[int, int, int]]]:
    """Names and colours of a sheet: all classes, or of many those that cover most pixels of the sheet."""
    pixels = sum(np.bincount(np.asarray(label_map).ravel(), minlength=256) for label_map in label_maps)
    classes = range(labels.num_classes)
    if len(classes) > MAX_CLASSES:
        present = [number for number in classes if pixels[number]]
        classes = sorted(sorted(present, key=lambda number: -pixels[number])[:MAX_CLASSES])
    entries = [(labels.names[number], labels.colours[number]) for number in classes]
    if others := labels.num_classes - len(entries):
        entries.append((f"and {others} other{'s' * (others > 1)}", PAPER))
    if pixels[VOID]:
        entries.append(("void (darkened image)", (60, 60, 60)))
    if errors:
        entries.append(("wrong", WRONG_COLOUR))
    return entries


def _row(image, truth, prediction, labels: LabelMap, errors: bool) -> list[Image.Image]:
    """The panels of one example, scaled by an integer factor, which keeps pixels square and sharp."""
    image = _as_rgb(image, truth=np.asarray(truth), prediction=np.asarray(prediction))
    panels = [Image.fromarray(image), overlay(image, truth, labels), overlay(image, prediction, labels)]
    if errors:
        panels.append(error_map(image, truth, prediction, labels))
    width, height = panels[0].size
    enlarge, reduce = max(1, round(PANEL_WIDTH / width)), max(1, width // (2 * PANEL_WIDTH))
    size = width * enlarge, height * enlarge
    return [panel.resize(size, Image.Resampling.NEAREST).reduce(reduce) for panel in panels]


def _blend(image: np.ndarray, ids: np.ndarray, labels: LabelMap) -> np.ndarray:
    """Class colours over the grey of an image (H, W, 3), uint8."""
    grey = image.mean(axis=-1, keepdims=True)
    blended = OPACITY * labels.colour(ids) + (1 - OPACITY) * grey
    return np.where((ids == VOID)[..., None], 0.5 * image, blended).astype(np.uint8)


def _as_rgb(image, **label_maps: np.ndarray) -> np.ndarray:
    """An image (H, W, C) as (H, W, 3), uint8, when each label map has its size.

    Raises:
        ValueError: a shape does not fit.
    """
    image = np.asarray(image)
    if image.ndim != 3:
        cure = " Add an axis for the channels: image[..., np.newaxis]." if image.ndim == 2 else ""
        raise ValueError(f"`image` must be (H, W, C). Received: image.shape={image.shape}.{cure}")
    if image.shape[-1] not in (1, 3):
        image = picture_of(image)
    for name, label_map in label_maps.items():
        if label_map.shape != image.shape[:2]:
            cure = " Take `argmax(axis=-1)` of logits first." if label_map.ndim == 3 else ""
            raise ValueError(
                f"`{name}` must be class ids (H, W) of the size of `image`. Received: {name}.shape={label_map.shape} and "
                f"image.shape={image.shape}.{cure}"
            )
    if image.dtype != np.uint8:
        check_image_range(image, "kseg.plots", stacklevel=4)
        image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _check_label_map(label_map: np.ndarray, labels: LabelMap, name: str):
    """Refuses a label map that holds anything but class ids and void, as integers.

    Raises:
        ValueError: it does.
    """
    if label_map.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must hold class ids as integers. Received: {name}.dtype={label_map.dtype}.")
    check_ids(label_map, labels.num_classes, VOID, name)
