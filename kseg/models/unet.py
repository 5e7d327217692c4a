"""U-Net (Ronneberger, Fischer, Brox 2015, arXiv:1505.04597): an encoder, a decoder, and skips by concatenation. `keras` only."""

from __future__ import annotations

import keras
from keras import layers

from kseg._checks import check_arguments, check_choice
from kseg.blocks import activate, conv_stack, max_pool, score, upsample
from kseg.encoders.features import strides
from kseg.encoders.names import encode
from kseg.layers import CropToMatch, MinimumSize
from kseg.layers.upsampling import MODES


def UNet(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    filters: tuple[int, ...] = (64, 128, 256, 512, 1024),
    encoder=None,
    weights=None,
    padding: str = "same",
    upsampling: str = "transposed_random",
    batch_normalization: bool = False,
    activation: str | None = None,
    name: str = "unet",
) -> keras.Model:
    """U-Net of figure 1, as printed or padded.

    Args:
        num_classes: K.
        input_shape: (H, W, C); None where any size may come.
        filters: channels of each level, fine to coarse; the last is the bottom.
        encoder: name in `kseg.encoders.ENCODERS`, such as "resnet50", or function `image -> features`, at strides 2, 4, 8
            and so on. Its coarsest feature is the bottom, and the decoder has filters[n] channels at stride 2^n, without a
            skip at stride 1. None: the paper's contracting path.
        weights: of the encoder: None for random weights, "imagenet", or a file, see `kseg.encoders.weights.fill`.
        padding: "same": any H x W keeps its size. "valid": the paper's own, 572x572 becomes 388x388; the maps before pooling
            are even where H = 12 (mod 16), and the smallest image is 188x188.
        upsampling: one of "bed_of_nails", "nearest", "bilinear", "bicubic", "max_unpooling" (at the maxima of the contracting
            path), "transposed_bilinear", "transposed_random" (the paper's); see `kseg.layers.Upsampling`.
        batch_normalization: whether batch normalisation precedes each ReLU (not in the paper), also in a named encoder that
            offers it.
        activation: None for logits, "softmax" for probabilities.
        name: of the model.

    Returns: model from `image` (B, H, W, C) in [0, 255] to logits (B, H, W, K), float32; with "valid" (B, H - 184, W - 184, K)
        for five levels.

    Raises:
        ValueError: an argument is out of range, or none of those listed; `filters` has fewer than two levels, or fewer than the
            encoder has features; or an encoder comes with "valid" or "max_unpooling". With "valid" the network refuses an image
            that is too small.

    Example:
        >>> kseg.UNet(11, filters=(16, 32, 64, 128, 256)).count_params()
        1941275

    Source: figure 1; section 3 for the initialisation. The image is scaled to about [-2, 2] inside.
    """
    check_arguments(num_classes=num_classes, input_shape=input_shape, filters=filters, activation=activation)
    check_arguments(batch_normalization=batch_normalization)
    check_choice("padding", padding, ("same", "valid"))
    check_choice("upsampling", upsampling, MODES)
    if len(filters) < 2:
        raise ValueError(f"`filters` must have at least two levels. Received: filters={filters}.")
    if encoder is None and weights is not None:
        raise ValueError(
            f"`weights` must be None without an `encoder`. Received: weights={weights!r}. Name one, such as "
            'encoder="vgg16"; the weights of the whole network are loaded by `model.load_weights`.'
        )
    if encoder is not None and (padding, upsampling == "max_unpooling") != ("same", False):
        raise ValueError(
            'An `encoder` needs padding="same" and cannot be used with "max_unpooling". Received: an encoder with '
            f"padding={padding!r}, upsampling={upsampling!r}."
        )
    stack = {"depth": 2, "padding": padding, "batch_normalization": batch_normalization}
    image = keras.Input(input_shape, name="image")
    if encoder is not None:
        features = encode(image, encoder, weights=weights, batch_normalization=batch_normalization)
        x, skips = _split(image, features, filters)
    else:
        x, skips = _contract(image, filters, upsampling == "max_unpooling", stack)
    for level, (skip, indices) in reversed(list(enumerate(skips, start=1))):
        channels = filters[level - 1]
        x = upsample(x, upsampling, 2, filters=channels, indices=indices, name=f"up{level}")
        if padding == "same":
            x = CropToMatch(name=f"up{level}_crop")([x, skip])
        else:
            skip = CropToMatch("centre", name=f"up{level}_crop")([skip, x])
        if skip is not image:
            x = layers.Concatenate(name=f"up{level}_skip")([skip, x])
        x = conv_stack(x, channels, name=f"up{level}_stack", **stack)
    logits = score(x, num_classes, name="logits", kernel_initializer="he_normal", dtype="float32")
    return keras.Model(image, activate(logits, activation), name=name)


def _contract(image, filters, with_indices, stack):
    """The map at the bottom, and for each level, fine to coarse, (the map before pooling, the indices of its maxima or None)."""
    x = image
    if stack["padding"] == "valid":
        x = MinimumSize(smallest_size(len(filters)), name="size_check")(x)
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(x)
    skips = []
    for level, channels in enumerate(filters[:-1], start=1):
        skip = conv_stack(x, channels, name=f"down{level}", **stack)
        x, indices = max_pool(skip, with_indices, padding=stack["padding"], name=f"down{level}_pool")
        skips.append((skip, indices))
    return conv_stack(x, filters[-1], name="bottom", **stack), skips


def _split(image, features, filters):
    """The same from an encoder's features; the image itself stands for stride 1."""
    found = strides(image, features)
    if found != [2 ** (i + 1) for i in range(len(found))]:
        raise ValueError(
            f"`encoder` must return features at strides 2, 4, 8 and so on. Received: features at strides {found}."
        )
    *skips, x = features
    if len(filters) < len(skips) + 1:
        raise ValueError(
            f"`filters` must have a level for each stride of the decoder. Received: filters={filters} for "
            f"{len(skips) + 1} features of the encoder."
        )
    return x, [(skip, None) for skip in (image, *skips)]


def smallest_size(levels: int) -> int:
    """Smallest H and W, pixels, that an unpadded network of `levels` levels can label: 188 for five."""
    # Rows of the map that leaves the bottom; each stack of the expanding path then has 5 rows or more.
    size = 3 if levels == 2 else 4
    for _ in range(levels - 1):
        size = 2 * (size + 4)
    return size + 4
