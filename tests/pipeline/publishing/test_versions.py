"""Versions at the place where they are served: numbers, pruning, rollback, another file system, and killed at any rename."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest

from pipeline.publishing import versions
from pipeline.publishing.entries import find_rolled_back


@pytest.fixture
def publish(saved_model, tmp_path):
    """`publish("a", "b")` publishes models with these fingerprints; returns the folder and the last one's number."""

    def run(*fingerprints, folder=tmp_path / "models" / "streets"):
        for fingerprint in fingerprints:
            number = versions.publish(saved_model, folder, {"fingerprint": fingerprint})
        return folder, number

    return run


def moved(folder):
    return sorted(place.name for place in folder.glob(f"{versions.ROLLED_BACK}*"))


def test_rollback_makes_the_version_before_it_the_newest(publish):
    folder, _ = publish("a", "b", "c")
    place, newest = versions.roll_back(folder)
    assert (place, newest) == (folder / "rolled_back-3", 2)
    assert versions.list_versions(folder) == [1, 2]
    assert (place / "saved_model.pb").read_bytes() == b"graph"
    assert versions.roll_back(folder) == (folder / "rolled_back-2", 1)


def test_rollback_is_one_rename(publish, monkeypatch):
    folder, _ = publish("a", "b")
    seen, rename = [], os.rename
    monkeypatch.setattr(os, "rename", lambda *paths: seen.append(paths) or rename(*paths))
    versions.roll_back(folder)
    assert seen == [(folder / "2", folder / "rolled_back-2")]


@pytest.mark.parametrize("kind", ["file", "folder", "full folder", "link"])
def test_something_in_the_place_of_a_rolled_back_version_stays_and_stops_no_rollback(publish, kind):
    folder, _ = publish("a", "b")
    there = folder / "rolled_back-2"
    if kind == "file":
        there.write_text("mine")
    elif kind == "link":
        there.symlink_to("nowhere")
    else:
        there.mkdir()
    if kind == "full folder":
        (there / "notes.txt").write_text("mine")
    before = there.lstat()
    assert versions.roll_back(folder) == (folder / "rolled_back-2-2", 1)
    assert there.lstat() == before and find_rolled_back(folder, "b") == folder / "rolled_back-2-2"
    (folder / versions.LAST_VERSION).unlink()
    assert versions.next_number(folder) == 3


@pytest.mark.parametrize("fingerprints", [(), ("a",)])
def test_rollback_without_an_earlier_version_is_refused_and_moves_nothing(publish, tmp_path, fingerprints):
    folder = publish(*fingerprints)[0] if fingerprints else tmp_path / "nowhere"
    with pytest.raises(ValueError, match=r"must be an earlier version to roll back to\. Received: versions \[1?\]"):
        versions.roll_back(folder)
    assert versions.list_versions(folder) == [1][: len(fingerprints)]
    assert folder.exists() == bool(fingerprints)


def test_a_number_is_never_used_again_after_rollback_and_pruning(publish):
    folder, _ = publish("a", "b")
    versions.roll_back(folder)
    assert publish("c")[1] == 3
    versions.roll_back(folder)
    shutil.rmtree(folder / "rolled_back-2"), shutil.rmtree(folder / "rolled_back-3")
    assert publish("d")[1] == 4
    assert versions.prune(folder, 1) == [1]
    shutil.rmtree(folder / "4")
    assert publish("e")[1] == 5


def test_a_pipe_in_the_place_of_last_version_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".last_version")
    with pytest.raises(ValueError, match="it is a pipe, socket or device"):
        versions.next_number(tmp_path)


def test_the_number_of_a_rolled_back_version_is_not_used_again_where_last_version_is_missing(publish):
    folder, _ = publish("a", "b", "c")
    versions.roll_back(folder)
    (folder / ".last_version").unlink()
    assert publish("d")[1] == 4


def test_pruning_keeps_the_newest_and_what_others_put_there(publish):
    folder, _ = publish("a", "b", "c")
    (folder / "4").mkdir()  # somebody else is still copying
    (folder / "4" / "half.pb").write_bytes(b"")
    assert versions.prune(folder, 2) == [1]
    assert versions.prune(folder, 1) == [2]
    assert versions.prune(folder, 1) == []
    assert versions.list_versions(folder) == [3]
    assert (folder / "4" / "half.pb").is_file()


def test_pruning_keeps_rolled_back_versions(publish):
    folder, _ = publish("a", "b", "c")
    versions.roll_back(folder)
    versions.prune(folder, 1)
    assert (versions.list_versions(folder), moved(folder)) == ([2], ["rolled_back-3"])


def test_a_version_has_no_number_while_it_is_removed(publish, monkeypatch):
    folder, _ = publish("a", "b")

    def stopped(path):
        raise KeyboardInterrupt(path)

    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            versions.prune(folder, 1)
    assert versions.list_versions(folder) == [2]
    assert [place.name for place in folder.glob(".removed*")] == [".removed-1"]
    versions.prune(folder, 1)
    assert not list(folder.glob(".removed*"))


def test_keeping_no_version_is_refused(publish):
    with pytest.raises(ValueError, match=r"`keep` must be at least 1.*Received: pusher\.keep=0"):
        versions.prune(publish("a")[0], 0)


def test_a_candidate_is_compared_with_the_newest_other_model(publish, tmp_path):
    folder, _ = publish("a", "b")
    assert versions.newest_other_version(folder, "c") == folder / "2"
    assert versions.newest_other_version(folder, "b") == folder / "1"
    versions.roll_back(folder)
    assert versions.newest_other_version(folder, "c") == folder / "1"
    assert versions.newest_other_version(folder, "a") is None
    assert versions.newest_other_version(tmp_path / "nowhere", "a") is None


def test_versions_are_complete_on_another_file_system_too(publish, saved_model):
    memory = pathlib.Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == saved_model.stat().st_dev:
        pytest.skip("/dev/shm is no file system of its own here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        folder, number = publish("a", "b", folder=pathlib.Path(folder, "streets"))
        assert number == 2
        assert (folder / "2" / "variables" / "variables.index").read_bytes() == b"index"
        assert json.loads((folder / "2" / versions.LINEAGE).read_text()) == {"fingerprint": "b"}


def test_every_file_is_on_disk_before_its_version_has_a_number(publish, monkeypatch):
    synced, fsync, rename = [], os.fsync, os.rename

    def noted(descriptor):
        synced.append(pathlib.Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def renamed(source, destination):
        files = {path.name for path in pathlib.Path(source).rglob("*")}
        assert files >= {"saved_model.pb", "variables", "variables.index", "lineage.json"}
        assert {*files, ".incoming", ".last_version"} <= set(synced)
        rename(source, destination)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "rename", renamed)
    folder, _ = publish("a")
    assert synced[-1] == folder.name
