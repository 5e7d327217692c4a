import concurrent.futures
import json
import os
import pathlib
import shutil

import pytest

from pipeline.components.pusher import pusher, still_pushed
from pipeline.publishing.versions import LINEAGE, roll_back
from pipeline.settings.pusher import Pusher


@pytest.fixture
def push(tmp_path):
    """Runs the component on a small stand-in for a SavedModel; returns `out` and the contents of pushed.json."""
    model = tmp_path / "trainer"
    (model / "saved_model" / "variables").mkdir(parents=True)
    (model / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (model / "saved_model" / "variables" / "variables.index").write_bytes(b"index")
    (model / "recipe.json").write_text('{"component": "trainer"}')

    def run(name="streets", fingerprint="a1", scores=None, infra=None, out="pusher", keep=9):
        folders = {}
        verdicts = {"evaluation": ("scores.json", scores), "validation": ("infra.json", infra)}
        for folder, (file, verdict) in verdicts.items():
            folders[folder] = tmp_path / folder / out
            folders[folder].mkdir(parents=True, exist_ok=True)
            (folders[folder] / file).write_text(json.dumps(verdict or {"blessed": True, "reasons": []}))
        (tmp_path / out).mkdir(exist_ok=True)
        pusher(
            tmp_path / out,
            Pusher(keep=keep),
            model=model,
            **folders,
            name=name,
            target=tmp_path / "savedmodels",
            fingerprint=fingerprint,
        )
        return tmp_path / out, json.loads((tmp_path / out / "pushed.json").read_text())

    run.target, run.model = tmp_path / "savedmodels", model
    return run


def versions(target: pathlib.Path, name="streets"):
    return sorted(path.name for path in (target / name).iterdir() if not path.name.startswith("."))


def test_the_first_push_is_version_1_with_every_file_and_its_lineage(push):
    _, record = push()
    version = push.target / "streets" / "1"
    assert (record["pushed"], record["version"], record["reasons"]) == (True, 1, [])
    assert (version / "saved_model.pb").read_bytes() == b"graph"
    assert (version / "variables" / "variables.index").read_bytes() == b"index"
    lineage = json.loads((version / LINEAGE).read_text())
    assert lineage["fingerprint"] == "a1"
    assert lineage["recipe"] == {"component": "trainer"}
    assert lineage["scores"]["blessed"]


def test_another_model_becomes_the_next_version_and_the_same_model_does_not(push):
    assert [push(fingerprint=f)[1]["version"] for f in ("a1", "a1", "b2", "a1")] == [1, 1, 2, 3]
    assert versions(push.target) == ["1", "2", "3"]


def test_each_name_has_its_own_versions(push):
    assert [push(name=name)[1]["version"] for name in ("streets", "camvid")] == [1, 1]


def test_a_number_is_never_reused_even_if_the_newest_version_was_removed(push):
    push(fingerprint="a1"), push(fingerprint="b2")
    shutil.rmtree(push.target / "streets" / "2")
    assert push(fingerprint="c3")[1]["version"] == 3


@pytest.mark.parametrize("failed", ["scores", "infra"])
def test_an_unblessed_model_is_not_pushed_and_the_record_gives_the_reason(push, failed):
    verdict = {
        "blessed": False,
        "reasons": ["mean_iou must reach 0.55 on 'test'. Received: mean_iou=0.412 (96 images)."],
    }
    out, record = push(**{failed: verdict})
    assert (record["pushed"], record["version"]) == (False, None)
    assert len(record["reasons"]) == 1
    assert record["reasons"][0].startswith(f"{verdict['reasons'][0]} See ")
    assert record["reasons"][0].endswith(f"{failed}.json.")
    assert not push.target.exists()
    assert still_pushed(out)


def test_files_are_readable_by_a_server_that_runs_as_another_user(push):
    push.model.chmod(0o700)
    (push.model / "saved_model").chmod(0o700)
    (push.model / "saved_model" / "saved_model.pb").chmod(0o600)
    push()
    version = push.target / "streets" / "1"
    assert version.stat().st_mode & 0o777 == 0o755
    assert {p.stat().st_mode & 0o777 for p in version.rglob("*") if p.is_file()} == {0o644}
    assert {p.stat().st_mode & 0o777 for p in version.rglob("*") if p.is_dir()} == {0o755}


def test_a_cached_push_is_valid_only_while_its_version_exists_and_is_the_same_model(push):
    out, _ = push()
    version = push.target / "streets" / "1"
    assert still_pushed(out)
    lineage = json.loads((version / LINEAGE).read_text())
    (version / LINEAGE).write_text(json.dumps(lineage | {"fingerprint": "other"}))
    assert not still_pushed(out)
    shutil.rmtree(version)
    assert not still_pushed(out)


def test_a_version_that_others_put_there_is_left_alone(push):
    for theirs in ("1", "2"):
        (push.target / "streets" / theirs).mkdir(parents=True)
        (push.target / "streets" / theirs / "saved_model.pb").write_bytes(b"theirs")
    assert push()[1]["version"] == 3
    assert (push.target / "streets" / "2" / "saved_model.pb").read_bytes() == b"theirs"


def test_a_version_that_appears_between_counting_and_renaming_is_left_alone(push, monkeypatch):
    rename = os.rename

    def rename_after_another_push(source, destination):
        if not pathlib.Path(destination).exists() and destination.name == "1":
            destination.mkdir()
            (destination / "saved_model.pb").write_bytes(b"theirs")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", rename_after_another_push)
    assert push()[1]["version"] == 2
    assert (push.target / "streets" / "1" / "saved_model.pb").read_bytes() == b"theirs"
    assert (push.target / "streets" / "2" / "saved_model.pb").read_bytes() == b"graph"


def test_leftovers_of_a_killed_pusher_are_not_served_and_are_removed_by_the_next_push(push):
    left = push.target / "streets" / ".incoming"
    left.mkdir(parents=True)
    (left / "half.pb").write_bytes(b"")
    push()
    assert versions(push.target) == ["1"]
    assert not left.exists()
    assert not (push.target / "streets" / "1" / "half.pb").exists()


def test_concurrent_pushes_end_with_one_complete_version_each(push):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda n: push(fingerprint=f"f{n}", out=f"pusher{n}")[1], range(8)))
    assert sorted(record["version"] for record in records) == list(range(1, 9))
    for record in records:
        version = push.target / "streets" / str(record["version"])
        assert json.loads((version / LINEAGE).read_text())["fingerprint"] == record["fingerprint"]
        assert (version / "saved_model.pb").read_bytes() == b"graph"


def test_a_model_that_was_rolled_back_is_not_pushed_again_until_its_folder_is_removed(push):
    push(), push(fingerprint="b2")
    moved_out, _ = roll_back(push.target / "streets")
    out, record = push(fingerprint="b2")
    assert not record["pushed"]
    assert record["reasons"][0].startswith(
        f"A model that was rolled back must not be pushed again. Received: the model of {moved_out}."
    )
    assert still_pushed(out)
    assert versions(push.target) == ["1", "rolled_back-2"]
    shutil.rmtree(moved_out)
    assert not still_pushed(out)
    assert push(fingerprint="b2")[1]["version"] == 3


def test_a_refusal_for_scores_is_checked_again_once_the_model_was_rolled_back(push):
    push(), push(fingerprint="b2")
    out, _ = push(fingerprint="b2", scores={"blessed": False, "reasons": ["too low"]})
    assert still_pushed(out)
    roll_back(push.target / "streets")
    assert not still_pushed(out)


def test_the_number_of_versions_to_keep_is_a_setting(push):
    records = [push(fingerprint=f"f{n}", keep=2)[1]["version"] for n in range(4)]
    assert records == [1, 2, 3, 4]
    assert versions(push.target) == ["3", "4"]
