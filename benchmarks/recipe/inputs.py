"""`kseg.data.Augment` of crops in JAX, for a data set that lies in the accelerator's memory.

The distribution is that of `Augment`; the random numbers are not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from kseg.labels import VOID

BRIGHTNESS, CONTRAST, SATURATION, HUE = (
    26.0,
    (0.75, 1.25),
    (0.75, 1.25),
    0.03,
)  # as in kseg.data.augment, which needs TensorFlow
TABLE = 4096
"""Positions of each class that crops around rare classes are drawn from."""


def augment(image, label_map, draws, scale, size: tuple[int, int], photometric, focus):
    """Scales, crops and flips a pair, and changes its light.

    Args:
        image: (H, W, 3), uint8.
        label_map: (H, W), uint8, 255 where void.
        draws: (10,), uniform in [0, 1).
        scale: (2,), smallest and largest factor of the picture's size.
        size: (height, width) of the crop, pixels.
        photometric: scalar, 1 to change the light, else 0.
        focus: (3,), row and column of a pixel that the crop must show, and 1; or anything and 0 for a uniform position.

    Returns:
        image (height, width, 3), float32 in [0, 255], 0 outside the picture; label_map (height, width), int32, void outside.
    """
    factor = scale[0] + draws[0] * (scale[1] - scale[0])
    axes = [_axis(image.shape[i], size[i], factor, draws[1 + i], draws[8 + i], focus[i], focus[2]) for i in range(2)]
    scales, starts = jnp.stack([axis[0] for axis in axes]), jnp.stack([axis[1] for axis in axes])
    cropped = jax.image.scale_and_translate(
        image.astype("float32"), (*size, 3), (0, 1), scales, -starts, "linear", antialias=True,
        precision=jax.lax.Precision.HIGHEST,
    )  # fmt: skip
    rows, columns = (jnp.floor((jnp.arange(size[i]) + 0.5 + starts[i]) / scales[i]).astype("int32") for i in range(2))
    inside = ((rows >= 0) & (rows < image.shape[0]))[:, None] & ((columns >= 0) & (columns < image.shape[1]))
    labels = label_map[jnp.clip(rows, 0, image.shape[0] - 1)][:, jnp.clip(columns, 0, image.shape[1] - 1)]
    labels = jnp.where(inside, labels.astype("int32"), VOID)
    changed = jnp.where(photometric > 0, change_light(cropped, inside, draws[4:8]), cropped)
    changed = jnp.where(inside[..., None], changed, 0.0)
    flip = draws[3] < 0.5
    return jnp.where(flip, changed[:, ::-1], changed), jnp.where(flip, labels[:, ::-1], labels)


def _axis(length: int, target: int, factor, draw, place, focus, focused):
    """The exact factor of an axis, whose length is rounded, and the first pixel of the crop; below 0 there is padding."""
    scaled = jnp.round(factor * length)
    room = scaled - target
    uniform = jnp.floor(draw * (jnp.abs(room) + 1)) * jnp.sign(room)
    around = jnp.clip(jnp.floor(focus * scaled / length) - jnp.floor(place * target), 0, jnp.maximum(room, 0))
    return scaled / length, jnp.where((focused > 0) & (room > 0), around, uniform)


def change_light(image, inside, draws):
    """Brightness, contrast, saturation and hue; the mean grey levels are those of the pixels `inside` (H, W)."""
    brightness, contrast, saturation, hue = draws
    mask = inside[..., None].astype("float32")
    mean = jnp.sum(image * mask, axis=(0, 1)) / jnp.maximum(jnp.sum(mask), 1.0)
    image = (image - mean) * (CONTRAST[0] + contrast * (CONTRAST[1] - CONTRAST[0])) + mean
    image = jnp.clip(image + (2 * brightness - 1) * BRIGHTNESS, 0.0, 255.0) / 255.0
    h, s, v = _to_hsv(image)
    h = (h + (2 * hue - 1) * HUE) % 1.0
    s = jnp.clip(s * (SATURATION[0] + saturation * (SATURATION[1] - SATURATION[0])), 0.0, 1.0)
    return jnp.clip(_to_rgb(h, s, v) * 255.0, 0.0, 255.0)


def _to_hsv(image):
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    high, low = jnp.max(image, axis=-1), jnp.min(image, axis=-1)
    span = high - low
    divisor = jnp.where(span > 0, span, 1.0)
    sixths = jnp.where(
        high == red,
        (green - blue) / divisor,
        jnp.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    return (
        jnp.where(span > 0, (sixths / 6) % 1.0, 0.0),
        jnp.where(high > 0, span / jnp.where(high > 0, high, 1.0), 0.0),
        high,
    )


def _to_rgb(h, s, v):
    def channel(offset):
        k = (offset + 6 * h) % 6.0
        return v - v * s * jnp.clip(jnp.minimum(k, 4 - k), 0.0, 1.0)

    return jnp.stack([channel(5.0), channel(3.0), channel(1.0)], axis=-1)


def positions_of_classes(label_maps: np.ndarray, num_classes: int, seed: int = 0) -> np.ndarray:
    """Pixels of each class: an image that has the class is drawn uniformly, then one of its pixels.

    Args:
        label_maps: (N, H, W), uint8.
        num_classes: K.
        seed: of the draws.

    Returns:
        (K, TABLE, 3), int32: image, row and column.
    """
    random = np.random.default_rng(seed)
    found = np.zeros((num_classes, TABLE, 3), np.int32)
    for label in range(num_classes):
        pixels = {n: np.flatnonzero(label_map == label) for n, label_map in enumerate(label_maps)}
        images = [n for n, flat in pixels.items() if len(flat)]
        for entry, image in enumerate(random.choice(images, TABLE)):
            row, column = divmod(int(random.choice(pixels[image])), label_maps.shape[2])
            found[label, entry] = image, row, column
    return found


def draw_batch(images, label_maps, positions, indices, key, hyper, size):
    """A batch of augmented pairs.

    Args:
        images, label_maps: the whole data set, (N, H, W, 3) and (N, H, W), uint8.
        positions: of `positions_of_classes`.
        indices: (B,), the pairs of the batch, where they are not drawn by class.
        key: of random numbers.
        hyper: `scale` (2,), `photometric`, `rare` and `cutmix`, probabilities.
        size: (height, width) of the crops.

    Returns:
        images (B, height, width, 3), float32, and label maps (B, height, width), int32.
    """
    key_draws, key_rare, key_class, key_mix = jax.random.split(key, 4)
    batch = indices.shape[0]
    label, entry = (
        jax.random.randint(subkey, (batch,), 0, limit)
        for subkey, limit in zip(jax.random.split(key_class), positions.shape[:2], strict=True)
    )
    drawn = positions[label, entry]
    rare = jax.random.uniform(key_rare, (batch,)) < hyper["rare"]
    indices = jnp.where(rare, drawn[:, 0], indices)
    focus = jnp.concatenate([drawn[:, 1:], rare[:, None]], axis=1).astype("float32")
    draws = jax.random.uniform(key_draws, (batch, 10))
    crops = jax.vmap(
        lambda i, d, f: augment(images[i], label_maps[i], d, hyper["scale"], size, hyper["photometric"], f)
    )(indices, draws, focus)
    return _mix(*crops, key_mix, hyper["cutmix"])


def _mix(images, label_maps, key, probability):
    """CutMix: with `probability`, a rectangle of each pair comes from the next pair of the batch; its area is uniform."""
    batch, height, width = label_maps.shape
    apply, area, row, column = jax.random.uniform(key, (4, batch, 1, 1))
    side = jnp.sqrt(area)
    inside = []
    for length, place, axis in ((height, row, 1), (width, column, 2)):
        pixels = jnp.arange(length).reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
        start = place * length - side * length / 2
        inside.append((pixels >= start) & (pixels < start + side * length))
    mixed = inside[0] & inside[1] & (apply < probability)
    return (
        jnp.where(mixed[..., None], jnp.roll(images, 1, axis=0), images),
        jnp.where(mixed, jnp.roll(label_maps, 1, axis=0), label_maps),
    )
