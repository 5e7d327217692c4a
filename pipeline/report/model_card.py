"""The model card of a pushed version, in Markdown: what the components recorded about data, training, scores, limits and serving.

What was not recorded is left out, and no place on this machine is named. Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re

from kseg.pairs.split_names import TARGET
from kseg.serving.manifest import read_manifest
from kseg.serving.statuses import MAX_SIDE, takes_bytes
from pipeline.engine.ancestry import count_set_aside, walk
from pipeline.engine.contents import MANIFEST, file_digest
from pipeline.engine.files import read_json
from pipeline.report import text
from pipeline.report.sections import scores as scores_section

PARTS_OF_RAND = ("rand_split", "rand_merge")
MEASURES = {key: name for key, name in scores_section.MEASURES.items() if key not in PARTS_OF_RAND}
"""Scores of all classes together, by their names in scores.json."""


SPLITS = {"train": 0, "validation": 1, "test": 2}
"""In which order they are listed."""

SEEN = {"train": "with which the network was trained", "validation": "by which training chose its best weights"}
"""What training had to do with the images of a split."""


@dataclasses.dataclass(frozen=True)
class Records:
    """What led to a model.

    Attributes:
        name: of the model.
        labels: assets/labels.json of the export.
        manifest: how it was exported.
        scores, infra, formats: of the evaluator, or of the cross-validation; of infra_validator; of the exporter.
        found: for each component that led to it, the nearest: its folder and recipe.
        trainings: `training.json` of each training.
    """

    name: str
    labels: dict
    manifest: dict
    scores: dict
    infra: dict
    formats: dict
    found: dict[str, tuple[pathlib.Path, dict]]
    trainings: list[dict]

    def file(self, component: str, name: str) -> dict:
        """A JSON file that a component left; empty where there is none."""
        return read_json(self.found[component][0] / name, {}) if component in self.found else {}


def model_card(
    name: str,
    *,
    export: pathlib.Path,
    evaluation: pathlib.Path,
    validation: pathlib.Path,
    anomalies: pathlib.Path | None = None,
) -> str:
    """The text of the card.

    Args:
        name: of the model.
        export: artifact of the exporter.
        evaluation: artifact of the evaluator, or of the cross-validation.
        validation: artifact of infra_validator.
        anomalies: artifact of example_validator.
    """
    found, trainings = {}, []
    for folder, recipe in walk(*filter(None, (export, evaluation, validation, anomalies))):
        found.setdefault(recipe["component"], (folder, recipe))
        if recipe["component"] == "trainer":
            trainings.append(read_json(folder / "training.json", {}))
    saved_model = export / "saved_model"
    records = Records(
        name,
        read_json(saved_model / "assets" / "labels.json", {}),
        read_manifest(saved_model),
        read_json(evaluation / "scores.json"),
        read_json(validation / "infra.json"),
        read_json(saved_model / "formats.json", {}),
        found,
        [training for training in trainings if training],
    )
    sections = (
        _head,
        _data,
        _training,
        _scores,
        _classes,
        _slices,
        _limits,
        _serving,
        _runtimes,
        _calls,
        _lineage,
        _licences,
    )
    return "\n\n".join(filter(None, (section(records) for section in sections))) + "\n"


def _head(records: Records) -> str:
    manifest, names = records.manifest, records.labels.get("names", [])
    lines = [f"# Model card: {_cell(records.name)}"]
    size = manifest["image_size"]
    seen = f"Images are fitted into {size[1]}x{size[0]} pixels" if size else _scaled(manifest["image_scale"])
    kind = "" if manifest["dtype"] == "uint8" else f", of {manifest['dtype']},"
    if names:
        lines.append(
            f"Gives each pixel of an image one of {len(names)} classes: {', '.join(map(_cell, names))}. {seen}{kind} inside the "
            "model; label maps have the image's own size."
        )
    refined = []
    views = (len(manifest["flips"]) + 1) * len(manifest["rotations"])
    if views > 1:
        refined.append(
            f"Averages {views} views of each image (flips {manifest['flips']}, rotations {manifest['rotations']})."
        )
    if manifest["crf"] is not None:
        refined.append(f"Refines its predictions by DenseCRF: `{json.dumps(manifest['crf'])}`.")
    return "\n\n".join([*lines, *refined])


def _scaled(factor) -> str:
    return (
        "Images are shown at their own size"
        if factor in (None, 1)
        else f"Images are shown at {factor:g} of their own size"
    )


def _data(records: Records) -> str:
    ingestion, statistics = (
        records.file("example_gen", "ingestion.json"),
        records.file("statistics_gen", "statistics.json"),
    )
    if not ingestion:
        return ""
    folder, recipe = records.found["example_gen"]
    splits, rows = statistics.get("splits", {}), []
    for split, pairs in sorted(ingestion["pairs"].items(), key=lambda item: SPLITS.get(item[0], len(SPLITS))):
        counts = splits.get(split, {})
        sizes = [f"{counts[side]['min']} to {counts[side]['max']}" for side in ("width", "height") if side in counts]
        void = f"{100 * counts['void_pixels'] / counts['pixels']:.1f} %" if counts.get("pixels") else ""
        rows.append([split, pairs, *(sizes or ["", ""]), void])
    lines = ["## Data", _table(["split", "pairs", "width, pixels", "height, pixels", "void pixels"], rows)]
    facts = [
        *_without_masks(records, ingestion),
        f"Pairs set aside because they could not be used: {count_set_aside(ingestion)[0]}.",
    ]
    for key, what in (("duplicates", "Groups of identical images"), ("near_duplicates", "Groups of near-duplicates")):
        if statistics.get(key):
            facts.append(f"{what}: {len(statistics[key])}.")
    digest = f"Source: `{recipe['inputs'].get('source', 'unknown')}`."
    if ingestion.get("place"):
        digest += f" Read from {_cell(ingestion['place'])}."
    if (folder / MANIFEST).is_file():
        digest += f" SHA-256 of the list of the prepared files and their digests: `{file_digest(folder / MANIFEST)}`."
    anomalies = records.file("example_validator", "anomalies.json").get("anomalies", [])
    warned = [f"- {_cell(anomaly['name'])}: {_cell(anomaly['what'])}" for anomaly in anomalies]
    noted = (
        [f"Kinds of anomalies that the validator of data noted: {len(warned)}.", "\n".join(warned)] if warned else []
    )
    return "\n\n".join([*lines, " ".join(facts), digest, *noted])


def _without_masks(records: Records, ingestion: dict) -> list[str]:
    """Sentences on the images without masks; none where there are none."""
    if not (found := ingestion.get("unlabelled")):
        return []
    of = "of another domain, the target," if found["domain"] == TARGET else "of the same domain"
    seen = records.file("transform", "plan.json").get("examples", {}).get("unlabelled", 0)
    images = f"{seen} image{'s' * (seen != 1)}"
    sentences = [f"Training saw {images} without masks {of} as well; no label of theirs was read."]
    sentences += [f"They were read from {_cell(found['place'])}."] if found.get("place") else []
    if left := found["images"] - seen:
        sentences.append(f"Left out because they are images of validation or test: {left}.")
    if aside := count_set_aside(ingestion)[1]:
        sentences.append(f"Set aside because they could not be used: {aside}.")
    return sentences


def _training(records: Records) -> str:
    trained = [training for training in records.trainings if "network" in training]
    if not trained:
        return ""
    first = trained[0]
    network, hardware, versions = first["network"], first.get("hardware", {}), first.get("versions", {})
    seconds = sum(training["seconds"] for training in trained)
    rows = [
        [
            "network",
            f"{network['name']}, {network['width']}"
            + (f", encoder {network['encoder']}" if "encoder" in network else ""),
        ]
    ]
    if len(trained) > 1:
        rows.append(["mean of", f"{len(trained)} networks of a cross-validation, whose probabilities are averaged"])
    rows += [
        ["parameters", f"{network['parameters']:,}" + (" each" if len(trained) > 1 else "")],
        [
            "multiply-adds",
            f"{text.count(network['multiply_adds'])} per image of {network['image_size'][1]}x{network['image_size'][0]}",
        ],
        ["trained", f"{text.date(trained[-1]['finished'])}, {text.duration(seconds)}"],
    ]
    if first.get("discriminator"):
        rows.append(
            [
                "discriminator",
                f"{first['discriminator']['name']}, in training alone{text.describe_game(first['discriminator'])}",
            ]
        )
    if splits := records.manifest.get("trained_on"):  # where they are not the training split alone
        rows.append(["learned from", f"the splits {' and '.join(splits)}"])
    rows += _learned_without_masks(records)
    if hardware:
        rows.append(["on", _machine(hardware)])
    rows.append(["with", ", ".join(f"{name} {version}" for name, version in versions.items())])
    config = records.found["trainer"][1]["config"]
    kept = ("epochs", "steps_per_epoch", "batch_size", "learning_rate", "precision", "seed", "deterministic")
    rows.append(["settings", ", ".join(f"{name} {config[name]}" for name in kept if config.get(name) is not None)])
    return "\n\n".join(["## Training", _table(["", ""], rows)])


def _learned_without_masks(records: Records) -> list[list[str]]:
    """How the network learned from images without masks."""
    config = records.found["trainer"][1]["config"]
    if not records.file("transform", "plan.json").get("examples", {}).get("unlabelled"):
        return []
    ways = ["pairs in the colours of these images"] if config.get("target_colours") else []
    if config.get("adaptation") in ("maps", "entropy", "features"):
        ways.append(f"adaptation by {config['adaptation']}, weight {config['domain_weight']:g}")
    if config.get("pseudo_label_weight"):
        threshold = config["pseudo_label_threshold"]
        ways.append(
            f"pseudo-labels of an averaged teacher from probability {threshold:g}, weight {config['pseudo_label_weight']:g}"
        )
    return [["images without masks", "; ".join(ways)]] if ways else []


def _scores(records: Records) -> str:
    scores = records.scores
    if "original_size" not in scores:
        return ""
    found, intervals = scores["original_size"], scores.get("intervals", {})
    rows = [
        [name, _number(found[key]), _interval(intervals.get(key))]
        for key, name in MEASURES.items()
        if found.get(key) is not None
    ]
    error = scores.get("training_size", {}).get("expected_calibration_error")
    if error is not None:
        rows.append(["expected calibration error of the confidence, at the working size", _number(error), ""])
    known = scores["split"] if scores.get("held_out", True) else "train"
    seen = SEEN.get(known, "of which training knew nothing")
    what = f"On the {scores['images']} images of the split {_cell(scores['split'])}, {seen}, at their original size"
    if "folds" in scores:
        what = (
            f"Of the {len(scores['folds'])} networks, each on the images that it did not see ({scores['images']} in all); their "
            "mean has seen every image, so no such score of it exists"
        )
    what += ". Intervals are of 95 %, by resampling images." if intervals else "."
    lines = ["## Scores", *filter(None, [text.describe_seen(scores), text.describe_target(scores)]), what]
    lines.append(_table(["score", "value", "interval"], rows))
    if constant := scores.get("commonest_class"):
        lines.append(
            f"Predicting {_cell(constant['name'])} everywhere has a mean IoU of {_number(constant['mean_iou'])} on these images."
        )
    if (baseline := scores.get("baseline")) and baseline.get("compared"):
        lines.append(
            f"Against version {baseline['version']}, on the same images: mean IoU {baseline['difference']:+.3f} "
            f"(95 % interval {baseline['low']:+.3f} to {baseline['high']:+.3f})."
        )
    return "\n\n".join(lines)


def _classes(records: Records) -> str:
    scores = records.scores
    if "matrix" not in scores.get("original_size", {}):
        return ""
    found, intervals = scores["original_size"], scores.get("intervals", {}).get("iou")
    pixels = [sum(row) for row in found["matrix"]]
    colours = records.labels.get("colours")
    rows = []
    for number, name in enumerate(scores["classes"]):
        colour = "`#" + "".join(f"{level:02x}" for level in colours[number]) + "`" if colours else ""
        iou, precision, recall = (_number(found[key][number]) for key in ("iou", "precision", "recall"))
        interval = _interval(intervals[number]) if intervals else ""
        share = f"{100 * pixels[number] / max(1, sum(pixels)):.2f} %"
        rows.append([number, _cell(name), colour, share, iou, interval, precision, recall])
    head = ["id", "class", "colour", "pixels", "IoU", "interval", "precision", "recall"]
    return "\n\n".join(["### Classes", _table(head, rows)])


def _slices(records: Records) -> str:
    slices = records.scores.get("slices")
    if not slices:
        return ""
    rows = []
    for name, found in slices.items():
        values = _number(found["mean_iou"]), _number(found["pixel_accuracy"])
        rows.append([_cell(name), _cell(found["meaning"]), found["images"], *values])
    return "\n\n".join(["### Slices", _table(["slice", "images of", "images", "mean IoU", "pixel accuracy"], rows)])


def _limits(records: Records) -> str:
    manifest, scores = records.manifest, records.scores
    lines = []
    if manifest["max_pixels"]:
        lines.append(
            f"- A request may have {manifest['max_pixels']:,} pixels, all its images together, and no side above {MAX_SIDE:,}."
        )
        memory = f"{manifest['score_memory']:g} GiB"
        lines.append(f"- Class scores may take {memory}, which bounds `probabilities`, `tiles` and DenseCRF.")
        fails, answered = (
            "fails its whole request",
            "gets a status and a message, and the rest of its batch is answered",
        )
        lines.append(f"- A bad image {fails if manifest['strict'] else answered}.")
    found = scores.get("original_size", {})
    names = scores.get("classes", [])
    never = [name for name, iou in zip(names, found.get("iou", ()), strict=False) if iou is None]
    if never:
        lines.append(
            f"- Never scored, since no image of the scored split shows or is given them: {', '.join(map(_cell, never))}."
        )
    training = records.file("statistics_gen", "statistics.json").get("splits", {}).get("train", {})
    absent = [name for name, count in zip(names, training.get("class_pixels", ()), strict=False) if not count]
    if absent:
        lines.append(f"- Never seen in training: {', '.join(map(_cell, absent))}.")
    if scores.get("target"):
        lines.append("- No score is of the target, the images without masks for which the network was adapted.")
    lines.append(
        "- The scores hold for images like those scored. Of other cameras, places, seasons or resolutions they say nothing."
    )
    if records.infra.get("largest_pixels"):
        lines.append(f"- The largest image that was tried has {records.infra['largest_pixels']:,} pixels.")
    return "\n\n".join(["## Limits", "\n".join(lines)])


def _serving(records: Records) -> str:
    infra = records.infra
    if infra.get("seconds_per_image") is None:
        return ""
    rows = [
        ["time per image, one by one, on the processor", text.duration(infra["seconds_per_image"])],
        ["peak memory of the process, the largest image included", f"{infra['peak_bytes'] / 2**30:.2f} GiB"],
        ["pixels on which the SavedModel and the Keras model agree", f"{100 * infra['agreement']:.3f} %"],
    ]
    if infra.get("hardware"):
        rows.append(["measured on", _machine(infra["hardware"])])
    return "\n\n".join(["## Serving", _table(["", ""], rows)])


def _runtimes(records: Records) -> str:
    if not records.formats:
        return ""
    rows = []
    for name, found in records.formats.items():
        loss = found.get("mean_iou_loss")
        packages = ", ".join(f"{package} {version}" for package, version in found.get("packages", {}).items())
        scores = _number(found.get("mean_iou")), "" if loss is None else f"{0 - 100 * loss:+.2f}"
        rows.append(
            [f"`{name}/`", f"{100 * found['agreement']:.3f} %", *scores, f"{found['bytes'] / 1e6:.1f} MB", packages]
        )
    first = next(iter(records.formats.values()))
    head = ["folder", "pixels that agree", "mean IoU", "points against the SavedModel", "size", "packages"]
    where = f"{first['images']} images of the split {_cell(first.get('split', 'unknown'))}"
    what = f"The network for other runtimes, compared on {where}; `label.py` in each folder labels a picture."
    return "\n\n".join(["### Other runtimes", what, _table(head, rows)])


def _calls(records: Records) -> str:
    name = records.name
    if not takes_bytes(_channels(records), records.manifest["dtype"]):
        call = 'outputs = model.signatures["serving_default"](image=images)  # (B, H, W, C)\nlabel_map = outputs["label_map"][0]'
    else:
        call = (
            'outputs = model.signatures["serve_bytes"](image_bytes=tf.constant([open("photo.jpg", "rb").read()]))\n'
            'label_map = tf.io.decode_png(outputs["label_map_bytes"][0])[..., 0]  # (H, W) class ids'
        )
    signatures = ", ".join(f"`{signature}`" for signature in records.infra.get("signatures", {}))
    python = f'import tensorflow as tf\n\nmodel = tf.saved_model.load("savedmodels/{name}/VERSION")\n{call}'
    lines = ["## How to call it", f"```python\n{python}\n```"]
    if signatures:
        lines.append(
            f"Signatures: {signatures}. Class ids are the rows of the table of classes, and of `assets/labels.json`."
        )
    lines.append(
        f"Served, by `kseg serve savedmodels/{name}` or TensorFlow Serving: `examples/client.py` of kseg asks over REST and gRPC."
    )
    return "\n\n".join(lines)


def _channels(records: Records) -> int:
    found = records.infra.get("signatures", {}).get("serving_default", {}).get("inputs", {}).get("image")
    return found[1][-1] if found else 3


def _lineage(records: Records) -> str:
    if not records.found:
        return ""
    rows = [[component, f"`{folder.name}`"] for component, (folder, _) in sorted(records.found.items())]
    packages = sorted({item for _, recipe in records.found.values() for item in recipe.get("packages", {}).items()})
    lines = ["## Lineage", _table(["component", "fingerprint"], rows)]
    if packages:
        lines.append(f"Packages: {', '.join(f'{name} {version}' for name, version in packages)}.")
    lines.append(
        f"`kseg lineage savedmodels/{records.name}/VERSION` prints settings, code and inputs of each, and checks all files."
    )
    return "\n\n".join(lines)


def _licences(records: Records) -> str:
    pretrained = records.manifest.get("pretrained")
    if not pretrained:
        began = "Training began with random weights." if records.trainings else ""
    else:
        known = pretrained.get("licence") or "not recorded"
        encoder = _cell(pretrained["encoder"])
        began = f"Training began with weights of others for the encoder {encoder}; their licence: {_cell(known)}."
        rows = [[key, _cell(pretrained[key])] for key in ("source", "package", "sha256") if pretrained.get(key)]
        began += "\n\n" + _table(["weights", ""], rows)
    rest = "The licences of the data and of the trained weights are not recorded."
    return "\n\n".join(filter(None, ["## Licences", began, rest]))


def _machine(hardware: dict) -> str:
    """Processor, cores, memory and accelerators as text."""
    parts = [hardware["processor"], f"{hardware['cores']} cores"]
    if hardware.get("memory_bytes"):
        parts.append(f"{hardware['memory_bytes'] / 2**30:.0f} GiB")
    return ", ".join([*parts, *hardware.get("accelerators", ())])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _interval(ends: dict | None) -> str:
    return "" if not ends or ends["low"] is None else f"{ends['low']:.3f} to {ends['high']:.3f}"


def _table(head: list[str], rows: list[list]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(value) -> str:
    """Text of the data, such as a class's name, that neither ends a cell nor marks anything up."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", str(value)).split())
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", line)
