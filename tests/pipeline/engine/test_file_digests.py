"""Digests of files are remembered between runs, and every change of a file is seen all the same."""

import os
import pathlib
import time

import pytest

from pipeline.engine import file_digests
from pipeline.engine.file_digests import FOLDER, FileDigests


@pytest.fixture
def files(tmp_path):
    """Three files of equal size."""
    paths = [tmp_path / "data" / name for name in ("a", "b", "c")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(f"{path.name} 1")
    return paths


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read."""
    found, real = [], file_digests.file_digest

    def digest(path):
        found.append(pathlib.Path(path).name)
        return real(path)

    monkeypatch.setattr(file_digests, "file_digest", digest)
    return found


def look(files, **options) -> str:
    """The digest as a new process finds it."""
    root = files[0].parents[1] / "runs"
    return FileDigests(root, **options).combined(files, [], files[0].parent)


def test_names_and_bytes_count_and_the_place_and_the_order_do_not(files, tmp_path):
    first = look(files)
    (tmp_path / "data").rename(tmp_path / "moved")
    moved = [tmp_path / "moved" / path.name for path in reversed(files)]
    assert look(moved) == first
    moved[0].rename(tmp_path / "moved" / "d")
    assert look([tmp_path / "moved" / "d", *moved[1:]]) != first


def test_files_are_read_once_and_again_after_any_change(files, read, monkeypatch):
    monkeypatch.setattr(file_digests, "RECENT", 0)
    first = look(files)
    assert sorted(read) == ["a", "b", "c"]
    read.clear()
    assert look(files) == first and read == []

    status = files[0].stat()
    files[0].write_text("a 2")  # of the same size
    os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    second = look(files)
    assert second != first and read == ["a"]

    read.clear()
    other = files[1].with_name("other")
    other.write_text("b 2")
    status = files[1].stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(files[1])
    assert look(files) not in (first, second) and read == ["b"]

    read.clear()
    os.utime(files[2])  # touched, and equal
    before = look(files)
    assert read == ["c"] and look(files, anew=True) == before and sorted(read) == ["a", "b", "c", "c"]


def test_a_file_that_has_just_changed_is_read_again_since_it_may_change_within_one_tick(files, read, monkeypatch):
    look(files)
    look(files)
    assert len(read) == 6
    now = time.time_ns()
    monkeypatch.setattr(file_digests.time, "time_ns", lambda: now + 2 * file_digests.RECENT)
    look(files)
    look(files)
    assert len(read) == 9


def test_a_link_counts_by_what_it_leads_to(files, tmp_path, monkeypatch):
    monkeypatch.setattr(file_digests, "RECENT", 0)
    link = tmp_path / "data" / "link"
    link.symlink_to(files[0])
    first = look([link])
    files[0].write_text("a 2")
    second = look([link])
    link.unlink()
    link.symlink_to(files[1])
    assert len({first, second, look([link])}) == 3


def test_what_is_missing_or_no_file_counts_and_is_not_opened(files, tmp_path):
    odd = tmp_path / "data" / "odd"
    found = [look([*files, odd])]
    os.mkfifo(odd)  # opening it would wait for ever
    found.append(look([*files, odd]))
    odd.unlink()
    odd.write_text("")
    assert len({*found, look([*files, odd]), look(files)}) == 4


def test_what_must_not_be_opened_counts_by_its_name(files, tmp_path, read):
    digests = FileDigests(tmp_path / "runs")
    found = {digests.combined(files[:2], closed, files[0].parent) for closed in ([], files[2:], [tmp_path / "secret"])}
    assert len(found) == 3 and "c" not in read


def test_a_name_that_is_not_utf_8_counts(files, tmp_path):
    odd = tmp_path / "data" / os.fsdecode(b"\xff")
    odd.write_text("1")
    first = look([odd])
    assert look([odd]) == first
    odd.write_text("2")
    assert look([odd]) != first


@pytest.mark.parametrize("text", ["", '{"a": ', "[]", '{"a": 3}', '{"a": []}'])
def test_a_memory_that_is_spoilt_is_made_anew(files, tmp_path, monkeypatch, text):
    monkeypatch.setattr(file_digests, "RECENT", 0)
    first = look(files)
    (memory,) = (tmp_path / "runs" / FOLDER).iterdir()
    memory.write_text(text)
    assert look(files) == first


def test_nothing_is_written_where_that_is_not_wanted_or_not_possible(files, tmp_path, monkeypatch):
    monkeypatch.setattr(file_digests, "RECENT", 0)
    first = look(files, write=False)
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").write_text("a file")
    assert look(files) == first
