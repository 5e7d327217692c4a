"""Files are written whole or not at all, and places that cannot be written are refused before any work."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from pipeline.engine import files
from tests.conftest import ROOT


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


@pytest.mark.parametrize("text", [b"", b'{"a": [1, 2', b'{"a": 1}}', b"\xff\xfe", bytes(100), b"[" * 100_000])
def test_a_file_that_is_cut_off_or_junk_is_named_with_a_cure(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(
        ValueError, match=r"^A file of JSON must be whole\. Received: .* \[/.*/a\.json\]\. Remove it, or"
    ):
        files.read_json(tmp_path / "a.json", {})


@pytest.mark.parametrize(("text", "lacks"), [("[]", "table"), ("3", "table"), ("null", "table"), ('{"a": 1}', "b, c")])
def test_a_file_of_something_else_is_named_with_a_cure(tmp_path, text, lacks):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"Received: no {lacks} in it \[/.*/a\.json\]\. Mend it\.$"):
        files.read_json(tmp_path / "a.json", keys=("a", "b", "c"), cure="Mend it.")


def test_places_that_cannot_be_written_are_refused_and_nothing_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "deep")
    files.check_output_folder(tmp_path / "new" / "deep", "--root")
    files.check_output_file(tmp_path / "new" / "crf.json", "--output", bool)
    files.check_output_file("crf.json", "--output", bool)
    for place in ("file", "file/below", "broken"):
        with pytest.raises(
            ValueError, match=r"^`--root` must be a folder that can be written\. Received: --root /.* is not"
        ):
            files.check_output_folder(tmp_path / place, "--root")
    with pytest.raises(ValueError, match=r"^`--output` must be a file .* \[it is a folder\]\. Name a file in it\.$"):
        files.check_output_file(tmp_path, "--output", bool)
    with pytest.raises(ValueError, match=r"Received: --output /proc/crf\.json \[.*: /proc\]\. Choose another place"):
        files.check_output_file(pathlib.Path("/proc/crf.json"), "--output", bool)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file"]


TEXTS = ["a", "=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "\uff1d1", "'a", "''", "a;=1", 'b"c', ""]


def test_no_cell_of_a_table_is_a_formula_and_every_text_can_be_had_back(tmp_path):
    files.write_csv(tmp_path / "a.csv", [["text", "number"], *([text, -number] for number, text in enumerate(TEXTS))])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert not [text for text, _ in rows if text.startswith(files.FORMULA_STARTS)]
    assert [text.removeprefix("'") for text, _ in rows] == TEXTS
    assert [int(number) for _, number in rows] == [-number for number in range(len(TEXTS))]
    assert '"a;=1"' in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path):
    code = f"""
        import pathlib, sys, time
        from pipeline.engine.files import scratch_folder
        with scratch_folder(pathlib.Path({str(tmp_path)!r})) as folder:
            (folder / "beam-temp-x").mkdir()
            print(folder, flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        used = pathlib.Path(process.stdout.readline().strip())
        with files.scratch_folder(tmp_path) as folder:
            assert set(tmp_path.iterdir()) == {used, folder}
        assert list(tmp_path.iterdir()) == [used]
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == [used]
    with pytest.raises(KeyError), files.scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_waited_for(tmp_path):
    from kseg.labels import LabelMap
    from pipeline.engine.fingerprints import external

    os.mkfifo(tmp_path / "pipe")
    for read in (files.read_json, external, LabelMap.from_csv):
        with pytest.raises(ValueError, match=r"must be .*file.*pipe"):
            read(tmp_path / "pipe")


def test_unfinished_files_may_lie_in_another_folder_which_somebody_removes(tmp_path):
    (tmp_path / "scratch").mkdir()
    with files.unfinished_in(tmp_path / "scratch"), files.atomic(tmp_path / "new" / "file") as unfinished:
        assert unfinished.parent == tmp_path / "scratch"
        unfinished.write_text("whole")
    assert (tmp_path / "new" / "file").read_text() == "whole" and not list((tmp_path / "scratch").iterdir())
    with files.atomic(tmp_path / "file") as unfinished:
        assert unfinished.parent == tmp_path
        unfinished.touch()
