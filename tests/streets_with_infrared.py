"""Writes generated streets with near infrared as a fourth channel: images of 4 channels of 16 bits, or of other kinds.

python -m tests.streets_with_infrared FOLDER --train 64 --format png
"""

import argparse
import csv
import pathlib

import numpy as np
import tifffile
from PIL import Image

from kseg import streets
from kseg.pairs.channels import encode_pixels

SCALE = 40
"""Of the grey levels: samples reach 10,200, as reflectance times 10,000 does."""


def draw(index: int, split: str, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One street: image (H, W, 4), uint16, red, green, blue and infrared, and label map (H, W), uint8.

    Each class reflects infrared as its materials do, about; noise hides small differences.
    """
    image, label_map = streets.draw(index, split=split, size=size, seed=0)
    noise = np.random.default_rng([index, streets.SPLITS.index(split)])
    reflectance = np.random.default_rng(0).uniform(500, 9500, 256)[label_map]
    infrared = reflectance + noise.normal(0, 900, label_map.shape)
    colours = image.astype(np.float64) * SCALE + noise.normal(0, SCALE, image.shape)
    return np.clip(np.dstack([colours, infrared]), 0, 10_200).astype(np.uint16), label_map


def write(root: pathlib.Path, counts: dict[str, int], size: tuple[int, int], file_format: str, bands=slice(None)):
    """Writes images/<split>/<key>, masks/<split>/<key>.png and classes.csv.

    Args:
        root: folder to write to.
        counts: pairs of each split.
        size: (height, width) in pixels.
        file_format: "png", "tif" or "npy".
        bands: which of the four are kept.
    """
    for split, count in counts.items():
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, label_map = draw(index, split, size)
            image, path = image[..., bands], root / "images" / split / f"{index:04}.{file_format}"
            if file_format == "png":
                path.write_bytes(encode_pixels(image))
            elif file_format == "tif":
                tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig", compression="lzw")
            else:
                np.save(path, image)
            Image.fromarray(label_map).save(root / "masks" / split / f"{index:04}.png")
    labels = streets.LABELS
    with open(root / "classes.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("name", "red", "green", "blue", "value"))
        table.writerows(
            (name, *colour, value)
            for name, colour, value in zip(labels.names, labels.colours, labels.values, strict=True)
        )


def main():
    """Writes a folder as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=64)
    parser.add_argument("--val", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--format", choices=("png", "tif", "npy"), default="png")
    parser.add_argument("--bands", type=int, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    counts = {"train": options.train, "validation": options.val}
    write(options.folder, counts, tuple(options.size), options.format, options.bands)


if __name__ == "__main__":
    main()
