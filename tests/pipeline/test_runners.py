"""The same bytes from every runner of Beam's that can be started here."""

import os
import pathlib

import pytest

from tests.conftest import ROOT
from tests.pipeline import runners

LOOPBACK = ["--runner=PortableRunner", "--environment_type=LOOPBACK"]


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """What the default runner leaves with one worker: the folder and its digests."""
    folder = tmp_path_factory.mktemp("default")
    runners.prepare(folder, ["--direct_num_workers=1"])
    return folder, runners.file_digests(folder)


@pytest.fixture(scope="module")
def trained(default, tmp_path_factory):
    """A trained model, and the digests of all components with it by the default runner with one worker."""
    model = runners.train_model(default[0], tmp_path_factory.mktemp("model"))
    return model, runners.digests(tmp_path_factory.mktemp("all"), ["--direct_num_workers=1"], model)


def test_the_default_runner_leaves_the_same_with_several_workers(default, tmp_path):
    assert runners.digests(tmp_path / "line", ["--direct_num_workers=3"]) == default[1]
    shards = [name for name in default[1] if name.startswith("transform/pairs-train")]
    assert len(shards) == 16


def test_beams_job_service_leaves_the_same_by_loopback(default, tmp_path):
    with runners.job_service(tmp_path) as address:
        assert runners.digests(tmp_path / "line", [*LOOPBACK, f"--job_endpoint={address}"]) == default[1]


@pytest.mark.slow
def test_evaluator_and_predict_leave_the_same_with_several_workers(default, trained, tmp_path):
    model, expected = trained
    assert runners.digests(tmp_path / "line", ["--direct_num_workers=3"], model) == expected
    assert expected.items() > default[1].items()
    for name in (
        "evaluator/scores.json",
        "evaluator/images.npz",
        "predict/class_shares.csv",
        "predict/label_maps/a/0.png",
    ):
        assert name in expected


@pytest.mark.slow
def test_worker_processes_leave_the_same(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    options = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert runners.digests(tmp_path / "line", options, trained[0]) == trained[1]


@pytest.mark.slow
@pytest.mark.parametrize("service", [runners.job_service, runners.prism])
def test_workers_in_this_process_leave_the_same(trained, tmp_path, service):
    with service(tmp_path) as address:
        options = [*LOOPBACK, f"--job_endpoint={address}"]
        assert runners.digests(tmp_path / "line", options, trained[0]) == trained[1]


@pytest.mark.slow
@pytest.mark.parametrize("service", [runners.job_service, runners.prism])
def test_workers_elsewhere_leave_the_same_below_a_relative_root(trained, tmp_path, monkeypatch, service):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    model = pathlib.Path(os.path.relpath(trained[0]))
    with service(tmp_path) as job, runners.worker_pool(tmp_path / "elsewhere", ROOT) as pool:
        assert runners.digests(pathlib.Path("line"), external(job, pool), model) == trained[1]
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["pool.txt"]


@pytest.mark.slow
def test_dask_leaves_the_same(trained, tmp_path):
    with runners.dask(tmp_path, ROOT) as address:
        options = ["--runner=DaskRunner", f"--dask_client_address={address}"]
        assert runners.digests(tmp_path / "line", options, trained[0]) == trained[1]


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
