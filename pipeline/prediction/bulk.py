"""Labels many pictures by one SavedModel or the mean of several, through Beam; a second run continues where the first ended.

Each file appears under its name only when it is complete. Pictures are read as example_gen reads them, so a picture that it would
quarantine is listed as unreadable here. Beam; TensorFlow only in the workers that predict.
"""

from __future__ import annotations

import collections
import dataclasses
import errno
import io
import json
import os
import pathlib

import apache_beam as beam
import numpy as np
from apache_beam.utils import shared
from PIL import Image

from kseg import plots
from kseg.inference import TooManyPixels
from kseg.labels import LabelMap
from kseg.pairs.errors import PairError, printable
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.pairs.sides import read_file
from kseg.postprocess.regions import clean_label_map, find_regions
from kseg.serving.manifest import read_manifest
from pipeline.engine import progress
from pipeline.engine.files import scratch_folder, write_bytes
from pipeline.examples.collecting import Collect, read_collected
from pipeline.examples.runner_options import pipeline_options
from pipeline.prediction import labeller, region_files, tables
from pipeline.prediction.model_checks import read_channels
from pipeline.prediction.picture_files import RESULT_FOLDERS, PictureFile
from pipeline.prediction.picture_records import Records, file_state, is_finished, picture_path, record_path

LABEL_MAPS, OVERLAYS = RESULT_FOLDERS


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run did.

    Attributes:
        done: pictures labelled by this run.
        skipped: pictures labelled by an earlier one.
        unreadable: pictures that could not be read.
        regions: file or folder of the regions, or None.
        changed: pixels that cleaning changed.
    """

    done: int
    skipped: int
    unreadable: int
    regions: pathlib.Path | None
    changed: int


def predict(
    pictures: list[PictureFile], output: pathlib.Path, models: list[pathlib.Path], options, beam_options: list[str]
) -> Result:
    """Labels pictures, and writes the tables of all finished ones.

    Args:
        pictures: to label.
        output: folder to write below.
        models: folders of the SavedModels, whose predictions are averaged.
        options: `PredictionOptions`.
        beam_options: Beam's command line.
    """
    # Label every picture.
    progress.set_total(len(pictures))
    names = [
        (os.fsencode(picture.source.absolute()), os.fsencode(picture.key)) for picture in pictures
    ]  # not all are text
    with scratch_folder(output) as scratch:
        file = scratch / "outcomes.jsonl"
        with beam.Pipeline(options=pipeline_options(beam_options)) as pipeline:
            _ = (
                pipeline
                | "Name pictures" >> beam.Create(names)
                | "Spread" >> beam.Reshuffle()
                | "Label" >> beam.ParDo(LabelPicture(output, models, options))
                | "Collect" >> Collect(file)
            )
        outcomes = read_collected(file)

    # Write the tables.
    labels = LabelMap.load(models[0] / "assets")
    records = Records([record_path(output, picture.key) for picture in pictures])
    tables.write_unreadable(output, outcomes)
    tables.write_class_shares(output, records, labels)
    cleaned = options.min_area or options.max_hole
    changed = tables.write_changed_pixels(output, records, labels) if cleaned else 0
    regions = region_files.write_regions(output, options.regions, records, labels) if options.regions else None
    count = collections.Counter(outcome["outcome"] for outcome in outcomes)
    return Result(count["done"], count["skipped"], count["unreadable"], regions, changed)


class LabelPicture(beam.DoFn):
    """(path, key) of a picture, as bytes, to {"outcome": "done", "skipped" or "unreadable", ...}; writes the picture's files.

    Args:
        output: folder to write below.
        models: folders of the SavedModels; loaded once per worker process, whatever its number of threads.
        options: `PredictionOptions`.
    """

    def __init__(self, output: pathlib.Path, models: list[pathlib.Path], options):
        self._output, self._models, self._options = output.absolute(), [model.absolute() for model in models], options
        self._handle = shared.Shared()

    def setup(self):
        self._labels = LabelMap.load(self._models[0] / "assets")
        self._channels = read_channels(self._models[0])
        self._image_range = read_manifest(self._models[0])["image_range"]
        self._predict = self._handle.acquire(lambda: labeller.build_labeller(self._models, self._options))

    def process(self, names):
        source, key = (pathlib.Path(os.fsdecode(name)) for name in names)
        yield self._label(source, key)
        progress.advance()

    def _label(self, source, key) -> dict:
        """Labels one picture unless it is finished; returns the outcome."""
        try:
            state = file_state(source)
            if is_finished(record_path(self._output, key), state):
                return {"outcome": "skipped"}
            image = self._read(source)
            label_map = self._predict(image)
        except PairError as error:
            return _unreadable(source, error.name, str(error))
        except TooManyPixels as error:
            return _unreadable(source, "too_many_pixels", str(error))
        except OSError as error:
            message = f"A picture must be readable. Received: {error.strerror} [{printable(source)}]."
            return _unreadable(source, "unreadable_file", message)
        try:
            self._write(key, image, label_map, {"source": printable(source), **state})
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            message = f"The paths of results must not be too long. Received: {printable(self._output / key)}. Shorten --output."
            return _unreadable(source, "path_too_long", message)
        return {"outcome": "done"}

    def _read(self, source) -> np.ndarray:
        """The picture (H, W, C), uint8, with the channels that the model takes."""
        data, max_pixels = read_file(source, self._options.max_pixels), self._options.max_pixels
        stored, _, _ = prepare_image(data, self._channels, printable(source), max_pixels, self._image_range)
        return decode_image(stored)

    def _write(self, key, image, label_map, record):
        """Writes the picture's files, the record last."""
        cleaned = clean_label_map(label_map, min_area=self._options.min_area, max_hole=self._options.max_hole)
        label_map = cleaned.label_map
        picture = Image.frombytes("P", label_map.shape[::-1], label_map.tobytes())
        picture.putpalette(self._labels.palette().tobytes())
        write_bytes(picture_path(self._output, LABEL_MAPS, key, ".png"), _encode(picture, "PNG"))
        if self._options.overlays:
            overlay = plots.overlay(image, label_map, self._labels)
            write_bytes(picture_path(self._output, OVERLAYS, key, ".jpg"), _encode(overlay, "JPEG", quality=90))
        pixels = np.bincount(label_map.ravel(), minlength=self._labels.num_classes).tolist()
        record |= {"key": printable(key), "height": label_map.shape[0], "width": label_map.shape[1], "pixels": pixels}
        record["moved"] = [[*classes, count] for classes, count in cleaned.changed_pixels.items()]
        if self._options.regions:
            record |= self._write_regions(key, label_map)
        write_bytes(record_path(self._output, key), json.dumps(record).encode())

    def _write_regions(self, key, label_map) -> dict:
        """What the record holds of the regions; GeoJSON is a file per picture instead."""
        file_format = self._options.regions
        regions = region_files.describe_regions(find_regions(label_map), file_format, self._labels, label_map.shape)
        if file_format != "geojson":
            return {"regions": regions}
        collection = {"type": "FeatureCollection", "features": regions}
        path = picture_path(self._output, region_files.FOLDER, key, ".geojson")
        write_bytes(path, json.dumps(collection).encode())
        return {}


def _unreadable(source, fault, message) -> dict:
    return {"outcome": "unreadable", "path": printable(source), "fault": fault, "message": message}


def _encode(picture: Image.Image, file_format: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()
