"""The picture on top of the README: generated streets, their truth and what the pushed model makes of them.

    python -m pipeline.run
    python -m benchmarks.readme_picture --model savedmodels/streets --out docs/streets.png

The examples are the best, the two around the median and the worst of the test split by mean IoU, so that nobody chose them.
"""

from __future__ import annotations

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg import inference, metrics, plots, streets
from pipeline.publishing.versions import find_saved_model

SCALE, MARGIN, TEXT, HEADING = 2, 8, 17, 104  # pixels, but for the factor by which the small images are enlarged
ROWS = ("image", "truth", "prediction")


def main(argv: list[str] | None = None) -> None:
    """Labels the test split and draws four of its images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="savedmodels/streets", help="pushed model (default: %(default)s)")
    parser.add_argument("--images", type=int, default=96, help="of the test split, as `make run` has it (default: 96)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/streets.png"))
    arguments = parser.parse_args(argv)
    model = inference.SavedModel(find_saved_model(arguments.model))
    examples = [streets.draw(index, split="test") for index in range(arguments.images)]
    predictions = [model.label_map(image) for image, _ in examples]
    ious = [mean_iou(truth, prediction) for (_, truth), prediction in zip(examples, predictions, strict=True)]
    order = np.argsort(ious)[::-1]
    middle = len(order) // 2
    chosen = {"best": order[0], "above median": order[middle - 1], "median": order[middle], "worst": order[-1]}
    columns = [(f"{name}, mean IoU {ious[i]:.2f}", *examples[i], predictions[i]) for name, i in chosen.items()]
    sheet(columns).save(arguments.out, optimize=True)
    print(f"{arguments.out}  {', '.join(name for name, *_ in columns)}")


def mean_iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean IoU of one image (H, W)."""
    matrix = metrics.confusion_matrix(truth, prediction, streets.LABELS.num_classes)
    return metrics.scores(matrix)["mean_iou"]


def sheet(columns: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Image.Image:
    """One column an example: image, truth and prediction, with the legend below.

    Args:
        columns: title, image (H, W, 3), truth (H, W), prediction (H, W) of each example.
    """
    height, width = (SCALE * side for side in columns[0][1].shape[:2])
    total = HEADING + len(columns) * (width + MARGIN) + MARGIN
    legend = plots.legend(list(zip(streets.LABELS.names, streets.LABELS.colours, strict=True)), total, TEXT)
    top = TEXT + 2 * MARGIN
    picture = Image.new("RGB", (total, top + len(ROWS) * (height + MARGIN) + legend.height), plots.PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    for row, name in enumerate(ROWS):
        draw.text((MARGIN, top + row * (height + MARGIN) + height / 2), name, plots.INK, font, anchor="lm")
    for column, (title, image, *label_maps) in enumerate(columns):
        left = HEADING + column * (width + MARGIN)
        draw.text((left + width / 2, top / 2), title, plots.INK, font, anchor="mm")
        painted = [Image.fromarray(image), *(plots.overlay(image, ids, streets.LABELS) for ids in label_maps)]
        for row, panel in enumerate(painted):
            enlarged = panel.resize((width, height), Image.Resampling.NEAREST)
            picture.paste(enlarged, (left, top + row * (height + MARGIN)))
    picture.paste(legend, (0, picture.height - legend.height))
    return picture


if __name__ == "__main__":
    main()
