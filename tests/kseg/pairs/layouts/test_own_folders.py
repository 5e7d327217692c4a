"""Folders that people make themselves: kinds of names that pair images and masks, each small folder written here."""

import collections
import unicodedata

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.errors import PairError, SeveralReadingsError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from tests.kseg.pairs.layouts.test_other_layouts import SIZE, mask, picture, text

TWO = LabelMap(("a", "b"), ((0, 0, 0), (255, 0, 0)), (0, 1))


def files_of(found) -> dict[str, list[str]]:
    """Names of image and mask by split."""
    pairs = collections.defaultdict(list)
    for pair in found.listing.pairs:
        pairs[pair.split].append((pair.image.path.name, pair.mask.path.name))
    return {split: sorted(names) for split, names in pairs.items()}


def ids_of(found, key):
    """The class ids of a row of the mask of a pair, which are the same in each row."""
    (pair,) = [pair for pair in found.listing.pairs if pair.key == key]
    ids = decode_image(read_pair(pair, found.classes.label_map())[1])[..., 0]
    assert (ids == ids[0]).all()
    return ids[0].tolist()


def columns(path, *inside):
    """A mask of 0, and 255 in some columns."""
    pixels = np.zeros(SIZE, np.uint8)
    pixels[:, inside] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("image", "label"),
    [("image.png", "mask.png"), ("img.jpg", "label.png"), ("img/{}.jpg", "masks/seg.png"), ("scan.tif", "gt.tif")],
)
def test_a_folder_for_each_image_pairs_what_lies_in_it(image, label, tmp_path):
    for number in range(6):
        picture(tmp_path / f"case{number}" / image.format(number))
        mask(tmp_path / f"case{number}" / label, 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 6 and not found.listing.faults
    for pair in found.listing.pairs:
        cases = {
            next(part for part in side.path.parts[::-1] if part.startswith("case")) for side in (pair.image, pair.mask)
        }
        assert len(cases) == 1
        read_pair(pair, TWO)


@pytest.mark.parametrize(
    "form", ["{case}/images/{case}.png {case}/masks/{n}.png", "{case}/img.png {case}/mask_{n}.png"]
)
def test_masks_of_objects_in_a_folder_for_each_image_are_joined(form, tmp_path):
    image, label = form.split()
    for number in range(4):
        case = f"stage1_train/{number}a{number}c"
        picture(tmp_path / image.format(case=case).replace(f"images/{case}", f"images/{number}a{number}c"))
        for n in range(3):
            columns(tmp_path / label.format(case=case, n=n), n, n + 1)
    found = recognise_pairs(tmp_path)
    assert [row[1] for row in found.classes.rows] == ["background", "object"]
    assert len(found.listing.pairs) == 4
    assert ids_of(found, found.listing.pairs[0].key) == [1, 1, 1, 1, 0, 0, 0, 0]


def test_masks_named_alike_in_each_folder_are_classes(tmp_path):
    for number in range(4):
        picture(tmp_path / f"case{number}" / "images" / "image.png")
        columns(tmp_path / f"case{number}" / "masks" / "liver.png", 0, 1)
        columns(tmp_path / f"case{number}" / "masks" / "spleen.png", 1, 2, 3)
    found = recognise_pairs(tmp_path)
    assert [row[1] for row in found.classes.rows] == ["background", "liver", "spleen"]
    assert ids_of(found, "case2") == [1, 255, 2, 2, 0, 0, 0, 0]


@pytest.mark.parametrize("form", ["masks/{label}/{key}.png", "masks/{key}_{label}.png", "masks/1. {label}/{key}_x.png"])
def test_a_mask_for_each_class_is_read_on_request_and_a_table_gives_the_values(form, tmp_path):
    for key in "abcd":
        picture(tmp_path / "images" / f"{key}.png")
        for label, inside in (("road", (0, 1)), ("tree", (1, 2, 3))):
            columns(tmp_path / form.format(label=label, key=key), *inside)
    with pytest.raises((PairError, SeveralReadingsError), match="--layout class-folders"):
        recognise_pairs(tmp_path)
    found = recognise_pairs(tmp_path, layout="class-folders")
    assert [row[1] for row in found.classes.rows] == ["background", "road", "tree"]
    assert ids_of(found, "b") == [1, 255, 2, 2, 0, 0, 0, 0]
    text(tmp_path / "classes.csv", "value,name\n0,background\n1,Tree\n2,Road\n")
    found = recognise_pairs(tmp_path, layout="class-folders")
    assert ids_of(found, "b") == [2, 255, 1, 1, 0, 0, 0, 0]
    text(tmp_path / "classes.csv", "value,name\n0,background\n1,street\n2,tree\n")
    with pytest.raises(PairError, match=r"road, which classes\.csv lacks"):
        recognise_pairs(tmp_path, layout="class-folders")


def test_whole_masks_of_several_kinds_are_not_joined_as_classes(tmp_path):
    for key in "abcd":
        picture(tmp_path / "images" / f"{key}.png")
        for kind in ("coarse", "fine"):
            mask(tmp_path / "masks" / kind / f"{key}.png", 1, 2)
    (pair, *_) = recognise_pairs(tmp_path, layout="class-folders").listing.pairs
    with pytest.raises(PairError) as raised:
        pair.mask.read()
    assert raised.value.name == "no_binary_mask"


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/{:d}.jpg", "masks/{:03d}.png"),
        ("imgs/img{:d}.png", "gt/label_{:04d}.png"),
        ("{:02d}.jpg", "{:d}_mask.png"),
    ],
)
def test_numbers_written_otherwise_pair_by_number_and_the_log_says_so(image, label, tmp_path):
    for number in range(1, 13):
        picture(tmp_path / image.format(number))
        mask(tmp_path / label.format(number), 0, 1)
    found = recognise_pairs(tmp_path)
    names = [name.rpartition("/")[2] for name in (image, label)]
    expected = sorted(tuple(name.format(number) for name in names) for number in range(1, 13))
    assert sorted(pair for pairs in files_of(found).values() for pair in pairs) == expected
    assert "by their numbers" in " ".join(found.notes)


def test_more_images_than_their_numbers_have_digits_pair_by_number(tmp_path):
    for number in range(1, 121):
        picture(tmp_path / "images" / f"{number}.png")
        mask(tmp_path / "masks" / f"{number:03d}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 120 and not found.listing.faults
    assert all(int(pair.image.path.stem) == int(pair.mask.path.stem) for pair in found.listing.pairs)


def test_numbers_that_are_no_longer_different_are_not_paired(tmp_path):
    for name in ("1", "01", "2", "3"):
        picture(tmp_path / "images" / f"{name}.png")
    for name in ("001", "002", "003"):
        mask(tmp_path / "masks" / f"{name}.png", 0, 1)
    with pytest.raises(PairError) as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "missing_mask"


def test_masks_of_which_some_have_a_suffix_are_all_paired(tmp_path):
    for number in range(12):
        picture(tmp_path / "Lung Segmentation" / "CXR_png" / f"{number}.png")
        mask(tmp_path / "Lung Segmentation" / "masks" / (f"{number}_mask.png" if number < 8 else f"{number}.png"), 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 12 and not found.listing.faults


@pytest.mark.parametrize("images", [["images_part_1", "images_part_2"], ["Imgs_a", "Imgs_b", "Imgs_c"]])
def test_images_in_several_folders_and_their_masks_in_one_are_one_reading(images, tmp_path):
    for number in range(12):
        picture(tmp_path / images[number % len(images)] / f"X_{number:03d}.jpg")
        mask(tmp_path / "segmentations" / f"X_{number:03d}_segmentation.png", 0, 1)
    assert len(recognise_pairs(tmp_path).listing.pairs) == 12


def test_splits_in_names_of_folders_beside_the_name_of_the_data_set_are_kept(tmp_path):
    for split in ("Training", "Validation", "Test_v2"):
        for name in "ab":
            picture(tmp_path / f"ISIC-2017_{split}_Data" / f"{split}{name}.jpg")
            picture(tmp_path / f"ISIC-2017_{split}_Data" / f"{split}{name}_superpixels.png")
            mask(tmp_path / f"ISIC-2017_{split}_Part1_GroundTruth" / f"{split}{name}_segmentation.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in files_of(found).items()} == {"train": 2, "validation": 2, "test": 2}
    assert not found.listing.faults and "6 files beside images of the same names are left out" in " ".join(found.notes)


@pytest.mark.parametrize(
    "names", [("city_train", "city_val"), ("a. Training Set", "b. Testing Set"), ("DS-TR", "DS-TE")]
)
def test_folders_that_differ_in_the_name_of_a_split_are_splits(names, tmp_path):
    for folder in names:
        for name in "abc":
            picture(tmp_path / folder / "seq1" / "Images" / f"{name}.png")
            mask(tmp_path / folder / "seq1" / "Labels" / f"{name}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 6 and "train" in files_of(found) and len(files_of(found)) > 1
    assert all(pair.key.startswith("seq1/") for pair in found.listing.pairs)


def test_validation_is_drawn_from_a_folder_of_train_and_validation(tmp_path):
    for folder, count in (("train_val", 20), ("TEST", 4)):
        for number in range(count):
            picture(tmp_path / folder / "images" / f"{number}.jpg")
            mask(tmp_path / folder / "masks" / f"{number}.bmp", 0, 1)
    found = recognise_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in files_of(found).items()} == {"train": 18, "validation": 2, "test": 4}
    assert "validation is drawn from it" in " ".join(found.notes)


@pytest.mark.parametrize("suffix", ["_m", "_anno", "_x"])
def test_a_suffix_that_every_image_has_marks_the_masks(suffix, tmp_path):
    for name in "abcd":
        picture(tmp_path / f"tile_{name}.jpg")
        mask(tmp_path / f"tile_{name}{suffix}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 4
    assert all(pair.mask.path.stem.endswith(suffix) for pair in found.listing.pairs)


def test_masks_of_two_annotators_are_two_readings_whose_commands_read_them(tmp_path):
    for name in "abcd":
        picture(tmp_path / f"{name}.jpg")
        for annotator in ("1stHO", "2ndHO"):
            mask(tmp_path / f"{name}_{annotator}.png", 0, 1)
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    for reading, annotator in zip(raised.value.readings, ("1stHO", "2ndHO"), strict=True):
        _, images, _, masks = reading.options
        found = recognise_pairs(tmp_path, images=images, masks=masks)
        assert [pair.mask.path.stem[2:] for pair in found.listing.pairs] == [annotator] * 4 and not found.listing.faults


def test_a_jpeg_and_a_png_of_one_name_are_image_and_mask(tmp_path):
    for name in "abcd":
        picture(tmp_path / "crack" / f"{name}.jpg")
        mask(tmp_path / "crack" / f"{name}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert [(pair.image.path.suffix, pair.mask.path.suffix) for pair in found.listing.pairs] == [(".jpg", ".png")] * 4


def test_images_in_colour_and_in_infrared_are_two_readings(tmp_path):
    for kind in ("rgb", "nir"):
        for name in "abcd":
            picture(tmp_path / "images" / kind / f"{name}.png")
    for name in "abcd":
        mask(tmp_path / "masks" / f"{name}.png", 0, 1)
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    for reading in raised.value.readings:
        _, images, _, masks = reading.options
        assert len(recognise_pairs(tmp_path, images=images, masks=masks).listing.pairs) == 4


def test_folders_that_may_be_splits_name_the_patterns_that_read_them(tmp_path):
    for folder in ("benign", "malignant", "normal"):
        for number in range(4):
            picture(tmp_path / folder / f"{folder} ({number}).png")
            mask(tmp_path / folder / f"{folder} ({number})_mask.png", 0, 1)
    with pytest.raises(PairError) as raised:
        recognise_pairs(tmp_path)
    assert "--images '*/*.png' --masks '*/*_mask.png'" in raised.value.cure
    found = recognise_pairs(tmp_path, images="*/*.png", masks="*/*_mask.png")
    assert len(found.listing.pairs) == 12 and not found.listing.faults


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("X_train", "y_train", "X_val", "y_val"), {"train": 6, "validation": 6}),
        (("x_train", "Y_train"), {"train": 5, "validation": 1}),
        (("train_images", "train_masks", "test_images", "test_masks"), {"train": 6, "test": 6}),
        (("train/X", "train/Y", "valid/X", "valid/Y"), {"train": 6, "validation": 6}),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_named_after_splits_are_their_pairs(names, splits, suffix, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        is_mask = name.rpartition("/")[2][:1] in "yY" or "mask" in name
        array = np.ones((6, *SIZE, *(() if is_mask else (3,))), np.uint8)
        if suffix == ".npy":
            np.save(tmp_path / f"{name}.npy", array)
        else:
            np.savez(tmp_path / f"{name}.npz", array)
    found = recognise_pairs(tmp_path)
    assert collections.Counter(pair.split for pair in found.listing.pairs) == splits
    for pair in found.listing.pairs:
        read_pair(pair, TWO)


@pytest.mark.parametrize(
    ("images", "masks", "readings"), [("rgb", "figure_ground", 1), ("Imgs", "ids", 1), ("left", "right", 2)]
)
def test_folders_that_pair_but_do_not_say_how_are_proposed_with_their_patterns(images, masks, readings, tmp_path):
    for name in "abcd":
        picture(tmp_path / images / f"{name}.{'png' if readings == 2 else 'jpg'}")
        mask(tmp_path / masks / f"{name}.png", 0, 1)
    with pytest.raises(SeveralReadingsError, match="Names must say which files are images") as raised:
        recognise_pairs(tmp_path)
    assert len(raised.value.readings) == readings
    patterns = [
        dict(zip(reading.options[::2], reading.options[1::2], strict=True)) for reading in raised.value.readings
    ]
    assert {"--images": f"{images}/*", "--masks": f"{masks}/*"} in patterns
    assert len(recognise_pairs(tmp_path, images=f"{images}/*", masks=f"{masks}/*").listing.pairs) == 4


@pytest.mark.parametrize(
    ("names", "cure"),
    [
        (("images.zip", "masks.zip"), "unzip -q "),
        (("data.tar.gz",), "tar -xf "),
        (("image/1.jpg", "groundTruth/1.mat"), "files such as 1.mat, which are not read"),
        (("imagesTr/a.nii.gz", "labelsTr/a.nii.gz"), "nibabel"),
    ],
)
def test_a_folder_of_archives_or_other_arrays_says_what_to_do(names, cure, tmp_path):
    for name in names:
        text(tmp_path / name, "x")
    with pytest.raises(PairError) as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "unknown_layout" and cure in raised.value.cure


def test_pascal_context_is_read_with_its_59_classes_and_background(tmp_path):
    for name in ("2008_000001", "2008_000002"):
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask(tmp_path / "SegmentationClassContext" / f"{name}.png", 2, 59)
    text(tmp_path / "ImageSets" / "SegmentationContext" / "train.txt", "2008_000001\n")
    text(tmp_path / "ImageSets" / "SegmentationContext" / "val.txt", "2008_000002\n")
    found = recognise_pairs(tmp_path)
    assert found.layout == "voc" and files_of(found).keys() == {"train", "validation"}
    assert ids_of(found, "2008_000001")[0] == 2 and len(found.classes.rows) == 60


@pytest.mark.parametrize("label", ["masks/train/{}_mask.png", "masks/train/annotated/{}.png"])
def test_masks_of_one_split_that_are_named_otherwise_are_paired(label, tmp_path):
    for split in ("train", "val"):
        for number in range(4):
            picture(tmp_path / "images" / split / f"{number}.png")
            mask(tmp_path / (label if split == "train" else "masks/val/{}.png").format(number), 0, 1)
    found = recognise_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in files_of(found).items()} == {"train": 4, "validation": 4}
    assert all(pair.image.path.parent.name in pair.mask.path.parts for pair in found.listing.pairs)


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("imgs", "gt")])
def test_two_images_of_one_name_are_both_faults_whichever_comes_first(images, masks, tmp_path):
    for name in "abcd":
        picture(tmp_path / images / f"{name}.jpg")
        mask(tmp_path / masks / f"{name}.png", 0, 1)
    picture(tmp_path / images / "a.png")
    picture(tmp_path / images / "Thumbs.db", format="PNG")
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 3 and not found.listing.foreign_files
    assert {fault.error.name for fault in found.listing.faults} == {"two_of_one_stem"}


@pytest.mark.parametrize("image", ["{}_rgb.png", "img_{}.png", "{}_color.png"])
def test_pictures_of_depth_beside_images_and_masks_are_neither_and_said(image, tmp_path):
    for name in "abcd":
        picture(tmp_path / "A1" / image.format(name))
        picture(tmp_path / "A1" / f"{name}_depth.png")
        mask(tmp_path / "A1" / f"{name}_label.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 4 and not found.listing.faults
    assert "4 files are neither images nor masks" in " ".join(found.notes)


def test_a_folder_without_masks_beside_that_of_the_images_is_left_out_by_name(tmp_path):
    for number in range(4):
        picture(tmp_path / "top" / f"area{number}.tif")
        picture(tmp_path / "dsm" / f"height{number}x.tif")
        mask(tmp_path / "gts" / f"area{number}.tif", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 4 and not found.listing.faults
    assert "dsm: no picture has a mask; left out" in " ".join(found.notes)


@pytest.mark.parametrize("lists", ["{}.txt", "eg1800_{}.txt", "metadata/{}.txt", "splits/street_{}.lst"])
def test_lists_of_splits_are_found_by_their_names(lists, tmp_path):
    for name in "abcd":
        picture(tmp_path / "Images" / f"{name}.png")
        mask(tmp_path / "Labels" / f"{name}.png", 0, 1)
    for split, names in (("training", "ab"), ("validation", "c"), ("test", "d")):
        text(tmp_path / lists.format(split), "".join(f"{name}.png\n" for name in names))
    found = recognise_pairs(tmp_path)
    assert {split: [image[0] for image, _ in pairs] for split, pairs in files_of(found).items()} == {
        "train": ["a", "b"],
        "validation": ["c"],
        "test": ["d"],
    }


def test_lists_of_the_voc_layout_may_lie_in_imagesets_itself(tmp_path):
    for name in "abc":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask(tmp_path / "SegmentationClass" / f"{name}.png", 0, 1)
    text(tmp_path / "ImageSets" / "trn.txt", "a\nb\n")
    text(tmp_path / "ImageSets" / "val.txt", "c\n")
    assert files_of(recognise_pairs(tmp_path)) == {
        "train": [("a.jpg", "a.png"), ("b.jpg", "b.png")],
        "validation": [("c.jpg", "c.png")],
    }


def test_validation_is_drawn_from_train_where_the_test_folders_of_objects_have_no_masks(tmp_path):
    for number in range(10):
        picture(tmp_path / "stage1_train" / f"{number}c" / "images" / f"{number}c.png")
        for n in range(2):
            columns(tmp_path / "stage1_train" / f"{number}c" / "masks" / f"{n}.png", n)
        picture(tmp_path / "stage1_test" / f"{number}d" / "images" / f"{number}d.png")
    found = recognise_pairs(tmp_path)
    assert {split: len(pairs) for split, pairs in files_of_images(found).items()} == {"train": 9, "validation": 1}
    assert "stage1_test: no masks, or no known split; left out." in " ".join(found.notes)


def files_of_images(found) -> dict[str, list[str]]:
    """Names of images by split."""
    names = collections.defaultdict(list)
    for pair in found.listing.pairs:
        names[pair.split].append(pair.image.path.name)
    return names


def test_an_image_whose_name_continues_that_of_another_is_no_companion_of_it(tmp_path):
    for number in range(8):
        picture(tmp_path / "imgs" / f"scene_{number}.jpg")
        mask(tmp_path / "gt" / f"scene_{number}.png", 0, 1)
    picture(tmp_path / "imgs" / "scene_1_2.jpg")
    found = recognise_pairs(tmp_path)
    assert [fault.error.name for fault in found.listing.faults] == ["missing_mask"]


@pytest.mark.parametrize("options", [{}, {"images": "fotos/*.jpg", "masks": "gt/*_mask.png"}])
def test_names_are_equal_however_accents_are_written(options, tmp_path):
    for name in ("\u00e9t\u00e9 1", "\u00fcber 2", "plain 3"):
        picture(tmp_path / "fotos" / f"{name}.jpg")
        mask(tmp_path / "gt" / f"{unicodedata.normalize('NFD', name)}_mask.png", 0, 1)
    found = recognise_pairs(tmp_path, **options)
    assert len(found.listing.pairs) == 3 and not found.listing.faults


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("photos", "labels")])
def test_names_that_differ_in_capitals_are_paired_and_said(images, masks, tmp_path):
    for name in ("Alpha", "Beta", "GammaX"):
        picture(tmp_path / images / f"{name}.JPG")
        mask(tmp_path / masks / f"{name.lower()}.png", 0, 1)
    found = recognise_pairs(tmp_path)
    assert len(found.listing.pairs) == 3 and "whatever their capitals" in " ".join(found.notes)


def test_images_of_several_kinds_beside_a_mask_are_readings_each(tmp_path):
    for case in ("brats_001", "brats_002", "brats_003"):
        for kind in ("flair", "t1", "t2"):
            picture(tmp_path / case / f"{case}_{kind}.png")
        mask(tmp_path / case / f"{case}_seg.png", 0, 1)
    with pytest.raises(SeveralReadingsError) as raised:
        recognise_pairs(tmp_path)
    assert len(raised.value.readings) == 3
    for reading, kind in zip(raised.value.readings, ("flair", "t1", "t2"), strict=True):
        _, images, _, masks = reading.options
        found = recognise_pairs(tmp_path, images=images, masks=masks)
        assert [pair.image.path.stem[10:] for pair in found.listing.pairs] == [kind] * 3
