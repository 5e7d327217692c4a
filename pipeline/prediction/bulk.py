"""Label maps of many pictures by one SavedModel, through Beam; each answer gets its name when it is whole.

A picture is finished when its record is there, which is written after all its other answers; the tables of all pictures are made
of the records at the end. Pictures are read as example_gen reads them, so a file that it would set aside is set aside here.
Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import pathlib
import uuid

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import plots
from kseg.labels import LabelMap
from kseg.pairs.decoding import PairError, printable
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.postprocess.regions import clean_label_map, find_regions
from pipeline.engine import progress
from pipeline.engine.files import read_json, write_bytes
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.runner_options import pipeline_options
from pipeline.prediction import refinements, region_files

LABEL_MAPS, OVERLAYS, RECORDS = "label_maps", "overlays", "records"
SHARES, CHANGED, UNREADABLE = "class_shares.csv", "changed_pixels.csv", "unreadable.csv"
SIGNATURES = ("probabilities", "serving_default")


@dataclasses.dataclass(frozen=True)
class Result:
    """How many pictures were labelled now, earlier, and not; where their regions lie, and how many pixels tidying changed."""

    done: int
    skipped: int
    unreadable: int
    regions: pathlib.Path | None
    changed: int


def check(models: list[pathlib.Path]):
    """Reads which signatures SavedModels have, without loading them.

    Raises:
        ValueError: one is damaged, has not the signatures that are asked here, or takes other channels than the first.
    """
    channels = {model: _channels(model) for model in models}
    if len(set(channels.values())) > 1:
        shown = ", ".join(f"{number} [{model}]" for model, number in channels.items())
        raise ValueError(f"Models must take the same channels to be averaged. Received: {shown}.")


def _channels(model) -> int:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        graphs = SavedModel.FromString((model / "saved_model.pb").read_bytes()).meta_graphs
    except DecodeError as error:
        raise ValueError(
            f"A SavedModel must be whole. Received: {model / 'saved_model.pb'} [{error}]. Copy it anew."
        ) from error
    found = {name: signature for graph in graphs for name, signature in graph.signature_def.items() if name[:2] != "__"}
    if not set(SIGNATURES) <= set(found):
        raise ValueError(
            f"`--model` must have the signatures {' and '.join(SIGNATURES)}. "
            f"Received: {', '.join(sorted(found)) or 'none'} [{model}]. Export it with kseg.export."
        )
    return found["probabilities"].inputs["image"].tensor_shape.dim[-1].size


def predict(pictures, output: pathlib.Path, models: list[pathlib.Path], settings, beam_options) -> Result:
    """Labels pictures, and writes the tables of all that are finished.

    Args:
        pictures: list of PictureFile.
        output: folder of the answers.
        models: folders of the SavedModels, whose answers are averaged.
        settings: of `pipeline.predict`.
        beam_options: Beam's command line.
    """
    progress.total(len(pictures))
    # As bytes: the name of a file need not be text.
    work = [(os.fsencode(picture.source.absolute()), os.fsencode(picture.key)) for picture in pictures]
    file = output / f".{uuid.uuid4().hex}.jsonl"
    with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
        _ = (
            pipeline
            | "Name pictures" >> beam.Create(work)
            | "Spread" >> beam.Reshuffle()
            | "Label" >> beam.ParDo(Label(output, models, settings))
            | "Collect" >> Collect(file)
        )
    outcomes = read_collected(file)
    unreadable = sorted([o["path"], o["fault"], o["message"]] for o in outcomes if o["outcome"] == "unreadable")
    _write_csv(output / UNREADABLE, [["path", "fault", "message"], *unreadable])
    labels = LabelMap.load(models[0] / "assets")
    records = _Records([record_place(output, picture.key) for picture in pictures])
    _write_shares(output, records, labels)
    changed = _write_changed(output, records, labels) if settings.min_area or settings.max_hole else 0
    kind = settings.regions
    place = region_files.write(output, kind, records, labels) if kind else None
    counted = [sum(o["outcome"] == outcome for o in outcomes) for outcome in ("done", "skipped", "unreadable")]
    return Result(*counted, place, changed)


class _Records:
    """The records of the pictures that are finished, read anew each time, since those of many pictures may fill the memory."""

    def __init__(self, places: list[pathlib.Path]):
        self._places = places

    def __iter__(self):
        return (read_json(place) for place in self._places if place.is_file())


class Label(beam.DoFn):
    """(path, key) of a picture, as bytes, to {"outcome": "done", "skipped" or "unreadable", ...}, and its answers to files.

    Args:
        output: folder of the answers.
        models: folders of the SavedModels; loaded once a worker process, whatever its number of threads.
        settings: of `pipeline.predict`.
    """

    def __init__(self, output: pathlib.Path, models: list[pathlib.Path], settings):
        self._output, self._models, self._settings = output.absolute(), [model.absolute() for model in models], settings
        self._handle = shared.Shared()

    def setup(self):
        self._labels = LabelMap.load(self._models[0] / "assets")
        self._channels = _channels(self._models[0])
        self._label_map = self._handle.acquire(lambda: refinements.build_labeller(self._models, self._settings))

    def process(self, names):
        source, key = (pathlib.Path(os.fsdecode(name)) for name in names)
        yield self._outcome(source, key)
        progress.advance()

    def _outcome(self, source, key) -> dict:
        try:
            state = source.stat()
            stamp = {"bytes": state.st_size, "changed": state.st_mtime_ns}
            if _finished(record_place(self._output, key), stamp):
                return {"outcome": "skipped"}
            image = self._image(source)
        except PairError as error:
            return {"outcome": "unreadable", "path": printable(source), "fault": error.name, "message": str(error)}
        except OSError as error:
            return {
                "outcome": "unreadable",
                "path": printable(source),
                "fault": "unreadable_file",
                "message": str(error),
            }
        self._write(key, image, self._label_map(image), {"source": printable(source), **stamp})
        return {"outcome": "done"}

    def _image(self, source) -> np.ndarray:
        """The picture (H, W, C), uint8, as the model takes it."""
        stored, _, _ = prepare_image(source.read_bytes(), self._channels, printable(source), self._settings.max_pixels)
        return decode_image(stored)

    def _write(self, key, image, label_map, record):
        cleaned = clean_label_map(label_map, min_area=self._settings.min_area, max_hole=self._settings.max_hole)
        label_map = cleaned.label_map
        picture = Image.frombytes("P", label_map.shape[::-1], label_map.tobytes())
        picture.putpalette(self._labels.palette().tobytes())
        place = self._output / LABEL_MAPS / f"{key}.png"
        write_bytes(place, _encoded(picture, "PNG"))
        if self._settings.overlays:
            overlay = plots.overlay(image, label_map, self._labels)
            write_bytes(self._output / OVERLAYS / f"{key}.jpg", _encoded(overlay, "JPEG", quality=90))
        pixels = np.bincount(label_map.ravel(), minlength=self._labels.num_classes).tolist()
        record |= {"key": printable(key), "height": label_map.shape[0], "width": label_map.shape[1], "pixels": pixels}
        record["moved"] = [[*kind, count] for kind, count in cleaned.changed_pixels.items()]
        if self._settings.regions:
            record |= self._regions(key, label_map)
        write_bytes(record_place(self._output, key), json.dumps(record).encode())

    def _regions(self, key, label_map) -> dict:
        """What the record says of the regions; as GeoJSON they are a file of their own."""
        kind, found = self._settings.regions, find_regions(label_map)
        described = region_files.described(found, kind, self._labels, label_map.shape)
        if kind != "geojson":
            return {"regions": described}
        collection = {"type": "FeatureCollection", "features": described}
        write_bytes(self._output / "regions" / f"{key}.geojson", json.dumps(collection).encode())
        return {}


def record_place(output: pathlib.Path, key: pathlib.PurePath) -> pathlib.Path:
    """Where the record of a picture lies; it is written last."""
    return output / RECORDS / f"{key}.json"


def _finished(place, stamp) -> bool:
    """Whether a picture was labelled since it was last changed."""
    if not place.is_file():
        return False
    record = read_json(place)
    return all(record[name] == value for name, value in stamp.items())


def _encoded(picture: Image.Image, file_format: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def _write_shares(output, records, labels):
    """One row a picture: its size, and the share of each class in its pixels."""
    rows = [["picture", "height", "width", *labels.names]]
    for record in records:
        size = record["height"] * record["width"]
        shares = [f"{count / size:.6f}" for count in record["pixels"]]
        rows.append([record["key"], record["height"], record["width"], *shares])
    _write_csv(output / SHARES, rows)


def _write_changed(output, records, labels) -> int:
    """One row for what tidying moved in a picture from one class to another; returns the pixels of all."""
    rows = [
        [record["key"], labels.names[before], labels.names[after], pixels]
        for record in records
        for before, after, pixels in record["moved"]
    ]
    _write_csv(output / CHANGED, [["picture", "from", "to", "pixels"], *rows])
    return sum(row[-1] for row in rows)


def _write_csv(place: pathlib.Path, rows: list[list]):
    stream = io.StringIO()
    csv.writer(stream).writerows(rows)
    write_bytes(place, stream.getvalue().encode("utf-8"))
