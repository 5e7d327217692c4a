"""Pictures of what a segmentor does: overlays, the confusion matrix, and the curves of a training.

Every function returns a `PIL.Image.Image`; `.save(path)` writes it. The overlays need Pillow and numpy, the other two import
matplotlib when called, without its global state, so they work in threads and without a screen. No TensorFlow. Refused: arrays
whose shapes do not belong together.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg.labels import VOID, LabelMap

PANEL = 320  # pixels: about the width that small images are enlarged to; from twice that on they are reduced
MARGIN = 12
TEXT = 15
INK, PAPER = (30, 30, 30), (255, 255, 255)
OPACITY = 0.65  # of the class colours over the image


def overlay_sheet(images: np.ndarray, truths: np.ndarray, predictions: np.ndarray, labels: LabelMap) -> Image.Image:
    """One row for each example: the image, the truth over it, the prediction over it; the colours' names below.

    Void pixels of the truth show the bare image, darkened.

    Args:
        images: (N, H, W, C), uint8, C = 1 or 3.
        truths: (N, H, W), class ids, 255 where void.
        predictions: (N, H, W), class ids.
        labels: names and colours.

    Returns:
        An RGB picture.

    Raises:
        ValueError: the shapes differ, or there is no example.

    Example:
        >>> overlay_sheet(images, truths, predictions, labels).save("overlays.png")
    """
    shapes = [images.shape[:3], truths.shape, predictions.shape]
    if images.ndim != 4 or not len(images) or len(set(shapes)) != 1:
        raise ValueError(
            "`images` (N, H, W, C), `truths` (N, H, W) and `predictions` (N, H, W) must agree, with N at least 1. "
            f"Received: {images.shape}, {truths.shape}, {predictions.shape}."
        )
    rows = [_row(*example, labels) for example in zip(images, truths, predictions, strict=True)]
    width = 3 * rows[0][0].width + 4 * MARGIN
    entries = list(zip(labels.names, labels.colours, strict=True))
    if (truths == VOID).any():
        entries.append(("void (darkened image)", (60, 60, 60)))
    legend_below = legend(entries, width)
    heading = TEXT + 2 * MARGIN
    sheet = Image.new("RGB", (width, heading + len(rows) * (rows[0][0].height + MARGIN) + legend_below.height), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for column, title in enumerate(("image", "truth", "prediction")):
        left = MARGIN + column * (rows[0][0].width + MARGIN)
        draw.text((left + rows[0][0].width / 2, heading / 2), title, INK, font, anchor="mm")
        for row, panels in enumerate(rows):
            sheet.paste(panels[column], (left, heading + row * (panels[column].height + MARGIN)))
    sheet.paste(legend_below, (0, sheet.height - legend_below.height))
    return sheet


def overlay(image: np.ndarray, label_map: np.ndarray, labels: LabelMap) -> Image.Image:
    """The classes' colours over one image, at its own size; void shows the image, darkened.

    Args:
        image: (H, W, C), uint8, C = 1 or 3.
        label_map: (H, W), class ids, 255 where void.
        labels: their colours.

    Raises:
        ValueError: the sizes differ.
    """
    if image.ndim != 3 or image.shape[:2] != label_map.shape:
        raise ValueError(
            f"`image` (H, W, C) and `label_map` (H, W) must agree. Received: {image.shape} and {label_map.shape}."
        )
    return Image.fromarray(_painted(np.broadcast_to(image, (*label_map.shape, 3)), label_map, labels))


def _row(image, truth, prediction, labels) -> list[Image.Image]:
    """The three panels of one example, enlarged or reduced by a whole factor so that pixels stay pixels."""
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    panels = [Image.fromarray(np.ascontiguousarray(image))]
    panels += [Image.fromarray(_painted(image, np.asarray(ids), labels)) for ids in (truth, prediction)]
    enlarge, reduce = max(1, round(PANEL / image.shape[1])), max(1, image.shape[1] // (2 * PANEL))
    size = image.shape[1] * enlarge, image.shape[0] * enlarge
    return [panel.resize(size, Image.Resampling.NEAREST).reduce(reduce) for panel in panels]


def _painted(image: np.ndarray, ids: np.ndarray, labels: LabelMap) -> np.ndarray:
    """Class colours over the grey of an image (H, W, 3), uint8."""
    grey = image.mean(axis=-1, keepdims=True)
    painted = OPACITY * labels.colour(ids) + (1 - OPACITY) * grey
    return np.where((ids == VOID)[..., None], 0.5 * image, painted).astype(np.uint8)


def legend(entries: list[tuple[str, tuple[int, int, int]]], width: int, size: int = TEXT) -> Image.Image:
    """A patch of colour beside each name, in as many lines as they need.

    Args:
        entries: (name, (red, green, blue)).
        width: of the picture, pixels.
        size: of the text, pixels.
    """
    font, step = ImageFont.load_default(size), size + MARGIN
    places, left, top = [], MARGIN, MARGIN // 2
    for name, _ in entries:
        length = step + font.getlength(name) + MARGIN
        if left + length > width and left > MARGIN:
            left, top = MARGIN, top + step
        places.append((left, top))
        left += length
    picture = Image.new("RGB", (width, top + step), PAPER)
    draw = ImageDraw.Draw(picture)
    for (left, top), (name, colour) in zip(places, entries, strict=True):
        draw.rectangle((left, top, left + size, top + size), fill=tuple(colour), outline=INK)
        draw.text((left + step - MARGIN / 2, top + size / 2), name, INK, font, anchor="lm")
    return picture


def confusion_matrix(matrix: np.ndarray, labels: LabelMap) -> Image.Image:
    """The confusion matrix, each row in per cent of its true class, so that rare classes are seen too.

    Args:
        matrix: (K, K), counts of pixels: rows truth, columns prediction.
        labels: K names.

    Returns:
        An RGB picture. Rows of classes that do not occur are grey.

    Raises:
        ValueError: the matrix is not (K, K).
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (labels.num_classes, labels.num_classes):
        raise ValueError(
            f"`matrix` must be (K, K) with K = {labels.num_classes} classes. Received: matrix.shape={matrix.shape}."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    side = max(3.0, 0.42 * labels.num_classes)
    figure = _figure(side + 2.6, side + 1.8)
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.5:
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else "black")
    ticks = range(labels.num_classes)
    axes.set_xticks(ticks, labels.names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, labels.names)
    axes.set(xlabel="predicted class", ylabel="true class", title="per cent of each true class")
    return _picture(figure)


PANELS = {  # title of each panel: the curves that it shows, where the history has them
    "loss": ("loss", "val_loss"),
    "mean IoU": ("mean_iou", "val_mean_iou"),
    "adversarial losses": ("discriminator_loss", "adversarial_loss"),
    "discriminator's accuracy": ("discriminator_accuracy",),
}


def curves(history: dict[str, list[float]]) -> Image.Image:
    """The curves of a training: loss and mean IoU, and the discriminator's where there was one.

    Args:
        history: values by epoch under the names that Keras's `History.history` gives them.

    Returns:
        An RGB picture, one panel for each kind of value that is there.

    Raises:
        ValueError: the history holds none of the known curves.
    """
    panels = {title: [name for name in names if name in history] for title, names in PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    if not panels:
        known = ", ".join(name for names in PANELS.values() for name in names)
        raise ValueError(f"`history` must hold at least one of {known}. Received: {sorted(history)}.")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = _figure(4.6 * columns, 3.0 * rows)
    for place, (title, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, place)
        for name in names:
            epochs = range(1, len(history[name]) + 1)
            label = "validation" if name.startswith("val_") else "training" if f"val_{name}" in names else name
            axes.plot(epochs, history[name], label=label.replace("_", " "), marker="." if len(epochs) < 20 else "")
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if title in ("mean IoU", "discriminator's accuracy"):
            axes.set_ylim(0, 1)
        if len(names) > 1:
            axes.legend(frameon=False)
    return _picture(figure)


def _figure(width: float, height: float):
    """An empty figure of that size in inches, outside of pyplot's list of figures."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=100, layout="constrained")


def _picture(figure) -> Image.Image:
    """The figure as drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
