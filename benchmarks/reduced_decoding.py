"""What it would save to decode a large JPEG at an eighth, a quarter or half of its size instead of resizing all of its pixels.

    python -m benchmarks.reduced_decoding --image $KSEG_DATA/camvid/images/train/0001TP_006690.png

The picture, enlarged to 4000 x 3000 with some noise, is a JPEG of quality 92. Times are of CPU, medians in turns; differences are
those between the two results, in levels of 255. docs/accuracy.md has the figures.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import statistics
import time

import numpy as np
from PIL import Image

from kseg.pairs.image_files import decode_image
from kseg.pairs.resizing import resize_image

SIZE, NOISE, QUALITY = (3000, 4000), 4.0, 92


def main(argv: list[str] | None = None) -> None:
    """Prints a line for each reduction."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args(argv)
    data = photograph(arguments.image)
    for factor in (2, 4, 8):
        size = tuple(side // factor for side in SIZE)
        seconds = {"whole": [], "reduced": []}
        for _ in range(arguments.rounds):
            whole = _timed(seconds["whole"], lambda size=size: resize_image(decode_image(data), size))
            reduced = _timed(seconds["reduced"], lambda size=size: decode_reduced(data, size))
        took = ", ".join(f"{name} {1000 * statistics.median(values):.0f} ms" for name, values in seconds.items())
        difference = np.abs(whole.astype(float) - reduced)
        print(f"1/{factor}: {took}; they differ by {difference.mean():.2f} on average, at most {difference.max():.0f}")


def photograph(path: pathlib.Path) -> bytes:
    """A JPEG of `SIZE`, made of a smaller picture."""
    image = Image.open(path).convert("RGB").resize(SIZE[::-1], Image.BICUBIC)
    noise = np.random.default_rng(0).normal(0, NOISE, (*SIZE, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def decode_reduced(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """Pixels of a JPEG by a part of its cosines only, uint8 (H, W, 3), for a `size` of 1/2, 1/4 or 1/8 of its own."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", size[::-1])
    return np.asarray(image)


def _timed(seconds: list[float], work) -> np.ndarray:
    start = time.process_time()
    result = work()
    seconds.append(time.process_time() - start)
    return result


if __name__ == "__main__":
    main()
