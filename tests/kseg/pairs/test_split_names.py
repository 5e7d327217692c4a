"""Which split a name means."""

import itertools

import pytest

from kseg.pairs.split_names import split_in_name, split_of_name, splits_of_names

WORDS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst"),
}
FORMS = (
    str,
    str.upper,
    str.title,
    "{}2017".format,
    "{}_2017".format,
    "{}-01".format,
    "2012 {}".format,
    "{}_set".format,
    "{}set".format,
    " {} ".format,
    "{}.split".format,
)


@pytest.mark.parametrize("split", WORDS)
def test_synonyms_case_numbers_and_separators_mean_the_same_split(split):
    for word, form in itertools.product(WORDS[split], FORMS):
        assert split_of_name(form(word)) == split, form(word)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_",
        "2017",
        "trainval",
        "train_val",
        "test-dev2017",
        "train_extra",
        "trains",
        "contest",
        "monday",
        "all",
        "evaluation",
        "train_1_8",
        "split",
        "subset_2",
        "valley",
        "default",
        "tra in",
    ],
)
def test_other_names_mean_no_split(name):
    assert split_of_name(name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train_labels", ("train", "labels")),
        ("images_prepped_train", ("train", "images_prepped")),
        ("ValImages", ("validation", "images")),
        ("scene-0061.TEST", ("test", "scene")),
        ("training", ("train", "")),
        ("labels", None),
        ("trainval_labels", None),
        ("train_images_of_test", None),
    ],
)
def test_one_word_of_a_name_may_mean_a_split(name, expected):
    assert split_in_name(name) == expected


def test_a_plain_name_counts_rather_than_one_with_a_number():
    assert splits_of_names(["test2015", "Test", "val_1"]) == {"Test": "test", "val_1": "validation"}


@pytest.mark.parametrize("names", [("train", "training"), ("train2014", "train2017"), ("Val", "val")])
def test_two_names_of_one_split_are_refused(names):
    with pytest.raises(ValueError, match=f"Received: {names[0]} and {names[1]}, both "):
        splits_of_names(names)
