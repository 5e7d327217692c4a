"""Progress: a bar of rich on a terminal, plain lines elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from pipeline.engine import progress
from tests.conftest import ROOT


def test_a_line_at_the_end_says_how_it_ended():
    stream = io.StringIO()
    with progress.component("transform", stream):
        progress.set_total(10)
        progress.advance(4)
        assert progress._task.text() == f"{'transform':18}  4 of 10  0 s"
    with pytest.raises(KeyError), progress.component("trainer", stream):
        raise KeyError
    first, second = stream.getvalue().splitlines()
    assert first.split()[:2] == ["transform", "done"] and second.split()[:2] == ["trainer", "failed"]


def test_counting_where_nothing_is_shown_does_nothing():
    progress.set_total(3)
    progress.advance()
    assert progress._task is None


def test_the_time_left_follows_from_the_steps_after_the_first(monkeypatch):
    with progress.component("trainer", io.StringIO()):
        begun = progress._task.start
        monkeypatch.setattr(progress.time, "monotonic", lambda: begun + seconds)
        progress.set_total(10, done=4)  # an earlier process did 4
        seconds = 50.0  # the first step compiles
        progress.advance()
        assert progress._task.status() == "5 of 10  50 s"
        seconds = 60.0
        progress.advance(2)
        assert progress._task.status() == "7 of 10  15 s left  60 s"
        monkeypatch.undo()


@pytest.mark.parametrize("paused", [False, True])
def test_plain_lines_come_while_nothing_else_is_printed_and_not_while_paused(paused, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.05)
    stream = io.StringIO()
    with progress.component("trainer", stream):
        progress.set_total(8)
        progress.advance(3)
        if paused:
            with progress.paused():
                time.sleep(0.3)
        else:
            time.sleep(0.3)
        before = stream.getvalue()
    assert (before == "") == paused and (paused or before.startswith("trainer             3 of 8  "))


def test_plain_lines_do_not_import_rich():
    code = (
        "import sys\nfrom pipeline.engine import progress\nwith progress.component('x'):\n    progress.set_total(2)\n"
    )
    code += "print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("x ") and done.stdout.endswith("False\n")


def on_a_terminal(code: str, **variables: str) -> str:
    """What a script shows on a terminal."""
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"} | variables
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:  # Linux: the other end is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(master)
    assert process.returncode == 0, shown.decode()
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.decode())  # without colours and cursor movements


SCRIPT = """
import time
from pipeline.engine import progress
with progress.component("trainer"):
    progress.set_total(4)
    for _ in range(2):
        time.sleep(0.6)
        progress.advance()
    progress.print_message("loss 0.5")
    time.sleep(0.6)
    with progress.paused():
        print("its own bar", flush=True)
    time.sleep(0.3)
"""


def test_on_a_terminal_a_bar_shows_count_and_time_left_and_messages_stay_above_it():
    shown = on_a_terminal(SCRIPT)
    assert "━" in shown and re.search(r"2 of 4  \d s left  \d s", shown)
    assert re.search(r"trainer +2 of 4  \d s left  \d s  loss 0\.5", shown) and "its own bar" in shown
    assert shown.splitlines()[-1].startswith("trainer             done in ")


def test_on_a_dumb_terminal_lines_are_plain():
    assert "━" not in on_a_terminal(SCRIPT, TERM="dumb")
