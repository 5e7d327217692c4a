"""What DenseCRF changes, as a picture: the images that it mends most and spoils most, and a typical one.

    python -m benchmarks.refinement_pictures --model savedmodels/NAME --data runs/example_gen/<fingerprint> --crf crf.json \\
        --out refined.png

Every image of the split is labelled by the served model, and again with its probabilities refined, like `pipeline.predict
--crf`. Images are sorted by the change of their accuracy (the share of labelled pixels that are correct); the last, the first
and the median are drawn, so they are not hand-picked. The heading is the gain on all images, with its 95 % interval. Images and
true masks are drawn only with --show-data, since data sets are not ours to publish. The text is legible at a width of 480
pixels.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kseg import inference, metrics, plots
from kseg.labels import VOID, LabelMap
from kseg.pairs.image_files import decode_image
from kseg.plots import overlays
from pipeline.engine import progress
from pipeline.prediction.crf_search import read_pairs
from pipeline.publishing.versions import find_saved_model
from pipeline.settings import crf as crf_settings
from pipeline.settings.refinements import check_unrefined

WIDTH, MARGIN, TEXT = 1200, 12, 29  # pixels
MENDED, SPOILT, WRONG, SAME = (0, 158, 90), (214, 39, 40), (150, 150, 150), (222, 222, 222)


@dataclasses.dataclass(frozen=True)
class Example:
    """One image before and after refinement.

    Attributes:
        key: of the pair.
        image: (H, W, C), uint8.
        truth: (H, W), class ids, 255 where void.
        before: (H, W), class ids, as served.
        after: (H, W), class ids, refined.
    """

    key: str
    image: np.ndarray
    truth: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @property
    def accuracies(self) -> tuple[float, float]:
        """Share of labelled pixels that are correct, before and after; 0 if there is none."""
        labelled = self.truth != VOID
        correct = (np.count_nonzero(labelled & (ids == self.truth)) for ids in (self.before, self.after))
        return tuple(number / max(1, np.count_nonzero(labelled)) for number in correct)

    @property
    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """The labelled pixels that were mended, and those that were spoilt: two masks (H, W)."""
        before, after, labelled = self.before == self.truth, self.after == self.truth, self.truth != VOID
        return labelled & ~before & after, labelled & before & ~after


def main(argv: list[str] | None = None) -> int:
    """Draws the picture and prints the gains; returns the exit status: 0 done, 2 a wrong argument."""
    arguments = _parser().parse_args(argv)
    try:
        model, crf_parameters = find_saved_model(arguments.model), crf_settings.read_parameters(arguments.crf)
        check_unrefined(model, "Choose a model that was exported without it.")
        pairs = read_pairs(arguments.data, arguments.split)[arguments.skip :: arguments.every]
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    labels = LabelMap.load(arguments.data)
    with progress.component("images"):
        examples = refine_examples(model, crf_parameters, pairs)
    gains = {
        "mean IoU": format_gain(examples, labels.num_classes, _class_counts, _mean_iou),
        "boundary F1": format_gain(examples, labels.num_classes, metrics.boundary_counts, _boundary_f1),
    }
    for name, gain in gains.items():
        print(f"{name:12}{gain} on {len(examples)} images of {arguments.split!r}")
    rows = choose_examples(examples)
    for title, example in rows:
        print(f"{example.key}: {caption(title, example)}")
    head = f"{len(examples)} images: mean IoU {gains['mean IoU']}"
    sheet = draw_sheet(rows, labels, head, arguments.show_data)
    sheet.quantize(256, dither=Image.Dither.NONE).save(arguments.out, optimize=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.refinement_pictures",
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="pushed model, whose newest version is used, or a version")
    parser.add_argument(
        "--data", required=True, type=pathlib.Path, help="prepared data set: the output folder of example_gen"
    )
    parser.add_argument("--split", default="test", help="split to compare")
    parser.add_argument(
        "--skip", type=int, default=0, help="leave out the first N images: those that tune_crf searched"
    )
    parser.add_argument("--every", type=int, default=1, help="use every N-th image, to save time")
    parser.add_argument(
        "--crf", default="auto", metavar="auto|JSON|FILE", help="parameters of DenseCRF, as in pipeline.predict"
    )
    parser.add_argument("--out", required=True, metavar="FILE.png", help="picture to write")
    parser.add_argument(
        "--show-data", action="store_true", help="draw images and true masks too; only if they may be published"
    )
    return parser


def refine_examples(model: pathlib.Path, crf_parameters: dict[str, float], pairs) -> list[Example]:
    """Labels each stored pair by the served model, and again refined."""
    served = inference.SavedModel(model)
    refine = inference.refine_with_crf(served, **crf_parameters)
    examples = []
    progress.set_total(len(pairs))
    for key, image_bytes, mask_bytes in pairs:
        image, truth = decode_image(image_bytes), np.asarray(Image.open(io.BytesIO(mask_bytes)))
        after = refine(image[np.newaxis])[0].argmax(axis=-1).astype(np.uint8)
        examples.append(Example(key, image, truth, served.label_map(image), after))
        progress.advance()
    return examples


def format_gain(examples: list[Example], num_classes: int, count, score) -> str:
    """The score of all images before and after, with the 95 % interval of the difference over images."""
    before, after = (
        np.stack([count(example.truth, getattr(example, when), num_classes) for example in examples])
        for when in ("before", "after")
    )
    found = metrics.paired_difference(after, before, score)
    scores = " to ".join(f"{score(counts.sum(axis=0)):.3f}" for counts in (before, after))
    return f"{scores} ({found.value:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f})"


def _class_counts(truth, label_map, num_classes):
    return metrics.class_counts(metrics.confusion_matrix(truth, label_map, num_classes))


def _mean_iou(counts) -> float:
    return metrics.scores_of_counts(counts)["mean_iou"]


def _boundary_f1(counts) -> float:
    return metrics.boundary_scores(counts)["boundary_f1"]


def choose_examples(examples: list[Example]) -> list[tuple[str, Example]]:
    """The images whose accuracy rises most, by the median, and least, each once and with a title."""

    def rise(example):
        return example.accuracies[1] - example.accuracies[0]

    ordered = sorted(examples, key=rise)
    last = "most spoilt" if rise(ordered[0]) < 0 else "least mended"
    places = {len(ordered) - 1: "most mended", len(ordered) // 2: "typical", 0: last}
    return [(places[place], ordered[place]) for place in sorted(places, reverse=True)]


def caption(title: str, example: Example) -> str:
    """One line about what refinement did to an image."""
    before, after = example.accuracies
    mended, spoilt = (np.count_nonzero(mask) for mask in example.changes)
    return f"{title}: {100 * before:.1f} to {100 * after:.1f} % of pixels correct; {mended} mended, {spoilt} spoilt"


def draw_sheet(rows: list[tuple[str, Example]], labels: LabelMap, head: str, show_data: bool) -> Image.Image:
    """Draws one row per image: (image, truth,) labels before and after, and the changes; the legend is below.

    Args:
        rows: title and example of each.
        labels: names and colours.
        head: first line.
        show_data: whether images and true masks are drawn.
    """
    titles = [*(["image", "truth"] if show_data else []), "network", "refined", "changed"]
    width = (WIDTH - MARGIN * (len(titles) + 1)) // len(titles)
    strips = []
    for title, example in rows:
        data = [_rgb(example.image), labels.colour(example.truth)] if show_data else []
        panels = [*data, labels.colour(example.before), labels.colour(example.after), change_map(example)]
        strips += [_line([caption(title, example)]), _row([_scaled(panel, width) for panel in panels])]
    colours = list(zip(labels.names, labels.colours, strict=True))
    if show_data and any((example.truth == VOID).any() for _, example in rows):
        colours.append(("void", labels.void_colour))
    changes = [("mended", MENDED), ("spoilt", SPOILT), ("wrong before and after", WRONG), ("as before", SAME)]
    parts = [
        _line([head]),
        _line(titles),
        *strips,
        *(plots.legend(entries, WIDTH, TEXT) for entries in (changes, colours)),
    ]
    return _stacked(parts)


def change_map(example: Example) -> np.ndarray:
    """Colours (H, W, 3), uint8, of mended and spoilt pixels; the others are grey, darker where still wrong."""
    mended, spoilt = example.changes
    wrong = (example.truth != VOID) & (example.after != example.truth) & ~spoilt
    return np.select([mask[..., None] for mask in (mended, spoilt, wrong)], [MENDED, SPOILT, WRONG], SAME).astype(
        np.uint8
    )


def _rgb(image):
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _scaled(panel: np.ndarray, width: int) -> Image.Image:
    """A panel scaled to that width: pixels are repeated if it grows, averaged if it shrinks."""
    picture = Image.fromarray(np.ascontiguousarray(panel))
    kind = Image.Resampling.NEAREST if picture.width <= width else Image.Resampling.BOX
    return picture.resize((width, round(picture.height * width / picture.width)), kind)


def _row(panels: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (WIDTH, max(panel.height for panel in panels) + MARGIN), overlays.PAPER)
    for place, panel in enumerate(panels):
        row.paste(panel, (MARGIN + place * (panel.width + MARGIN), 0))
    return row


def _line(texts: list[str]) -> Image.Image:
    """Texts side by side: a single one is left-aligned, several are centred over their columns."""
    line = Image.new("RGB", (WIDTH, TEXT + MARGIN), overlays.PAPER)
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(TEXT)
    for place, text in enumerate(texts):
        left, anchor = (MARGIN, "lm") if len(texts) == 1 else (WIDTH * (place + 0.5) / len(texts), "mm")
        draw.text((left, line.height / 2), text, overlays.INK, font, anchor=anchor)
    return line


def _stacked(parts: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (WIDTH, sum(part.height for part in parts) + MARGIN), overlays.PAPER)
    top = MARGIN // 2
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


if __name__ == "__main__":
    sys.exit(main())
