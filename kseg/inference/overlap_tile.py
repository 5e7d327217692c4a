"""U-Net's overlap-tile strategy, for networks without padding, which predict only the centre of their input. numpy only."""

from __future__ import annotations

import numpy as np

from kseg.inference.checks import check_count, check_images, values_checked
from kseg.inference.model_calls import num_channels

MAX_STRIDE = 64
"""No network for tiles has a larger one: among as many consecutive sizes there is one that every pooling halves."""


def overlap_tiles(images: np.ndarray, *, tile: int, output_tile: int) -> np.ndarray:
    """Cuts images into overlapping tiles whose centres cover the image; beyond the border the image is mirrored.

    An unpadded network predicts only the centre of its input. To train one, cut images and label maps alike: images with
    `tile` and `output_tile`, label maps with `output_tile` for both.

    Args:
        images: (B, H, W, C); mirrored repeatedly where a tile is larger.
        tile: rows and columns of the network's input, pixels.
        output_tile: rows and columns of its output, pixels, centred in the input.

    Returns:
        (B, rows of tiles, columns of tiles, tile, tile, C), a read-only view.

    Raises:
        ValueError: `output_tile` is below 1 or above `tile`, or their difference is odd.

    Example:
        >>> overlap_tiles(np.arange(5).reshape(1, 1, 5, 1), tile=4, output_tile=2)[0, 0, :, 1, :, 0]
        array([[1, 0, 1, 2],
               [1, 2, 3, 4],
               [3, 4, 3, 2]])

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2.
    """
    if not 1 <= output_tile <= tile or (tile - output_tile) % 2:
        raise ValueError(
            "`output_tile` must be from 1 to `tile`, with an equal margin on both sides. "
            f"Received: tile={tile}, output_tile={output_tile}."
        )
    with values_checked():  # label maps are cut, too
        check_images(images, "images", "overlap_tiles")
    margin = (tile - output_tile) // 2
    padding = [(margin, margin + -length % output_tile) for length in images.shape[1:3]]
    padded = np.pad(images, ((0, 0), *padding, (0, 0)), mode="reflect")
    every = np.lib.stride_tricks.sliding_window_view(padded, (tile, tile), axis=(1, 2))
    return np.moveaxis(every[:, ::output_tile, ::output_tile], 3, -1)


def predict_overlap_tile(model, images: np.ndarray, *, tile: int = 572, batch_size: int = 1) -> np.ndarray:
    """Predicts whole images without seams, by a network that predicts only the centre of its input.

    Args:
        model: functional model from `image` (B, tile, tile, C) to logits (B, output_tile, output_tile, K), such as
            `kseg.UNet(padding="valid")`.
        images: (B, H, W, C) in [0, 255], of any size.
        tile: rows and columns of a tile, pixels, at which the network crops as little as possible: 12 (mod 16) for U-Net's five
            levels. Larger tiles take more memory, and waste less of it on their margins.
        batch_size: tiles per forward pass.

    Returns:
        Logits (B, H, W, K), float32.

    Raises:
        TypeError: `model` is no functional Keras model, or `images` no array of numbers.
        ValueError: at another `tile` of similar size the network crops fewer pixels, so its predictions would be shifted; or the
            images do not fit.

    Example:
        >>> network = kseg.UNet(2, filters=(4, 8), padding="valid")
        >>> kseg.predict_overlap_tile(network, np.full((1, 30, 40, 3), 200, np.uint8), tile=44).shape
        (1, 30, 40, 2)

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2.
    """
    _check_network(model)
    check_count(tile, "tile")
    check_count(batch_size, "batch_size")
    check_images(images, "images", "predict_overlap_tile", channels=num_channels(model))
    output_tile = _output_tile(model, tile)
    tiles = overlap_tiles(images, tile=tile, output_tile=output_tile)
    batch, rows, columns = tiles.shape[:3]
    flat = tiles.reshape(-1, *tiles.shape[3:])
    logits = [
        np.asarray(model.predict_on_batch(flat[start : start + batch_size]), np.float32)
        for start in range(0, len(flat), batch_size)
    ]
    logits = np.concatenate(logits).reshape(batch, rows, columns, output_tile, output_tile, -1).swapaxes(2, 3)
    whole = logits.reshape(batch, rows * output_tile, columns * output_tile, -1)
    return whole[:, : images.shape[1], : images.shape[2]]


def _check_network(model):
    if not hasattr(model, "compute_output_shape") or not isinstance(getattr(model, "input_shape", None), tuple):
        raise TypeError(
            f"`model` must be a functional Keras model of one image. Received: model={model!r}. "
            "kseg.predict_tiles takes any callable whose logits have the image's size."
        )


def _output_tile(model, tile: int) -> int:
    """Rows that the network predicts of a tile; a feature map of odd size before pooling would lose one more and shift them."""
    channels = model.input_shape[-1]
    sizes = range(tile, tile + MAX_STRIDE)
    cropped = {size: size - model.compute_output_shape((1, size, size, channels))[1] for size in sizes}
    least = min(cropped.values())
    if cropped[tile] != least:
        good = next(size for size in sizes if cropped[size] == least)
        raise ValueError(
            f"`tile` must be a size of which the network crops only {least} pixels. Received: tile={tile}, of which it crops "
            f"{cropped[tile]}. Take tile={good}."
        )
    return tile - least
