"""What it costs to label pictures at their own size: the exported network of a plan beside the U-Net that sees them shrunk.

    python -m benchmarks.native_size

First, exports label a picture of 480x360 in turns. Then a fresh process labels it, and a large one at its own size: peak memory
before, between and after. Weights are drawn, which changes no cost.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from pipeline.engine import hardware

SIZE = (360, 480)
EXPORTS = {  # model and scale at which the network sees a picture
    "unet at 240x180": ("unet", {"image_size": (180, 240)}),
    "light_fpn at 480x360": ("light_fpn", {"image_size": SIZE}),
    "light_fpn at the picture's size": ("light_fpn", {"image_scale": 1.0}),
}
LARGE = ((1080, 1920), (2160, 3840))


def write_exports(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Exports of `EXPORTS` below a folder, by name."""
    import keras

    import kseg
    from pipeline import networks
    from pipeline.settings.trainer import Trainer

    written = {}
    for number, (name, (model, scale)) in enumerate(EXPORTS.items()):
        keras.utils.set_random_seed(0)
        network = networks.segmentor(Trainer(model=model), kseg.streets.LABELS.num_classes, 3)
        written[name] = folder / str(number)
        kseg.export(network, written[name], labels=kseg.streets.LABELS, **scale)
    return written


def open_export(path: pathlib.Path):
    """A function that labels a picture of noise of (height, width)."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))

    def label(size):
        picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
        return model.signatures["serving_default"](image=tf.constant(picture))["label_map"].numpy()

    return label


def compare(exports: dict[str, pathlib.Path], rounds: int) -> str:
    """The table of a picture of `SIZE`."""
    from benchmarks.serving.turns import take_turns

    labels = {name: open_export(path) for name, path in exports.items()}
    costs = take_turns({name: lambda _, label=label: label(SIZE) for name, label in labels.items()}, rounds)
    first = next(iter(costs.values()))
    rows = [
        f"| {name} | {cpu:.0f} | {wall:.0f} | {cpu / first[0]:.2f} | {wall / first[1]:.2f} |"
        for name, (cpu, wall) in costs.items()
    ]
    head = "| export | CPU, ms | ms | times the first in CPU | in ms |\n| --- | ---: | ---: | ---: | ---: |"
    return "\n".join([head, *rows])


def measure_peak(path: pathlib.Path, size: tuple[int, int]) -> str:
    """Peak memory of this process in MiB: loaded, after a picture of `SIZE`, after one of `size`."""
    label, peaks = open_export(path), []
    for work in (lambda: None, lambda: label(SIZE), lambda: label(size)):
        work()
        peaks.append(hardware.peak_memory() // 2**20)
    return " | ".join(map(str, peaks))


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak", nargs=3, metavar=("EXPORT", "HEIGHT", "WIDTH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        path, *size = arguments.peak
        print(measure_peak(pathlib.Path(path), tuple(map(int, size))))
        return
    with tempfile.TemporaryDirectory() as folder:
        *_, own = exports = write_exports(pathlib.Path(folder))
        print(compare(exports, arguments.rounds), flush=True)
        print("\n| picture | loaded, MiB | 480x360 labelled | it labelled |\n| --- | ---: | ---: | ---: |")
        for height, width in LARGE:
            command = [
                sys.executable,
                "-m",
                "benchmarks.native_size",
                "--peak",
                str(exports[own]),
                str(height),
                str(width),
            ]
            peaks = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"| {width}x{height} | {peaks} |", flush=True)


if __name__ == "__main__":
    main()
