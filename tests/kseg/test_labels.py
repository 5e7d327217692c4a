"""Raw mask values become class ids; values without a class and undeclared void are refused."""

import csv

import numpy as np
import pytest

from kseg.labels import VOID, LabelMap, UndeclaredVoidError, voc_colour

TABLE = "value,name,red,green,blue\n0,Sky,1,2,3\n7,Road,4,5,6\n11,Void,9,9,9\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(TABLE)
    return path


def test_the_row_of_the_ignore_value_is_void_and_not_a_class(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert (labels.names, labels.values, labels.void_colour) == (("Sky", "Road"), (0, 7), (9, 9, 9))
    assert labels.to_ids(np.array([[0, 7, 11]], np.uint8)).tolist() == [[0, 1, VOID]]


@pytest.mark.parametrize("name", ["Void", "unlabelled", "Unlabeled", "IGNORE", " unknown "])
def test_a_row_whose_name_means_void_is_refused_until_the_user_has_chosen(tmp_path, name):
    path = tmp_path / "classes.csv"
    path.write_text(f"value,name,red,green,blue\n0,background,0,0,0\n1,road,1,2,3\n9,{name},9,9,9\n")
    with pytest.raises(UndeclaredVoidError, match=rf"Received: 9,{name.strip()} \[.*classes.csv\].*`ignore_value=9`"):
        LabelMap.from_csv(path)
    with pytest.raises(UndeclaredVoidError):
        LabelMap.from_csv(path, ignore_value=255)
    assert LabelMap.from_csv(path, ignore_value=9).names == ("background", "road")
    assert LabelMap.from_csv(path, void_is_class=True).names == ("background", "road", name.strip())


def test_further_columns_are_ignored(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("value,share,name,red,green,blue\n0,12%,sky,1,2,3\n")
    assert LabelMap.from_csv(path) == LabelMap(("sky",), ((1, 2, 3),), (0,))


def test_255_can_be_a_class():
    labels = LabelMap(("membrane", "cell"), ((0, 0, 0), (255, 255, 255)), (0, 255))
    assert labels.to_ids(np.array([[255, 0]], np.uint8)).tolist() == [[1, 0]]


def test_unknown_values_are_counted_in_the_message(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    with pytest.raises(ValueError, match=r"Received: 3 \(2 pixels\), 9 \(1 pixels\).*--ignore-value"):
        labels.to_ids(np.array([[3, 3, 9, 0]], np.uint8))


@pytest.mark.parametrize(
    ("ignore_value", "permitted"),
    [
        (None, r"those of the classes \(0-2, 9\); none is declared void\. Received: 200 \(1 pixels\)"),
        (9, r"those of the classes \(0-2\) or of void \(9\)\. Received: 200"),
    ],
)
def test_the_message_about_unknown_values_names_all_that_are_known(tmp_path, ignore_value, permitted):
    path = tmp_path / "classes.csv"
    path.write_text("value,name\n0,road\n1-2,car\n9,rest\n")
    with pytest.raises(ValueError, match=f"Mask values must be {permitted}"):
        LabelMap.from_csv(path, ignore_value=ignore_value).to_ids(np.array([[0, 200]], np.uint8))


def test_masks_of_another_dtype_are_refused(table):
    with pytest.raises(ValueError, match=r"`mask` must be uint8\. Received: mask=int64 \(1, 2\)"):
        LabelMap.from_csv(table, ignore_value=11).to_ids(np.array([[0, 7]]))


def test_json_gives_back_the_same_table(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert LabelMap.from_json(labels.to_json()) == labels


@pytest.mark.parametrize(
    ("label_map", "ids"), [([[0.2, 0.8]], "0.2 to 0.8"), ([[-1, 3]], "-1 to 3"), ([[0, 256]], "0 to 256")]
)
def test_only_integer_ids_are_coloured(table, label_map, ids):
    with pytest.raises(
        ValueError, match=rf"must hold integer ids in 0\.\.255\. Received: .* ids {ids}\. Take the argmax"
    ):
        LabelMap.from_csv(table, ignore_value=11).colour(np.array(label_map))


def test_label_maps_are_coloured_as_the_table_says(table):
    labels = LabelMap.from_csv(table, ignore_value=11)
    assert labels.colour(np.array([[1, VOID]])).tolist() == [[[4, 5, 6], [9, 9, 9]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value,name,red\n0,Sky,3\n", "without green, blue"),
        ("name,red,green,blue\nSky,1,2,3\n", "without value"),
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


def test_classes_of_a_table_without_colours_have_those_of_voc_at_their_values(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("value,name\n0,sky\n15,person\n3,person\n255,void\n")
    labels = LabelMap.from_csv(path, ignore_value=255)
    assert labels.colours == (voc_colour(0), voc_colour(15))
    assert labels.void_colour == voc_colour(255)


def test_the_palette_of_voc_has_256_colours_and_its_void():
    assert [voc_colour(index) for index in (0, 1, 15, 255)] == [
        (0, 0, 0),
        (128, 0, 0),
        (192, 128, 128),
        (224, 224, 192),
    ]
    assert len({voc_colour(index) for index in range(256)}) == 256


def test_a_name_that_no_file_can_hold_is_refused():
    with pytest.raises(ValueError, match=r"must have a name .* Received: name='\\ud800'"):
        LabelMap(("\ud800",), ((0, 0, 0),), (0,))


@pytest.mark.parametrize(
    "name", ["$_$", "a,b", 'say "b"', "a\nb", "\N{HEBREW LETTER SHIN}", "\N{PILE OF POO}", "n" * 200, "<b>", "\0"]
)
def test_any_name_survives_json(name, tmp_path):
    labels = LabelMap((name,), ((0, 0, 0),), (0,))
    (tmp_path / "labels.json").write_text(labels.to_json(), encoding="utf-8")
    assert LabelMap.load(tmp_path) == labels


@pytest.mark.parametrize(
    "name", ["$_$", "a,b", 'say "b"', "a\nb", "\N{HEBREW LETTER SHIN}", "\N{PILE OF POO}", "n" * 200, "<b>"]
)
def test_any_name_survives_a_table(name, tmp_path):
    with open(tmp_path / "classes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["value", "name", "red", "green", "blue"], [0, name, 1, 2, 3]])
    assert LabelMap.from_csv(tmp_path / "classes.csv").names == (name,)


def test_the_columns_of_a_table_may_stand_in_any_order_and_case(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("Red; Green; blue; NAME; Value\n1; 2; 3; Sky; 0\n4; 5; 6; Road; 7\n")
    assert LabelMap.from_csv(path) == LabelMap(("Sky", "Road"), ((1, 2, 3), (4, 5, 6)), (0, 7))


def test_rows_of_one_name_are_one_class_and_void_may_have_several_values(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text(
        "value,name,red,green,blue\n0,road,1,2,3\n1,car,4,5,6\n2,road,1,2,3\n3-5,sky,7,8,9\n9,void,0,0,0\n255,void,9,9,9\n"
    )
    labels = LabelMap.from_csv(path, ignore_value=255)
    assert (labels.names, labels.values, labels.ignore_value) == (("road", "car", "sky"), (0, 1, 3), 255)
    mask = np.array([[0, 1, 2, 3, 4, 5, 9, 255]], np.uint8)
    assert labels.to_ids(mask).tolist() == [[0, 1, 0, 2, 2, 2, VOID, VOID]]
    assert labels.unknown_values(np.array([[2, 4, 6]], np.uint8)) == {6: 1}
    assert LabelMap.from_json(labels.to_json()) == labels


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,road,1,2,3\n1,road,4,5,6\n", "must have one colour. Received: 0,road,1,2,3; 1,road,4,5,6"),
        ("0,road,1,2,3\n0-4,car,4,5,6\n", "differ from each other"),
        ("0,road,1,2,3\n9-4,car,4,5,6\n", "a range must go up, within 0-255: 9-4"),
        ("0,road,1,2,3\n4-300,car,4,5,6\n", "a range must go up, within 0-255: 4-300"),
        ("0,road,1,2,3\n4-x,car,4,5,6\n", "must be whole numbers"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path, rows, message):
    path = tmp_path / "classes.csv"
    path.write_text("value,name,red,green,blue\n" + rows)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        LabelMap.from_csv(path)


def test_classes_without_further_values_are_read_from_older_files():
    old = '{"names": ["a"], "colours": [[1, 2, 3]], "values": [4], "ignore_value": null, "void_colour": [0, 0, 0]}'
    assert LabelMap.from_json(old) == LabelMap(("a",), ((1, 2, 3),), (4,))


def test_a_further_value_of_no_class_is_refused():
    with pytest.raises(ValueError, match=r"Received: other_values=\(\(5, 1\),\)"):
        LabelMap(("a",), ((1, 2, 3),), (4,), other_values=((5, 1),))


@pytest.mark.parametrize(
    "text", ["", '{"names": ["a"', "[]", "null", "{}", "\0\0", '{"names": 3, "colours": 4, "values": 5}']
)
def test_a_file_of_classes_that_is_cut_off_or_junk_is_named(tmp_path, text):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ValueError, match=r"^labels\.json must hold the classes .* \[/.*labels\.json\]\. Bring it back"):
        LabelMap.load(tmp_path)
