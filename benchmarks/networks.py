"""Every network of the pipeline on generated streets: what it costs and what it scores after the same number of steps.

    python -m benchmarks.networks            # all of `pipeline/networks/segmentors/`; an hour on two cores
    python -m benchmarks.networks unet fcn8s --epochs 2

For each: the paper; parameters and multiply-adds of one 240 x 180 image, of the paper's network and of the narrow variant that
the pipeline trains by default; the median time of a training step of the narrow one at 240 x 180 and batch 8 (the networks take
turns, so that a busy machine slows all alike); and the mean IoU on the test split of streets after a run of the whole pipeline,
without an adversary, to the push. Prints the table that stands in the README.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from kseg import losses
from kseg.complexity import multiply_adds
from pipeline import networks
from pipeline.settings.config import Config, resolve_auto
from pipeline.settings.trainer import MODELS, Trainer

SIZE, BATCH, CLASSES = (180, 240), 8, 8
SOURCES = {
    "fcn32s": "Long 2015",
    "fcn16s": "Long 2015",
    "fcn8s": "Long 2015",
    "unet": "Ronneberger 2015",
    "segnet": "Badrinarayanan 2015",
    "segnet_basic": "Badrinarayanan 2015",
    "deeplabv3": "Chen 2017",
    "deeplabv3plus": "Chen 2018",
    "pspnet": "Zhao 2017",
    "fpn": "Kirillov 2019",
    "light_fpn": "ours",
    "dilated": "Yu 2016",
    "patch_classifier": "Ciresan 2012",
}


def network(name: str, width: str) -> keras.Model:
    """The pipeline's network of that name for images of 240 x 180."""
    model = networks.segmentor(Trainer(model=name, width=width), CLASSES, 3)
    return keras.models.clone_model(model, input_tensors=keras.Input((*SIZE, 3), name="image"))


def size_of(name: str, width: str) -> tuple[int, int]:
    """Parameters, and multiply-adds at 240 x 180."""
    model = network(name, width)
    found = model.count_params(), multiply_adds(model)
    keras.backend.clear_session()
    return found


def step_seconds(names: list[str], rounds: int) -> dict[str, float]:
    """Median seconds of a training step of each narrow network; the networks take turns."""
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (BATCH, *SIZE, 3)).astype("float32")
    label_maps = random.integers(0, CLASSES, (BATCH, *SIZE)).astype("uint8")
    models = {name: network(name, "narrow") for name in names}
    for model in models.values():
        model.compile(keras.optimizers.AdamW(1e-3), loss=losses.CrossEntropy(ignore_class=255))
        model.train_on_batch(images, label_maps)
    seconds = {name: [] for name in names}
    for _ in range(rounds):
        for name, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(images, label_maps)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def score(name: str, epochs: int, root: pathlib.Path) -> float:
    """Mean IoU on the test split of streets after a run of the whole pipeline.

    Raises:
        RuntimeError: the run did not reach the push.
    """
    command = [sys.executable, "-m", "pipeline.run", "--model", name, "--epochs", str(epochs)]
    command += ["--adversarial-weight", "0", "--name", name, "--root", str(root), "--push-to", str(root / "pushed")]
    subprocess.run(command, check=True, stdout=sys.stderr)
    newest = max((root / "pushed" / name).glob("[0-9]*"), key=lambda path: int(path.name))
    if not (newest / "saved_model.pb").exists():
        raise RuntimeError(f"The run must push a model. Received: {newest} without saved_model.pb.")
    scores = max((root / "evaluator").glob("*/scores.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(scores.read_text())["original_size"]["mean_iou"]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(MODELS), help="of networks")
    parser.add_argument("--epochs", type=int, default=16, help="of 64 steps of 8 images of 128 x 96")
    parser.add_argument("--rounds", type=int, default=9, help="of timed steps")
    parser.add_argument(
        "--root", type=pathlib.Path, default=pathlib.Path("runs/networks"), help="of the pipeline's runs"
    )
    arguments = parser.parse_args()
    keras.config.set_dtype_policy(resolve_auto(Config()).trainer.precision)
    seconds = step_seconds(arguments.names, arguments.rounds)
    print(
        "| `--model` | source | paper: parameters, multiply-adds | narrow: parameters, multiply-adds | step | mean IoU |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in arguments.names:
        paper, narrow = size_of(name, "paper"), size_of(name, "narrow")
        cells = [
            f"`{name}`",
            SOURCES[name],
            *(f"{parameters / 1e6:.2f} M, {products / 1e9:.2f} G" for parameters, products in (paper, narrow)),
            f"{seconds[name]:.2f} s",
            f"{score(name, arguments.epochs, arguments.root.absolute()):.3f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
