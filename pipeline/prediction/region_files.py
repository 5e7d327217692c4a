"""The regions of many pictures, as files of the four kinds that `pipeline.predict --regions` knows.

    csv      regions.csv: one row a region
    json     regions.json: the same, by picture
    geojson  regions/PICTURE.geojson: one file a picture, with outlines
    coco     regions.coco.json: annotations of all pictures, with outlines

A picture's regions are described when it is labelled, and kept in its record; the files of all pictures are made of the records.
No framework.
"""

from __future__ import annotations

import csv
import json
import pathlib

from kseg.labels import LabelMap
from kseg.postprocess import outlines
from kseg.postprocess.regions import Region
from pipeline.engine.files import atomic

KINDS = ("csv", "json", "geojson", "coco")
COLUMNS = ("class", "class_id", "area", "top", "left", "height", "width", "centroid_row", "centroid_column")


def described(regions: list[Region], kind: str, labels: LabelMap, size: tuple[int, int]) -> list[dict]:
    """What a picture's record says of its regions: rows of `COLUMNS`, GeoJSON features, or COCO annotations.

    Args:
        regions: of one picture.
        kind: of `KINDS`.
        labels: the classes.
        size: (height, width) of the picture.
    """
    if kind == "geojson":
        return outlines.to_geojson(regions, labels)["features"]
    if kind == "coco":
        return [outlines.coco_annotation(region, size) for region in regions]
    places = [(*region.box, *(round(place, 2) for place in region.centroid)) for region in regions]
    return [
        dict(zip(COLUMNS, (labels.names[region.class_id], region.class_id, region.area, *place), strict=True))
        for region, place in zip(regions, places, strict=True)
    ]


def write(output: pathlib.Path, kind: str, records, labels: LabelMap) -> pathlib.Path:
    """Writes the file of all pictures, record by record, so that only one is in memory; for "geojson" there is none to write.

    Args:
        output: folder of the answers.
        kind: of `KINDS`.
        records: iterable of {"key", "source", "height", "width", "regions"}.
        labels: the classes.

    Returns: where the regions lie.
    """
    if kind == "geojson":
        return output / "regions"
    place = output / {"csv": "regions.csv", "json": "regions.json", "coco": "regions.coco.json"}[kind]
    with atomic(place) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        {"csv": _write_csv, "json": _write_json, "coco": _write_coco}[kind](file, records, labels)
    return place


def _write_csv(file, records, _labels):
    table = csv.DictWriter(file, ("picture", *COLUMNS))
    table.writeheader()
    for record in records:
        table.writerows({"picture": record["key"], **row} for row in record["regions"])


def _write_json(file, records, _labels):
    file.write("{")
    for number, record in enumerate(records):
        file.write(f"{',' if number else ''}\n{json.dumps(record['key'])}: {json.dumps(record['regions'])}")
    file.write("\n}\n")


def _write_coco(file, records, labels):
    """Annotations are written as they come, pictures and classes behind them."""
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
