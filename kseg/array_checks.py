"""Checks of images and label maps before a network sees them: ranges, class ids, sizes. numpy only.

Refused: images that are not finite, ids that are neither a class nor void, label maps of another size than the logits. Images
outside [0, 255] are warned of: the network still computes something, but seldom what was meant.
"""

from __future__ import annotations

import warnings

import numpy as np

SHOWN = 8
"""How many values a message lists."""


def check_image_range(images, where: str, stacklevel: int = 3) -> None:
    """Warns of images that do not lie in [0, 255], such as images scaled to [0, 1].

    Networks of kseg normalise images themselves, so they take raw ones. An all-black batch passes.

    Args:
        images: (H, W, C) or (B, H, W, C), any real dtype.
        where: where the images were found, for the message: "first batch of fit", "predict_tiles".
        stacklevel: of the warning; the default names the caller of the function that checks.

    Raises:
        ValueError: a value is NaN or infinite.

    Example:
        >>> check_image_range(np.full((8, 8, 3), 0.5), "example")  # warns: Multiply by 255.
    """
    images = np.asarray(images)
    if not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = int(np.count_nonzero(~np.isfinite(images)))
        raise ValueError(
            f"Images must be finite. Received: NaN or infinity at {wrong} of {images.size} values [{where}]. "
            "Look for a division by 0 where the images are prepared."
        )
    received = f"Images must lie in [0, 255]. Received: values from {low:g} to {high:g} [{where}]."
    if low < 0 or high > 255:
        warnings.warn(
            f"{received} Leave out normalisation: networks normalise images themselves.", stacklevel=stacklevel
        )
    elif 0 < high <= 1:
        warnings.warn(f"{received} Multiply by 255: networks normalise images themselves.", stacklevel=stacklevel)


def invalid_ids(label_maps, num_classes: int, ignore_class: int | None) -> dict[int | float, int]:
    """Ids that are neither a class nor void, with their numbers of pixels.

    Args:
        label_maps: ids of any shape; of any dtype, since Keras hands them to losses as floats.
        num_classes: K.
        ignore_class: id of void, or None.

    Returns:
        Pixels by id, in order of ids; empty if all ids are valid. A fraction is no id, nor is NaN.

    Example:
        >>> invalid_ids(np.array([0, 1, 37, 37, 255]), 2, 255)
        {37: 2}
    """
    ids = np.asarray(label_maps)
    valid = (ids >= 0) & (ids < num_classes)
    if ids.dtype.kind == "f":
        valid &= ids == np.floor(ids)
    if ignore_class is not None:
        valid |= ids == ignore_class
    if valid.all():
        return {}
    values, pixels = np.unique(ids[~valid], return_counts=True)
    return {
        int(value) if float(value).is_integer() else float(value): int(number)
        for value, number in zip(values, pixels, strict=True)
    }


def check_ids(
    label_maps, num_classes: int, ignore_class: int | None, name: str, where: str = "", cure: str | None = None
) -> None:
    """Refuses ids that are neither a class nor void.

    Args:
        label_maps: ids of any shape and dtype.
        num_classes: K.
        ignore_class: id of void, or None.
        name: of the argument, for the message.
        where: where the ids were found, for the message.
        cure: end of the message; None: what helps with label maps of a data set.

    Raises:
        ValueError: an id is neither; the message lists the ids and counts their pixels.
    """
    found = invalid_ids(label_maps, num_classes, ignore_class)
    if found:
        raise ValueError(invalid_ids_message(found, num_classes, ignore_class, name, where, cure))


def invalid_ids_message(
    found: dict[int | float, int],
    num_classes: int,
    ignore_class: int | None,
    name: str,
    where: str = "",
    cure: str | None = None,
) -> str:
    """The message about ids that `invalid_ids` found."""
    void = "" if ignore_class is None else f" or be {ignore_class} (void)"
    listed = ", ".join(f"{value:g}" for value in list(found)[:SHOWN])
    return (
        f"`{name}` must hold class ids in 0..{num_classes - 1}{void}. "
        f"Received: ids [{listed}{', ...' if len(found) > SHOWN else ''}] at {sum(found.values())} pixels"
        f"{f' [{where}]' if where else ''}. {cure or _cure(found)}"
    )


def _cure(found: dict[int | float, int]) -> str:
    if any(value != value or value % 1 for value in found):
        return "Label maps must not be scaled: give the ids as they are."
    return "Map these values to classes or to void, or set `ignore_class` to the value that means void."


def check_label_size(labels_shape: tuple, logits_shape: tuple) -> None:
    """Refuses label maps that do not have the rank or size of the logits. Sizes that are None fit anything.

    Args:
        labels_shape: of `y_true`: (B, H, W) or (B, H, W, 1).
        logits_shape: of `y_pred`: (B, H, W, K).

    Raises:
        ValueError: the label maps are one-hot, or the ranks or sizes differ.
    """
    labels_shape, logits_shape = tuple(labels_shape), tuple(logits_shape)
    received = f"Received: y_true.shape={labels_shape}, y_pred.shape={logits_shape}."
    if len(labels_shape) == len(logits_shape) == 4 and labels_shape[-1] not in (1, None):
        raise ValueError(
            f"`y_true` must hold class ids (B, H, W), not one-hot vectors. {received} Take ops.argmax(y_true, axis=-1)."
        )
    sizes = zip(labels_shape[:3], logits_shape[:3], strict=False)
    fits = all(None in pair or pair[0] == pair[1] for pair in sizes)
    if len(logits_shape) != 4 or len(labels_shape) not in (3, 4) or not fits:
        raise ValueError(
            "`y_true` must hold class ids (B, H, W) or (B, H, W, 1), `y_pred` logits (B, H, W, K) of the same height and width. "
            f"{received}"
        )
