"""One prediction averaged from several: views of an image (test-time augmentation) and models (ensembles).

These functions return a model again: a callable from images to logits, which `predict_tiles` and they themselves take. Each view
and each model costs one more forward pass. numpy and Pillow only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from PIL import Image

from kseg._checks import check_logits
from kseg.inference.checks import check_images, values_checked
from kseg.inference.model_calls import check_model, num_channels, predict_logits, takes_levels

AVERAGES = ("probabilities", "logits")
FLIPS = {"horizontal": 2, "vertical": 1}  # the axis of (B, H, W, C) that is reversed
TINY = np.finfo(np.float32).tiny  # keeps the logarithm of a probability of 0 finite


def average_views(
    model,
    *,
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    scales: Sequence[float] = (1.0,),
    average: str = "probabilities",
) -> Callable[[np.ndarray], np.ndarray]:
    """Wraps a model so that it averages its predictions over several views of each image: test-time augmentation.

    Views are all combinations of flips, rotations and scales; equal ones count once. The prediction of each view is rotated,
    flipped and scaled back before it is averaged.

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to logits (B, H, W, K).
        flips: of "horizontal" and "vertical", in addition to the image itself.
        rotations: multiples of 90 degrees, counterclockwise; (0, 90, 180, 270) are all.
        scales: factors of height and width, such as (0.5, 1, 2); images are resized by an antialiased bilinear filter.
        average: one of "probabilities", the mean of softmax, or "logits", a geometric mean: one view can exclude a class.

    Returns:
        Callable from images (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32; the logits of mean probabilities are their
        logarithms.

    Raises:
        TypeError: `model` is neither a Keras model nor a callable.
        ValueError: another argument is none of these, or the model gives probabilities, whose softmax would be averaged.

    Example:
        >>> views = kseg.inference.average_views(lambda images: images, flips=["horizontal"], average="logits")
        >>> views(np.array([[[[1.0, 2.0], [3.0, 5.0]]]]))[0, 0]
        array([[1., 2.],
               [3., 5.]], dtype=float32)

    Source: Krizhevsky et al. 2012, section 4.1, for flips; multiple scales as in DeepLabv3 (Chen et al. 2017), section 4.
    """
    check_model(model)
    _check_scales(scales)
    _check_average(average)
    if average == "probabilities":
        check_logits("model", model)
    views = dihedral_views(flips, rotations)

    def predictions(images):
        size = images.shape[1:3]
        for (axes, quarter_turns), scale in itertools.product(views, scales):
            scaled = _resize(images, [max(1, round(side * scale)) for side in size]) if scale != 1 else images
            logits = predict_logits(model, np.rot90(np.flip(scaled, axes), quarter_turns, (1, 2)))
            yield _resize(np.flip(np.rot90(logits, -quarter_turns, (1, 2)), axes), size)

    levels = takes_levels(model)

    def predict(images):
        check_images(images, "images", "average_views", channels=num_channels(model), levels=levels)
        with values_checked():
            return mean_logits(predictions(images), average)

    predict.levels = levels
    return predict


def ensemble(models: Sequence, *, average: str = "probabilities") -> Callable[[np.ndarray], np.ndarray]:
    """Combines models into one that averages their predictions.

    Args:
        models: Keras models or callables, as in `average_views`, all of the same K classes; `SavedModel` reads exports.
        average: one of "probabilities", "logits".

    Returns:
        Callable from images (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32.

    Raises:
        TypeError: `models` is no sequence of models.
        ValueError: there is no model, one gives probabilities, whose softmax would be averaged, or `average` is neither.

    Example:
        >>> both = kseg.inference.ensemble([lambda images: images, lambda images: 3 * images], average="logits")
        >>> both(np.array([[[[1.0, 2.0]]]]))[0, 0]
        array([[2., 4.]], dtype=float32)

    Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles",
        section 2.4.
    """
    _check_average(average)
    if not isinstance(models, Sequence) or isinstance(models, str):
        raise TypeError(f"`models` must be a list of models. Received: models={models!r}. Write ensemble([model]).")
    if not models:
        raise ValueError("`models` must hold at least one model. Received: models=[].")
    for position, model in enumerate(models):
        check_model(model, f"models[{position}]")
        if average == "probabilities":
            check_logits(f"models[{position}]", model)

    levels = all(map(takes_levels, models))

    def predict(images):
        check_images(images, "images", "ensemble", channels=num_channels(models[0]), levels=levels)
        with values_checked():
            return mean_logits((predict_logits(model, images) for model in models), average)

    predict.levels = levels
    return predict


def mean_logits(predictions: Iterable[np.ndarray], average: str) -> np.ndarray:
    """The mean of several predictions, as logits.

    Args:
        predictions: logits (B, H, W, K), at least one; one at a time is in memory next to the sum.
        average: one of "probabilities", "logits".

    Raises:
        ValueError: their shapes differ.
    """
    total, number = None, 0
    for logits in predictions:
        values = softmax(logits) if average == "probabilities" else logits
        if total is not None and total.shape != values.shape:
            raise ValueError(
                "All models must predict the same classes. "
                f"Received: logits of shapes {total.shape[1:]} and {values.shape[1:]}."
            )
        total, number = values if total is None else total + values, number + 1
    return np.log(np.maximum(total / number, TINY)) if average == "probabilities" else total / number


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (..., K) of logits (..., K)."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def dihedral_views(flips: Sequence[str], rotations: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """All combinations of flips and rotations, each once: flipping both axes is a rotation by 180 degrees.

    Args:
        flips: of "horizontal" and "vertical".
        rotations: multiples of 90 degrees, counterclockwise.

    Returns:
        For each view the axes of (B, H, W, C) to reverse, then the quarter turns to rotate by.

    Raises:
        ValueError: a flip or a rotation is none of these.

    Example:
        >>> dihedral_views(["horizontal"], (0, 90))
        [((), 0), ((), 1), ((2,), 0), ((2,), 1)]
    """
    if isinstance(flips, str) or not isinstance(flips, Collection) or not set(flips) <= set(FLIPS):
        raise ValueError(f"`flips` must be a list of {', '.join(FLIPS)}. Received: flips={flips!r}.")
    valid = isinstance(rotations, Sequence | np.ndarray) and not isinstance(rotations, str) and len(rotations) > 0
    if not valid or any(isinstance(rotation, str) or rotation % 90 for rotation in rotations):
        raise ValueError(
            f"`rotations` must be a list of multiples of 90 degrees, such as (0, 180). Received: rotations={rotations!r}."
        )
    corners = np.arange(4).reshape(1, 2, 2)  # two views are equal if they take four corners to the same places
    views = {}
    for number in range(len(flips) + 1):
        for axes in itertools.combinations(sorted(FLIPS[flip] for flip in set(flips)), number):
            for rotation in rotations:
                quarter_turns = int(rotation // 90)
                view = np.rot90(np.flip(corners, axes), quarter_turns, (1, 2))
                views.setdefault(view.tobytes(), (axes, quarter_turns))
    return list(views.values())


def _check_scales(scales):
    valid = isinstance(scales, Sequence | np.ndarray) and not isinstance(scales, str) and len(scales) > 0
    if not valid or any(isinstance(scale, str) or scale <= 0 for scale in scales):
        raise ValueError(f"`scales` must be a list of factors above 0. Received: scales={scales!r}.")


def _check_average(average):
    if average not in AVERAGES:
        raise ValueError(f"`average` must be one of {', '.join(AVERAGES)}. Received: average={average!r}.")


def _resize(values: np.ndarray, size) -> np.ndarray:
    """(B, H, W, C) resized like images in `kseg.pairs.resizing`, but in floating point, channel by channel."""
    if tuple(values.shape[1:3]) == tuple(size):
        return values
    planes = np.moveaxis(np.asarray(values, np.float32), -1, 1)
    resized = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size[1], size[0]), Image.Resampling.BILINEAR))
        for plane in planes.reshape(-1, *planes.shape[2:])
    ]
    return np.moveaxis(np.stack(resized).reshape(*planes.shape[:2], *size), 1, -1)
