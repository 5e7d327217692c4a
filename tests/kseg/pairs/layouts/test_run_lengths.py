"""Run lengths in a table become masks: down the columns from 1, checked pixel by pixel."""

import numpy as np
import pytest

from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image
from kseg.pairs.image_folder import read_pair, recognise_pairs
from tests.kseg.pairs.layouts.test_other_layouts import SIZE, picture, text

TABLES = {  # rows of a.jpg: label 1 at the first column and the top of the third, label 3 at the last pixel
    "severstal": "ImageId,ClassId,EncodedPixels\na.jpg,1,1 6 13 2\na.jpg,3,48 1\nb.jpg,3,1 6\n",
    "severstal as it was": "ImageId_ClassId,EncodedPixels\na.jpg_1,1 6 13 2\na.jpg_2,\na.jpg_3,48 1\nb.jpg_3,1 6\n",
    "clouds": "Image_Label,EncodedPixels\na.jpg_1,1 6 13 2\na.jpg_3,48 1\nb.jpg_3,1 6\n",
    "without suffix": "id,class,rle_mask\na,1,1 6 13 2\na,3,48 1\nb,3,1 6\n",
}


def write(root, table, folder="train_images", names="ab"):
    for name in names:
        picture(root / folder / f"{name}.jpg")
    text(root / "train.csv", table)
    text(root / "sample_submission.csv", "ImageId,EncodedPixels\nz.jpg,1 1\n")


def ids_of(found, key):
    (pair,) = [pair for pair in found.listing.pairs if pair.key == key]
    return decode_image(read_pair(pair, found.classes.label_map())[1])[..., 0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("folder", ["train_images", "images", "data/train_v2"])
def test_runs_count_down_the_columns_from_1(table, folder, tmp_path):
    write(tmp_path, TABLES[table], folder)
    found = recognise_pairs(tmp_path)
    expected = np.zeros(SIZE, np.uint8)
    expected[:, 0] = expected[:2, 2] = 1
    expected[5, 7] = 2
    np.testing.assert_array_equal(ids_of(found, "a"), expected)
    assert [name for _, name, _ in found.classes.rows] == ["background", "class 1", "class 3"]


def test_objects_of_one_kind_are_joined_and_an_empty_row_is_background(tmp_path):
    write(tmp_path, "ImageId,EncodedPixels\na.jpg,1 6\na.jpg,7 6\nb.jpg,\n", names="abc")
    found = recognise_pairs(tmp_path)
    assert (ids_of(found, "a")[0] == [1, 1, 0, 0, 0, 0, 0, 0]).all() and not ids_of(found, "b").any()
    assert [fault.error.name for fault in found.listing.faults] == ["missing_mask"]  # c has no row, but b has


def test_images_without_a_row_are_background_where_no_row_is_empty(tmp_path):
    write(tmp_path, "ImageId,ClassId,EncodedPixels\na.jpg,1,1 6\nb.jpg,2,1 6\n", names="abc")
    found = recognise_pairs(tmp_path)
    assert not ids_of(found, "c").any() and "1 images have no row" in " ".join(found.notes)


@pytest.mark.parametrize("runs", ["0 3", "1 0", "1 -2", "47 3", "1 2 3", "1 x", "1 99999999999999999999"])
def test_runs_that_leave_the_picture_are_a_named_fault(runs, tmp_path):
    write(tmp_path, f"ImageId,EncodedPixels\na.jpg,{runs}\nb.jpg,1 1\n")
    with pytest.raises(PairError) as raised:
        ids_of(recognise_pairs(tmp_path), "a")
    assert raised.value.name == "bad_runs"


@pytest.mark.parametrize("table", ["id,class,segmentation\na,x,1 6\n", "ImageId,EncodedPixels\na,-1\nb,5 3 2 1\n"])
def test_runs_of_another_order_are_refused_by_name(table, tmp_path):
    write(tmp_path, table)
    with pytest.raises(PairError) as raised:
        recognise_pairs(tmp_path)
    assert raised.value.name == "unknown_runs"


def test_masks_that_lie_there_are_rather_read_than_their_run_lengths(tmp_path):
    write(tmp_path, "id,rle_mask\na,1 6\nb,\n", "images")
    for name in "ab":
        picture(tmp_path / "masks" / f"{name}.png")
    assert recognise_pairs(tmp_path).layout == "folders"
    assert recognise_pairs(tmp_path, layout="run-lengths").layout == "run-lengths"
