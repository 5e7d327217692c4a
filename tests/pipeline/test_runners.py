"""The same bytes from every runner of Beam's that can be started here."""

import io
import os
import pathlib
import subprocess

import pytest

from pipeline.engine import progress
from pipeline.examples.parts import worked_on
from tests.built_wheels import build_wheel, copy_checkout, install_wheel, make_environment
from tests.conftest import ROOT
from tests.pipeline import runners

pytestmark = pytest.mark.timeout(1800)

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
def test_workers_elsewhere_leave_the_same_below_a_relative_root(trained, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    model = pathlib.Path(os.path.relpath(trained[0]))
    with runners.job_service(tmp_path) as job, runners.worker_pool(tmp_path / "elsewhere", ROOT) as pool:
        assert runners.digests(pathlib.Path("line"), runners.external(job, pool), model) == trained[1]
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["pool.txt"]


@pytest.mark.slow
def test_dask_leaves_the_same(trained, tmp_path):
    with runners.dask(tmp_path, ROOT) as address:
        options = ["--runner=DaskRunner", f"--dask_client_address={address}"]
        assert runners.digests(tmp_path / "line", options, trained[0]) == trained[1]


@pytest.mark.slow
def test_a_pool_that_has_only_the_wheel_leaves_the_same_and_one_with_another_wheel_is_refused(trained, tmp_path):
    python, checkout = make_environment(tmp_path / "venv"), copy_checkout(tmp_path / "checkout")
    changed = checkout / "kseg" / "labels.py"
    code = changed.read_text()
    with runners.prism(tmp_path) as job:
        changed.write_text(f"{code}\n# another version\n")
        install_wheel(build_wheel(checkout, tmp_path / "other"), python)
        other = pytest.raises(
            ValueError, match=r"^Workers must have the versions .* Received: kseg \w+ instead of \w+ \[.*wheel"
        )
        with runners.worker_pool(tmp_path, None, python) as pool, other:
            runners.digests(tmp_path / "refused", runners.external(job, pool))
        assert not list((tmp_path / "refused" / "example_gen").iterdir())

        changed.write_text(code)
        install_wheel(build_wheel(checkout, tmp_path / "same"), python)
        with runners.worker_pool(tmp_path, None, python) as pool:
            assert runners.digests(tmp_path / "line", runners.external(job, pool), trained[0]) == trained[1]


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_in_the_middle_is_replaced_and_no_byte_changes(default, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.components.transform.FitShard", runners.DyingFitShard)
    (tmp_path / "transform").mkdir()
    with runners.dask(tmp_path, ROOT) as address:
        runners.fit(default[0], tmp_path / "transform", ["--runner=DaskRunner", f"--dask_client_address={address}"])
    assert (tmp_path / "killed").exists()
    assert runners.file_digests(tmp_path / "transform") == runners.file_digests(default[0] / "transform")


@pytest.mark.slow
def test_a_worker_of_a_pool_that_is_killed_ends_the_run_by_name_and_the_next_run_heals(default, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.components.transform.FitShard", runners.DyingFitShard)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    with runners.prism(tmp_path) as job, runners.worker_pool(tmp_path, ROOT) as pool:
        with pytest.raises(ValueError, match=r"^Workers must stay alive until their work is done\."):
            runners.fit(default[0], first, runners.external(job, pool))
        assert (tmp_path / "killed").exists()
        runners.fit(default[0], second, runners.external(job, pool))
    assert runners.file_digests(second) == runners.file_digests(default[0] / "transform")


@pytest.mark.slow
def test_prism_reports_how_far_a_pool_is(tmp_path):
    shown = progress.component("slow", io.StringIO())
    with shown, runners.prism(tmp_path) as job, runners.worker_pool(tmp_path, ROOT) as pool:
        progress.set_total(16)
        with worked_on(tmp_path, range(8), runners.slowly, runners.external(job, pool)) as rows:
            assert list(rows) == list(range(8))
        assert 0 < progress._task.done <= 16


@pytest.mark.slow
def test_workers_that_do_not_mount_the_folder_of_the_results_are_refused_before_work_starts(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    elsewhere = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(shared))
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    refused = pytest.raises(ValueError, match=r"^Workers must see the folder of the results\. .*same path\.$")
    with runners.job_service(tmp_path) as job, runners.worker_pool(tmp_path, ROOT, prefix=elsewhere) as pool, refused:
        runners.digests(shared / "line", runners.external(job, pool))
    assert not list((shared / "line" / "example_gen").iterdir())


@pytest.mark.slow
def test_workers_without_kseg_are_refused_before_work_starts(tmp_path):
    refused = pytest.raises(
        ValueError, match=r"^Workers must have kseg .* no module pipeline in a worker\. .*pip wheel"
    )
    with runners.job_service(tmp_path) as job, runners.worker_pool(tmp_path, None) as pool, refused:
        runners.digests(tmp_path / "line", runners.external(job, pool))
    assert not list((tmp_path / "line" / "example_gen").iterdir())
