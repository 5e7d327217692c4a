"""A push that is killed at any step, or meets a full disk at any write, leaves no half version, and the same push works later."""

import json
import os
import subprocess
import sys

import pytest

from pipeline.engine.console import disk_fault_message
from pipeline.publishing import entries, versions
from tests.conftest import ROOT
from tests.pipeline.mounting import mounted


@pytest.fixture
def saved_model(tmp_path):
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"graph" * 2000)
    (tmp_path / "saved_model" / "variables" / "variables.index").write_bytes(b"index" * 2000)
    return tmp_path / "saved_model"


def interrupted(kind, *arguments):
    """Runs a function of `interrupted_pushes` in a process of its own."""
    module = "tests.pipeline.publishing.interrupted_pushes"
    command = [sys.executable, "-m", module, kind, json.dumps(arguments, default=str)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("earlier", "keep"), [((), 2), (("a", "c", "d"), 1)])
def test_a_push_that_is_killed_at_any_step_is_finished_by_the_same_push(tmp_path, saved_model, earlier, keep):
    interrupted("killed", saved_model, tmp_path, earlier, keep)


def test_a_push_that_fails_at_any_step_leaves_nothing_behind_and_works_later(tmp_path, saved_model):
    interrupted("failing", saved_model, tmp_path)


def test_a_disk_that_is_full_at_any_write_is_one_error_and_gives_its_space_back(tmp_path, saved_model):
    failed = 0
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=160k", "tmpfs"):
        folder = tmp_path / "disk" / "streets"
        versions.publish(saved_model, folder, {"fingerprint": "a"})
        (
            versions.publish(saved_model, folder, {"fingerprint": "b"}),
            versions.prune(folder, 1),
        )  # the number is remembered
        for step in range(32):
            free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
            ballast = tmp_path / "disk" / "ballast"
            ballast.write_bytes(bytes(max(0, free - 4096 * step)))
            before = os.statvfs(folder).f_bavail
            try:
                versions.publish(saved_model, folder, {"fingerprint": f"c{step}"})
            except OSError as error:
                failed += 1
                assert "There must be room on the disk" in disk_fault_message(error)
                assert os.statvfs(folder).f_bavail == before
                assert entries.list_versions(folder) == [2]
                ballast.unlink()
            else:
                break
    assert failed > 5


def test_what_cannot_be_removed_now_is_named_and_removed_by_the_next_push(tmp_path, saved_model, capsys):
    folder = tmp_path / "streets"
    for fingerprint in "ab":
        versions.publish(saved_model, folder, {"fingerprint": fingerprint})
    busy = folder / ".removed-0" / "variables"
    with mounted(busy, "-t", "tmpfs", "tmpfs"):  # as a file that a server holds open on a network file system
        assert versions.prune(folder, 1) == [1]
        assert f"{busy.parent} cannot be removed now [Device or resource busy]" in capsys.readouterr().out
        assert entries.list_versions(folder) == [2]
        assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == 3
        assert versions.prune(folder, 1) == [2]
    versions.prune(folder, 1)
    assert sorted(path.name for path in folder.iterdir()) == [versions.LAST_VERSION, "3"]


def test_a_version_that_is_pruned_while_it_is_read_stays_readable_where_it_is_open(tmp_path, saved_model):
    folder = tmp_path / "streets"
    versions.publish(saved_model, folder, {"fingerprint": "a"})
    versions.publish(saved_model, folder, {"fingerprint": "b"})
    inside = os.open(folder / "1", os.O_RDONLY)
    with open(folder / "1" / "saved_model.pb", "rb") as graph:
        graph.read(5)
        versions.prune(folder, 1)
        assert graph.read() == b"graph" * 1999
    assert os.readlink(f"/proc/self/fd/{inside}") == f"{folder / '.removed-1'} (deleted)"  # it had no number any more
    os.close(inside)
