"""Discriminators of the segmentation game: does this label map belong to this image? `keras` only."""

from __future__ import annotations

import keras
from keras import layers


def TwoBranch(
    num_classes: int,
    *,
    input_shape: tuple = (None, None, 3),
    branch_filters: int = 64,
    logits: int = 1,
    name: str = "two_branch",
) -> keras.Model:
    """The two-branch discriminator that Luc et al. used on Stanford Background.

    Label map and image each pass through 5x5 convolutions to `branch_filters` channels (the image through a quarter of them
    first), are joined, and pass through 3x3 convolutions of 2, 4 and 8 times the width with max pooling between.

    Args:
        num_classes: K.
        input_shape: of the image, (H, W, C).
        branch_filters: channels of each branch; the paper's 64.
        logits: outputs; 1 for real against fake, or 2 as in the public implementations.
        name: of the model.

    Returns: model from [`image` (B, H, W, C) in [0, 255], `label_map` (B, H, W, K) probabilities] to logits (B, logits), float32:
        the mean of the last map.

    Raises:
        ValueError: `branch_filters` is no positive multiple of 4.

    Source: Luc et al. 2016 (arXiv:1611.08408), section 4.1; 1,667,265 parameters for 8 classes and one logit.
    """
    if branch_filters < 4 or branch_filters % 4:
        raise ValueError(
            f"`branch_filters` must be a positive multiple of 4. Received: branch_filters={branch_filters}."
        )

    def conv(x, filters, size, name):
        return layers.Conv2D(
            filters, size, padding="same", activation="relu", kernel_initializer="he_normal", name=name
        )(x)

    image = keras.Input(input_shape, name="image")
    label_map = keras.Input((*input_shape[:2], num_classes), name="label_map")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="normalization")(image)
    x = conv(x, branch_filters // 4, 5, "image_conv1")
    x = conv(x, branch_filters, 5, "image_conv2")
    x = layers.Concatenate(name="join")([conv(label_map, branch_filters, 5, "label_map_conv"), x])
    x = conv(x, 2 * branch_filters, 3, "joint_conv1")
    x = layers.MaxPooling2D(padding="same", name="joint_pool1")(x)
    x = conv(x, 4 * branch_filters, 3, "joint_conv2")
    x = layers.MaxPooling2D(padding="same", name="joint_pool2")(x)
    x = conv(x, 8 * branch_filters, 3, "joint_conv3")
    x = layers.Conv2D(logits, 3, padding="same", name="score")(x)
    x = layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model([image, label_map], x, name=name)
