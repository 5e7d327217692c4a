"""A run that is stopped from outside ends with one clear error, loses nothing, and resumes with the same command."""

import ast
import contextlib
import errno
import functools
import os
import signal
import subprocess
import sys
import time

import apache_beam as beam
import pytest

from kseg._extras import extra, interrupt_deferred
from pipeline.engine.console import disk_fault_message, interrupts_kept
from pipeline.examples.runner_options import pipeline_options
from tests.conftest import ROOT
from tests.pipeline.mounting import mounted
from tests.pipeline.whole_line import COMPONENTS, contents, finish, start

UNTIL = ("--until", "transform")


def test_a_full_disk_is_one_error_and_finished_results_are_kept(tmp_path):
    with mounted(tmp_path / "runs", "-t", "tmpfs", "-o", "size=1400k", "tmpfs"):
        finish(tmp_path, "--until", "statistics_gen")
        kept = contents(tmp_path)
        (tmp_path / "runs" / "ballast").write_bytes(bytes(700_000))
        output = finish(tmp_path, *UNTIL, "--set=example_gen.streets_train=400", status=2)
        assert output.count("error: ") == 1 and "Traceback" not in output, output
        assert "error: There must be room on the disk. Received: No space left on device" in output
        assert "Then run the same command again: what is finished is kept." in output
        assert contents(tmp_path) == kept and kept


def test_a_root_that_is_read_only_is_one_error(tmp_path):
    finish(tmp_path, "--until", "example_gen")
    before = contents(tmp_path)
    with mounted(tmp_path / "runs", "--bind", str(tmp_path / "runs")):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path / "runs")], check=True)
        output = finish(tmp_path, *UNTIL, status=2)
    assert output.count("error: ") == 1 and "Traceback" not in output, output
    assert "error: `--root` must be a folder that can be written. Received: --root " in output
    assert "[Read-only file system: " in output
    assert contents(tmp_path) == before


@pytest.mark.parametrize("component", ["example_gen", "trainer"])
def test_ctrl_c_stops_with_a_message_and_leaves_nothing_unfinished(component, tmp_path):
    process = start(tmp_path)
    scratch = tmp_path / "runs" / ".scratch" / component
    while process.poll() is None and not any(path.is_dir() for path in scratch.glob("*")):
        time.sleep(0.01)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert output.rstrip().endswith(
        "Stopped. The same command resumes: finished results are kept, training continues from its last checkpoint."
    )
    assert "Traceback" not in output
    made = {name.partition("/")[0] for name in contents(tmp_path)}
    assert made == set(COMPONENTS[: COMPONENTS.index(component)])


@pytest.fixture
def answering():
    """Sets what SIGINT does for one test, and back: where tests run in the background, a shell has it ignored."""
    before = signal.getsignal(signal.SIGINT)
    yield functools.partial(signal.signal, signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("deferred", [interrupt_deferred, functools.partial(extra, "data")])
def test_ctrl_c_is_deferred_during_an_import_that_would_swallow_it(deferred, answering):
    answering(signal.default_int_handler)
    continued = False
    # the third swallows it, as libraries do that try imports
    with pytest.raises(KeyboardInterrupt), deferred(), contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)
        continued = True
    assert continued
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_every_import_of_tensorflow_datasets_which_swallows_ctrl_c_is_one_that_defers_it():
    found = 0
    for path in [*(ROOT / "kseg").rglob("*.py"), *(ROOT / "pipeline").rglob("*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        blocks = [node for node in nodes if isinstance(node, ast.With) and "extra(" in ast.unparse(node.items[0])]
        deferred = {node for block in blocks for node in block.body}
        for node in nodes:
            if isinstance(node, ast.Import) and any(name.name == "tensorflow_datasets" for name in node.names):
                assert node in deferred, path
                found += 1
    assert found > 5


def test_ctrl_c_stays_ignored_where_the_shell_ignores_it(answering):
    answering(signal.SIG_IGN)
    with interrupt_deferred():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_inside_beam_stays_an_interrupt(workers):
    def interrupted(element):
        raise KeyboardInterrupt

    options = pipeline_options([f"--direct_num_workers={workers}"])
    with pytest.raises(KeyboardInterrupt), interrupts_kept(), beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create([1]) | "First" >> beam.Map(abs) | "Second" >> beam.Map(interrupted)


def test_an_error_without_an_interrupt_is_raised_unchanged():
    with pytest.raises(ZeroDivisionError), interrupts_kept():
        try:
            raise ValueError
        except ValueError:
            1 / 0  # noqa: B018


def test_an_interrupt_inside_an_exec_ends_with_status_130_too():
    script = """
import sys
from pipeline.engine.console import exit_interrupted
try:
    exec("raise KeyboardInterrupt")
except KeyboardInterrupt:
    sys.exit(exit_interrupted("Go on."))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\nStopped. Go on.\n")


def test_two_simultaneous_runs_of_one_configuration_end_with_one_result(tmp_path):
    first, second = start(tmp_path, *UNTIL), start(tmp_path, *UNTIL)
    outputs = [process.communicate()[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    for name in COMPONENTS[:5]:
        (artifact,) = (tmp_path / "runs" / name).iterdir()
        assert (artifact / "recipe.json").is_file()
        assert sum(f"{name:18}  done in" in output for output in outputs) == 1
        assert sum(f"{name:18}  cached" in output for output in outputs) == 1


@pytest.mark.slow
def test_simultaneous_runs_of_different_configurations_share_only_what_is_equal(tmp_path):
    other = (*UNTIL, "--set=transform.image_size=24x16")
    both = [start(tmp_path / "both", *UNTIL), start(tmp_path / "both", *other)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    finish(tmp_path / "alone", *UNTIL)
    finish(tmp_path / "alone", *other)
    assert contents(tmp_path / "both") == contents(tmp_path / "alone")
    counts = [len(list((tmp_path / "both" / "runs" / name).iterdir())) for name in COMPONENTS[:5]]
    assert counts == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b"),
            "room on the disk. Received: No space left on device [/a/b].",
        ),
        (
            RuntimeError("UNKNOWN: /a/b; No space left on device"),
            "room on the disk. Received: No space left on device.",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/a"),
            "must be writable. Received: Read-only file system [/a].",
        ),
        (ValueError("shapes differ"), None),
    ],
)
def test_a_disk_fault_is_recognized_in_the_errors_of_any_library(error, expected):
    message = disk_fault_message(error)
    assert message is None if expected is None else expected in message


def test_a_disk_fault_is_recognized_as_the_cause_of_another_error():
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/b")
        except OSError as error:
            raise RuntimeError("a worker failed") from error
    except RuntimeError as error:
        assert "[/a/b]" in disk_fault_message(error)
