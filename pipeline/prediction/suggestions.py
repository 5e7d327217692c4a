"""Suggests pictures to label: scores all of them through Beam, chooses, and writes the list and a contact sheet.

A scored picture has a record with its uncertainty, so a second run scores only what is new. Pictures of more than
`SCORED_PIXELS` are reduced first, so that the probabilities of any picture fit into memory. TensorFlow only where models predict.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import pathlib
import typing

import numpy as np
from PIL import Image

from kseg import inference
from kseg.inference.checks import values_checked
from kseg.labels import LabelMap
from kseg.pairs.resizing import resize_image
from kseg.pictures import pillow_picture
from kseg.plots.contact_sheets import Panels, arrange, panel_size
from kseg.plots.heat_maps import heat_map, heat_scale
from kseg.serving.manifest import read_manifest
from kseg.serving.statuses import score_pixels
from pipeline.engine.files import atomic, read_json, write_bytes, write_csv, write_json, write_text
from pipeline.prediction import each_picture, tables
from pipeline.prediction.picture_files import RESULT_FOLDERS, PictureFile
from pipeline.prediction.picture_records import record_path
from pipeline.prediction.selection import farthest_first, most_uncertain, num_candidates
from pipeline.prediction.uncertainty import Uncertainty, decode_profile, describe, encode_profile, measure

SCORED_PIXELS = 2**21
"""1920 x 1080 is just below."""
SHEET = f"{RESULT_FOLDERS[2]}/suggestions.png"
ON_SHEET = 60
"""Pictures on the contact sheet at most."""
COLUMNS = ("rank", "path", "entropy", "distance", "reason")


class Result(typing.NamedTuple):
    """What a run did.

    Attributes:
        suggested: pictures in the list.
        scored: pictures that have a score.
        unreadable: pictures that could not be read.
        file: the list.
        sheet: the contact sheet.
    """

    suggested: int
    scored: int
    unreadable: int
    file: pathlib.Path
    sheet: pathlib.Path


def suggest(
    pictures: list[PictureFile],
    output: pathlib.Path,
    models: list[pathlib.Path],
    *,
    fingerprints: list[str],
    count: int,
    top_share: float,
    max_pixels: int,
    file_format: str,
    beam_options: list[str],
) -> Result:
    """Scores pictures and suggests some of them.

    Args:
        pictures: to choose from.
        output: folder to write below.
        models: folders of the SavedModels, whose predictions are averaged.
        fingerprints: of the models; scores by others are of no use.
        count: pictures to suggest; all that can be read where they are fewer.
        top_share: of the pixels, as in `Uncertainty.mean`.
        max_pixels: size limit of a picture.
        file_format: "csv", "json" or "lines".
        beam_options: Beam's command line.

    Returns:
        What was done; without a readable picture, neither list nor sheet is written.
    """
    models = [model.absolute() for model in models]
    # Score every picture.
    build = functools.partial(ScorePicture, output.absolute(), models, top_share)
    made_by = {"made_by": hashlib.sha256(json.dumps([*fingerprints, top_share]).encode()).hexdigest()}
    outcomes = each_picture.work_on_pictures(
        pictures, output, models, build, max_pixels=max_pixels, made_by=made_by, beam_options=beam_options
    )
    tables.write_unreadable(output, outcomes)
    unreadable = {outcome["path"] for outcome in outcomes if outcome["outcome"] == "unreadable"}
    scored = len(outcomes) - len(unreadable)

    # Choose.
    records = (
        record
        for record in _records(output, pictures)
        if record["made_by"] == made_by["made_by"] and record["source"] not in unreadable
    )
    candidates = most_uncertain(records, num_candidates(scored, count))
    profiles = np.array([decode_profile(record["profile"]) for record in candidates])
    entropies = np.array([record["entropy"] for record in candidates])
    chosen = farthest_first(profiles, entropies, min(count, len(candidates)))
    names = LabelMap.load(models[0] / "assets").names
    rows = [
        _row(rank, candidates[number], distance, describe(profiles[number], names))
        for rank, (number, distance) in enumerate(chosen, start=1)
    ]

    # Write the list and the sheet.
    file, sheet = output / f"suggestions.{'txt' if file_format == 'lines' else file_format}", output / SHEET
    if rows:
        _write(file, file_format, rows)
        shown = [pictures[candidates[number]["number"]].source for number, _ in chosen[:ON_SHEET]]
        _write_sheet(sheet, rows, shown, models, max_pixels)
    return Result(len(rows), scored, len(unreadable), file, sheet)


def _records(output: pathlib.Path, pictures: list[PictureFile]):
    """The records of scored pictures, each with the picture's number, one at a time."""
    for number, picture in enumerate(pictures):
        path = record_path(output, picture.key)
        if path.is_file():
            yield {"number": number, **read_json(path)}


class ScorePicture:
    """Writes how unsure the models are about a picture: the work of `each_picture`.

    Args:
        output: folder to write below.
        models: folders of the SavedModels, which are loaded.
        top_share: as in `Uncertainty.mean`.
    """

    def __init__(self, output: pathlib.Path, models: list[pathlib.Path], top_share: float):
        self._output, self._top_share = output, top_share
        self._measure = build_measure(models)

    def __call__(self, image: np.ndarray, key: pathlib.Path, record: dict):
        found = self._measure(image)
        record |= {"entropy": found.mean(self._top_share), "profile": encode_profile(found.profile)}
        write_bytes(record_path(self._output, key), json.dumps(record).encode())


def build_measure(models: list[pathlib.Path]):
    """Loads models; returns a function from an image (H, W, C), uint8, to the `Uncertainty` of the mean of their probabilities.

    Args:
        models: folders of SavedModels of the same classes.
    """
    loaded = [inference.SavedModel(path) for path in models]
    predict = loaded[0] if len(loaded) == 1 else inference.ensemble(loaded)
    limit = min(_scored_pixels(model) for model in models)

    def measure_image(image: np.ndarray) -> Uncertainty:
        height, width = image.shape[:2]
        factor = math.sqrt(limit / (height * width))
        if factor < 1:
            image = resize_image(image, (max(1, int(factor * height)), max(1, int(factor * width))))
        with values_checked():  # a nearly black picture is not one in [0, 1]
            return measure(predict(image[np.newaxis])[0])

    return measure_image


def _scored_pixels(model: pathlib.Path) -> int:
    """Pixels of the largest image whose probabilities are asked of an export."""
    manifest = read_manifest(model)
    num_classes = LabelMap.load(model / "assets").num_classes
    limits = [SCORED_PIXELS, manifest["max_pixels"] or SCORED_PIXELS]
    if manifest["score_memory"]:
        asked = "DenseCRF" if manifest["crf"] is not None else "probabilities"
        limits.append(score_pixels(asked, num_classes, manifest["score_memory"]))
    return min(limits)


def _row(rank: int, record: dict, distance: float, unsure_about: str) -> dict:
    first = math.isinf(distance)
    likeness = "the most uncertain" if first else f"at {distance:.3f} from those above"
    return {
        "rank": rank,
        "path": record["source"],
        "entropy": round(record["entropy"], 6),
        "distance": None if first else round(distance, 6),
        "reason": f"unsure about {unsure_about}; {likeness}",
    }


def _write(file: pathlib.Path, file_format: str, rows: list[dict]):
    if file_format == "json":
        write_json(file, rows)
    elif file_format == "lines":
        write_text(file, "".join(f"{row['path']}\n" for row in rows))
    else:
        write_csv(file, [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])


def _write_sheet(file: pathlib.Path, rows: list[dict], pictures: list[pathlib.Path], models, max_pixels: int):
    """Draws the first suggestions next to maps of the entropy of their pixels, which the models predict once more."""
    measure_image, read = build_measure(models), each_picture.build_reader(models[0], max_pixels)
    images, maps = [], []
    for path in pictures:
        image = read(path)
        size = panel_size(*image.shape[:2])
        images.append(pillow_picture(image).convert("RGB").resize(size, Image.Resampling.BOX))
        entropy = Image.fromarray(measure_image(image).entropy)
        maps.append(np.asarray(entropy.resize(size, Image.Resampling.BOX)))
    largest = max(1e-3, *(float(np.quantile(values, 0.995)) for values in maps))
    panels = [
        Panels(
            f"{row['rank']}   {row['entropy']:.3f}   {pathlib.PurePath(row['path']).name}",
            picture,
            heat_map(values, largest),
        )
        for row, picture, values in zip(rows, images, maps, strict=False)
    ]
    title = f"{len(panels)} of {len(rows)} suggestions" if len(panels) < len(rows) else f"{len(rows)} suggestions"
    title += ": rank, mean entropy in nats, name. Right: where the model is unsure."
    sheet = arrange(panels, title, functools.partial(heat_scale, largest, "nats"))
    with atomic(file) as unfinished:
        sheet.save(unfinished, "PNG")
