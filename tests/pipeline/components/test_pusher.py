import concurrent.futures
import json
import os
import pathlib
import shutil

import pytest

from pipeline.components.pusher import pusher, still_pushed
from pipeline.publishing import server_process
from pipeline.publishing.versions import LINEAGE, BaselineChanged, roll_back
from pipeline.settings.pusher import Pusher


@pytest.fixture
def push(tmp_path, monkeypatch):
    """Runs the component on a small stand-in for a SavedModel, which is not loaded; returns `out` and what pushed.json holds."""
    monkeypatch.setattr(server_process, "check_loads", lambda version: None)
    export = tmp_path / "exporter"
    (export / "saved_model" / "variables").mkdir(parents=True)
    (export / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (export / "saved_model" / "variables" / "variables.index").write_bytes(b"index")
    (export / "recipe.json").write_text('{"component": "exporter"}')

    def run(
        name="streets", fingerprint="a1", scores=None, infra=None, out="pusher", keep=9, target=tmp_path / "savedmodels"
    ):
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
            export=export,
            **folders,
            name=name,
            target=target,
            fingerprint=fingerprint,
        )
        return tmp_path / out, json.loads((tmp_path / out / "pushed.json").read_text())

    run.target, run.export = tmp_path / "savedmodels", export
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
    assert lineage["recipe"] == {"component": "exporter"}
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
    push.export.chmod(0o700)
    (push.export / "saved_model").chmod(0o700)
    (push.export / "saved_model" / "saved_model.pb").chmod(0o600)
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


@pytest.mark.parametrize("content", [b"", b'{"fingerp', b"[]"])
def test_a_model_that_was_rolled_back_is_known_by_its_files_where_its_lineage_is_damaged(push, content):
    push(), (push.export / "saved_model" / "saved_model.pb").write_bytes(b"other graph")
    push(fingerprint="b2")
    moved_out, _ = roll_back(push.target / "streets")
    (moved_out / LINEAGE).write_bytes(content)
    record = push(fingerprint="b2")[1]
    assert (record["pushed"], record["moved_out"]) == (False, str(moved_out))
    (push.export / "saved_model" / "saved_model.pb").write_bytes(b"a third graph")
    assert push(fingerprint="c3")[1]["version"] == 3


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


def compared_with(push, baseline, out="pusher"):
    """Makes the evaluator's folder say that the model was compared with the version of that fingerprint; returns its scores."""
    folder = push.target.parent / "evaluation" / out
    folder.mkdir(parents=True, exist_ok=True)
    inputs = {"baseline": baseline} if baseline else {}
    (folder / "recipe.json").write_text(json.dumps({"component": "evaluator", "inputs": inputs}))
    return {"blessed": True, "reasons": [], "gate": {"margin": 0.03}}


def test_a_model_that_was_not_compared_with_the_newest_version_is_refused(push):
    push(fingerprint="a1", scores=compared_with(push, None))
    with pytest.raises(
        BaselineChanged, match=r"Received: version 1 \[.*streets\], which is not what it was compared with"
    ):
        push(fingerprint="b2", scores=compared_with(push, None))
    push(fingerprint="b2", scores=compared_with(push, "a1"))
    with pytest.raises(BaselineChanged, match="Received: version 2 "):
        push(fingerprint="c3", scores=compared_with(push, "a1"))
    roll_back(push.target / "streets")
    with pytest.raises(BaselineChanged, match="Received: version 1 "):
        push(fingerprint="c3", scores=compared_with(push, "b2"))
    shutil.rmtree(push.target / "streets" / "1")
    with pytest.raises(BaselineChanged, match="Received: no version "):
        push(fingerprint="c3", scores=compared_with(push, "a1"))
    assert versions(push.target) == ["rolled_back-2"]


def test_the_same_model_again_needs_no_new_comparison(push):
    push(fingerprint="a1", scores=compared_with(push, None))
    assert push(fingerprint="a1", scores=compared_with(push, "elsewhere"))[1]["version"] == 1


def test_a_model_that_is_not_to_be_compared_is_pushed_whatever_is_there(push):
    push(fingerprint="a1")
    scores = compared_with(push, None) | {"gate": {"margin": None}}
    assert push(fingerprint="b2", scores=scores)[1]["version"] == 2


def test_of_models_that_were_compared_with_the_same_version_only_the_first_is_pushed(push):
    push(fingerprint="a1", scores=compared_with(push, None))

    def attempt(number):
        try:
            return push(
                fingerprint=f"f{number}", scores=compared_with(push, "a1", f"pusher{number}"), out=f"pusher{number}"
            )
        except BaselineChanged:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        pushed = list(filter(None, pool.map(attempt, range(8))))
    assert [record["version"] for _, record in pushed] == [2]
    assert versions(push.target) == ["1", "2"]


@pytest.mark.parametrize("file", ["saved_model.pb", "variables/variables.index"])
@pytest.mark.parametrize("content", [None, b"", b"graphs and index"])
def test_a_damaged_version_is_named_and_its_model_is_pushed_again_under_a_new_number(push, capsys, file, content):
    out, _ = push()
    damaged = push.target / "streets" / "1" / file
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert not still_pushed(out)
    assert f"{push.target / 'streets' / '1'} is damaged: {file}: " in capsys.readouterr().out
    out, record = push()
    assert record["version"] == 2 and still_pushed(out)
    assert (push.target / "streets" / "2" / file).read_bytes() == (push.export / "saved_model" / file).read_bytes()


@pytest.mark.parametrize("file", ["contents.json", str(LINEAGE)])
@pytest.mark.parametrize("content", [None, b"", b'{"fingerprint": "a1", "scores": {"mean_iou": 0.99}}'])
def test_a_damaged_description_of_an_intact_model_is_written_again(push, file, content):
    out, _ = push()
    damaged = push.target / "streets" / "1" / file
    before = damaged.read_bytes()
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert not still_pushed(out)
    out, record = push()
    assert still_pushed(out) and versions(push.target) == (
        ["1", "2"] if content is None and "lineage" in file else ["1"]
    )
    assert (push.target / "streets" / str(record["version"]) / file).read_bytes() == before


def test_an_emptied_version_is_pushed_again(push, capsys):
    out, _ = push()
    for path in (push.target / "streets" / "1").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not still_pushed(out)
    assert "streets/1 is damaged: contents.json: missing" in capsys.readouterr().out
    assert push()[1]["version"] == 2


def test_folders_that_are_made_for_versions_are_readable_and_existing_ones_keep_their_mode(push):
    (push.target.parent / "made_before").mkdir(0o700)
    push.target = push.target.parent / "made_before" / "models"
    before = os.umask(0o077)
    try:
        push(target=push.target)
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (push.target.parent, push.target, push.target / "streets")]
    assert modes == [0o700, 0o755, 0o755]
    version = push.target / "streets" / "1"
    assert {path.stat().st_mode & 0o777 for path in version.rglob("*") if path.is_file()} == {0o644}
    assert (push.target / "streets" / ".last_version").stat().st_mode & 0o777 == 0o644


@pytest.fixture
def real_model(push):
    """The stand-in replaced by a SavedModel that loads."""
    tf = pytest.importorskip("tensorflow")

    class Model(tf.Module):
        def __init__(self):
            self.weight = tf.Variable(tf.ones((64, 64)))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve_bytes(self, image_bytes):
            return {"label_map_bytes": tf.strings.join([image_bytes, tf.as_string(self.weight[0, 0])])}

    shutil.rmtree(push.export / "saved_model")
    model = Model()
    tf.saved_model.save(model, str(push.export / "saved_model"), {"serve_bytes": model.serve_bytes})
    return push.export / "saved_model"


def test_what_was_pushed_loads_at_its_place_before_it_is_announced(push, real_model, monkeypatch):
    monkeypatch.undo()  # load it for real
    out, record = push()
    assert record["pushed"] and still_pushed(out)
    (data,) = real_model.glob("variables/variables.data-*")
    data.write_bytes(data.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"A pushed version must load in a fresh process\. Received: exit status 1 \["):
        push(fingerprint="b2", out="other")
    assert versions(push.target) == ["1"]
    assert not (push.target.parent / "other" / "pushed.json").exists()
    assert not list((push.target / "streets").glob(".removed-*"))
