"""What a network costs: the multiply-adds of one forward pass. `keras` only."""

from __future__ import annotations

import math

import keras

from kseg._checks import check_size


def multiply_adds(model: keras.Model, size: tuple[int, int] | None = None) -> int:
    """Counts the products of weights and activations in a forward pass of one image.

    Convolutions, depthwise, separable and transposed ones included, and dense layers count; biases, normalization, pooling and
    interpolation are small next to them and do not.

    Args:
        model: functional network of images (B, H, W, C).
        size: (height, width) of the image, pixels; None: the fixed size of the model's input.

    Returns:
        The number of multiply-adds; twice as many floating-point operations.

    Raises:
        ValueError: the model is not functional or has several inputs, or neither it nor `size` fixes the size of the image.

    Example:
        >>> image = keras.Input((None, None, 3))
        >>> model = keras.Model(image, keras.layers.Conv2D(8, 5, padding="same")(image))
        >>> multiply_adds(model, (10, 20))  # 10 * 20 positions, 5 * 5 * 3 * 8 weights
        120000
    """
    if not isinstance(model, keras.Model) or len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError(
            f"`model` must be a functional network of one image, such as the segmentor of a game. Received: model={model}."
        )
    if size is not None:
        size, channels = check_size("size", size), model.input_shape[-1]
        model = keras.models.clone_model(model, input_tensors=keras.Input((*size, channels), name="image"))
    if None in model.input_shape[1:]:
        raise ValueError(
            f"`size` must be the image's (height, width) if the model takes any size. Received: size={size}, "
            f"model.input_shape={model.input_shape}."
        )
    return sum(
        multiply_adds(layer, _size_in(model, layer)) if isinstance(layer, keras.Model) else _products(layer)
        for layer in model.layers
    )


def _size_in(model, inner) -> tuple[int, int]:
    """(height, width) of what a model inside another one receives; only the outer configuration tells."""
    (call,) = (entry["inbound_nodes"] for entry in model.get_config()["layers"] if entry["name"] == inner.name)
    return tuple(call[0]["args"][0]["config"]["shape"][1:3])


def _products(layer) -> int:
    """Each kernel weight takes part once at every position: of the input if the convolution is transposed, else of the output."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return math.prod(layer.input.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.SeparableConv2D):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return math.prod(layer.output.shape[1:-1]) * kernels
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)):
        return math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
    return 0
