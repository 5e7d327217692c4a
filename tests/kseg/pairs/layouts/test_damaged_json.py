"""JSON that holds something else than its tool writes is named as a fault; nothing else is ever raised."""

import json
import random

import pytest

from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_folder import read_pair, recognise_pairs
from tests.kseg.pairs.layouts.test_other_layouts import nnunet, picture, roboflow_coco, text, vistas

SHAPE = {"label": "cat", "points": [[1, 1], [4, 1], [4, 4]], "shape_type": "polygon"}
OTHERS = [None, 3, "x", [], {}, [1], {"a": 1}, -1, 1e99, True, "../../x"]


def labelme(root):
    for name in "ab":
        picture(root / f"{name}.jpg")
        content = {"shapes": [SHAPE], "imagePath": f"{name}.jpg", "imageHeight": 6, "imageWidth": 8}
        text(root / f"{name}.json", content)


def supervisely(root):
    for name in "ab":
        picture(root / "ds" / "img" / f"{name}.jpg")
        shape = {"classTitle": "cat", "geometryType": "polygon", "points": {"exterior": [[0, 0], [3, 0], [3, 3]]}}
        text(root / "ds" / "ann" / f"{name}.jpg.json", {"size": {"height": 6, "width": 8}, "objects": [shape]})
    text(root / "meta.json", {"classes": [{"title": "cat", "color": "#ff0000"}]})


def other(value, draw):
    """The value with some parts replaced or left out."""
    if draw.random() < 0.15:
        return draw.choice(OTHERS)
    if isinstance(value, dict):
        return {key: other(part, draw) for key, part in value.items() if draw.random() > 0.05}
    return [other(part, draw) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "build", [labelme, nnunet, roboflow_coco, supervisely, vistas], ids=lambda build: build.__name__
)
def test_other_json_than_its_tool_writes_is_a_named_fault(build, tmp_path):
    faults = set()
    for seed in range(12):
        draw, root = random.Random(seed), tmp_path / str(seed)
        root.mkdir()
        build(root)
        for path in sorted(root.rglob("*.json")):
            path.write_text(json.dumps(other(json.loads(path.read_text()), draw)))
        try:
            found = recognise_pairs(root)
            labels = found.classes.label_map()
        except (PairError, SeveralReadingsError, ValueError) as error:
            faults.add(str(error))
            continue
        for pair in found.listing.pairs:
            try:
                read_pair(pair, labels)
            except PairError as error:
                faults.add(error.name)
    assert faults
