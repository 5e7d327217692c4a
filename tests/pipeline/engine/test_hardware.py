"""What this machine computes with: peak memory where the system counts it in its own way."""

import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline.engine import hardware
from pipeline.publishing import fresh_process

MEASURE = "from pipeline.engine import hardware; print(hardware.peak_memory())"


def test_the_peak_of_a_small_program_is_not_that_of_the_large_one_that_started_it():
    held = bytearray(b"\1") * 400_000_000
    small = int(subprocess.check_output([sys.executable, "-c", MEASURE], text=True))
    assert small < 200_000_000 < len(held) < hardware.peak_memory()


@pytest.mark.parametrize(("system", "unit"), [("darwin", 1), ("linux", 1024)])
@pytest.mark.parametrize("peak", [hardware.peak_memory, fresh_process.peak_bytes])
def test_where_there_is_no_proc_the_peak_is_that_of_getrusage_in_its_own_unit(peak, system, unit, monkeypatch):
    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=70_000))
    assert peak() == 70_000 * unit
