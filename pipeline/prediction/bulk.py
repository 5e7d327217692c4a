"""Labels many pictures by one SavedModel or the mean of several, through Beam; a second run continues where the first ended.

Each file appears under its name only when it is complete; pictures that cannot be read are listed. TensorFlow only in the
workers that predict.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import io
import json
import pathlib

import numpy as np
from PIL import Image

from kseg import plots
from kseg.labels import LabelMap
from kseg.pictures import picture_of
from kseg.postprocess.regions import clean_label_map, find_regions
from pipeline.engine.files import write_bytes
from pipeline.prediction import each_picture, labeller, region_files, tables
from pipeline.prediction.picture_files import RESULT_FOLDERS, PictureFile
from pipeline.prediction.picture_records import Records, picture_path, record_path

LABEL_MAPS, OVERLAYS = RESULT_FOLDERS[:2]


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
    build = functools.partial(LabelPicture, output.absolute(), [model.absolute() for model in models], options)
    outcomes = each_picture.work_on_pictures(
        pictures, output, models, build, max_pixels=options.max_pixels, beam_options=beam_options
    )

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


class LabelPicture:
    """Labels an image, and writes the files of its picture, the record last: the work of `each_picture`.

    Args:
        output: folder to write below.
        models: folders of the SavedModels, which are loaded.
        options: `PredictionOptions`.
    """

    def __init__(self, output: pathlib.Path, models: list[pathlib.Path], options):
        self._output, self._options = output, options
        self._labels = LabelMap.load(models[0] / "assets")
        self._predict = labeller.build_labeller(models, options)

    def __call__(self, image: np.ndarray, key: pathlib.Path, record: dict):
        label_map = self._predict(image)
        cleaned = clean_label_map(label_map, min_area=self._options.min_area, max_hole=self._options.max_hole)
        label_map = cleaned.label_map
        picture = Image.frombytes("P", label_map.shape[::-1], label_map.tobytes())
        picture.putpalette(self._labels.palette().tobytes())
        write_bytes(picture_path(self._output, LABEL_MAPS, key, ".png"), _encode(picture, "PNG"))
        if self._options.overlays:
            overlay = plots.overlay(picture_of(image), label_map, self._labels)
            write_bytes(picture_path(self._output, OVERLAYS, key, ".jpg"), _encode(overlay, "JPEG", quality=90))
        pixels = np.bincount(label_map.ravel(), minlength=self._labels.num_classes).tolist()
        record |= {"height": label_map.shape[0], "width": label_map.shape[1], "pixels": pixels}
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


def _encode(picture: Image.Image, file_format: str, **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()
