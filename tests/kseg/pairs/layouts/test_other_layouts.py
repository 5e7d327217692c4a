"""Layouts without a replica, and what lies around a data set: each small folder is written here, with its pixels by hand."""

import collections
import json
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from kseg.pairs.layouts import matching
from kseg.pairs.layouts.matching import find_affixes
from kseg.pairs.recognisers import find_readings

SIZE = (6, 8)  # height, width
NAMES = ("a", "b", "c", "d")
TWO = LabelMap(("a", "b"), ((0, 0, 0), (255, 0, 0)), (0, 1))


def picture(path: pathlib.Path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (*SIZE, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)


def mask(path: pathlib.Path, left, right, **options):
    """A mask whose columns 0 to 4 have the first value or colour, the other 3 the second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.empty((*SIZE, *np.shape(left)), np.uint8)
    pixels[:, :5], pixels[:, 5:] = left, right
    Image.fromarray(pixels).save(path, **options)


def text(path: pathlib.Path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def camvid_of_segnet(root):
    for split in ("train", "val", "test"):
        for name in NAMES:
            picture(root / split / f"{name}.png")
            mask(root / f"{split}annot" / f"{name}.png", 3, 11)
        text(root / f"{split}.txt", f"/SegNet/CamVid/{split}/a.png /SegNet/CamVid/{split}annot/a.png\n")
    return "camvid", {"train": 4, "validation": 4, "test": 4}, (3, 255)


def carvana(root):
    for name in NAMES:
        picture(root / "train" / f"{name}_01.jpg")
        mask(root / "train_masks" / f"{name}_01_mask.gif", 0, 255)
    picture(root / "test" / "e_01.jpg")
    text(root / "train_masks.csv", "img,rle_mask\n")
    return "carvana", 4, (0, 1)


def deepglobe_land_cover(root):
    for name in "1234":
        picture(root / "train" / f"{name}_sat.jpg")
        mask(root / "train" / f"{name}_mask.png", (3, 250, 254), (2, 0, 9))
    picture(root / "valid" / "9_sat.jpg")
    text(root / "class_dict.csv", "name,r,g,b\nurban_land,0,255,255\nwater,0,0,255\nunknown,0,0,0\n")
    return "deepglobe", 4, (0, 255)


def deepglobe_roads(root):
    for name in "1234":
        picture(root / "road" / "train" / f"{name}_sat.jpg")
        mask(root / "road" / "train" / f"{name}_mask.png", (0, 0, 0), (255, 255, 255))
    return "deepglobe", 4, (0, 1)


def loveda(root):
    for split in ("Train", "Val"):
        for scene in ("Urban", "Rural"):
            for name in "12":
                picture(root / split / scene / "images_png" / f"{name}.png")
                mask(root / split / scene / "masks_png" / f"{name}.png", 0, 7)
    picture(root / "Test" / "Urban" / "images_png" / "9.png")
    return "loveda", {"train": 4, "validation": 4}, (255, 6)


def potsdam(root):
    for name in NAMES:
        for folder, bands in (("2_Ortho_RGB", "RGB"), ("3_Ortho_IRRG", "IRRG")):
            picture(root / folder / f"top_potsdam_2_1{name}_{bands}.tif", compression="tiff_lzw")
        mask(root / "5_Labels_all" / f"top_potsdam_2_1{name}_label.tif", (255, 255, 255), (255, 255, 0))
        text(root / "1_DSM" / f"dsm_{name}.tfw", "1")
    return "potsdam", 4, (0, 4)


def vistas(root):
    labels = [
        {"name": "nature--sky", "readable": "Sky", "color": [1, 2, 3]},
        {"name": "void--unlabeled", "readable": "Unlabeled", "color": [0, 0, 0]},
    ]
    for split in ("training", "validation"):
        for name in NAMES:
            picture(root / split / "images" / f"{name}.jpg")
            mask(root / split / "v1.2" / "labels" / f"{name}.png", 0, 1)
    picture(root / "testing" / "images" / "x.jpg")
    text(root / "config_v1.2.json", {"labels": labels})
    return "vistas", {"train": 4, "validation": 4}, (0, 255)


def nnunet(root):
    for name in NAMES:
        picture(root / "imagesTr" / f"case_{name}_0000.png")
        mask(root / "labelsTr" / f"case_{name}.png", 0, 2)
    picture(root / "imagesTs" / "case_x_0000.png")
    labels = {"background": 0, "cell": 1, "ignore": 2}
    text(root / "dataset.json", {"channel_names": {"0": "rgb"}, "labels": labels, "file_ending": ".png"})
    return "nnunet", 4, (0, 255)


def roboflow_masks(root):
    for split, names in (("train", NAMES), ("valid", "xy")):
        for name in names:
            picture(root / split / f"{name}_jpg.rf.0123.jpg")
            mask(root / split / f"{name}_jpg.rf.0123_mask.png", 0, 1)
        text(root / split / "_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n")
    text(root / "README.roboflow.txt", "x")
    return "roboflow", {"train": 4, "validation": 2}, (0, 1)


def square(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def roboflow_coco(root):
    for split, names in (("train", NAMES), ("valid", "xy")):
        images = [
            {"id": n, "file_name": f"{name}.jpg", "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate(names)
        ]
        for image in images:
            picture(root / split / image["file_name"])
        annotations = [
            {"id": n, "image_id": n, "category_id": 1, "iscrowd": 0, "segmentation": [square(5, 0, 3, 6)]}
            for n in range(len(names))
        ]
        categories = [
            {"id": 0, "name": "cats", "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": "cats"},
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        text(root / split / "_annotations.coco.json", content)
    return "coco-instances", {"train": 4, "validation": 2}, (0, 1)


def yolo(root):
    for split, names in (("train", NAMES), ("val", "xy")):
        for name in names:
            picture(root / "images" / split / f"{name}.jpg")
            text(root / "labels" / split / f"{name}.txt", "1 0.625 0 1 0 1 1 0.625 1\n")
    text(root / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: dog\n  1: cat\n")
    return "yolo", {"train": 4, "validation": 2}, (0, 2)


def ultralytics_masks(root):
    for split, names in (("train", NAMES), ("val", "xy")):
        for name in names:
            picture(root / "images" / split / f"{name}.jpg")
            mask(root / "masks" / split / f"{name}.png", 1, 255)
    text(root / "data.yaml", "names:\n  0: dog\n  1: cat\n")
    return "folders", {"train": 4, "validation": 2}, (1, 255)


def one_npz_a_pair(root):
    for split in ("train", "test"):
        (root / split).mkdir()
        for name in NAMES:
            label = np.zeros(SIZE, np.int64)
            label[:, 5:] = 1
            np.savez_compressed(root / split / f"{name}.npz", image=np.zeros((*SIZE, 3), np.uint8), label=label)
    return "numpy", {"train": 4, "test": 4}, (0, 1)


def stacked_npy(root):
    masks = np.zeros((4, *SIZE, 1), bool)
    masks[:, :, 5:] = True
    np.save(root / "images.npy", np.zeros((4, *SIZE), np.uint8))
    np.save(root / "masks.npy", masks)
    return "numpy", 4, (0, 1)


def one_npz_in_a_folder(root):
    masks = np.zeros((4, *SIZE), np.uint8)
    masks[..., 5:] = 1
    np.savez(root / "set.npz", X=np.zeros((4, *SIZE, 3), np.uint8), Y=masks)
    return "numpy", 4, (0, 1)


def voc_without_lists(root):
    for name in NAMES:
        picture(root / "JPEGImages" / f"{name}.jpg")
        mask(root / "SegmentationClass" / f"{name}.png", 0, 1)
    return "voc", 4, (0, 1)


def same_folder(root):
    for name in NAMES:
        picture(root / f"{name}.jpg")
        mask(root / f"{name}_mask.png", 0, 1)
    return "", 4, (0, 1)


def no_words(root):
    for name in NAMES:
        picture(root / "left" / f"{name}.jpg")
        mask(root / "left_gt" / f"{name}.png", 0, 1)
    return "", 4, (0, 1)


BUILDERS = [
    camvid_of_segnet,
    carvana,
    deepglobe_land_cover,
    deepglobe_roads,
    loveda,
    nnunet,
    no_words,
    one_npz_a_pair,
    one_npz_in_a_folder,
    potsdam,
    roboflow_coco,
    roboflow_masks,
    same_folder,
    stacked_npy,
    ultralytics_masks,
    vistas,
    voc_without_lists,
    yolo,
]


def litter(root):
    """What systems, archives and people leave in and around data sets."""
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"\0")
        first = next((path for path in folder.iterdir() if path.suffix in (".png", ".jpg")), None)
        if first:
            (folder / f"._{first.name}").write_bytes(b"\0\5\26\7Mac OS X")
    for name in ("README.md", "LICENSE", "license.txt"):
        (root / name).write_text("x")
    (root / "__MACOSX" / "images").mkdir(parents=True)
    (root / "__MACOSX" / "images" / "._a.png").write_bytes(b"\0\5\26\7")


def capitals(root):
    for path in root.rglob("*"):
        if path.suffix in (".png", ".jpg", ".tif", ".gif"):
            path.rename(path.with_suffix(path.suffix.upper()))


def check(root, layout, counts, ids):
    found = recognise_pairs(root)
    assert found.layout == layout
    assert found.listing.faults == []
    by_split = collections.Counter(pair.split for pair in found.listing.pairs)
    assert by_split == counts if isinstance(counts, dict) else by_split.total() == counts
    labels = found.classes.label_map() if found.classes else TWO
    for pair in found.listing.pairs:
        _, label_map, _ = read_pair(pair, labels)
        stored = decode_image(label_map)[..., 0]
        assert (stored[:, :5] == ids[0]).all() and (stored[:, 5:] == ids[1]).all()
    return found


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_layout_is_recognised_with_its_pixels(build, tmp_path):
    check(tmp_path, *build(tmp_path))


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_one_recogniser_alone_answers(build, tmp_path):
    layout, *_ = build(tmp_path)
    assert [reading.layout for reading in find_readings(tmp_path)] == [layout]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_an_outer_folder_and_what_systems_leave_change_nothing(build, tmp_path):
    inner = tmp_path / "outer" / "data"
    inner.mkdir(parents=True)
    expected = build(inner)
    litter(inner)
    litter(tmp_path)
    assert check(tmp_path, *expected).root.is_relative_to(inner)


@pytest.mark.parametrize("build", [b for b in BUILDERS if b not in (roboflow_coco,)], ids=lambda build: build.__name__)
def test_suffixes_may_have_capitals(build, tmp_path):
    expected = build(tmp_path)
    capitals(tmp_path)
    check(tmp_path, *expected)


def test_two_patterns_read_any_folder(tmp_path):
    for split in ("train", "val"):
        for name in NAMES:
            picture(tmp_path / "left" / split / "scene1" / f"{name}_rgb.png")
            mask(tmp_path / "gt" / split / "scene1" / f"{name}_label.tif", 0, 1)
    found = recognise_pairs(tmp_path, images="left/**/*_rgb.png", masks="gt/**/*_label.tif")
    assert [(pair.split, pair.key) for pair in found.listing.pairs[:2]] == [
        ("train", "scene1/a"),
        ("train", "scene1/b"),
    ]
    assert collections.Counter(pair.split for pair in found.listing.pairs) == {"train": 4, "validation": 4}
    assert found.listing.pairs[5].mask.path == tmp_path / "gt" / "val" / "scene1" / "b_label.tif"


def test_a_suffix_that_pairs_everything_needs_no_pattern_of_its_own(tmp_path):
    for name in NAMES:
        picture(tmp_path / "p" / f"shot_{name}.jpg")
        mask(tmp_path / "q" / f"{name}-seg.png", 0, 1)
    found = recognise_pairs(tmp_path, images="p", masks="q")
    assert len(found.listing.pairs) == 4
    assert "Images and masks belong together as shot_X and X-seg." in found.notes


def test_a_pattern_of_folders_means_everything_in_them(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / split / "left" / "day" / "a.png")
        mask(tmp_path / split / "gt" / "day" / "a.png", 0, 1)
    found = recognise_pairs(tmp_path, images="*/left", masks="*/gt")
    assert [(pair.split, pair.key) for pair in found.listing.pairs] == [("train", "day/a"), ("validation", "day/a")]


def test_patterns_that_pair_nothing_show_what_their_wildcards_take(tmp_path):
    for name in NAMES:
        picture(tmp_path / "p" / f"{name}.jpg")
        mask(tmp_path / "q" / f"{name}{name}9.png", 0, 1)
    with pytest.raises(PairError, match=r"Received: images for a, b, c, masks for aa9, bb9, cc9 \["):
        recognise_pairs(tmp_path, images="p/*.jpg", masks="q/*.png")
    with pytest.raises(PairError, match=r"Received: none for 'r/\*\.png' .*There are: p, q"):
        recognise_pairs(tmp_path, images="p/*.jpg", masks="r/*.png")
    with pytest.raises(PairError, match="must stay inside the data"):
        recognise_pairs(tmp_path, images="../*.jpg", masks="q/*.png")
    with pytest.raises(ValueError, match="must be given together"):
        recognise_pairs(tmp_path, images="p/*.jpg")


def test_a_missing_mask_is_a_fault_with_the_nearest_names_and_the_others_are_read(tmp_path):
    for number in range(12):
        picture(tmp_path / "imgs" / f"{number:03}.png")
        if number != 7:
            mask(tmp_path / "masks" / f"{number:03}_mask.png", 0, 1)
    mask(tmp_path / "masks" / "0077_mask.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert (len(found.listing.pairs), found.listing.unused_masks) == (11, [tmp_path / "masks" / "0077_mask.png"])
    (fault,) = found.listing.faults
    assert (fault.pair.key, fault.error.name) == ("007", "missing_mask") and "0077_mask" in fault.error.what


def test_own_folders_of_two_kinds_of_masks_are_two_readings_each_with_its_command(tmp_path):
    for name in NAMES:
        picture(tmp_path / "train" / "imgs" / f"{name}.jpg")
        mask(tmp_path / "train" / "labels" / f"{name}.png", 0, 1)
        mask(tmp_path / "train" / "annotations" / f"{name}.png", 1, 0)
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    chosen = {}
    for reading in raised.value.readings:
        flags = dict(zip(reading.options[::2], reading.options[1::2], strict=True))
        again = recognise_pairs(reading.root, images=flags["--images"], masks=flags["--masks"])
        assert {pair.split for pair in reading.listing.pairs} == {"train"}
        assert {pair.mask.path for pair in again.listing.pairs} == {pair.mask.path for pair in reading.listing.pairs}
        chosen[again.listing.pairs[0].mask.path.parent.name] = len(again.listing.pairs)
    assert chosen == {"labels": 4, "annotations": 4}


def test_a_file_of_coco_beside_images_is_read_where_the_message_says(tmp_path):
    roboflow_coco(tmp_path)
    shutil.rmtree(tmp_path / "valid")
    (tmp_path / "train").rename(tmp_path / "images")
    (tmp_path / "images" / "_annotations.coco.json").rename(tmp_path / "train.json")
    with pytest.raises(PairError, match=r"in train\.json, move each to annotations/instances_NAME\.json") as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "no_folder"
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train.json").rename(tmp_path / "annotations" / "instances_train.json")
    found = recognise_pairs(tmp_path)
    assert found.layout == "coco-instances" and len(found.listing.pairs) > 0


@pytest.mark.parametrize("folders", [("cat", "dog"), ("semantic", "instance")])
@pytest.mark.parametrize("split", ["", "train/"])
def test_masks_of_one_name_in_several_folders_are_readings_each_and_all_together_as_classes(folders, split, tmp_path):
    for name in NAMES:
        picture(tmp_path / f"{split}images" / f"{name}.jpg")
        for folder in folders:
            mask(tmp_path / f"{split}masks" / folder / f"{name}.png", 0, 1)
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    classes, *each = raised.value.readings
    assert classes.options[:2] == ("--layout", "class-folders")
    assert [reading.options[-1] for reading in each] == [f"{split}masks/{name}/*" for name in sorted(folders)]
    found = recognise_pairs(tmp_path, images=f"{split}images/*", masks=f"{split}masks/{folders[1]}/*")
    assert {pair.mask.path.parent.name for pair in found.listing.pairs} == {folders[1]}


@pytest.mark.parametrize("endings", [("_cat", "_dog"), ("_0", "_1", "_2"), ("-1", "-2")])
def test_several_masks_of_an_image_beside_each_other_are_named(endings, tmp_path):
    for name in NAMES:
        picture(tmp_path / "images" / f"{name}.jpg")
        for ending in endings:
            mask(tmp_path / "masks" / f"{name}{ending}.png", 0, 1)
    with pytest.raises(
        PairError, match=f"one mask of its name. Received: a{endings[0]}.png, a{endings[1]}.png"
    ) as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "several_masks"


def test_masks_beside_annotations_are_two_readings(tmp_path):
    roboflow_coco(tmp_path / "train")
    images, annotations = tmp_path / "images", tmp_path / "annotations"
    (tmp_path / "train" / "train").rename(images)
    annotations.mkdir()
    (images / "_annotations.coco.json").rename(annotations / "instances.json")
    for name in NAMES:
        mask(tmp_path / "masks" / f"{name}.png", 0, 1)
    shutil.rmtree(tmp_path / "train")
    assert [reading.layout for reading in find_readings(tmp_path)] == ["coco-instances", "folders"]
    for layout in ("coco-instances", "folders"):
        assert len(recognise_pairs(tmp_path, layout=layout).listing.pairs) == 4


@pytest.mark.parametrize("words", [("images", "masks"), ("imgs", "labels")])
def test_a_test_split_without_masks_is_left_out_by_name(words, tmp_path):
    for split, names in (("train", NAMES), ("val", "xy"), ("test", "z")):
        for name in names:
            picture(tmp_path / words[0] / split / f"{name}.png")
            if split != "test":
                mask(tmp_path / words[1] / split / f"{name}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert found.listing.faults == [] and len(found.listing.pairs) == 6
    assert found.listing.unused_splits == [str(tmp_path / words[0] / "test")]


def test_a_list_of_a_test_set_without_masks_is_left_out_by_name(tmp_path):
    for name in NAMES:
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
    for name in "abc":
        mask(tmp_path / "SegmentationClass" / f"{name}.png", 0, 1)
    lists = tmp_path / "ImageSets" / "Segmentation"
    for split, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        text(lists / f"{split}.txt", "".join(f"{name}\n" for name in names))
    found = recognise_pairs(tmp_path)
    assert (found.listing.faults, found.listing.unused_splits) == ([], [str(lists / "test.txt")])


def test_a_broken_file_of_polygons_is_a_fault_of_its_pair(tmp_path):
    shape = {"label": "cat", "points": [[1, 1], [4, 1], [4, 4]], "shape_type": "polygon"}
    for name in NAMES:
        picture(tmp_path / f"{name}.jpg")
        shapes = [shape] if name != "c" else [{"label": "cat", "points": [[1, 1]], "shape_type": "point"}]
        content = {"shapes": shapes, "imagePath": f"{name}.jpg", "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        text(tmp_path / f"{name}.json", content if name != "b" else '{"shapes": [')
    found = recognise_pairs(tmp_path, validation_share=0, test_share=0)
    assert (found.layout, [pair.key for pair in found.listing.pairs]) == ("labelme", list(NAMES))
    faults = {}
    for pair in found.listing.pairs:
        try:
            read_pair(pair, found.classes.label_map())
        except PairError as error:
            faults[pair.key] = error.name
    assert faults == {"b": "bad_polygons", "c": "shape_without_area"}


def test_pictures_of_a_compressed_array_are_read_in_any_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, *SIZE, 3), np.uint8)
    np.savez_compressed(tmp_path / "data.npz", x_train=images, y_train=images[..., 0] // 128)
    pairs = recognise_pairs(tmp_path / "data.npz").listing.pairs
    for pair in pairs[::-1] + pairs[::3]:
        np.testing.assert_array_equal(decode_image(pair.image.read()), images[int(pair.key.rpartition("/")[2])])


def test_affixes_take_a_number_of_steps_that_grows_with_the_number_of_names(monkeypatch):
    steps, core = [], matching._core
    monkeypatch.setattr(matching, "_core", lambda *parts: steps.append(1) or core(*parts))
    counts = []
    for total in (1000, 4000):
        names = [f"scene-{number // 1000}_{number:06}" for number in range(total)]
        found = find_affixes([f"{name}_rgb" for name in names], [f"gt_{name}_label_ids" for name in names[:-3]])
        assert (found.image, found.mask) == (("", "_rgb"), ("gt_", "_label_ids"))
        counts.append(len(steps))
        steps.clear()
    assert counts[1] < 5 * counts[0]
