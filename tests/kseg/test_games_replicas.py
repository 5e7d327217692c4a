"""The game on two replicas is the game on one: 20 steps, void unevenly spread, an uneven last batch."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.kseg.replicas_case import train

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("batch_normalization, tolerance", [(False, 1e-5), (True, 2e-4)])
def test_two_replicas_equal_one_after_20_steps(batch_normalization, tolerance, tmp_path):
    command = [sys.executable, ROOT / "tests" / "kseg" / "replicas_case.py", "mirrored", str(int(batch_normalization))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, tmp_path / "two.npz"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two, one = dict(np.load(tmp_path / "two.npz")), train("one", batch_normalization)
    assert (int(two.pop("replicas")), int(one.pop("replicas"))) == (2, 1)
    assert two.keys() == one.keys()
    assert one["weights/game/step"] == 20
    for name in one:
        if not any(word in name for word in ("norm", "share")) or name.startswith(
            "weights"
        ):  # means of each replica's own
            np.testing.assert_allclose(two[name], one[name], rtol=0, atol=tolerance, err_msg=name)
