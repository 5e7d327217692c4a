"""Pushes that are killed or fail at each step, and what they leave. Run as a script, in a process that holds no TensorFlow:

    python -m tests.pipeline.publishing.interrupted_pushes killed '["saved_model", "folder", ["earlier fingerprint"], keep]'
    python -m tests.pipeline.publishing.interrupted_pushes failing '["saved_model", "folder"]'

A child is forked for each step, which costs a process of some gigabytes ten times as much.
"""

import errno
import json
import os
import pathlib
import shutil
import sys

from pipeline.engine import contents
from pipeline.engine.console import disk_fault_message
from pipeline.publishing import entries, versions

KILLED = 77


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


def killed(saved_model: str, place: str, earlier: list[str], keep: int):
    """Every push that is killed at one of its steps is finished by the same push; `earlier` ones precede it."""
    saved_model, place = pathlib.Path(saved_model), pathlib.Path(place)
    step, first = 0, place / "first" / "streets"
    for fingerprint in earlier:
        versions.publish(saved_model, first, {"fingerprint": fingerprint})

    def push(folder):
        versions.publish(saved_model, folder, {"fingerprint": "b"}, check=lambda version: os.listdir(version))
        versions.prune(folder, keep)

    while True:
        step += 1
        folder = place / str(step) / "streets"
        if earlier:
            shutil.copytree(first, folder)

        def push_killed(folder=folder, step=step):
            at_step(step, lambda: os._exit(KILLED))
            push(folder)

        status = in_child(push_killed)
        assert status in (0, KILLED)
        check(folder, some=bool(earlier))
        push(folder)
        check(folder)
        numbers = entries.list_versions(folder)
        assert len(numbers) == min(keep, len(earlier) + 1)
        assert [entries.read_fingerprint(folder / str(number)) for number in numbers].count("b") == 1
        assert entries.read_fingerprint(folder / str(numbers[-1])) == "b"
        assert not [path.name for path in folder.glob(".*") if path.name != versions.LAST_VERSION]
        shutil.rmtree(place / str(step))
        if status == 0:
            break
    assert step > 10


def failing(saved_model: str, place: str):
    """A push that meets a full disk at one of its steps leaves nothing behind, and works later."""
    saved_model, place = pathlib.Path(saved_model), pathlib.Path(place)
    step, first = 0, place / "first" / "streets"
    versions.publish(saved_model, first, {"fingerprint": "a"})

    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    while True:
        step += 1
        folder = place / str(step) / "streets"
        shutil.copytree(first, folder)

        def push_failing(folder=folder, step=step):
            at_step(step, fail)
            try:
                versions.publish(saved_model, folder, {"fingerprint": "b"}, check=lambda version: os.listdir(version))
            except OSError as error:
                assert disk_fault_message(error)
                os._exit(KILLED)

        status = in_child(push_failing)
        assert status in (0, KILLED)
        check(folder)
        versions.publish(saved_model, folder, {"fingerprint": "b"})
        check(folder)
        numbers = entries.list_versions(folder)
        assert [entries.read_fingerprint(folder / str(number)) for number in numbers] == ["a", "b"]
        shutil.rmtree(place / str(step))
        if status == 0:
            break
    assert step > 10


if __name__ == "__main__":
    {"killed": killed, "failing": failing}[sys.argv[1]](*json.loads(sys.argv[2]))
