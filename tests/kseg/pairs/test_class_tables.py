"""Tables of classes by name, as text, and in the files of data sets and label tools."""

import json

import numpy as np
import pytest

from kseg.pairs.errors import PairError
from kseg.pairs.layouts.class_files import find_classes, read_known_file
from kseg.pairs.layouts.class_tables import BUILT_IN, described_classes
from kseg.pairs.recognisers import RECOGNISERS
from pipeline.settings.example_gen import CLASS_TABLES, LAYOUTS

FILES = {  # each names cat as 1, and what the file has as the first class
    "label_colors.txt": ("0 0 0\tbackground\n255 0 0\tcat\n", "background"),
    "class_dict.csv": ("name,r,g,b\nbackground,0,0,0\ncat,255,0,0\n", "background"),
    "labelmap.txt": ("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:255,0,0::\n", "background"),
    "class_names.txt": ("_background_\ncat\n", "background"),
    "id2label.json": ('{"0": "background", "1": "cat"}', "background"),
    "_classes.csv": ("Pixel Value, Class\n0, background\n1, cat\n", "background"),
    "dataset.json": ('{"labels": {"background": 0, "cat": 1}}', "background"),
    "data.yaml": ("names:\n  0: background\n  1: cat\n", "background"),
    "pets.yml": ("names: [background, cat]\n", "background"),
    "config_v1.2.json": (
        json.dumps({"labels": [{"readable": "bird", "color": [1, 2, 3]}, {"readable": "cat", "color": [4, 5, 6]}]}),
        "bird",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_data_sets_and_label_tools_are_tables_of_classes(tmp_path, name):
    text, first = FILES[name]
    (tmp_path / name).write_text(text)
    labels = read_known_file(tmp_path / name).label_map()
    assert (labels.names, labels.values) == ((first, "cat"), (0, 1))


ROWS = {
    "header": "name,r,g,b\nbackground,0,0,0\ncat,255,0,0\n",
    "other header": "class;rgb\nbackground;0 0 0\ncat;255 0 0\n",
    "hex": "id\tname\tcolor\n0\tbackground\t#000000\n1\tcat\t#FF0000\n",
    "name last": "0,0,0,background\n255,0,0,cat\n",
    "name first": "background,0,0,0\ncat,255,0,0\n",
    "value first": "0 background 0 0 0\n1 cat 255 0 0\n",
    "value and colour first": "0,0,0,0,background\n1,255,0,0,cat\n",
    "colons": "# a comment\nbackground: (0, 0, 0)\ncat: (255, 0, 0)\n",
    "hex lines": "background #000000\ncat = #ff0000\n",
}
OBJECTS = {
    "name to colour": {"background": [0, 0, 0], "cat": [255, 0, 0]},
    "name to hex": {"background": "#000000", "cat": "#ff0000"},
    "list": [{"name": "cat", "color": [255, 0, 0], "id": 1}, {"name": "background", "color": [0, 0, 0], "id": 0}],
    "list without ids": [{"label": "background", "colour": "0 0 0"}, {"label": "cat", "colour": "255, 0, 0"}],
    "below a key": {
        "v": 2,
        "classes": [{"title": "background", "color": "#000000"}, {"title": "cat", "color": "#ff0000"}],
    },
    "by value": {"0": {"name": "background", "color": [0, 0, 0]}, "1": {"name": "cat", "color": [255, 0, 0]}},
    "by name": {"cat": {"id": 1, "color": [255, 0, 0]}, "background": {"id": 0, "color": [0, 0, 0]}},
    "by colour": {"(0, 0, 0)": "background", "255,0,0": "cat"},
    "rows": [["background", [0, 0, 0]], ["cat", [255, 0, 0, 255]]],
}
PLACES = (
    "colormap.csv",
    "color_map.txt",
    "Colours.txt",
    "palette.tsv",
    "class-legend.txt",
    "label colours.csv",
    "labels_colors.txt",
)


@pytest.mark.parametrize("form", ROWS)
def test_a_table_of_colours_in_lines_is_read_whatever_its_form(tmp_path, form):
    for place in ("colormap.csv", "color_map.txt"):
        (tmp_path / place).write_text(ROWS[form])
        labels = read_known_file(tmp_path / place).label_map()
        assert (labels.names, labels.values) == (("background", "cat"), (0, 1))
        assert labels.colours == ((0, 0, 0), (255, 0, 0))


@pytest.mark.parametrize("form", OBJECTS)
def test_a_table_of_colours_in_json_is_read_whatever_its_form(tmp_path, form):
    (tmp_path / "colors.json").write_text(json.dumps(OBJECTS[form]))
    labels = find_classes(tmp_path).label_map()
    assert (labels.names, labels.values) == (("background", "cat"), (0, 1))
    assert labels.colours == ((0, 0, 0), (255, 0, 0))


@pytest.mark.parametrize("place", PLACES)
def test_a_file_named_after_classes_or_colours_is_found(tmp_path, place):
    (tmp_path / place).write_text(ROWS["name last"])
    assert find_classes(tmp_path).source == place


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("labels.csv", "filename,class\na.jpg,cat\n"),
        ("classes.txt", "cat\ndog\n"),
        ("classes.json", '["cat", "dog"]'),
        ("labels.json", '{"a.jpg": "cat"}'),
        ("colors.json", '{"theme": "dark"}'),
        ("train.txt", "0,0,0,background\n"),
        ("colors.txt", "0,0,999,background\n"),
        ("palette.txt", ""),
        ("legend.json", "[" * 100_000),
    ],
)
def test_a_file_of_such_a_name_that_holds_no_clear_table_is_left_alone(tmp_path, place, content):
    (tmp_path / place).write_text(content)
    assert find_classes(tmp_path) is None


def test_names_that_begin_with_the_background_are_a_table(tmp_path):
    (tmp_path / "classes.txt").write_text("background\ncat\n")
    assert find_classes(tmp_path).label_map().values == (0, 1)


def test_two_tables_that_differ_are_refused_and_equal_ones_are_not(tmp_path):
    (tmp_path / "colors.json").write_text(json.dumps(OBJECTS["list"]))
    (tmp_path / "legend.txt").write_text(ROWS["name last"])
    assert find_classes(tmp_path).label_map().names == ("background", "cat")
    (tmp_path / "legend.txt").write_text("0,0,0,cat\n255,0,0,background\n")
    with pytest.raises(PairError, match="one table of classes"):
        find_classes(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", " ; ", "\t"])
def test_class_dict_is_read_as_spreadsheets_save_it(tmp_path, encoding, delimiter):
    text = FILES["class_dict.csv"][0].replace(",", delimiter).replace("\n", "\r\n")
    (tmp_path / "class_dict.csv").write_bytes(text.encode(encoding))
    labels = find_classes(tmp_path).label_map()
    assert (labels.names, labels.colours) == (("background", "cat"), ((0, 0, 0), (255, 0, 0)))


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("pets.yml", "config_v1.2.json")])
def test_such_a_file_is_found_in_its_folder(tmp_path, name):
    (tmp_path / name).write_text(FILES[name][0])
    assert find_classes(tmp_path).source == name
    assert find_classes(tmp_path.parent) is None


@pytest.mark.parametrize("name", ["config.json", "dataset.json", "data.yaml"])
def test_a_file_of_another_program_is_no_table_unless_it_is_named(tmp_path, name):
    (tmp_path / name).write_text('{"epochs": 3}')
    assert find_classes(tmp_path) is None
    with pytest.raises(PairError):
        read_known_file(tmp_path / name)


def test_another_file_is_left_to_the_reader_of_classes_csv(tmp_path):
    assert read_known_file(tmp_path / "classes.csv") is None


@pytest.mark.parametrize("text", ["names: 3\n", "path: x\n", "names: {300: cat}\n"])
def test_a_yaml_without_usable_names_is_refused(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(PairError, match="must"):
        read_known_file(tmp_path / "data.yaml")


def test_the_tables_known_by_name_have_the_classes_of_their_data_sets():
    assert sorted(BUILT_IN) == sorted(CLASS_TABLES) and sorted(RECOGNISERS) == list(LAYOUTS)
    counts = {name: described_classes(name).label_map().num_classes for name in BUILT_IN}
    assert counts == {
        "ade20k": 150,
        "camvid": 31,
        "camvid11": 11,
        "cityscapes": 19,
        "cityscapes-labelids": 19,
        "voc": 21,
    }
    voc, ade20k = described_classes("voc").label_map(), described_classes("ade20k").label_map()
    assert (voc.names[15], voc.colours[15], voc.ignore_value) == ("person", (192, 128, 128), 255)
    assert (ade20k.names[0], ade20k.names[149], ade20k.values[149], ade20k.ignore_value) == ("wall", "flag", 150, 0)


def test_label_ids_of_cityscapes_become_the_ids_of_train_ids():
    label_ids = described_classes("cityscapes-labelids").label_map()
    train_ids = described_classes("cityscapes").label_map()
    assert label_ids.names == train_ids.names
    mask = np.array([[0, 7, 8, 9, 11, 33, 34 - 5, 255]], np.uint8)
    assert label_ids.to_ids(mask).tolist() == [[255, 0, 1, 255, 2, 18, 255, 255]]
    assert len(label_ids.known_values) == 35  # 0 to 33, and 255 for -1


def test_names_and_values_may_be_written_as_text():
    labels = described_classes("background=0-127, polyp=128-254,void=255").label_map()
    assert (labels.names, labels.ignore_value, len(labels.known_values)) == (("background", "polyp"), 255, 256)
    assert labels.to_ids(np.array([[0, 127, 128, 254, 255]], np.uint8)).tolist() == [[0, 0, 1, 1, 255]]
    assert described_classes("a=0,b=1,a=2").label_map().to_ids(np.array([[0, 1, 2]], np.uint8)).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("text", ["", "vok", "a=", "=3", "a=0,b", "a=0-300", "a=9-3", "a=x"])
def test_other_text_is_refused_with_the_names_that_are_known(text):
    with pytest.raises(ValueError, match=r"or one of ade20k, camvid, .*, voc\. Received: "):
        described_classes(text)
