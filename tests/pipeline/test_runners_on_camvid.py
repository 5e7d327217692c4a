"""The same bytes of CamVid from workers in other processes as from one in this process."""

import pytest

from pipeline.settings.example_gen import ExampleGen
from tests.conftest import ROOT
from tests.pipeline import runners

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    return prepared(data, tmp_path_factory.mktemp("default"), ["--direct_num_workers=1"])


def test_worker_processes_leave_the_same(data, expected, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert prepared(data, tmp_path / "line", options) == expected


def test_a_pool_behind_prism_leaves_the_same(data, expected, tmp_path):
    with runners.prism(tmp_path) as job, runners.worker_pool(tmp_path, ROOT) as pool:
        assert prepared(data, tmp_path / "line", runners.external(job, pool)) == expected


def test_dask_leaves_the_same(data, expected, tmp_path):
    with runners.dask(tmp_path, ROOT) as address:
        options = ["--runner=DaskRunner", f"--dask_client_address={address}"]
        assert prepared(data, tmp_path / "line", options) == expected


def prepared(data, folder, options):
    """Digests of what example_gen, statistics_gen and transform leave of CamVid."""
    runners.prepare(folder, options, data / "camvid", ExampleGen(ignore_value=11))
    found = runners.file_digests(folder)
    assert sum(name.startswith("transform/pairs-") for name in found) == 32
    return found
