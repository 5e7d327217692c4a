"""The same bytes from every runner of Beam's that can be started here."""

import pytest

from tests.conftest import ROOT
from tests.pipeline import runners

LOOPBACK = ["--runner=PortableRunner", "--environment_type=LOOPBACK"]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the default runner leaves with one worker."""
    return runners.digests(tmp_path_factory.mktemp("default"), ["--direct_num_workers=1"])


def test_the_default_runner_leaves_the_same_with_several_workers(expected, tmp_path):
    assert runners.digests(tmp_path / "line", ["--direct_num_workers=3"]) == expected
    shards = [name for name in expected if name.startswith("transform/pairs-train")]
    assert len(shards) == 16


def test_beams_job_service_leaves_the_same_by_loopback(expected, tmp_path):
    with runners.job_service(tmp_path) as address:
        assert runners.digests(tmp_path / "line", [*LOOPBACK, f"--job_endpoint={address}"]) == expected


@pytest.mark.slow
def test_worker_processes_leave_the_same(expected, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert runners.digests(tmp_path / "line", options) == expected


@pytest.mark.slow
def test_prism_leaves_the_same_by_loopback(expected, tmp_path):
    with runners.prism(tmp_path) as address:
        assert runners.digests(tmp_path / "line", [*LOOPBACK, f"--job_endpoint={address}"]) == expected
