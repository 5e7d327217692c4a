"""The game on two replicas is the game on one: 20 steps, void unevenly spread, an uneven last batch."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.kseg.games.replicas_case import train

ROOT = pathlib.Path(__file__).resolve().parents[3]
CASE = ROOT / "tests" / "kseg" / "games" / "replicas_case.py"
TOLERANCE = 2e-4  # rounding, which depends on the number of threads, after 20 steps


def assert_same(two, one):
    """Logs, counts and weights of a training on two replicas are those of one."""
    assert (int(two.pop("replicas")), int(one.pop("replicas"))) == (2, 1)
    assert two.keys() == one.keys()
    assert one["weights/game/step"] == 20
    for name in one:
        if name.startswith("weights") or not any(
            word in name for word in ("norm", "share")
        ):  # means of each replica's own
            np.testing.assert_allclose(two[name], one[name], rtol=0, atol=TOLERANCE, err_msg=name)


def train_on_two(batch_normalization, alternate, path, formulation="adversarial"):
    """Logs, counts and weights of a training on two replicas."""
    case = [str(int(batch_normalization)), path, str(int(alternate)), formulation]
    command = [sys.executable, CASE, "mirrored", *case]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(np.load(path))


@pytest.mark.parametrize("batch_normalization", [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_replicas_equal_one_after_20_steps(batch_normalization, tmp_path):
    two = train_on_two(batch_normalization, False, tmp_path / "two.npz")
    assert_same(two, train("one", batch_normalization))


@pytest.mark.slow
@pytest.mark.parametrize("batch_normalization", [False, True])
def test_two_replicas_that_alternate_equal_one_that_does(batch_normalization, tmp_path):
    one = train("one", batch_normalization, alternate=True)
    moved = one["logs/gradient_norm"] > 0, one["logs/discriminator_gradient_norm"] > 0
    np.testing.assert_array_equal(moved, [[0, 0, 0, 1, 0, 1, 0, 1, 0, 1], [1, 1, 1, 0, 1, 0, 1, 0, 1, 0]])
    assert_same(train_on_two(batch_normalization, True, tmp_path / "two.npz"), one)


@pytest.mark.slow
@pytest.mark.parametrize("formulation", ["embedding", "segan", "gambler"])
def test_in_every_formulation_two_replicas_equal_one(formulation, tmp_path):
    two = train_on_two(False, False, tmp_path / "two.npz", formulation)
    assert_same(two, train("one", False, formulation=formulation))


def free_ports(count):
    """Ports of this machine that nobody uses at present."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def started(batch_normalization, folder):
    """Two processes on the loopback device, each of which ends with all weights in a file."""
    workers, processes = [f"127.0.0.1:{port}" for port in free_ports(2)], []
    for index in range(2):
        listed = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CONFIG": json.dumps(listed)}
        command = [sys.executable, CASE, "multiworker", str(int(batch_normalization)), folder / f"{index}.npz"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    return processes


@pytest.mark.slow
@pytest.mark.parametrize("batch_normalization", [False, True])
def test_two_machines_equal_one_after_20_steps(batch_normalization, tmp_path):
    processes = started(batch_normalization, tmp_path)
    outputs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    one = train("one", batch_normalization)
    for index in range(2):
        assert_same(dict(np.load(tmp_path / f"{index}.npz")), dict(one))


@pytest.mark.slow
def test_when_one_machine_dies_the_other_stops_within_60_seconds_and_says_which(tmp_path):
    left, dying = started(False, tmp_path)
    assert dying.stdout.readline() == "epoch 0\n"
    dying.kill()
    try:
        _, outputs = left.communicate(timeout=60)
    finally:
        left.kill()
        dying.communicate()
    assert left.returncode == 1
    assert "task:1" in outputs and "UnavailableError" in outputs
