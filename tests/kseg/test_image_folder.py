"""Which pairs a folder or table holds, and what is said where files do not pair up."""

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from kseg.datasets.image_files import decode_image
from kseg.datasets.image_folder import PairError, channels_of, list_pairs, read_pair, split_of
from kseg.labels import LabelMap


def summary(pairs) -> dict[str, list[str]]:
    """Keys by split."""
    found = {}
    for pair in pairs:
        found.setdefault(pair.split, []).append(pair.key)
    return found


SPLITS = {"test": ["08", "09"], "train": ["00", "01", "02", "03", "04", "05"], "validation": ["06", "07"]}


def test_folders_of_splits_are_read_and_val_means_validation(photos):
    pairs, unused = list_pairs(photos)
    assert (summary(pairs), unused) == (SPLITS, [])
    assert pairs[-1].image == photos / "images" / "val" / "07.png"
    assert pairs[-1].mask == photos / "masks" / "val" / "07.png"


def test_flat_folders_are_split_by_a_hash_of_the_key(photos):
    for kind in ("images", "masks"):
        for split in ("train", "val", "test"):
            for path in (photos / kind / split).iterdir():
                path.rename(photos / kind / path.name)
            (photos / kind / split).rmdir()
    pairs, _ = list_pairs(photos, validation_share=0.3, test_share=0.2)
    assert sorted(pair.key for pair in pairs) == sorted(key for keys in SPLITS.values() for key in keys)
    for pair in pairs:
        position = int(hashlib.sha256(pair.key.encode()).hexdigest()[:16], 16) / 2**64
        assert pair.split == ("validation" if position < 0.3 else "test" if position < 0.5 else "train")
    assert {pair.split for pair in list_pairs(photos, validation_share=0, test_share=0)[0]} == {"train"}


def test_the_hash_gives_each_split_its_share():
    found = [split_of(f"{number}", 0.2, 0.1) for number in range(4000)]
    assert found.count("validation") / 4000 == pytest.approx(0.2, abs=0.02)
    assert found.count("test") / 4000 == pytest.approx(0.1, abs=0.02)


def test_folders_may_be_nested_below_a_split_and_suffixes_may_be_of_any_case(photos):
    for kind in ("images", "masks"):
        (photos / kind / "train" / "monday").mkdir()
        shutil.copy(photos / kind / "train" / "00.png", photos / kind / "train" / "monday" / "00.PNG")
    assert "monday/00" in summary(list_pairs(photos)[0])["train"]


def test_the_voc_layout_takes_what_its_lists_name(photos, tmp_path):
    root = tmp_path / "VOC2012"
    shutil.copytree(photos / "images" / "train", root / "JPEGImages")
    shutil.copytree(photos / "masks" / "train", root / "SegmentationClass")
    (root / "SegmentationClass" / "05.png").unlink()  # most photos of VOC have no mask, and no list names them
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("00\n03\n")
    (lists / "val.txt").write_text("01\n")
    (lists / "trainval.txt").write_text("00\n01\n03\n")
    assert summary(list_pairs(root)[0]) == {"train": ["00", "03"], "validation": ["01"]}
    (lists / "val.txt").write_text("05\n")
    with pytest.raises(PairError, match=r"Received: 05 of .*val.txt without its mask .*SegmentationClass/05.png"):
        list_pairs(root)


def test_a_table_names_pairs_relative_to_itself(photos):
    table = photos / "pairs.csv"
    table.write_text(
        "image,mask,split\nimages/val/06.png,masks/val/06.png,val\nimages/test/08.png,masks/test/08.png,train\n"
    )
    pairs, _ = list_pairs(table)
    assert summary(pairs) == {"train": ["images/test/08"], "validation": ["images/val/06"]}
    table.write_text("image,mask\nimages/val/06.png,masks/val/06.png\n")
    (pair,) = list_pairs(table, validation_share=0.999, test_share=0)[0]
    assert (pair.split, pair.mask) == ("validation", photos / "masks" / "val" / "06.png")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,label\na,b\n", "columns image, mask.*pairs.csv without mask"),
        ("image,mask,split\nimages/val/06.png,masks/val/06.png,night\n", "'split': 'night'.*pairs.csv, line 2"),
        ("image,mask\nimages/val/06.png,\n", "pairs.csv, line 2"),
        ("image,mask\nimages/val/06.png,masks/val/66.png\n", "without its mask .*masks/val/66.png"),
        ("image,mask\nimages/val/66.png,masks/val/06.png\n", "without its image .*images/val/66.png"),
        (
            "image,mask\n" + "images/val/06.png,masks/val/06.png\n" * 2,
            "A key must stand once in a split.*images/val/06",
        ),
    ],
)
def test_a_table_with_a_fault_is_refused_with_its_path(photos, table, message):
    (photos / "pairs.csv").write_text(table)
    with pytest.raises(PairError, match=message):
        list_pairs(photos / "pairs.csv", validation_share=0, test_share=0)


def test_masks_without_an_image_are_returned_apart(photos):
    (photos / "images" / "train" / "03.png").unlink()
    pairs, unused = list_pairs(photos)
    assert (len(pairs), unused) == (9, [photos / "masks" / "train" / "03.png"])


def spoil_missing(photos):
    shutil.rmtree(photos)
    return r"The data must exist\. Received: .*photos\. Check"


def spoil_empty(photos):
    shutil.rmtree(photos)
    photos.mkdir()
    return r"must hold images/ and masks/.*photos, which holds nothing"


def spoil_no_masks(photos):
    shutil.rmtree(photos / "masks")
    return r"Received: .*masks/test, which is no folder"


def spoil_empty_split(photos):
    shutil.rmtree(photos / "images" / "val")
    (photos / "images" / "val").mkdir()
    return r"must not be empty\. Received: no .*jpg.* below .*images/val\."


def spoil_image_without_mask(photos):
    (photos / "masks" / "train" / "03.png").unlink()
    return r"Received: .*images/train/03\.png without .*masks/train/03\.png \(1 of 6 images have none\)"


def spoil_two_of_one_stem(photos):
    Image.new("RGB", (4, 4)).save(photos / "images" / "train" / "03.jpg")
    return r"must not have one stem.*images/train/03\.jpg and .*images/train/03\.png"


def spoil_foreign_file(photos):
    (photos / "images" / "train" / "notes.txt").write_text("")
    return r"must end in \.jpg, \.jpeg, \.png\. Received: .*notes\.txt\. Convert"


def spoil_jpeg_mask(photos):
    (photos / "masks" / "train" / "03.png").rename(photos / "masks" / "train" / "03.jpg")
    return r"must end in \.png\. Received: .*masks/train/03\.jpg\. Convert it \(masks without loss"


def spoil_unknown_split(photos):
    (photos / "images" / "test").rename(photos / "images" / "testing")
    return r"Beside folders of splits.*Received: .*images/testing"


SPOILS = (
    spoil_missing,
    spoil_empty,
    spoil_no_masks,
    spoil_empty_split,
    spoil_image_without_mask,
    spoil_two_of_one_stem,
    spoil_foreign_file,
    spoil_jpeg_mask,
    spoil_unknown_split,
)


@pytest.mark.parametrize("spoil", SPOILS)
def test_files_that_do_not_pair_up_are_refused_with_their_path(photos, spoil):
    message = spoil(photos)
    with pytest.raises(PairError, match=message):
        list_pairs(photos)


def test_hidden_files_are_left_out(photos):
    (photos / "images" / "train" / ".DS_Store").write_text("")
    (photos / "images" / ".directory").write_text("")
    assert summary(list_pairs(photos)[0]) == SPLITS


def test_shares_that_leave_nothing_to_train_on_are_refused(photos):
    with pytest.raises(ValueError, match=r"Received: validation_share=0\.5, test_share=0\.5"):
        list_pairs(photos, validation_share=0.5, test_share=0.5)


def test_one_image_with_colour_gives_all_three_channels(photos):
    pairs, _ = list_pairs(photos)
    for pair in pairs:
        Image.open(pair.image).convert("L").save(pair.image)
    assert channels_of(pairs) == 1
    pairs[3].image.write_bytes(b"damaged")  # is reported when it is read
    assert channels_of(pairs) == 1
    Image.new("RGB", (4, 4)).save(pairs[5].image)
    assert channels_of(pairs) == 3


def test_a_pair_is_read_into_its_own_bytes_and_ids(photos):
    labels = LabelMap.from_csv(photos / "classes.csv", ignore_value=9)
    pair = list_pairs(photos)[0][2]
    image_bytes, label_map_bytes, reason = read_pair(pair, labels)
    ids = decode_image(label_map_bytes)[..., 0]
    assert (image_bytes, reason) == (pair.image.read_bytes(), None)
    assert (np.unique(ids).tolist(), ids[0].tolist()) == ([0, 1, 2, 255], [255] * 30)
    pair.mask.unlink()
    with pytest.raises(PairError, match=r"must be readable.*masks/train/00\.png"):
        read_pair(pair, labels)


REAL = {"camvid": (11, 3, 367, 101), "voc_sample": (255, 3, 12, 11), "isbi2012_em": (None, 1, 20, 4)}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_are_read_without_changing_an_image(data, name):
    ignore_value, channels, train, validation = REAL[name]
    pairs, unused = list_pairs(data / name)
    counts = {split: len(keys) for split, keys in summary(pairs).items()}
    assert (counts, unused) == ({"train": train, "validation": validation}, [])
    assert channels_of(pairs) == channels
    labels = LabelMap.from_csv(data / name / "classes.csv", ignore_value)
    for pair in pairs[:4] + pairs[-4:]:
        image_bytes, label_map_bytes, reason = read_pair(pair, labels, channels)
        assert (image_bytes, reason) == (pair.image.read_bytes(), None)
        ids, values = decode_image(label_map_bytes)[..., 0], np.asarray(Image.open(pair.mask))
        assert set(np.unique(ids)) <= {*range(labels.num_classes), 255}
        np.testing.assert_array_equal(
            np.array([*labels.values, *[0] * (255 - labels.num_classes), ignore_value or 0])[ids], values
        )


def test_the_tfds_builder_prepares_the_same_pairs(photos, tmp_path):
    from kseg.datasets.image_folder_builder import ImageFolder, ImageFolderConfig

    labels = LabelMap.from_csv(photos / "classes.csv", ignore_value=9)
    builder = ImageFolder(config=ImageFolderConfig(root=str(photos), labels=labels), data_dir=tmp_path / "prepared")
    builder.download_and_prepare()
    pairs = {pair.key: pair for pair in list_pairs(photos)[0]}
    examples = [example for split in SPLITS for example in builder.as_dataset(split=split).as_numpy_iterator()]
    assert sorted(example["key"].decode() for example in examples) == sorted(pairs)
    for example in examples:
        pair = pairs[example["key"].decode()]
        np.testing.assert_array_equal(example["image"], np.asarray(Image.open(pair.image)))
        np.testing.assert_array_equal(example["label_map"][..., 0], labels.to_ids(np.asarray(Image.open(pair.mask))))
