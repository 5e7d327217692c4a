"""A look at workers elsewhere: each fault is one sentence with a cure, before work starts."""

import os
import pathlib
import re

import pytest

from pipeline.examples import parts, probe
from pipeline.examples.runner_options import pipeline_options
from tests.conftest import ROOT

PROCESSES = ["--direct_num_workers=1", "--direct_running_mode=multi_processing"]


@pytest.fixture
def look(tmp_path):
    """`look(**changes)` says what is wrong with a worker in this process."""
    folder = tmp_path / "shared" / "probe"
    folder.mkdir(parents=True)
    (folder / "token").write_text("token")

    def fault(*, seen=folder, versions=None, data=None):
        return probe._Look(seen, "token", versions or probe.versions(), data or {})._fault(0)

    return fault


def test_nothing_is_wrong_with_a_worker_that_sees_what_this_process_sees(look, tmp_path):
    file = tmp_path / "data.npz"
    file.write_bytes(b"12345")
    assert look(data={str(file): 5, str(tmp_path): None}) is None
    assert len(list((tmp_path / "shared" / "probe").glob("answer-0-*"))) == 1


@pytest.mark.parametrize("name", ["kseg", "Pillow", "Python"])
def test_another_version_is_named(look, name):
    message = look(versions=probe.versions() | {name: "0.1"})
    assert re.match(
        rf"Workers must have the versions.* Received: {name} \S+ instead of 0\.1 \[.*\]\. Build the wheel", message
    )


def test_another_disk_at_the_same_path_is_found(look, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    cure = "Let --root lie in a folder that all machines mount at the same path."
    assert look(seen=other).endswith(cure) and look(seen=tmp_path / "none").endswith(cure)
    (other / "token").write_text("of an earlier run")
    assert look(seen=other).endswith(cure)


def test_missing_and_other_data_are_found(look, tmp_path):
    (tmp_path / "data.npz").write_bytes(b"12345")
    for data in ({str(tmp_path / "none"): None}, {str(tmp_path / "data.npz"): 6}):
        assert re.match(r"Workers must see what they read\. Received: nothing or another file at ", look(data=data))


def test_some_of_what_is_in_a_folder_is_looked_for_since_an_unmounted_disk_leaves_an_empty_one(photos):
    sights = dict(probe._sight(str(photos)))
    assert all(map(os.path.exists, sights)) and str(photos) in sights
    assert sum(path.endswith(".png") for path in sights) >= 8 and len(sights) <= 1 + 4 + 4**2 + 4**3 + 4**4
    (photos / ".scratch").mkdir()
    (photos / "images" / "train" / "00.png").unlink()
    assert not any(".scratch" in path or path.endswith("images/train/00.png") for path, _ in probe._sight(str(photos)))
    assert dict(probe._sight(str(photos / "classes.csv"))) == {str(photos / "classes.csv"): 94}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_found(look, tmp_path):
    (tmp_path / "shared" / "probe").chmod(0o500)
    assert "must be able to write below --root. Received: Permission denied" in look()


def test_workers_of_the_default_runner_are_not_looked_at(tmp_path):
    probe.check_workers(tmp_path / "probe", pipeline_options(), [tmp_path])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_real_worker_says_its_sentence_before_any_part_is_worked_on(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    expected = probe.versions() | {"numpy": "0.1"}
    monkeypatch.setattr(probe, "versions", lambda: expected)

    def work(part):
        (tmp_path / "worked").touch()
        yield part

    refused = pytest.raises(
        ValueError, match=r"^Workers must have .*numpy \S+ instead of 0\.1 \[.*lock file.*workers\.$"
    )
    with refused, parts.worked_on(tmp_path, [1], work, PROCESSES):
        pass
    assert list(tmp_path.iterdir()) == []


def test_relative_paths_mean_the_same_files_in_workers_with_another_working_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    pathlib.Path("data").write_text("here")
    pathlib.Path("out").mkdir()
    work = parts._Work(tmp_path, lambda part: [pathlib.Path("data").read_text()])
    monkeypatch.chdir("/")
    work.setup()
    assert list(work._work(0)) == ["here"]
