"""Checks of what `compile` and `fit` of a model of images and label maps are given. `keras` only.

Refused: what Keras would take, or end on with an error that names nothing of the user's: a loss of probabilities, a label map of
one-hot vectors or none at all, weights of classes in `fit`.
"""

from __future__ import annotations

import inspect

import keras

from kseg._checks import check_logits


def check_network(name: str, network) -> None:
    """Refuses what is no functional model with one output.

    Args:
        name: of the argument.
        network: what it is.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(network, keras.Model) or len(getattr(network, "outputs", ())) != 1:
        cure = " Call the function that makes it." if callable(network) and not isinstance(network, keras.Model) else ""
        raise ValueError(
            f"`{name}` must be a functional keras.Model with one output. Received: {name}={network!r:.80}.{cure}"
        )


def check_instance(name: str, value, kind: type) -> None:
    """Refuses what is neither an instance of `kind`, a class of this package, nor None.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(value, kind | None):
        raise ValueError(f"`{name}` must be a kseg.{kind.__name__} or None. Received: {name}={value!r:.80}.")


def inputs_of(network):
    """The inputs of a functional or sequential model as a new one takes them: a tensor, or a list."""
    return network.inputs if len(network.inputs) > 1 else network.inputs[0]


def check_segmentor(segmentor) -> None:
    """Refuses a segmentor that is no functional model, or ends with probabilities.

    Raises:
        ValueError: it is none, or its last layer is a softmax or a sigmoid.
    """
    check_network("segmentor", segmentor)
    check_logits("segmentor", segmentor)


def as_optimizer(name: str, value):
    """The optimizer that `value` is or names.

    Args:
        name: of the argument.
        value: an optimizer, its name, class or config.

    Raises:
        ValueError: it is none.
    """
    try:
        if value is not None:
            return keras.optimizers.get(value)
    except ValueError:
        pass
    raise ValueError(
        f"`{name}` must be an optimizer or the name of one: `compile` takes one for each network, then the loss. "
        f'Received: {name}={value!r}. Write compile("adam", "adam", loss=...), for example.'
    )


def check_loss(loss) -> None:
    """Refuses losses of Keras that take their input for probabilities, where the segmentor gives logits.

    Args:
        loss: of `compile`: a loss, its name, class or function, or a structure of them; or None.

    Raises:
        ValueError: one has `from_logits=False`.
    """
    for one in keras.tree.flatten(loss):
        function = keras.losses.get(one) if isinstance(one, str) else one
        if isinstance(function, keras.losses.Loss):
            from_logits = function.get_config().get("from_logits")
        else:
            parameters = inspect.signature(function).parameters if callable(function) else {}
            from_logits = parameters["from_logits"].default if "from_logits" in parameters else None
        if from_logits is False:
            raise ValueError(
                f"`loss` must take logits. Received: loss={one!r} with from_logits=False. Take kseg.losses.CrossEntropy()."
            )


def check_batch(data) -> tuple:
    """The images, label maps and weights of a batch, whether they come alone or as a list or dictionary of one.

    Args:
        data: what `train_step` gets.

    Returns:
        image (B, H, W, C), label_map (B, H, W) or (B, H, W, 1), weights or None.

    Raises:
        ValueError: there are several images or label maps, or none; or label maps hold no ids.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    image, label_map = _single("x", x), _single("y", y)
    rank = len(label_map.shape) if getattr(label_map.shape, "rank", 0) is not None else None  # not known in some graphs
    if rank is not None and not (rank == 3 or (rank == 4 and label_map.shape[-1] in (1, None))):
        raise ValueError(
            f"`y` must hold class ids (B, H, W) or (B, H, W, 1). Received: y.shape={tuple(label_map.shape)}. "
            "Take keras.ops.argmax(y, axis=-1) of one-hot vectors."
        )
    return image, label_map, sample_weight


def _single(name: str, value):
    found = [] if value is None else keras.tree.flatten(value)
    if len(found) != 1:
        kinds = {"x": "images (B, H, W, C)", "y": "label maps (B, H, W), void everywhere for an image without one"}
        raise ValueError(f"`{name}` must be one tensor of {kinds[name]}. Received: {len(found)} tensors.")
    return found[0]


class WithoutClassWeight:
    """For a `keras.Model` of label maps: its `fit` and `train_on_batch` refuse weights of classes, which belong to the loss."""

    def fit(self, *args, class_weight=None, **kwargs):
        """As `keras.Model.fit`; weights of classes belong to the loss."""
        _refuse_class_weight(class_weight)
        return super().fit(*args, **kwargs)

    def train_on_batch(self, *args, class_weight=None, **kwargs):
        """As `keras.Model.train_on_batch`; weights of classes belong to the loss."""
        _refuse_class_weight(class_weight)
        return super().train_on_batch(*args, **kwargs)


def _refuse_class_weight(class_weight) -> None:
    """Refuses weights of classes where Keras takes one class for each image.

    Raises:
        ValueError: they are not None.
    """
    if class_weight is not None:
        raise ValueError(
            "`class_weight` must be None: Keras weighs images by it, not pixels. "
            f"Received: class_weight={class_weight!r}. Give the loss its weights: kseg.losses.CrossEntropy(class_weights=...)."
        )
