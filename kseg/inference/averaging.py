"""Several answers made into one: of an image seen in several ways, and of several models.

What these functions return is again a model: a callable from images to logits, which `predict_tiles` takes, or they themselves.
Each view and each model costs one more forward pass. numpy and Pillow only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from kseg.inference.model_calls import predict_logits

AVERAGES = ("probabilities", "logits")
FLIPS = {"horizontal": 2, "vertical": 1}  # the axis of (B, H, W, C) that is reversed
TINY = np.finfo(np.float32).tiny  # the logarithm of 0 would be no number to average with


def average_views(
    model,
    *,
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    scales: Sequence[float] = (1.0,),
    average: str = "probabilities",
) -> Callable[[np.ndarray], np.ndarray]:
    """A model that looks at an image in several ways and averages what it sees: test-time augmentation.

    Views are all combinations of the flips, rotations and scales; those that are one and the same count once. The answer to each
    is turned, flipped and scaled back.

    Args:
        model: Keras model, or a callable, from images (B, H, W, C) to logits (B, H, W, K).
        flips: of "horizontal" and "vertical"; beside the image itself.
        rotations: multiples of 90 degrees, against the clock; (0, 90, 180, 270) are all.
        scales: factors of height and width, such as (0.5, 1, 2), resized by an antialiased bilinear filter.
        average: "probabilities", the mean of softmax; or "logits", which favours what no view thinks impossible.

    Returns: callable from images (B, H, W, C) to logits (B, H, W, K), float32; those of mean probabilities are their logarithms.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> red = kseg.inference.average_views(lambda images: images, flips=["horizontal"], average="logits")
        >>> red(np.array([[[[1.0, 2.0], [3.0, 5.0]]]]))[0, 0]
        array([[1., 2.],
               [3., 5.]], dtype=float32)

    Source: Krizhevsky et al. 2012, section 4.1, for flips; multiple scales as in DeepLabv3 (Chen et al. 2017), section 4.
    """
    _check(scales, average)
    views_of = dihedral_views(flips, rotations)

    def views(images):
        for (axes, quarters), scale in itertools.product(views_of, scales):
            size = images.shape[1:3]
            seen = _resized(images, [max(1, round(side * scale)) for side in size]) if scale != 1 else images
            scores = predict_logits(model, np.rot90(np.flip(seen, axes), quarters, (1, 2)))
            yield _resized(np.flip(np.rot90(scores, -quarters, (1, 2)), axes), size)

    return lambda images: mean(views(images), average)


def ensemble(models: Sequence, *, average: str = "probabilities") -> Callable[[np.ndarray], np.ndarray]:
    """A model whose answer is the mean of those of several.

    Args:
        models: each as `average_views` takes it, all of the same K classes; exports are read by `SavedModel`.
        average: "probabilities" or "logits".

    Returns: callable from images (B, H, W, C) to logits (B, H, W, K), float32.

    Raises:
        ValueError: there is no model, or `average` is neither.

    Source: Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles",
        section 2.4.
    """
    _check((1.0,), average)
    if not models:
        raise ValueError("`models` must hold at least one model. Received: none.")
    return lambda images: mean((predict_logits(model, images) for model in models), average)


def mean(answers, average: str) -> np.ndarray:
    """The mean of logits (B, H, W, K), as logits.

    Args:
        answers: iterable of at least one; only one is in memory beside the sum.
        average: "probabilities" or "logits".

    Raises:
        ValueError: their shapes differ.
    """
    total, number = None, 0
    for logits in answers:
        values = softmax(logits) if average == "probabilities" else logits
        if total is not None and total.shape != values.shape:
            raise ValueError(
                "All models must answer with the same classes. "
                f"Received: scores of shapes {total.shape[1:]} and {values.shape[1:]}."
            )
        total, number = values if total is None else total + values, number + 1
    return np.log(np.maximum(total / number, TINY)) if average == "probabilities" else total / number


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities (..., K) of logits (..., K)."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _check(scales, average):
    if not scales or min(scales) <= 0:
        raise ValueError(f"`scales` must be factors above 0. Received: scales={scales!r}.")
    if average not in AVERAGES:
        raise ValueError(f"`average` must be one of {', '.join(AVERAGES)}. Received: average={average!r}.")


def dihedral_views(flips: Sequence[str], rotations: Sequence[int]) -> list[tuple[tuple[int, ...], int]]:
    """All combinations of flips and rotations as `average_views` takes them, each once: a flip along both axes is half a turn.

    Returns:
        (axes of (B, H, W, C) to reverse, then quarters to turn) of each.

    Raises:
        ValueError: a flip or a rotation is none.
    """
    if isinstance(flips, str) or not set(flips) <= set(FLIPS):
        raise ValueError(f"`flips` must be of {', '.join(FLIPS)}. Received: flips={flips!r}.")
    if not rotations or any(rotation % 90 for rotation in rotations):
        raise ValueError(f"`rotations` must be multiples of 90 degrees. Received: rotations={rotations!r}.")
    found = {}
    for number in range(len(flips) + 1):
        for chosen in itertools.combinations(sorted(FLIPS[flip] for flip in set(flips)), number):
            for rotation in rotations:
                corners = np.rot90(np.flip(np.arange(4).reshape(1, 2, 2), chosen), rotation // 90, (1, 2))
                found.setdefault(corners.tobytes(), (chosen, rotation // 90))
    return list(found.values())


def _resized(values, size) -> np.ndarray:
    """(B, H, W, C) resized as `kseg.pairs.resizing` resizes images, in floating point: channel by channel."""
    if tuple(values.shape[1:3]) == tuple(size):
        return values
    planes = np.moveaxis(np.asarray(values, np.float32), -1, 1)
    resized = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size[1], size[0]), Image.Resampling.BILINEAR))
        for plane in planes.reshape(-1, *planes.shape[2:])
    ]
    return np.moveaxis(np.stack(resized).reshape(*planes.shape[:2], *size), 1, -1)
