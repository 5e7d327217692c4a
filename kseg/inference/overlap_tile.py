"""The overlapping tiles of networks that answer only the middle of what they see. numpy only."""

from __future__ import annotations

import numpy as np

LARGEST_STRIDE = 64
"""No network for tiles has a larger one: among as many sizes in a row there is one that every pooling halves."""


def overlap_tiles(images: np.ndarray, *, tile: int, output_tile: int) -> np.ndarray:
    """Tiles that overlap so that their middles, side by side, cover the image; its borders are continued as in mirrors.

    An unpadded network answers only the middle of what it sees. Image and label map are cut alike to train it: the images with
    `tile` and `output_tile`, the label maps with `output_tile` for both.

    Args:
        images: (B, H, W, C); mirrored again and again where a tile is larger.
        tile: rows and columns that the network sees, pixels.
        output_tile: rows and columns that it answers, in the middle of them.

    Returns: (B, rows of tiles, columns of tiles, tile, tile, C), a read-only view.

    Raises:
        ValueError: `output_tile` is below 1 or more than `tile`, or their difference is odd.

    Example:
        >>> overlap_tiles(np.arange(5).reshape(1, 1, 5, 1), tile=4, output_tile=2)[0, 0, :, 1, :, 0]
        array([[1, 0, 1, 2],
               [1, 2, 3, 4],
               [3, 4, 3, 2]])

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2.
    """
    if not 1 <= output_tile <= tile or (tile - output_tile) % 2:
        raise ValueError(
            "`output_tile` must be from 1 to `tile` and leave as many pixels on either side. "
            f"Received: tile={tile}, output_tile={output_tile}."
        )
    margin = (tile - output_tile) // 2
    around = [(margin, margin + -length % output_tile) for length in images.shape[1:3]]
    padded = np.pad(images, ((0, 0), *around, (0, 0)), mode="reflect")
    every = np.lib.stride_tricks.sliding_window_view(padded, (tile, tile), axis=(1, 2))
    return np.moveaxis(every[:, ::output_tile, ::output_tile], 3, -1)


def predict_overlap_tile(model, images: np.ndarray, *, tile: int = 572, batch_size: int = 1) -> np.ndarray:
    """Labels whole images by a network that answers only the middle of what it sees, without a seam.

    Args:
        model: functional model from `image` (B, tile, tile, C) to logits (B, answer, answer, K), such as
            `kseg.UNet(padding="valid")`.
        images: (B, H, W, C) in [0, 255], of any size.
        tile: rows and columns of a tile, pixels, of which the network loses no more than it must: 12 (mod 16) for U-Net's five
            levels. Memory grows with it, and so does the share of a tile that is answered.
        batch_size: tiles predicted together.

    Returns: logits (B, H, W, K), float32.

    Raises:
        ValueError: at another `tile` of a similar size the network loses fewer pixels, so that the answers of tiles are shifted.

    Source: the overlap-tile strategy of U-Net (Ronneberger et al. 2015), figure 2.
    """
    output_tile = _answered(model, tile)
    tiles = overlap_tiles(images, tile=tile, output_tile=output_tile)
    batch, rows, columns = tiles.shape[:3]
    flat = tiles.reshape(-1, *tiles.shape[3:])
    logits = [
        np.asarray(model.predict_on_batch(flat[start : start + batch_size]), np.float32)
        for start in range(0, len(flat), batch_size)
    ]
    logits = np.concatenate(logits).reshape(batch, rows, columns, output_tile, output_tile, -1).swapaxes(2, 3)
    return logits.reshape(batch, rows * output_tile, columns * output_tile, -1)[:, : images.shape[1], : images.shape[2]]


def _answered(model, tile: int) -> int:
    """Rows that the network answers of a tile; a map of odd size before pooling would lose one more and shift the answer."""
    channels = model.input_shape[-1]
    near = range(tile, tile + LARGEST_STRIDE)
    lost = {size: size - model.compute_output_shape((1, size, size, channels))[1] for size in near}
    least = min(lost.values())
    if lost[tile] != least:
        good = next(size for size in near if lost[size] == least)
        raise ValueError(
            f"`tile` must be a size of which the network loses only {least} pixels. Received: tile={tile}, of which it loses "
            f"{lost[tile]}. Take {good}."
        )
    return tile - least
