"""Raw mask values become class ids, and nothing unnamed passes."""

import numpy as np
import pytest

from kseg.labels import VOID, LabelMap

TABLE = "value,name,red,green,blue\n0,Sky,1,2,3\n7,Road,4,5,6\n11,Void,9,9,9\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(TABLE)
    return path


def test_the_row_of_the_ignore_value_is_void_and_no_class(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert (labels.names, labels.values, labels.void_colour) == (("Sky", "Road"), (0, 7), (9, 9, 9))
    assert labels.to_ids(np.array([[0, 7, 11]], np.uint8)).tolist() == [[0, 1, VOID]]


def test_without_an_ignore_value_every_row_is_a_class(table):
    assert LabelMap.from_csv(table).num_classes == 3


def test_255_can_be_a_class():
    labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255))
    assert labels.to_ids(np.array([[255, 0]], np.uint8)).tolist() == [[1, 0]]


def test_unknown_values_are_counted_in_the_message(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    with pytest.raises(ValueError, match=r"Received: 3 \(2 pixels\), 9 \(1 pixels\).*--ignore-value"):
        labels.to_ids(np.array([[3, 3, 9, 0]], np.uint8))


def test_json_gives_back_the_same_table(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert LabelMap.from_json(labels.to_json()) == labels


def test_colours_are_the_tables_and_voids_is_its_own(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert labels.colour(np.array([[1, VOID]])).tolist() == [[[4, 5, 6], [9, 9, 9]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value,name\n0,Sky\n", "without red, green, blue"),
        ("value,name,red,green,blue\n", "a row for each class"),
        ("value,name,red,green,blue\nx,Sky,0,0,0\n", "must be whole numbers"),
        ("value,name,red,green,blue\n0,Sky,0,0,0\n0,Road,0,0,0\n", "differ from each other"),
        ("value,name,red,green,blue\n300,Sky,0,0,0\n", "must lie in 0..255"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, text, message):
    path = tmp_path / "classes.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        LabelMap.from_csv(path)
