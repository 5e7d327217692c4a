"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597): an encoder, a decoder, and skips by concatenation. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg.blocks import activate, conv_stack, score, up_conv
from kseg.layers import CropToMatch, MinimumSize


def UNet(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    filters: tuple[int, ...] = (64, 128, 256, 512, 1024),
    padding: str = "same",
    batch_normalization: bool = False,
    activation: str | None = None,
    name: str = "unet",
) -> keras.Model:
    """U-Net of figure 1, as printed or padded.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        filters: channels of each level, fine to coarse; the last is the bottom.
        padding: "same": any H x W keeps its size. "valid": the paper's own, 572x572 becomes 388x388; the maps before pooling
            are even where H = 12 (mod 16), and the smallest image is 188x188.
        batch_normalization: put batch normalisation before each ReLU (not in the paper).
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32; with "valid" (B, H - 184, W - 184, K)
        for five levels.

    Raises:
        ValueError: `padding` is neither, or `filters` has fewer than two levels.
            An image too small for "valid" is refused when the network meets it.

    Example:
        >>> kseg.UNet(11, filters=(16, 32, 64, 128, 256)).count_params()
        1941275

    Source: figure 1; section 3 for the initialisation. The image is scaled to about [-2, 2] inside.
    """
    if padding not in ("same", "valid"):
        raise ValueError(f'`padding` must be "same" or "valid". Received: padding={padding!r}.')
    if len(filters) < 2:
        raise ValueError(f"`filters` must name at least two levels. Received: filters={filters}.")
    stack = {"depth": 2, "padding": padding, "batch_normalization": batch_normalization}
    image = keras.Input(input_shape, name="image")
    x = image if padding == "same" else MinimumSize(smallest_size(len(filters)), name="minimum_size")(image)
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(x)
    skips = []
    for level, width in enumerate(filters[:-1], start=1):
        skips.append(conv_stack(x, width, name=f"down{level}", **stack))
        x = layers.MaxPooling2D(padding=padding, name=f"down{level}_pool")(skips[-1])
    x = conv_stack(x, filters[-1], name="bottom", **stack)
    for level, skip in reversed(list(enumerate(skips, start=1))):
        width = skip.shape[-1]
        if padding == "same":
            x = up_conv(x, width, 2, skip, name=f"up{level}")
        else:
            x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal", name=f"up{level}_conv")(x)
            skip = CropToMatch("centre", name=f"up{level}_crop")([skip, x])
        x = layers.Concatenate(name=f"up{level}_skip")([skip, x])
        x = conv_stack(x, width, name=f"up{level}_stack", **stack)
    logits = score(x, num_classes, name="logits", kernel_initializer="he_normal", dtype="float32")
    return keras.Model(image, activate(logits, activation), name=name)


def smallest_size(levels: int) -> int:
    """Least H and W, pixels, that an unpadded network of `levels` levels can label: 188 for five."""
    size = (
        3 if levels == 2 else 4
    )  # of the map that leaves the bottom, so that each stack on the way up has 5 rows or more
    for _ in range(levels - 1):
        size = 2 * (size + 4)
    return size + 4
