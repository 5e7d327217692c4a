"""Files are written whole or not at all, and places that cannot be written are refused before any work."""

import pathlib
import threading

import pytest

from pipeline.engine import files


def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "a.json"
    files.write_json(path, {"ä": [1, None]})
    with pytest.raises(KeyError), files.atomic(path) as unfinished:
        unfinished.write_text("half")
        raise KeyError
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, float("nan"), allow_nan=False)
    assert files.read_json(path) == {"ä": [1, None]}
    assert "ä" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path, both = tmp_path / "a", threading.Barrier(2)

    def write(data):
        with files.atomic(path) as unfinished:
            both.wait()
            unfinished.write_bytes(data)
            both.wait()

    threads = [threading.Thread(target=write, args=(data,)) for data in (b"a" * 1000, b"b" * 1000)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert path.read_bytes() in (b"a" * 1000, b"b" * 1000)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_file_is_its_default_or_an_error(tmp_path):
    assert files.read_json(tmp_path / "a.json", default={}) == {}
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "a.json")


def test_places_that_cannot_be_written_are_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "deep")
    files.check_output_folder(tmp_path / "new" / "deep", "--root")
    files.check_output_file(tmp_path / "new" / "crf.json", "--output")
    files.check_output_file("crf.json", "--output")
    for place in ("file", "file/below", "broken"):
        with pytest.raises(
            ValueError, match=r"^`--root` must be a folder that can be written\. Received: --root /.* is not"
        ):
            files.check_output_folder(tmp_path / place, "--root")
    with pytest.raises(ValueError, match=r"^`--output` must be a file .* \[it is a folder\]\. Name a file in it\.$"):
        files.check_output_file(tmp_path, "--output")
    with pytest.raises(ValueError, match=r"Received: --output /proc/crf\.json \[.*: /proc\]\. Choose another place"):
        files.check_output_file(pathlib.Path("/proc/crf.json"), "--output")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file"]
