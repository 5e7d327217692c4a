"""A push that is killed at any step, or meets a full disk at any write, leaves no half version, and the same push works later."""

import errno
import os
import shutil
import sys

import pytest

from pipeline.engine import contents
from pipeline.engine.console import disk_fault_message
from pipeline.publishing import entries, versions
from tests.pipeline.mounting import mounted

KILLED = 77


@pytest.fixture
def saved_model(tmp_path):
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"graph" * 2000)
    (tmp_path / "saved_model" / "variables" / "variables.index").write_bytes(b"index" * 2000)
    return tmp_path / "saved_model"


def in_child(work) -> int:
    """Exit status of a process that does the work."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_step(number: int, act):
    """Calls `act` before the `number`-th change that this process makes to files."""
    done = 0

    def count(event, arguments):
        nonlocal done
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"):
            done += 1
            if done == number:
                act()

    sys.addaudithook(count)


def check(folder, *, some: bool = True):
    """Every version is whole, with a number that was remembered; and there are some."""
    numbers = entries.list_versions(folder)
    assert not entries.describe_faults(folder)
    assert numbers or not some
    for number in numbers:
        assert contents.damage(folder / str(number)) == []
        assert (folder / str(number) / "saved_model.pb").read_bytes() == b"graph" * 2000
    assert versions.next_number(folder) > max(numbers, default=0)


@pytest.mark.parametrize(("earlier", "keep"), [((), 2), (("a", "c", "d"), 1)])
def test_a_push_that_is_killed_at_any_step_is_finished_by_the_same_push(tmp_path, saved_model, earlier, keep):
    step, first = 0, tmp_path / "first" / "streets"
    for fingerprint in earlier:
        versions.publish(saved_model, first, {"fingerprint": fingerprint})

    def push(folder):
        versions.publish(saved_model, folder, {"fingerprint": "b"}, check=lambda version: os.listdir(version))
        versions.prune(folder, keep)

    while True:
        step += 1
        folder = tmp_path / str(step) / "streets"
        if earlier:
            shutil.copytree(first, folder)

        def killed(folder=folder, step=step):
            at_step(step, lambda: os._exit(KILLED))
            push(folder)

        status = in_child(killed)
        assert status in (0, KILLED)
        check(folder, some=bool(earlier))
        push(folder)
        check(folder)
        numbers = entries.list_versions(folder)
        assert len(numbers) == min(keep, len(earlier) + 1)
        assert [entries.read_fingerprint(folder / str(number)) for number in numbers].count("b") == 1
        assert entries.read_fingerprint(folder / str(numbers[-1])) == "b"
        assert not [path.name for path in folder.glob(".*") if path.name != versions.LAST_VERSION]
        shutil.rmtree(tmp_path / str(step))
        if status == 0:
            break
    assert step > 10


def test_a_push_that_fails_at_any_step_leaves_nothing_behind_and_works_later(tmp_path, saved_model):
    step, first = 0, tmp_path / "first" / "streets"
    versions.publish(saved_model, first, {"fingerprint": "a"})

    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    while True:
        step += 1
        folder = tmp_path / str(step) / "streets"
        shutil.copytree(first, folder)

        def failing(folder=folder, step=step):
            at_step(step, fail)
            try:
                versions.publish(saved_model, folder, {"fingerprint": "b"}, check=lambda version: os.listdir(version))
            except OSError as error:
                assert disk_fault_message(error)
                os._exit(KILLED)

        status = in_child(failing)
        assert status in (0, KILLED)
        check(folder)
        versions.publish(saved_model, folder, {"fingerprint": "b"})
        check(folder)
        assert [entries.read_fingerprint(folder / str(number)) for number in entries.list_versions(folder)] == [
            "a",
            "b",
        ]
        shutil.rmtree(tmp_path / str(step))
        if status == 0:
            break
    assert step > 10


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
