"""The same bytes from every runner of Beam's that can be started here."""

import pathlib

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


@pytest.mark.slow
@pytest.mark.parametrize("service", [runners.job_service, runners.prism])
def test_workers_elsewhere_leave_the_same_below_a_relative_root(expected, tmp_path, monkeypatch, service):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with service(tmp_path) as job, runners.worker_pool(tmp_path / "elsewhere", ROOT) as pool:
        assert runners.digests(pathlib.Path("line"), external(job, pool)) == expected
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["pool.txt"]


@pytest.mark.slow
def test_workers_without_kseg_are_refused_before_work_starts(tmp_path):
    refused = pytest.raises(
        ValueError, match=r"^Workers must have kseg .* no module pipeline in a worker\. .*pip wheel"
    )
    with runners.job_service(tmp_path) as job, runners.worker_pool(tmp_path, None) as pool, refused:
        runners.digests(tmp_path / "line", external(job, pool))
    assert not list((tmp_path / "line" / "example_gen").iterdir())


def external(job: str, pool: str) -> list[str]:
    """The options for a job service and a pool of workers."""
    return [
        *("--runner=PortableRunner", f"--job_endpoint={job}"),
        *("--environment_type=EXTERNAL", f"--environment_config={pool}"),
    ]
