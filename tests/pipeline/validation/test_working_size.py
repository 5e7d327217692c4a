"""Images that the size of training leaves too narrow to learn from are a warning with a cure."""

import pytest

from pipeline.validation.anomalies import describe_kinds
from pipeline.validation.checks.working_size import check_working_size


def check(image_size, *sizes):
    return list(check_working_size({"train": {"sizes": dict(sizes)}}, image_size))


@pytest.mark.parametrize("size", ["240x180", "32x32", "64x48", "4000x3000"])
def test_ordinary_images_are_no_finding(size):
    assert not check((180, 240), (size, 5))


def test_panoramas_are_listed_with_what_becomes_of_them_and_are_to_be_cut():
    (found,) = check((6, 240), ("4000x100", 7))
    assert (found.name, found.severity, found.count) == ("narrow_at_training_size", "warn", 7)
    assert "Received: 7 of 7, down to 240x6" in found.what
    assert found.examples == ("4000x100 becomes 240x6",)
    assert found.cure == "Train at --image-size 1280x32 or more, or cut long images such as 4000x100 into pieces."
    (line,) = describe_kinds([found])
    assert line.startswith("warning      narrow_at_training_size (7): ")


def test_the_suggested_size_is_enough():
    (found,) = check((180, 240), ("1000x100", 1), ("640x480", 9))
    assert "Received: 1 of 10, down to 240x24" in found.what
    assert found.cure.startswith("Train at --image-size 320x240 or more")
    assert not check((240, 320), ("1000x100", 1), ("640x480", 9))


def test_images_longer_than_any_sensible_size_are_only_to_be_cut():
    (found,) = check((3, 240), ("9000x100", 1))
    assert found.cure == "Cut long images such as 9000x100 into pieces."


def test_small_images_need_a_larger_size():
    (found,) = check((24, 16), ("16x24", 4))
    assert found.cure == "Train at --image-size 32x48 or more."


def test_sizes_of_all_splits_count():
    splits = {"train": {"sizes": {"320x240": 3}}, "test": {"sizes": {"4000x100": 2, "320x240": 1}}}
    (found,) = check_working_size(splits, (180, 240))
    assert "Received: 2 of 6" in found.what


def test_images_of_a_few_pixels_are_not_to_be_enlarged():
    (found,) = check((33, 47), ("40x1", 2), ("53x37", 9))
    assert found.cure == "Check images such as 40x1, which show too little at any size of training."
