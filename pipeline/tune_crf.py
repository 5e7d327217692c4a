"""python -m pipeline.tune_crf: which settings of DenseCRF help a pushed model, and by how much.

The validation images, in the order of their keys, are cut in two: the first part is searched, the second says what the best
setting gains, with an interval over images; a gain on the images that were searched would be flattery. The model answers once;
every setting refines the same probabilities. Settings are drawn at random from a grid in which no weight is 0, after the two that
the literature uses most, so the answer may well be that no setting helps. What is written is read by `pipeline.predict --crf`,
and by the settings `evaluator.crf` and `trainer.crf` of `pipeline.run`.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import pathlib
import random
import sys

from pipeline.engine import progress
from pipeline.engine.console import native_chatter_dropped, raised_by_us

GRID = {  # two or more values of each; sigmas in pixels and grey levels of the image at its original size
    "smoothness_sigma": (1.0, 2.0, 3.0),
    "smoothness_weight": (0.3, 1.0, 3.0),
    "appearance_position_sigma": (20.0, 40.0, 67.0),
    "appearance_colour_sigma": (3.0, 5.0, 8.0, 13.0),
    "appearance_weight": (0.5, 1.0, 2.0, 4.0),
}
KNOWN = ((1.0, 3.0, 67.0, 3.0, 4.0), (3.0, 3.0, 80.0, 13.0, 10.0))
"""In the order of GRID: DeepLabv2's, and what most programs have as default."""


def main(argv: list[str] | None = None) -> int:
    """Searches and writes; returns the exit status: 0 done, 2 a wrong argument."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    arguments = _parser().parse_args(argv)
    try:
        result = tune(arguments)
    except (ValueError, OSError) as error:
        if not raised_by_us(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1))
    print(f"best of {len(result['trials'])} settings: {json.dumps(result['settings'])}")
    for name, gain in result["report"].items():
        print(f"{name:12}{gain['without']:.4f} -> {gain['with']:.4f}  {_interval(gain)}")
    print(f"on {result['images']['report']} images that were not searched; see {arguments.output}")
    return 0


def _interval(gain: dict) -> str:
    verdict = "helps" if gain["low"] > 0 else "harms" if gain["high"] < 0 else "not told apart from no change"
    return f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}): {verdict}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.tune_crf",
        description=__doc__.partition("\n\n")[0],
        epilog=__doc__.partition("\n\n")[2],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model", required=True, help="pushed model, of which the newest version is taken, or a version"
    )
    parser.add_argument("--data", required=True, help="prepared data set: the folder that example_gen wrote")
    parser.add_argument("--split", default="validation", help="whose images are searched and reported on")
    parser.add_argument(
        "--every", type=_at_least_one, default=1, help="take one image of this many, where time is short"
    )
    parser.add_argument("--output", default="crf.json", help="where the best setting and its gain are written")
    parser.add_argument("--trials", type=_at_least_one, default=24, help="settings that are tried")
    parser.add_argument("--search-images", type=_at_least_one, help="images that are searched; default: the first half")
    parser.add_argument("--iterations", type=_at_least_one, default=5, help="of mean-field inference")
    parser.add_argument("--seed", type=int, default=0, help="of the draw from the grid")
    return parser


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text!r}")
    return int(text)


def candidates(trials: int, seed: int) -> list[dict[str, float]]:
    """The settings to try: the known ones, then draws from the grid without repetition."""
    grid = list(itertools.product(*GRID.values()))
    drawn = random.Random(seed).sample(grid, min(trials, len(grid)))
    return [dict(zip(GRID, values, strict=True)) for values in (*KNOWN, *drawn)][:trials]


def tune(arguments: argparse.Namespace) -> dict:
    """The best of the candidates by mean IoU on the first images, and its gain on the others.

    Raises:
        ValueError: there is no such model or split, the model refines itself, or no image is left to report on.
    """
    from kseg.labels import LabelMap
    from pipeline.publishing.versions import saved_model_folder
    from pipeline.settings.refinements import check_unrefined

    model, data = saved_model_folder(arguments.model), pathlib.Path(arguments.data)
    check_unrefined(model, "Tune one that was exported without: trained with trainer.crf=none, or by kseg.export.")
    pairs = stored_pairs(data, arguments.split)[:: arguments.every]
    searched = arguments.search_images or len(pairs) // 2
    if not 0 < searched < len(pairs):
        raise ValueError(
            "`--search-images` must leave an image to search and one to report on. "
            f"Received: {searched} of {len(pairs)} images of {arguments.split!r}."
        )
    classes = LabelMap.load(data).num_classes
    with native_chatter_dropped(), progress.line("answers"):
        answered = list(answers(model, pairs))
    first, others = answered[:searched], answered[searched:]
    trials = []
    with progress.line("settings"):
        progress.total(arguments.trials)
        for settings in candidates(arguments.trials, arguments.seed):
            settings = {"iterations": arguments.iterations, **settings}
            trials.append({"settings": settings, "mean_iou": _score(first, settings, classes)})
            progress.advance()
    best = max(trials, key=lambda trial: trial["mean_iou"])
    return {
        "model": str(model),
        "images": {"search": len(first), "report": len(others)},
        "settings": best["settings"],
        "search": {"without": _score(first, None, classes), "with": best["mean_iou"]},
        "report": gains(others, best["settings"], classes),
        "trials": trials,
    }


def stored_pairs(data: pathlib.Path, split: str) -> list[tuple[str, bytes, bytes]]:
    """Key, image and label map, encoded, of every pair of a split, in the order of the keys.

    Raises:
        ValueError: there is no prepared data set or no such split.
    """
    import tensorflow as tf

    from pipeline.examples import prepared

    files = prepared.shard_paths(data).get(split) if data.is_dir() else None
    if not files:
        raise ValueError(
            f"`--data` must be a prepared data set with a split {split!r}. Received: --data {data}. "
            "`python -m pipeline.run` leaves one in runs/example_gen/."
        )
    records = tf.data.TFRecordDataset([str(file) for file in files])
    return sorted(prepared.from_record(record.numpy()) for record in records)


def answers(model: pathlib.Path, pairs):
    """Of each pair the model's probabilities (H, W, K), float16, the image (H, W, C) and the label map (H, W), uint8."""
    import numpy as np
    from PIL import Image

    from kseg.inference import SavedModel
    from kseg.pairs.image_files import decode_image

    ask = SavedModel(model)
    progress.total(len(pairs))
    for _, image_bytes, mask_bytes in pairs:
        image = decode_image(image_bytes)
        yield np.exp(ask(image[None])[0]).astype(np.float16), image, np.asarray(Image.open(io.BytesIO(mask_bytes)))
        progress.advance()


def gains(answered, settings: dict, classes: int) -> dict[str, dict[str, float]]:
    """Mean IoU and boundary F1 without and with DenseCRF, their difference and its 95 % interval over images."""
    from kseg import metrics

    def boundary_f1(counts):
        return metrics.boundary_scores(counts)["boundary_f1"]

    found = {}
    pairs = {name: list(_label_maps(answered, chosen)) for name, chosen in (("without", None), ("with", settings))}
    for name, count, score in (
        ("mean_iou", _class_counts, _mean_iou),
        ("boundary_f1", metrics.boundary_counts, boundary_f1),
    ):
        counts = {which: [count(truth, ids, classes) for ids, truth in maps] for which, maps in pairs.items()}
        gain = metrics.paired_difference(counts["with"], counts["without"], score)
        found[name] = {which: score(sum(of_images)) for which, of_images in counts.items()}
        found[name] |= {"difference": gain.value, "low": gain.low, "high": gain.high}
    return found


def _mean_iou(counts) -> float:
    from kseg import metrics

    return metrics.scores_of_counts(counts)["mean_iou"]


def _class_counts(truth, label_map, classes: int):
    from kseg import metrics

    return metrics.class_counts(metrics.confusion_matrix(truth, label_map, classes))


def _score(answered, settings: dict | None, classes: int) -> float:
    """Mean IoU over all images, after refinement with `settings`; None: as the model said."""
    return _mean_iou(sum(_class_counts(truth, ids, classes) for ids, truth in _label_maps(answered, settings)))


def _label_maps(answered, settings: dict | None):
    """Label map and truth (H, W) of each image."""
    import tensorflow as tf

    from kseg.postprocess.densecrf import DenseCRF

    if settings:
        kinds = [tf.TensorSpec((1, None, None, array.shape[-1])) for array in answered[0][:2]]
        refine = tf.function(DenseCRF(**settings, from_logits=False), input_signature=[kinds])  # one trace of any size
    for probabilities, image, truth in answered:
        if settings:
            inputs = [tf.constant(array[None], tf.float32) for array in (probabilities, image)]
            probabilities = refine(inputs)[0].numpy()
        yield probabilities.argmax(axis=-1), truth


if __name__ == "__main__":
    sys.exit(main())
