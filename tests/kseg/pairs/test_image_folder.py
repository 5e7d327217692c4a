"""Listing the pairs of a folder or table, and the faults of files that do not form pairs."""

import hashlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.labels import LabelMap
from kseg.pairs.conventions import count_channels
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import list_pairs, read_pair, recognise_pairs
from kseg.pairs.listing import split_of_key, split_thresholds


def summary(pairs) -> dict[str, list[str]]:
    """Keys by split."""
    found = {}
    for pair in pairs:
        found.setdefault(pair.split, []).append(pair.key)
    return found


SPLITS = {"test": ["08", "09"], "train": ["00", "01", "02", "03", "04", "05"], "validation": ["06", "07"]}


def test_folders_of_splits_are_read_and_val_means_validation(photos):
    listing = list_pairs(photos)
    pairs = listing.pairs
    assert (summary(pairs), listing.faults, listing.unused_masks, listing.foreign_files) == (SPLITS, [], [], [])
    assert pairs[-1].image.path == photos / "images" / "val" / "07.png"
    assert pairs[-1].mask.path == photos / "masks" / "val" / "07.png"


@pytest.mark.parametrize(
    "names", [("Train", "Val", "TEST"), ("train2017", "val2017", "test2017"), ("training", "dev", "testing_set")]
)
def test_folders_of_splits_may_have_other_usual_names(photos, names):
    for kind in ("images", "masks"):
        for old, new in zip(("train", "val", "test"), names, strict=True):
            (photos / kind / old).rename(photos / kind / "moved")
            (photos / kind / "moved").rename(photos / kind / new)
    listing = list_pairs(photos)
    assert (summary(listing.pairs), listing.faults, listing.foreign_files) == (SPLITS, [], [])


def test_the_folder_of_masks_may_have_another_name_of_the_same_split(photos):
    (photos / "masks" / "val").rename(photos / "masks" / "Validation")
    (photos / "masks" / "train").rename(photos / "masks" / "train_2017")
    listing = list_pairs(photos)
    assert (summary(listing.pairs), listing.faults, listing.foreign_files) == (SPLITS, [], [])


def flatten(photos, name):
    """Moves all pairs into one folder; `name(split, file name)` is their new name."""
    for kind in ("images", "masks"):
        for path in sorted((photos / kind).glob("*/*")):
            path.rename(photos / kind / name(path.parent.name, path.name))
        for folder in ("train", "val", "test"):
            (photos / kind / folder).rmdir()


@pytest.mark.parametrize("form", ["{0}_{1}", "{1}.{0}.png", "cam-{0}-{1}"])
def test_splits_in_every_file_name_are_kept(photos, form):
    flatten(photos, form.format)
    assert {split: len(keys) for split, keys in summary(list_pairs(photos).pairs).items()} == {
        "train": 6,
        "validation": 2,
        "test": 2,
    }


def test_a_word_in_some_file_names_is_no_split(photos):
    flatten(photos, lambda split, name: name if name == "00.png" else f"{split}_{name}")
    found = summary(list_pairs(photos, validation_share=0, test_share=0).pairs)
    assert found.keys() == {"train"}


@pytest.mark.parametrize(("folders", "refused"), [(1, False), (2, True), (5, True), (6, False)])
def test_a_few_folders_of_unknown_names_are_not_mixed_by_a_hash(photos, folders, refused):
    flatten(photos, lambda split, name: name)
    for kind in ("images", "masks"):
        for number, path in enumerate(sorted((photos / kind).glob("*.png"))):
            folder = photos / kind / f"part-{'abcdef'[number % folders]}"
            folder.mkdir(exist_ok=True)
            path.rename(folder / path.name)
    if refused:
        with pytest.raises(PairError, match=r"Received: part-a, part-b.*If they are splits, rename them") as raised:
            list_pairs(photos)
        assert raised.value.name == "unknown_split"
        for kind in ("images", "masks"):  # the cure of the message
            (photos / kind).rename(photos / "moved")
            (photos / kind).mkdir()
            (photos / "moved").rename(photos / kind / "all")
    assert sum(map(len, summary(list_pairs(photos).pairs).values())) == 10


@pytest.mark.parametrize("form", ["{split}/{kind}", "{kind}/{split}"])
def test_unknown_splits_are_refused_in_own_folders_too(photos, form):
    names = {"train": "learning", "val": "evaluation", "test": "secret"}
    for old, kind in (("images", "imgs"), ("masks", "labels")):
        for split, name in names.items():
            place = photos / form.format(kind=kind, split=name)
            place.parent.mkdir(exist_ok=True)
            (photos / old / split).rename(place)
        (photos / old).rmdir()
    with pytest.raises(PairError, match=r"Received: evaluation, learning, secret .*If they are splits, rename them"):
        list_pairs(photos)


@pytest.mark.parametrize("form", ["images/{}", "{}/images"])
def test_two_folders_of_one_split_are_refused(photos, form):
    for kind in ("images", "masks"):
        for old, new in (("train", "train2014"), ("val", "train2017")):
            place = photos / form.format(new).replace("images", kind)
            place.parent.mkdir(exist_ok=True)
            (photos / kind / old).rename(place)
        shutil.rmtree(photos / kind / "test")
    with pytest.raises(PairError, match="Received: train2014 and train2017, both train") as raised:
        list_pairs(photos)
    assert raised.value.name == "two_folders_of_one_split"


def test_splits_in_file_names_are_kept_in_own_folders_too(photos):
    flatten(photos, "{0}_{1}".format)
    (photos / "images").rename(photos / "imgs")
    found = summary(list_pairs(photos).pairs)
    assert {split: len(keys) for split, keys in found.items()} == {"train": 6, "validation": 2, "test": 2}


def test_flat_folders_are_split_by_a_hash_of_the_key(photos):
    for kind in ("images", "masks"):
        for split in ("train", "val", "test"):
            for path in (photos / kind / split).iterdir():
                path.rename(photos / kind / path.name)
            (photos / kind / split).rmdir()
    found = summary(list_pairs(photos, validation_share=0.3, test_share=0.2).pairs)
    keys = [f"{number:02}" for number in range(10)]
    by_hash = sorted(keys, key=lambda key: hashlib.sha256(key.encode()).digest())
    assert found["validation"] == sorted(by_hash[:3]) and found["test"] == sorted(by_hash[3:5])
    assert found["train"] == sorted(by_hash[5:])
    assert summary(list_pairs(photos, validation_share=0, test_share=0).pairs).keys() == {"train"}


@pytest.mark.parametrize(
    ("keys", "shares", "expected"),
    [
        (1, (0.1, 0.1), (0, 0, 1)),
        (2, (0.1, 0.1), (1, 0, 1)),
        (3, (0.1, 0.1), (1, 1, 1)),
        (12, (0.1, 0.1), (1, 1, 10)),
        (20, (0.1, 0.1), (2, 2, 16)),
        (20, (0.1, 0.0), (2, 0, 18)),
        (3, (0.5, 0.4), (1, 1, 1)),
        (2, (0.0, 0.5), (0, 1, 1)),
        (4000, (0.2, 0.1), (800, 400, 2800)),
    ],
)
def test_each_split_gets_its_share_and_is_empty_only_if_it_must(keys, shares, expected):
    thresholds = split_thresholds(map(str, range(keys)), *shares)
    found = [split_of_key(str(number), thresholds) for number in range(keys)]
    assert tuple(found.count(split) for split in ("validation", "test", "train")) == expected


@pytest.mark.parametrize("kept_back", [True, False])
def test_validation_is_drawn_from_train_where_the_source_has_no_other_split(photos, kept_back):
    shutil.rmtree(photos / "images" / "val")
    shutil.rmtree(photos / "masks" / "val")
    shutil.rmtree(photos / "masks" / "test")  # a test set without masks
    if not kept_back:
        shutil.rmtree(photos / "images" / "test")
    found = recognise_pairs(photos)
    assert {split: len(keys) for split, keys in summary(found.listing.pairs).items()} == {"train": 5, "validation": 1}
    assert found.notes[-1] == "There is no split but train, so validation is drawn from it by a hash of each key."
    assert summary(recognise_pairs(photos, validation_share=0.0).listing.pairs) == {"train": SPLITS["train"]}


def test_validation_is_not_drawn_beside_a_split_that_is_left_out_for_its_name_or_cannot_be_read(photos):
    for kind in ("images", "masks"):
        shutil.rmtree(photos / kind / "test")
    rows = "".join(f"images/train/0{n}.png,masks/train/0{n}.png,train\n" for n in range(6))
    for row in ("images/val/06.png,masks/val/06.png,holdout\n", "images/val/no.png,masks/val/06.png,val\n"):
        (photos / "pairs.csv").write_text(f"image,mask,split\n{rows}{row}")
        assert summary(list_pairs(photos / "pairs.csv").pairs).keys() == {"train"}
    own = photos.with_name("own")
    for split, name in (("train", "train"), ("val", "holdout")):
        for kind in ("images", "masks"):
            shutil.copytree(photos / kind / split, own / name / kind)
    assert summary(list_pairs(own).pairs).keys() == {"train"}


def test_adding_a_pair_moves_at_most_one_other_across_each_threshold():
    keys = [f"{number}" for number in range(200)]
    before = {key: split_of_key(key, split_thresholds(keys, 0.1, 0.1)) for key in keys}
    for new in ("a", "b", "c", "d"):
        after = {key: split_of_key(key, split_thresholds([*keys, new], 0.1, 0.1)) for key in keys}
        assert sum(before[key] != after[key] for key in keys) <= 2


def test_folders_may_be_nested_and_suffixes_have_any_case(photos):
    for kind in ("images", "masks"):
        (photos / kind / "train" / "monday").mkdir()
        shutil.copy(photos / kind / "train" / "00.png", photos / kind / "train" / "monday" / "00.PNG")
    assert "monday/00" in summary(list_pairs(photos).pairs)["train"]


def test_the_voc_layout_holds_the_pairs_of_its_lists(photos, tmp_path):
    root = tmp_path / "VOC2012"
    shutil.copytree(photos / "images" / "train", root / "JPEGImages")
    shutil.copytree(photos / "masks" / "train", root / "SegmentationClass")
    (root / "SegmentationClass" / "05.png").unlink()  # most photos of VOC have no mask, and no list names them
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("00\n03\n")
    (lists / "val.txt").write_text("01\n")
    (lists / "trainval.txt").write_text("00\n01\n03\n")
    assert summary(list_pairs(root).pairs) == {"train": ["00", "03"], "validation": ["01"]}
    (lists / "val.txt").write_text("05\n")
    (fault,) = list_pairs(root).faults
    assert fault.error.name == "missing_file"
    assert fault.error.where == f"{root}/SegmentationClass/05.png, named in {lists}/val.txt, name 1"


@pytest.mark.parametrize("names", [("Train", "Validation"), ("train2012", "val2012"), ("training", "valid")])
def test_voc_lists_may_have_other_usual_names(photos, tmp_path, names):
    root = to_voc(photos, tmp_path / "VOC", {names[0]: "00\n03\n", names[1]: "01\n", "trainval": "00\n01\n03\n"})
    listing = list_pairs(root)
    assert summary(listing.pairs) == {"train": ["00", "03"], "validation": ["01"]}
    assert listing.unused_splits == []  # trainval.txt names nothing else


def to_voc(photos, root, lists):
    """The layout of VOC with the pairs of train, and lists by name."""
    shutil.copytree(photos / "images" / "train", root / "JPEGImages")
    shutil.copytree(photos / "masks" / "train", root / "SegmentationClass")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, text in lists.items():
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(text)
    return root


def test_a_single_voc_list_of_another_name_is_split_by_a_hash(photos, tmp_path):
    found = summary(list_pairs(to_voc(photos, tmp_path / "VOC", {"default": "00\n01\n02\n03\n"})).pairs)
    assert {split: len(keys) for split, keys in found.items()} == {"test": 1, "train": 2, "validation": 1}


def test_a_voc_list_of_pairs_that_no_split_has_is_named(photos, tmp_path):
    root = to_voc(photos, tmp_path / "VOC", {"train": "00\n", "train_25": "00\n", "trainaug": "00\n04\n"})
    listing = list_pairs(root)
    assert (len(listing.pairs), listing.unused_splits) == (1, [f"{root}/ImageSets/Segmentation/trainaug.txt"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "Training"), "Received: Training and train, both train"),
        (("part1", "part2"), r"or all its pairs in one list\. Received: part1\.txt, part2\.txt"),
        ((), "Received: no lists"),
    ],
)
def test_voc_lists_that_name_no_splits_or_one_twice_are_refused(photos, tmp_path, names, message):
    root = to_voc(photos, tmp_path / "VOC", dict.fromkeys(names, "00\n"))
    with pytest.raises(PairError, match=message):
        list_pairs(root)


def test_splits_of_a_table_may_have_other_usual_names_and_several_of_one(photos):
    names = ["train", "Train ", "TRAINING", "train2017", "valid", "dev", "testing", "train", "val", "test"]
    paths = sorted((photos / "images").glob("*/*.png"))
    rows = [
        f"images/{p.parent.name}/{p.name},masks/{p.parent.name}/{p.name},{s}" for p, s in zip(paths, names, strict=True)
    ]
    (photos / "pairs.csv").write_text("\n".join(["image,mask,split", *rows]))
    listing = list_pairs(photos / "pairs.csv")
    counts = {split: len(keys) for split, keys in summary(listing.pairs).items()}
    assert (counts, listing.faults) == ({"train": 5, "validation": 3, "test": 2}, [])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image;mask;split\nimages/val/06.png;masks/val/06.png;val\n", "utf-8"),
        ("image\tmask\tsplit\nimages/val/06.png\tmasks/val/06.png\tval\n", "utf-8"),
        ("image, mask, split\nimages/val/06.png, masks/val/06.png, val\n", "utf-8-sig"),
        ("Split,Image,MASK\nVal,images/val/06.png,masks/val/06.png\n", "utf-8"),
        ("image,mask,split\r\nimages/val/06.png,masks/val/06.png,val\r\n\r\n", "utf-16"),
        ('"image" , "mask","split"\n"images/val/06.png", "masks/val/06.png","val"\n', "utf-8"),
    ],
    ids=["semicolons", "tabs", "spaces", "order and case", "UTF-16", "quotes"],
)
def test_tables_of_spreadsheets_are_read(photos, text, encoding):
    (photos / "pairs.csv").write_bytes(text.encode(encoding))
    listing = list_pairs(photos / "pairs.csv")
    assert (summary(listing.pairs), listing.faults) == ({"validation": ["images/val/06"]}, [])


@pytest.mark.parametrize(
    ("columns", "notes"),
    [
        ("Image_Path;MASK_PATH;Subset", ()),
        ("filename;label_path;set;fold", ("Columns of the table that are not read: fold.",)),
        ("image;mask;split;label;is_valid", ("Columns of the table that are not read: label, is_valid.",)),
    ],
)
def test_columns_of_a_table_may_have_other_usual_names_and_those_not_read_are_named(photos, columns, notes):
    names = [path.relative_to(photos / "images") for path in sorted((photos / "images").glob("*/*.png"))]
    rows = [f"images/{name};masks/{name};{name.parent};1;2".split(";")[: columns.count(";") + 1] for name in names]
    (photos / "pairs.csv").write_text("\n".join([columns, *map(";".join, rows)]))
    found = recognise_pairs(photos / "pairs.csv")
    assert {split: len(keys) for split, keys in summary(found.listing.pairs).items()} == {
        "test": 2,
        "train": 6,
        "validation": 2,
    }
    assert found.notes == notes


def test_an_unusable_row_keeps_its_split_and_one_of_an_unknown_split_has_none(photos):
    (photos / "pairs.csv").write_text(
        "image,mask,split\nimages/gone.png,masks/gone.png, Valid\nimages/val/06.png,masks/val/06.png,night\n"
    )
    assert [fault.pair.split for fault in list_pairs(photos / "pairs.csv").faults] == ["unknown", "validation"]


def test_paths_in_a_table_are_relative_to_it(photos):
    table = photos / "pairs.csv"
    table.write_text(
        "image,mask,split\nimages/val/06.png,masks/val/06.png,val\nimages/test/08.png,masks/test/08.png,train\n"
    )
    assert summary(list_pairs(table).pairs) == {"train": ["images/test/08"], "validation": ["images/val/06"]}
    table.write_text("image,mask\nimages/val/06.png,masks/val/06.png\n")
    (pair,) = list_pairs(table).pairs
    assert (pair.key, pair.split, pair.mask.path) == ("images/val/06", "train", photos / "masks" / "val" / "06.png")


def test_jpeg_masks_are_pairs_whose_reading_the_classes_decide(photos):
    for path in (photos / "masks").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    listing = list_pairs(photos)
    assert (summary(listing.pairs), listing.faults) == (SPLITS, [])
    (photos / "pairs.csv").write_text("image,mask\nimages/val/06.png,masks/val/06.jpg\n")
    assert len(list_pairs(photos / "pairs.csv").pairs) == 1


def test_unused_masks_and_foreign_files_are_listed_separately(photos):
    (photos / "images" / "train" / "03.png").unlink()
    (photos / "images" / "train" / "notes.txt").write_text("")
    (photos / "masks" / "extra").mkdir()
    (photos / "masks" / "extra" / "99.png").write_bytes(b"")
    listing = list_pairs(photos)
    assert (len(listing.pairs), listing.unused_masks) == (9, [photos / "masks" / "train" / "03.png"])
    assert listing.foreign_files == [photos / "masks" / "extra" / "99.png", photos / "images" / "train" / "notes.txt"]


def test_hidden_files_are_skipped(photos):
    (photos / "images" / "train" / ".DS_Store").write_text("")
    (photos / "images" / ".directory").write_text("")
    assert summary(list_pairs(photos).pairs) == SPLITS


def test_shares_that_leave_no_training_pair_are_refused(photos):
    with pytest.raises(ValueError, match=r"Received: validation_share=0\.5, test_share=0\.5"):
        list_pairs(photos, validation_share=0.5, test_share=0.5)


def test_one_image_with_colours_gives_all_images_three_channels(photos):
    pairs = list_pairs(photos).pairs
    for pair in pairs:
        Image.open(pair.image.path).convert("L").save(pair.image.path)
    assert count_channels(pairs) == 1
    pairs[3].image.path.write_bytes(b"damaged")  # is reported when it is read
    assert count_channels(pairs) == 1
    Image.new("RGB", (4, 4)).save(pairs[5].image.path)
    assert count_channels(pairs) == 3


def test_a_pair_is_read_into_its_own_bytes_and_ids(photos):
    labels = LabelMap.from_csv(photos / "classes.csv", ignore_value=9)
    pair = list_pairs(photos).pairs[2]
    image_bytes, label_map_bytes, reason = read_pair(pair, labels)
    ids = decode_image(label_map_bytes)[..., 0]
    assert (image_bytes, reason) == (pair.image.path.read_bytes(), None)
    assert (np.unique(ids).tolist(), ids[0].tolist()) == ([0, 1, 2, 255], [255] * 30)
    pair.mask.path.unlink()
    with pytest.raises(PairError, match=r"must be readable.*masks/train/00\.png"):
        read_pair(pair, labels)


REAL = {"camvid": (11, 3, 367, 101), "voc_sample": (255, 3, 12, 11), "isbi2012_em": (None, 1, 20, 4)}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_are_read_without_changing_an_image(data, name):
    ignore_value, channels, train, validation = REAL[name]
    listing = list_pairs(data / name)
    pairs = listing.pairs
    counts = {split: len(keys) for split, keys in summary(pairs).items()}
    assert (counts, listing.unused_masks) == ({"train": train, "validation": validation}, [])
    assert count_channels(pairs) == channels
    labels = LabelMap.from_csv(data / name / "classes.csv", ignore_value)
    for pair in pairs[:4] + pairs[-4:]:
        image_bytes, label_map_bytes, reason = read_pair(pair, labels, channels)
        assert (image_bytes, reason) == (pair.image.path.read_bytes(), None)
        ids, values = decode_image(label_map_bytes)[..., 0], np.asarray(Image.open(pair.mask.path))
        assert set(np.unique(ids)) <= {*range(labels.num_classes), 255}
        np.testing.assert_array_equal(
            np.array([*labels.values, *[0] * (255 - labels.num_classes), ignore_value or 0])[ids], values
        )


def test_the_tfds_builder_prepares_the_same_pairs(photos, tmp_path):
    from kseg.pairs.image_folder_builder import ImageFolder, ImageFolderConfig

    labels = LabelMap.from_csv(photos / "classes.csv", ignore_value=9)
    builder = ImageFolder(config=ImageFolderConfig(root=str(photos), labels=labels), data_dir=tmp_path / "prepared")
    builder.download_and_prepare()
    pairs = {pair.key: pair for pair in list_pairs(photos).pairs}
    examples = [example for split in SPLITS for example in builder.as_dataset(split=split).as_numpy_iterator()]
    assert sorted(example["key"].decode() for example in examples) == sorted(pairs)
    for example in examples:
        pair = pairs[example["key"].decode()]
        np.testing.assert_array_equal(example["image"], np.asarray(Image.open(pair.image.path)))
        np.testing.assert_array_equal(
            example["label_map"][..., 0], labels.to_ids(np.asarray(Image.open(pair.mask.path)))
        )


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("photos.zip", "Unpack it, and pass the folder: unzip -q "),
        ("photos.tar.gz", "Unpack it, and pass the folder: mkdir "),
        ("pairs.xlsx", "Save the pairs as CSV"),
        ("pairs.tsv", "Save the pairs as CSV"),
        ("arrays.h5", "Save its arrays by numpy.savez"),
        ("photo.JPG", "Pass the folder that holds the images and the masks."),
        ("stack.tif", "Pass the folder that holds the images and the masks."),
        ("images.npy", "Pass the folder that holds the images and the masks."),
        ("film.mp4", "Pass a folder of images and masks, or a file that lists them."),
        ("pairs", "Pass a folder of images and masks, or a file that lists them."),
    ],
)
def test_a_file_that_lists_no_pairs_is_refused_with_what_to_do_with_it(name, cure, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(PairError, match=re.escape(f"[{tmp_path / name}]. {cure}")) as raised:
        list_pairs(tmp_path / name)
    assert raised.value.name == "bad_table"


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.npz", "pairs.json"])
def test_a_file_that_another_layout_reads_is_no_archive(name, tmp_path):
    for content in (b"", b"x", b"[]", b'{"a": 1}'):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PairError) as raised:
            list_pairs(tmp_path / name)
        assert "rchive" not in str(raised.value) and name in raised.value.where


@pytest.mark.parametrize(
    ("row", "name", "cure"),
    [
        ("images\\train\\00.png,masks\\train\\00.png", "missing_file", "Replace each \\ by /."),
        ("C:\\photos\\00.png,C:\\photos\\00m.png", "missing_file", "Replace each \\ by /."),
        ("..\\secret.png,..\\secret.png", "missing_file", "Replace each \\ by /."),
        ("image.heic,masks/train/00.png", "unsupported_format", "Convert it to PNG."),
        ("classes.csv,masks/train/00.png", "unsupported_format", "Name an image, or convert it to PNG if it is one."),
    ],
)
def test_a_row_is_refused_for_what_is_wrong_with_it(row, name, cure, photos):
    (photos / "pairs.csv").write_text(f"image,mask\n{row}\nimages/train/01.png,masks/train/01.png\n")
    (photos / "image.heic").write_bytes(b"x")
    (fault,) = list_pairs(photos / "pairs.csv").faults
    assert fault.error.name == name and fault.error.cure.startswith(cure)
