"""The report page of a run: one HTML file with its pictures inside, readable anywhere and loading nothing from elsewhere.

It shows what the artifacts say (verdict, scores, confusion, curves, pictures, data, lineage) and how to look further and to
serve the model; it computes no score of its own. The page's looks lie in `page.html.j2`. jinja2 and matplotlib, no TensorFlow.
"""

from __future__ import annotations

import base64
import io
import json
import pathlib
import shlex

import jinja2
import numpy as np

from kseg import plots
from kseg.labels import LabelMap
from kseg.serving.manifest import read_manifest
from pipeline.engine.files import read_json, write_text
from pipeline.evaluation import gate

MEASURES = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_f1": "boundary F1",
}
CLASS_SCORES = ("iou", "precision", "recall", "class_boundary_f1")
MISTAKES = 10  # rows of the table of confusions
FILES = {  # what the page needs of each component
    "example_gen": "ingestion.json",
    "statistics_gen": "statistics.json",
    "example_validator": "anomalies.json",
    "transform": "plan.json",
    "trainer": "history.json",
    "evaluator": "scores.json",
    "infra_validator": "infra.json",
    "pusher": "pushed.json",
}


def write(path, *, name: str, artifacts: dict[str, pathlib.Path]):
    """Writes the page of one run.

    Args:
        path: of the HTML file; replaced as a whole.
        name: of the model.
        artifacts: folders of all nine components, by name and in the order in which they ran.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.j2").render(_contents(name, artifacts))
    write_text(pathlib.Path(path), page)


def _contents(name: str, artifacts: dict[str, pathlib.Path]) -> dict:
    """Every variable of the template."""
    read = {component: read_json(artifacts[component] / file) for component, file in FILES.items()}
    labels = LabelMap.load(artifacts["example_gen"])
    scores, history = read["evaluator"], read["trainer"]
    matrix = np.array(scores["original_size"]["matrix"])
    classes = _classes(labels, scores)
    overlays = sorted((artifacts["trainer"] / "overlays").glob("*.png"))
    return {
        "name": name,
        "scores": scores,
        "plan": read["transform"],
        "pushed": read["pusher"],
        "epochs": max(len(values) for values in history.values()),
        "tiles": _tiles(read),
        "measures": MEASURES,
        "classes": classes,
        "checks": checks(scores),
        "interval": _interval(scores),
        "refinements": scores.get("refinements", {}),
        "unlabelled": scores.get("unlabelled", {}),
        "exported": read_manifest(artifacts["trainer"] / "saved_model"),
        "slices": _slices(scores),
        "confusion": _embedded(plots.confusion_matrix(matrix, labels)),
        "mistakes": _mistakes(classes, matrix),
        "curves": _embedded(plots.curves(history)),
        "overlays": base64.b64encode(overlays[-1].read_bytes()).decode() if overlays else None,
        "splits": _splits(read["statistics_gen"], labels),
        "reencoded": read["example_gen"]["reencoded"],
        "quarantined": read["example_gen"]["quarantined"],
        "anomalies": read["example_validator"]["anomalies"],
        "commands": _commands(name, artifacts["trainer"], read["pusher"]),
        **_lineage(artifacts),
    }


def _tiles(read: dict) -> list[tuple[str, str]]:
    """The figures at the head of the page: (value, what it is)."""
    scores, infra = read["evaluator"], read["infra_validator"]
    mean_iou, baseline = scores["original_size"]["mean_iou"], scores["commonest_class"]
    tiles = [
        (f"{mean_iou:.3f}", f"mean IoU on {scores['split']}"),
        (f"{mean_iou - baseline['mean_iou']:+.3f}", f"against always “{baseline['name']}”"),
        (f"{scores['original_size']['pixel_accuracy']:.1%}", "of pixels right"),
        (f"{read['transform']['examples']['train']}", "training pairs"),
    ]
    if infra["seconds_per_image"] is not None:
        tiles.append((_duration(infra["seconds_per_image"]), "an image, served alone"))
        tiles.append((f"{infra['peak_bytes'] / 2**30:.1f} GiB", "of memory to serve, at most"))
    return tiles


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _classes(labels: LabelMap, scores: dict) -> list[dict]:
    """A row for each class: name, colour, share of the labelled pixels that were scored, scores, IoU at the training size
    and of the pushed version."""
    pixels = np.array(scores["original_size"]["matrix"]).sum(axis=1)
    baseline = (scores["baseline"] or {}).get("iou", [None] * len(pixels))
    columns = (
        labels.names,
        labels.colours,
        (pixels / max(1, pixels.sum())).tolist(),
        *(scores["original_size"][score] for score in CLASS_SCORES),
        scores["training_size"]["iou"],
        baseline,
    )
    names = ("name", "colour", "share", *CLASS_SCORES, "training_iou", "baseline_iou")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def checks(scores: dict) -> list[dict]:
    """A row for each requirement of the gate: {"what", "required", "reached", "images", "passed"}, numbers as text.

    Args:
        scores: what the evaluator wrote.
    """
    asked, images, mean_iou = scores["gate"], scores["images"], scores["original_size"]["mean_iou"]
    commonest, baseline = scores["commonest_class"], scores["baseline"]
    gain = mean_iou - commonest["mean_iou"]
    rows = [
        (
            f"mean_iou above always “{commonest['name']}”",
            asked["min_gain"],
            gain,
            images,
            gain >= asked["min_gain"],
            "+",
        )
    ]
    if asked["min_mean_iou"] > 0:
        rows.append(("mean_iou", asked["min_mean_iou"], mean_iou, images, mean_iou >= asked["min_mean_iou"], ""))
    if baseline and baseline["compared"]:
        what = f"mean_iou against version {baseline['version']}, low end of the 95 % interval"
        rows.append((what, -asked["margin"], baseline["low"], images, baseline["low"] >= -asked["margin"], "+"))
    rows += [
        (row["name"], *(row[key] for key in ("threshold", "score", "images", "passed")), "")
        for row in scores["thresholds"]
    ]
    return [
        {
            "what": what,
            "required": f"{'≤' if gate.is_error(what) else '≥'} {required:{sign}g}",
            "reached": "none" if reached is None else f"{reached:{sign}.3f}",
            "images": number,
            "passed": passed,
        }
        for what, required, reached, number, passed, sign in rows
    ]


def _interval(scores: dict) -> dict | None:
    """The difference from the pushed version in words, and where its numbers lie on a scale, in percent; None without one."""
    baseline, margin = scores["baseline"], scores["gate"]["margin"]
    if not baseline or not baseline["compared"]:
        return None
    values = {
        "low": baseline["low"],
        "value": baseline["difference"],
        "high": baseline["high"],
        "margin": -margin,
        "zero": 0.0,
    }
    first, last = min(values.values()), max(values.values())
    places = {name: 8 + 84 * (value - first) / max(last - first, 1e-9) for name, value in values.items()}
    return {"text": gate.describe_difference(baseline), "allowed": f"{margin:g}", **places}


def _slices(scores: dict) -> list[dict]:
    """A row for each slice: name, meaning, images, mean IoU, and what that is more or less than on all images."""
    mean_iou = scores["original_size"]["mean_iou"]
    rows = [{"name": name, **part} for name, part in scores["slices"].items()]
    return [
        {name: row[name] for name in ("name", "meaning", "images", "mean_iou", "pixel_accuracy")}
        | {"change": None if row["mean_iou"] is None else row["mean_iou"] - mean_iou}
        for row in rows
    ]


def _mistakes(classes: list[dict], matrix: np.ndarray) -> list[dict]:
    """The pairs of classes that were confused most, by their share of the true class's pixels."""
    shares = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    np.fill_diagonal(shares, 0)
    worst = np.argsort(-shares, axis=None, kind="stable")[:MISTAKES]
    places = [divmod(int(place), len(classes)) for place in worst]
    return [
        {"truth": classes[row], "taken_for": classes[column], "share": float(shares[row, column])}
        for row, column in places
        if shares[row, column] > 0
    ]


def _splits(statistics: dict, labels: LabelMap) -> list[dict]:
    """A row for each split: pairs, sizes by area, and the share that each class and void have of all its pixels."""
    rows = []
    for name, split in statistics["splits"].items():
        pixels = max(1, sum(split["class_pixels"]) + split["void_pixels"])
        sizes = sorted(split["sizes"], key=_area)
        middle = np.searchsorted(np.cumsum([split["sizes"][size] for size in sizes]), split["images"] / 2)
        rows.append(
            {
                "name": name,
                "images": split["images"],
                "smallest": sizes[0],
                "median": sizes[int(middle)],
                "largest": sizes[-1],
                "void": split["void_pixels"] / pixels,
                "shares": [
                    {"name": label, "colour": colour, "share": count / pixels}
                    for label, colour, count in zip(labels.names, labels.colours, split["class_pixels"], strict=True)
                ],
            }
        )
    return rows


def _area(size: str) -> int:
    """Pixels of a size written as WIDTHxHEIGHT."""
    width, height = size.split("x")
    return int(width) * int(height)


def _commands(name: str, trainer: pathlib.Path, pushed: dict) -> list[tuple[str, str]]:
    """What to type to look further and to serve: (what it does, command)."""
    commands = [("Curves and pictures of every epoch", f"tensorboard --logdir {shlex.quote(str(trainer / 'logs'))}")]
    if not pushed["pushed"]:
        return commands
    folder = pathlib.Path(pushed["target"]).resolve() / name
    mount = shlex.quote(f"{folder}:/models/{name}:ro")
    serve = f"docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={name} \\\n  -v {mount} tensorflow/serving"
    ask = (
        """(printf '{"signature_name": "serve_bytes", "instances": [{"image_bytes": {"b64": "'\n"""
        """ base64 -w0 photo.jpg\n"""
        """ printf '"}}]}') |\n"""
        f"""  curl -s -d @- http://localhost:8501/v1/models/{name}:predict |\n"""
        """  python3 -c 'import base64, json, sys; print(json.load(sys.stdin)["predictions"][0]["b64"])' |\n"""
        """  base64 -d > label_map.png"""
    )
    load = (
        "import tensorflow as tf\n\n"
        f"model = tf.saved_model.load({str(folder / str(pushed['version']))!r})\n"
        'image_bytes = tf.io.read_file("photo.jpg")[tf.newaxis]\n'
        'answer = model.signatures["serve_bytes"](image_bytes=image_bytes)\n'
        'label_map = tf.io.decode_png(answer["label_map_bytes"][0])[..., 0]  # (H, W) class ids'
    )
    return [*commands, ("In Python, without kseg", load), ("As a server", serve), ("Asking it over REST", ask)]


def _lineage(artifacts: dict[str, pathlib.Path]) -> dict:
    """Which artifact came from which settings."""
    settings = {}
    for component, folder in artifacts.items():
        if (folder / "recipe.json").is_file():  # there is none where a component ran without a store
            settings[component] = read_json(folder / "recipe.json")["config"]
    rows = [
        {"component": component, "fingerprint": folder.name, "path": str(folder)}
        for component, folder in artifacts.items()
    ]
    return {"lineage": rows, "settings": json.dumps(settings, indent=1)}


def _embedded(picture) -> str:
    """A PIL picture as PNG in base64, for a data URI."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
