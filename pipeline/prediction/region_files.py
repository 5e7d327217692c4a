"""The regions of many pictures, in the four formats of `pipeline.predict --regions`.

    csv      regions.csv: one row per region
    json     regions.json: the same rows, grouped by picture
    geojson  regions/PICTURE.geojson: one file per picture, with outlines
    coco     regions.coco.json: annotations of all pictures, with outlines

The regions of a picture are described in its record when it is labelled; the files of all pictures are written from the records.
No framework.
"""

from __future__ import annotations

import json
import pathlib

from kseg.labels import LabelMap
from kseg.postprocess import outlines
from kseg.postprocess.regions import Region
from pipeline.engine.files import atomic, csv_writer

FOLDER = "regions"  # of GeoJSON
FORMATS = ("csv", "json", "geojson", "coco")
COLUMNS = ("class", "class_id", "area", "top", "left", "height", "width", "centroid_row", "centroid_column")


def describe_regions(regions: list[Region], file_format: str, labels: LabelMap, size: tuple[int, int]) -> list[dict]:
    """The regions of a picture as its record holds them: rows of `COLUMNS`, GeoJSON features, or COCO annotations.

    Args:
        regions: of one picture.
        file_format: one of `FORMATS`.
        labels: the classes.
        size: (height, width) of the picture, pixels.
    """
    if file_format == "geojson":
        return outlines.to_geojson(regions, labels)["features"]
    if file_format == "coco":
        return [outlines.coco_annotation(region, size) for region in regions]
    locations = [(*region.box, *(round(value, 2) for value in region.centroid)) for region in regions]
    return [
        dict(zip(COLUMNS, (labels.names[region.class_id], region.class_id, region.area, *location), strict=True))
        for region, location in zip(regions, locations, strict=True)
    ]


def write_regions(output: pathlib.Path, file_format: str, records, labels: LabelMap) -> pathlib.Path:
    """Writes the file of all pictures with one record in memory at a time; "geojson" has none.

    Args:
        output: folder to write below.
        file_format: one of `FORMATS`.
        records: iterable of {"key", "source", "height", "width", "regions"}.
        labels: the classes.

    Returns: the file, or the folder of the GeoJSON files.
    """
    if file_format == "geojson":
        return output / FOLDER
    path = output / {"csv": "regions.csv", "json": "regions.json", "coco": "regions.coco.json"}[file_format]
    with atomic(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        {"csv": _write_csv, "json": _write_json, "coco": _write_coco}[file_format](file, records, labels)
    return path


def _write_csv(file, records, _labels):
    write = csv_writer(file)
    write(["picture", *COLUMNS])
    for record in records:
        for row in record["regions"]:
            write([record["key"], *(row[column] for column in COLUMNS)])


def _write_json(file, records, _labels):
    file.write("{")
    for number, record in enumerate(records):
        file.write(f"{',' if number else ''}\n{json.dumps(record['key'])}: {json.dumps(record['regions'])}")
    file.write("\n}\n")


def _write_coco(file, records, labels):
    """Writes annotations as they are read, then pictures and classes."""
    images, number = [], 0
    file.write('{"annotations": [')
    for image_id, record in enumerate(records, start=1):
        size = {"height": record["height"], "width": record["width"]}
        images.append({"id": image_id, "file_name": record["source"], **size})
        for annotation in record["regions"]:
            number += 1
            numbered = {"id": number, "image_id": image_id, **annotation}
            file.write(f"{',' if number > 1 else ''}\n{json.dumps(numbered)}")
    file.write(
        f'\n],\n"images": {json.dumps(images)},\n"categories": {json.dumps(outlines.coco_categories(labels))}}}\n'
    )
