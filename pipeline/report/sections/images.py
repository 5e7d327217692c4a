"""The worst, median and best images: image, mask, prediction of the exported weights, and where it is wrong."""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image

from kseg import plots
from kseg.labels import VOID, LabelMap, display_name
from kseg.plots.overlays import VOID_COLOUR, WRONG_COLOUR
from pipeline.report import text
from pipeline.report.pictures import PIXELATED_BELOW, data_uri
from pipeline.report.run_files import Run

FOLDER = "ranked_images"  # below the artifact of the evaluator
NAMED_CLASSES = 3  # of a label map, in its alternative text


def contents(run: Run) -> dict | None:
    """The variables of `images.html.j2`; None if no image has labelled pixels."""
    folder = run.artifacts["evaluator"] / FOLDER
    rows = [image | show(folder / image["name"], image["key"], run.labels) for image in run.scores["ranked_images"]]
    if not rows:
        return None
    names, colours = run.labels.names, run.labels.colours
    classes = [{"name": name, "colour": colour} for name, colour in zip(names, colours, strict=True)]
    return {
        "rows": rows,
        "scores": run.scores,
        "classes": classes,
        "wrong": WRONG_COLOUR,
        "void": VOID_COLOUR,
        "has_void": any(row["has_void"] for row in rows),
    }


def show(folder: pathlib.Path, key: str, labels: LabelMap) -> dict:
    """Draws one image.

    Args:
        folder: with `image`, `truth.png` and `prediction.png`.
        key: of the pair.
        labels: the classes.

    Returns:
        "pictures", a list of {"title", "uri", "alt", "pixelated"}, the "errors" as a sentence, and "has_void".
    """
    image = np.asarray(Image.open(folder / "image").convert("RGB"))
    truth, prediction = (np.asarray(Image.open(folder / name)) for name in ("truth.png", "prediction.png"))
    errors = describe_errors(truth, prediction, labels)
    panels = [
        ("image", Image.fromarray(image), f"Image {key}"),
        ("truth", plots.overlay(image, truth, labels), f"Mask of {key}: {describe_classes(truth, labels)}"),
        (
            "prediction",
            plots.overlay(image, prediction, labels),
            f"Prediction for {key}: {describe_classes(prediction, labels)}",
        ),
        ("errors", plots.error_map(image, truth, prediction, labels), f"Error map of {key}: {errors}"),
    ]
    pictures = [
        {"title": title, "uri": data_uri(picture), "alt": alt, "pixelated": picture.width < PIXELATED_BELOW}
        for title, picture, alt in panels
    ]
    return {"pictures": pictures, "errors": errors, "has_void": bool((truth == VOID).any())}


def describe_classes(label_map: np.ndarray, labels: LabelMap) -> str:
    """The shares of the most common classes of a label map.

    Example:
        >>> labels = LabelMap(("road", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> describe_classes(np.array([[0, 0, 1, 255]]), labels)
        '50.0 % road, 25.0 % car'
    """
    pixels = np.bincount(label_map[label_map != VOID].ravel(), minlength=labels.num_classes)
    if not pixels.any():
        return "all void"
    order = [index for index in np.argsort(-pixels, kind="stable") if pixels[index]]
    named = [
        f"{text.percent(pixels[index] / label_map.size)} {display_name(labels.names[index])}"
        for index in order[:NAMED_CLASSES]
    ]
    others = len(order) - NAMED_CLASSES
    return ", ".join(named) + (f" and {others} other class{'es' if others > 1 else ''}" if others > 0 else "")


def describe_errors(truth: np.ndarray, prediction: np.ndarray, labels: LabelMap) -> str:
    """The share of wrong pixels and the most common mistake as a sentence, without a full stop.

    Example:
        >>> labels = LabelMap(("road", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> describe_errors(np.array([[0, 1, 1, 255]]), np.array([[0, 0, 1, 1]]), labels)
        '33.3 % of the labelled pixels are wrong, most often car taken for road'
    """
    pairs = truth.astype(np.int64) * labels.num_classes + prediction
    shape = labels.num_classes, labels.num_classes
    matrix = np.bincount(pairs[truth != VOID], minlength=labels.num_classes**2).reshape(shape)
    wrong = matrix - np.diag(np.diag(matrix))
    if not wrong.any():
        return "no labelled pixel is wrong"
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    share = text.percent(wrong.sum() / matrix.sum())
    truth, predicted = display_name(labels.names[row]), display_name(labels.names[column])
    return f"{share} of the labelled pixels are wrong, most often {truth} taken for {predicted}"
