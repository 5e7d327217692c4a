"""JSON that holds something else than its tool writes is named as a fault; nothing else is ever raised."""

import io
import json
import random
import zipfile

import numpy as np
import pytest

from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.layouts.class_files import read_known_file
from tests.kseg.pairs.layouts.test_other_layouts import mask, nnunet, picture, roboflow_coco, text, vistas, yolo

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
    "task",
    [
        {"id": "../../x", "data": {"image": "b.jpg"}},
        {"id": {}, "data": {"image": "b.jpg"}},
        {"id": 2, "data": [1]},
        {"id": 2, "data": {"image": "http://[x/b.jpg"}},
        {"id": 2, "data": {"image": None}},
    ],
)
def test_an_export_of_label_studio_with_another_task_is_a_named_fault(task, tmp_path):
    for number, name in enumerate("ab", 1):
        picture(tmp_path / "photos" / f"{name}.jpg")
        mask(tmp_path / "export" / f"task-{number}-annotation-2-by-3-tag-cat-0.png", 0, 255)
    text(tmp_path / "export.json", [{"id": 1, "data": {"image": "/data/upload/1/a.jpg"}}, task])
    try:
        assert len(recognise_pairs(tmp_path).listing.every_pair) == 2
    except PairError as error:
        assert error.name == "missing_export"


@pytest.mark.parametrize(
    ("size", "segmentation"),
    [
        ([100_000, 100_000], {"size": [100_000, 100_000], "counts": [10_000_000_000]}),
        ([6, 8], {"size": [100_000, 100_000], "counts": "x"}),
        ([6, 8], {"size": [6, 8], "counts": [30, 18, 10**9]}),
        ([6, 8], {"size": [6, 8], "counts": [50, -2]}),
        ([6, 8], [[0, 0, 1e99, 0, 0, 5]]),
        ([6, 8], [[0, 0, float("nan"), 0, 0, 5]]),
        ([6, 8], [[]]),
        ([6, 8], [[0, 0]]),
        ([6, 8], [[0, 0, 5, 5]]),
        ([6, 8], [[0, 0, 5, 0, 0, 5], [1, 1]]),
        ([6, 8], [{"a": 1}]),
    ],
)
def test_an_area_of_coco_that_does_not_fit_its_picture_is_refused_before_it_is_drawn(size, segmentation, tmp_path):
    roboflow_coco(tmp_path)
    path = tmp_path / "train" / "_annotations.coco.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = segmentation
    content["images"][0] |= {"height": size[0], "width": size[1]}
    path.write_text(json.dumps(content))
    pairs = recognise_pairs(tmp_path).listing.pairs
    (damaged,) = [pair for pair in pairs if pair.mask.path == path and pair.mask.image_id == 0]
    with pytest.raises(PairError) as raised:
        damaged.mask.read()
    assert raised.value.name in ("bad_polygons", "too_many_pixels")


@pytest.mark.parametrize("segments", [None, 3, [3], [{"category_id": 1}], [{"id": {}, "category_id": 1}], [{"id": 1}]])
def test_segments_that_are_none_are_a_named_fault(segments, tmp_path):
    picture(tmp_path / "train2017" / "a.jpg")
    mask(tmp_path / "annotations" / "panoptic_train2017" / "a.png", (1, 0, 0), (2, 0, 0))
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "height": 6, "width": 8}],
        "annotations": [{"image_id": 0, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    text(tmp_path / "annotations" / "panoptic_train2017.json", content)
    (pair,) = recognise_pairs(tmp_path).listing.pairs
    with pytest.raises(PairError) as raised:
        pair.mask.read()
    assert raised.value.name in ("bad_json", "unknown_label")


@pytest.mark.parametrize("name", [3, ["a.png"], True])
def test_a_file_name_of_segments_that_is_no_text_is_a_named_fault(name, tmp_path):
    picture(tmp_path / "train2017" / "a.jpg")
    mask(tmp_path / "annotations" / "panoptic_train2017" / "a.png", (1, 0, 0), (2, 0, 0))
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "height": 6, "width": 8}],
        "annotations": [{"image_id": 0, "file_name": name, "segments_info": []}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    text(tmp_path / "annotations" / "panoptic_train2017.json", content)
    with pytest.raises(PairError) as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "bad_json"


@pytest.mark.parametrize("colour", [True, 3, "red", [1, 2], [1, 2, {}], [1, 2, 300], {"r": 1}, None])
def test_a_colour_of_coco_that_is_none_is_another(colour, tmp_path):
    roboflow_coco(tmp_path)
    for path in sorted(tmp_path.rglob("*.json")):
        content = json.loads(path.read_text())
        for category in content["categories"]:
            category["color"] = colour
        path.write_text(json.dumps(content))
    assert recognise_pairs(tmp_path).classes.label_map().num_classes > 1


def test_a_tiff_that_says_to_be_a_bomb_is_a_named_fault(tmp_path):
    picture(tmp_path / "images" / "a.png")
    mask(tmp_path / "masks" / "a.tif", 0, 1)
    data = (tmp_path / "masks" / "a.tif").read_bytes()
    width = data.index(b"\x00\x01\x04\x00\x01\x00\x00\x00") + 8  # tag 256
    (tmp_path / "masks" / "a.tif").write_bytes(data[:width] + b"1e99" + data[width + 4 :])
    (pair,) = recognise_pairs(tmp_path).listing.pairs
    with pytest.raises(PairError) as raised:
        pair.mask.read()
    assert raised.value.name in ("damaged_file", "too_many_pixels")


def test_a_size_of_coco_that_is_no_number_is_that_of_the_picture(tmp_path):
    roboflow_coco(tmp_path)
    path = tmp_path / "train" / "_annotations.coco.json"
    content = json.loads(path.read_text())
    content["images"][0] |= {"height": True, "width": 8}
    path.write_text(json.dumps(content))
    found = recognise_pairs(tmp_path)
    labels = found.classes.label_map()
    assert all(read_pair(pair, labels) for pair in found.listing.pairs)


def test_arrays_that_announce_more_than_they_hold_and_negative_classes_are_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 6, 8, 3)})
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue())
        archive.writestr("masks.npy", header.getvalue().replace(b", 8, 3)", b", 8)   "))
    with pytest.raises(PairError, match="fewer numbers than its shape"):
        recognise_pairs(tmp_path / "data.npz")
    yolo(tmp_path / "yolo")
    text(tmp_path / "yolo" / "labels" / "train" / "a.txt", "-1 0 0 1 0 1 1\n")
    found = recognise_pairs(tmp_path / "yolo")
    with pytest.raises(PairError, match="class -1 of 2"):
        next(pair for pair in found.listing.pairs if pair.key.endswith("a")).mask.read()


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


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999", "null", "[1]"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dataset.json", '{"labels": {"background": 0, "cat": VALUE}}'),
        ("config.json", '{"labels": [{"readable": "cat", "color": [VALUE, 0, 0]}]}'),
        ("data.yaml", "names: {VALUE: cat}"),
        ("colors.json", '{"cat": [VALUE, 0, 0]}'),
    ],
)
def test_a_number_that_is_none_in_a_table_of_classes_is_a_named_fault(name, content, value, tmp_path):
    if name.endswith(".yaml"):
        value = {"Infinity": ".inf", "NaN": ".nan", "1e999": "1.0e+999"}.get(value, value)
    text(tmp_path / name, content.replace("VALUE", value))
    with pytest.raises(PairError):
        raise_or_return(read_known_file(tmp_path / name))


def raise_or_return(classes):
    """A file that is no table at all is none, too."""
    if classes is None:
        raise PairError("none", "", "", "")
    return classes
