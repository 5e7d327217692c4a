"""Running a pipeline: what was wrong with workers or the service is one sentence, and a dead worker ends the run."""

import os
import pathlib
import signal
import time

import pytest

from pipeline.engine.files import atomic
from pipeline.examples import parts, running
from pipeline.examples.runner_options import pipeline_options
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("RuntimeError: workers.check: It must hold. Do this. [while running 'Look']", "It must hold. Do this."),
        ('Pipeline failed: workers.check: Have numpy 2.1. Cure 3.\\n"\nmore. text.', "Have numpy 2.1. Cure 3."),
        (
            "ModuleNotFoundError: No module named 'pipeline'\n",
            "no module pipeline in a worker. Where they run, install",
        ),
        ("bundle inst002 failed:SDK worker disconnected: worker[job-002], error: context canceled", "must stay alive"),
        ("ValueError: something else", None),
    ],
)
def test_the_sentence_is_found_in_the_error_of_a_runner(text, sentence):
    found = running._explain(RuntimeError(text), pipeline_options())
    assert found is None if sentence is None else sentence in found


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (
            [
                "--runner=PortableRunner",
                "--job_endpoint=localhost:9",
                "--environment_type=LOOPBACK",
                "--job_server_timeout=1",
            ],
            "--job_endpoint",
        ),
        pytest.param(
            ["--runner=DaskRunner", "--dask_client_address=localhost:9", "--dask_connection_timeout=1"],
            "--dask_client_address",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_service_that_does_not_answer_is_named(tmp_path, options, place):
    named = pytest.raises(
        ValueError, match=rf"^The runner's service must answer\. Received: \w+ \[{place}=localhost:9\]\. Start it"
    )
    with named, parts.worked_on(tmp_path, [1], print, options):
        pass
    assert list(tmp_path.iterdir()) == []


class DieOnce:
    """Writes a file and yields the part; the process of part 3 is killed in the middle of it, unless one was killed before."""

    def __init__(self, out: pathlib.Path):
        self._out, self._killed = out, out.with_name("killed")

    def __call__(self, part):
        yield part
        with atomic(self._out / f"{part}.txt") as unfinished:
            unfinished.write_text(str(part))
            if part == 3 and not self._killed.exists():
                self._killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        yield part


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of Beam's threads
def test_a_worker_process_that_is_killed_ends_the_run_by_name_and_the_next_run_heals(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options, start = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"], time.monotonic()
    out = tmp_path / "out"
    out.mkdir()
    died = pytest.raises(ValueError, match=r"^Workers must stay alive until their work is done\. .*Run again")
    with died, parts.worked_on(out, range(8), DieOnce(out), options):
        pass
    assert (tmp_path / "killed").exists() and {path.suffix for path in out.iterdir()} <= {".txt"}
    assert time.monotonic() - start < 120
    with parts.worked_on(out, range(8), DieOnce(out), options) as rows:
        assert list(rows) == [part for part in range(8) for _ in range(2)]
    assert sorted(path.name for path in out.iterdir()) == [f"{part}.txt" for part in range(8)]
