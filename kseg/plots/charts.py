"""The confusion matrix and training curves as pictures. numpy and Pillow; matplotlib is imported when a chart is drawn."""

from __future__ import annotations

import warnings

import numpy as np
from PIL import Image

from kseg._extras import extra
from kseg.labels import LabelMap, display_name

PANELS = {  # panel title: the curves it shows, as far as the history has them
    "loss": ("loss", "val_loss"),
    "mean IoU": ("mean_iou", "val_mean_iou"),
    "adversarial losses": ("discriminator_loss", "adversarial_loss"),
    "discriminator accuracy": ("discriminator_accuracy",),
}
UNIT_INTERVAL = ("mean IoU", "discriminator accuracy")  # panels whose axis runs from 0 to 1
MIN_SHARE = 0.5  # per cent; smaller cells of the confusion matrix carry no number
MAX_CLASSES = (
    40  # of a confusion matrix with numbers and names; larger ones are a picture beside their largest mistakes
)
MAX_MISTAKES = 20
NAME_LENGTH = 28  # characters of a class's name
MAX_MARKED_EPOCHS = 20  # longer curves are drawn without a marker per epoch


def confusion_matrix(matrix: np.ndarray, labels: LabelMap) -> Image.Image:
    """Draws a confusion matrix; each row is in per cent of its true class, so rare classes are visible too.

    Of more than `MAX_CLASSES` classes the cells have no numbers and no names; the largest mistakes are listed beside them, so
    the picture has the same size for any number of classes.

    Args:
        matrix: (K, K), counts of pixels: rows truth, columns prediction.
        labels: the K classes.

    Returns:
        An RGB picture. Rows of classes that do not occur are grey.

    Raises:
        ValueError: the matrix is not (K, K).

    Example:
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> kseg.plots.confusion_matrix([[90, 10], [3, 7]], labels).mode
        'RGB'
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (labels.num_classes, labels.num_classes):
        raise ValueError(
            f"`matrix` must be (K, K) with K = {labels.num_classes} classes. Received: matrix.shape={matrix.shape}."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    names = [display_name(name, NAME_LENGTH) for name in labels.names]
    if labels.num_classes > MAX_CLASSES:
        return _rendered(_large_matrix(shares, names))
    side = max(3.0, 0.42 * labels.num_classes)
    figure = _figure(side + 2.6, side + 1.8)
    axes = figure.add_subplot()
    _draw_shares(axes, shares)
    for (row, column), share in np.ndenumerate(shares):
        if share >= MIN_SHARE:
            axes.text(column, row, f"{share:.0f}", ha="center", va="center", color="white" if share > 55 else "black")
    ticks = range(labels.num_classes)
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, names, parse_math=False)
    return _rendered(figure)


def largest_mistakes(shares: np.ndarray, number: int) -> list[tuple[int, int]]:
    """The (true class, predicted class) that are most often taken for each other, the most frequent first.

    Args:
        shares: (K, K), each row the shares of a true class, NaN where it does not occur.
        number: of them at most; those without a pixel are left out.

    Example:
        >>> largest_mistakes(np.array([[0.9, 0.1], [0.3, 0.7]]), 5)
        [(1, 0), (0, 1)]
    """
    wrong = np.nan_to_num(shares)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:number]
    cells = [divmod(int(index), len(wrong)) for index in order]
    return [cell for cell in cells if wrong[cell] > 0]


def _draw_shares(axes, shares: np.ndarray, gamma: float = 1.0):
    """Draws the cells of a matrix in per cent; a `gamma` below 1 darkens small shares."""
    axes.set_facecolor("0.85")
    axes.imshow((shares / 100) ** gamma, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class", title="per cent of each true class")


def _large_matrix(shares: np.ndarray, names: list[str]):
    """A figure of many classes: cells without numbers, numbered by class id, beside the largest mistakes as bars."""
    figure = _figure(15.0, 7.2)
    matrix, bars = figure.subplots(1, 2, width_ratios=(7, 5))
    _draw_shares(matrix, shares, gamma=0.5)  # small shares show, too
    matrix.set(xlabel="id of the predicted class", ylabel="id of the true class")
    mistakes = largest_mistakes(shares, MAX_MISTAKES)
    places = range(len(mistakes))
    bars.barh(places, [shares[cell] for cell in mistakes], color="tab:blue")
    labels = [f"{names[truth]} as {names[predicted]}" for truth, predicted in mistakes]
    bars.set_yticks(places, labels, parse_math=False, fontsize=8)
    bars.invert_yaxis()
    bars.set(xlim=(0, 100), title="largest mistakes, per cent of the true class")
    return figure


def curves(history: dict[str, list[float]]) -> Image.Image:
    """Draws training curves: loss and mean IoU, and the discriminator's where there is one.

    Args:
        history: values per epoch, named as in Keras's `History.history`.

    Returns:
        An RGB picture with one panel per kind of value in the history.

    Raises:
        ValueError: the history holds none of the known curves.

    Example:
        >>> kseg.plots.curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.2]}).size
        (460, 300)
    """
    panels = {title: [name for name in names if name in history] for title, names in PANELS.items()}
    panels = {title: names for title, names in panels.items() if names}
    if not panels:
        known = ", ".join(name for names in PANELS.values() for name in names)
        raise ValueError(f"`history` must hold at least one of {known}. Received: {sorted(history)}.")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = _figure(4.6 * columns, 3.0 * rows)
    for position, (title, names) in enumerate(panels.items(), start=1):
        _draw_curves(figure.add_subplot(rows, columns, position), title, {name: history[name] for name in names})
    return _rendered(figure)


def _draw_curves(axes, title: str, values: dict[str, list[float]]):
    """Draws the curves of one panel."""
    for name, series in values.items():
        epochs = range(1, len(series) + 1)
        label = "validation" if name.startswith("val_") else "training" if f"val_{name}" in values else name
        axes.plot(epochs, series, label=label.replace("_", " "), marker="." if len(epochs) < MAX_MARKED_EPOCHS else "")
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    if title in UNIT_INTERVAL:
        axes.set_ylim(0, 1)
    if len(values) > 1:
        axes.legend(frameon=False)


def _figure(width: float, height: float):
    """An empty figure of that size in inches, outside pyplot's list of figures."""
    with extra("plots"):
        from matplotlib.figure import Figure

    return Figure((width, height), dpi=100, layout="constrained")


def _rendered(figure) -> Image.Image:
    """The figure as an RGB picture."""
    with extra("plots"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():  # a character that the font lacks is drawn as a box
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
