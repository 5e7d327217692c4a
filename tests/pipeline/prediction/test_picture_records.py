"""Records of labelled pictures, and the tables that are written from them."""

import csv
import json
import os
import pathlib

from kseg.labels import LabelMap
from pipeline.prediction import tables
from pipeline.prediction.picture_records import Records, file_state, is_finished, record_path

LABELS = LabelMap(("road", "car", "sky"), ((120, 60, 120), (70, 0, 130), (20, 130, 250)), (0, 1, 2))


def write_record(output, key, **values):
    path = record_path(output, pathlib.PurePath(key))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"key": key, **values}))
    return path


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_picture_is_finished_until_its_size_or_time_changes(tmp_path):
    picture = tmp_path / "photo.jpg"
    picture.write_bytes(b"12345")
    os.utime(picture, ns=(7, 7))
    state = file_state(picture)
    assert state == {"bytes": 5, "changed": 7}
    path = record_path(tmp_path / "out", pathlib.PurePath("a/photo"))
    assert path == tmp_path / "out" / "records" / "a" / "photo.json"
    assert not is_finished(path, state)
    write_record(tmp_path / "out", "a/photo", **state)
    assert is_finished(path, state)
    assert not is_finished(path, state | {"changed": 8}) and not is_finished(path, state | {"bytes": 4})


def test_records_are_read_again_each_time_and_missing_ones_are_left_out(tmp_path):
    paths = [record_path(tmp_path, pathlib.PurePath(key)) for key in ("a", "b")]
    records = Records(paths)
    assert list(records) == []
    write_record(tmp_path, "b")
    assert list(records) == [{"key": "b"}] == list(records)


def test_tables_hold_the_shares_the_changes_and_what_could_not_be_read(tmp_path):
    write_record(tmp_path, "a", height=2, width=5, pixels=[1, 0, 9], moved=[[0, 2, 3], [1, 2, 1]])
    write_record(tmp_path, "b", height=1, width=1, pixels=[0, 1, 0], moved=[])
    records = Records([record_path(tmp_path, pathlib.PurePath(key)) for key in ("a", "b")])
    tables.write_class_shares(tmp_path, records, LABELS)
    assert table(tmp_path / "class_shares.csv") == [
        ["picture", "height", "width", "road", "car", "sky"],
        ["a", "2", "5", "0.100000", "0.000000", "0.900000"],
        ["b", "1", "1", "0.000000", "1.000000", "0.000000"],
    ]
    assert tables.write_changed_pixels(tmp_path, records, LABELS) == 4
    assert table(tmp_path / "changed_pixels.csv")[1:] == [["a", "road", "sky", "3"], ["a", "car", "sky", "1"]]
    unreadable = {"outcome": "unreadable", "path": "z, y.png", "fault": "damaged_file", "message": "Truncated."}
    tables.write_unreadable(tmp_path, [{"outcome": "done"}, unreadable])
    assert table(tmp_path / "unreadable.csv") == [
        ["path", "fault", "message"],
        ["z, y.png", "damaged_file", "Truncated."],
    ]
