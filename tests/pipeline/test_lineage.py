"""A pushed model knows its lineage, and gc removes from the store what no pushed model needs."""

import dataclasses
import json
import pathlib
import shutil

import pytest

from pipeline import gc, lineage
from pipeline.components.pusher import pusher
from pipeline.engine import ancestry, code_digests
from pipeline.engine.fingerprints import Artifact, Untracked, external
from pipeline.engine.store import Store
from pipeline.publishing import server_process
from pipeline.settings.pusher import Pusher

PRETRAINED = {
    "encoder": "resnet50",
    "weights": "file",
    "sha256": "ab12",
    "package": None,
    "licence": None,
    "source": "a file",
}
SCORES = {
    "split": "test",
    "images": 2,
    "classes": ["ground", "tree"],
    "blessed": True,
    "reasons": [],
    "baseline": None,
    "original_size": {"mean_iou": 0.4, "iou": [0.8, None]},
}

COMPARED = {"version": 1, "compared": True, "difference": 0.1, "low": -0.1, "high": 0.2}


@dataclasses.dataclass(frozen=True)
class Settings:
    value: int = 1


def example_gen(out, config, *, source):
    (out / "ingestion.json").write_text(
        '{"pairs": {"train": 5, "test": 2}, "quarantined": [{"split": "train", "key": "x"}]}'
    )
    (out / "labels.json").write_text('{"names": ["ground", "tree"]}')


def transform(out, config, *, examples):
    (out / "plan.json").write_text("{}")


def trainer(out, config, *, transform):
    (out / "model.keras").write_bytes(b"weights")


def exporter(out, config, *, model):
    (out / "saved_model" / "assets").mkdir(parents=True)
    (out / "saved_model" / "assets" / "export.json").write_text(json.dumps({"pretrained": PRETRAINED}))
    (out / "saved_model" / "saved_model.pb").write_bytes(b"graph")


def evaluator(out, config, *, export, scores, **baseline):
    (out / "scores.json").write_text(json.dumps(scores))


def infra_validator(out, config, *, export):
    (out / "infra.json").write_text('{"blessed": true, "reasons": []}')


@pytest.fixture
def push(tmp_path, monkeypatch):
    """Runs a line of small stand-ins and the real pusher, which does not load them; returns the artifacts by name."""
    monkeypatch.setattr(server_process, "check_loads", lambda version: None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"a")

    def run(epochs=1, baseline=None, keep=9, target=tmp_path / "savedmodels"):
        store = Store(tmp_path / "runs")
        examples = store.run(example_gen, Settings(), source=external(tmp_path / "photos"))
        prepared = store.run(transform, Settings(), examples=examples)
        model = store.run(trainer, Settings(epochs), transform=prepared)
        export = store.run(exporter, Settings(), model=model)
        scores = SCORES | ({"baseline": COMPARED} if baseline else {})
        compared = {"baseline": baseline} if baseline else {}
        evaluation = store.run(evaluator, Settings(), export=export, scores=Untracked(scores), **compared)
        validation = store.run(infra_validator, Settings(), export=export)
        note = store.run(
            pusher,
            Pusher(keep=keep),
            export=export,
            evaluation=evaluation,
            validation=validation,
            name=Artifact("photos", "photos"),
            target=Artifact(target, str(target)),
            fingerprint=Untracked(export.fingerprint),
        )
        return {
            "examples": examples,
            "transform": prepared,
            "model": model,
            "export": export,
            "evaluation": evaluation,
            "note": note,
        }

    return run


def test_images_without_masks_are_part_of_the_lineage(push, tmp_path, capsys):
    others = {"domain": "target", "images": 7, "reencoded": {}}
    push()
    (pushed,) = (tmp_path / "runs").glob("example_gen/*/ingestion.json")
    ingestion = json.loads(pushed.read_text())
    unusable = [*ingestion["quarantined"], {"split": "unlabelled", "key": "u"}]
    pushed.write_text(json.dumps(ingestion | {"unlabelled": others, "quarantined": unusable}))
    found = ancestry.describe_data(next(iter((tmp_path / "runs").glob("trainer/*"))))
    assert found["unlabelled"] == {"domain": "target", "images": 7, "set_aside": 1} and found["set_aside"] == 1


def test_the_lineage_of_a_model_names_data_settings_code_versions_scores_and_parent(push, tmp_path, capsys):
    first = push()
    push(epochs=2, baseline=first["export"])
    shutil.rmtree(tmp_path / "runs")  # the pushed version alone knows it
    found = lineage.lineage(tmp_path / "savedmodels" / "photos" / "2")
    assert found["data"] == {
        "pairs": {"train": 5, "test": 2},
        "set_aside": 1,
        "classes": ["ground", "tree"],
        "source": external(tmp_path / "photos").fingerprint,
    }
    assert found["settings"]["trainer"] == {"value": 2}
    assert set(found["code"]) == {"example_gen", "transform", "trainer", "exporter", "evaluator", "infra_validator"}
    assert found["versions"]["python"].startswith("3.")
    assert found["scores"]["original_size"]["mean_iou"] == 0.4
    assert found["parent"] == {"version": 1, "fingerprint": first["export"].fingerprint}
    assert lineage.lineage(tmp_path / "savedmodels" / "photos" / "1")["parent"] is None

    assert lineage.main([str(tmp_path / "savedmodels" / "photos" / "2")]) == 0
    text = capsys.readouterr().out
    assert "data      train 5, test 2 pairs, 1 set aside; 2 classes\n" in text
    assert "          iou tree absent\n" in text
    assert found["pretrained"] == PRETRAINED
    assert (
        "weights   encoder resnet50\n          weights file\n          sha256 ab12\n          source a file\n" in text
    )
    assert f"parent    version 1, {first['export'].fingerprint}\n" in text
    assert lineage.main([str(tmp_path / "savedmodels" / "photos" / "2"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found and found["damage"] == []


def test_a_folder_without_a_lineage_is_named(tmp_path, capsys):
    assert lineage.main([str(tmp_path)]) == 2
    assert f"error: A pushed version must hold its lineage. Received: no {lineage.LINEAGE} [{tmp_path}]" in (
        capsys.readouterr().err
    )


def show(version, capsys):
    capsys.readouterr()
    status = lineage.main([str(version)])
    return status, capsys.readouterr()


def test_damage_of_a_pushed_model_is_named_and_the_rest_is_shown(push, tmp_path, capsys):
    push()
    version = tmp_path / "savedmodels" / "photos" / "1"
    graph = version / "saved_model.pb"
    assert show(version, capsys)[1].out.endswith("files     as they were pushed\n")
    for content, fault in ((b"other", "other bytes than were written"), (b"cut", "3 bytes instead of 5")):
        graph.write_bytes(content)
        status, shown = show(version, capsys)
        assert status == 2 and f"files     saved_model.pb: {fault}\n" in shown.out and "mean_iou 0.4000" in shown.out
        assert f"Received: saved_model.pb: {fault} [{version}]" in shown.err
    (version / "contents.json").unlink()  # as versions from before there were manifests
    status, shown = show(version, capsys)
    assert status == 0 and shown.out.endswith("files     not checked: no list of them was pushed\n")


def test_forged_scores_are_not_repeated(push, tmp_path, capsys):
    push()
    file = tmp_path / "savedmodels" / "photos" / "1" / lineage.LINEAGE
    file.write_text(file.read_text().replace('"mean_iou": 0.4', '"mean_iou": 0.9'))
    status, shown = show(file.parents[1], capsys)
    assert status == 2 and shown.out == "" and "assets.extra/lineage.json: other bytes than were written" in shown.err


@pytest.mark.parametrize(
    "text", ["", '{"fingerprint": "a', "\0\0", "[]", "null", "{}", '{"fingerprint": "a", "scores": 3}']
)
def test_a_lineage_that_is_cut_off_or_junk_is_named(push, tmp_path, capsys, text):
    push()
    version = tmp_path / "savedmodels" / "photos" / "1"
    (version / "contents.json").unlink()
    (version / lineage.LINEAGE).write_text(text)
    status, shown = show(version, capsys)
    assert status == 2 and shown.out == "" and shown.err.startswith("error: A ")
    assert "lineage.json" in shown.err and str(version) in shown.err


def run_gc(tmp_path, capsys, *more):
    status = gc.main(["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "savedmodels"), *more])
    return status, capsys.readouterr()


def test_what_no_pushed_model_needs_is_listed_and_removed_when_delete_is_given_twice(push, tmp_path, capsys):
    old, new = push(), push(epochs=2, keep=1)  # the first version is pruned
    left = tmp_path / "runs" / ".scratch" / "trainer" / "abc"
    left.mkdir()
    for delete in ((), ("--delete",)):
        status, printed = run_gc(tmp_path, capsys, *delete)
        listed = {pathlib.Path(row.split()[-1]) for row in printed.out.splitlines()[:-1]}
        assert status == 0 and "--delete --delete removes them" in printed.out
        assert {old["model"].path, old["export"].path, old["evaluation"].path, left} <= listed
        assert all(artifact.path.is_dir() for artifact in (*old.values(), *new.values()))
    status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
    assert status == 0 and printed.out.splitlines()[-1].startswith("Removed 6 folders")
    assert not any(path.exists() for path in listed)
    assert all(artifact.path.is_dir() for artifact in new.values())
    assert "Found 0 folders" in run_gc(tmp_path, capsys)[1].out


def test_nothing_is_removed_where_a_version_has_lost_its_lineage(push, tmp_path, capsys):
    made = push()
    (tmp_path / "savedmodels" / "photos" / "1" / lineage.LINEAGE).unlink()
    status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
    assert status == 2 and "lineage.json [it is gone]" in printed.err
    assert all(artifact.path.is_dir() for artifact in made.values())


def test_a_model_that_was_rolled_back_is_still_needed(push, tmp_path, capsys):
    from pipeline.publishing.versions import roll_back

    push(), push(epochs=2)
    roll_back(tmp_path / "savedmodels" / "photos")
    assert "Found 0 folders" in run_gc(tmp_path, capsys)[1].out


def test_versions_with_recipes_of_an_earlier_kind_stay_baseline_and_keep_what_they_need(
    push, tmp_path, capsys, monkeypatch
):
    from pipeline.publishing import versions

    folder = tmp_path / "savedmodels" / "photos"
    earlier = {"kseg": "8c1d", "kseg.augment": "02fe", "pipeline.store": "77ab"}  # modules that are no longer there
    with monkeypatch.context() as patch:
        patch.setattr(code_digests, "code", lambda module, choices: (earlier, {"keras": "3.15.0"}))
        old = push()
    new = push()
    assert old["export"].fingerprint != new["export"].fingerprint
    assert versions.newest_other_version(folder, new["export"].fingerprint) == folder / "1"
    assert lineage.lineage(folder / "1")["code"]["trainer"] == earlier
    assert "Found 0 folders" in run_gc(tmp_path, capsys)[1].out
    versions.roll_back(folder)
    assert versions.read_fingerprint(folder / "1") == old["export"].fingerprint
    assert "Found 0 folders" in run_gc(tmp_path, capsys)[1].out


def test_nothing_is_removed_while_a_run_is_at_work(push, tmp_path, capsys):
    push()

    def at_work(out, config):
        status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
        assert (status, printed.err) == (
            2,
            f"error: No run must be active. Received: one in {tmp_path / 'runs'}. Wait until it ends.\n",
        )

    Store(tmp_path / "runs").run(at_work, Settings())


def test_a_folder_that_is_no_store_is_refused(tmp_path, capsys):
    status, printed = run_gc(tmp_path, capsys)
    assert status == 2 and "--root must be the folder of a store" in printed.err


def test_models_that_were_pushed_elsewhere_are_needed_without_being_told_where(push, tmp_path, capsys):
    elsewhere = push(target=tmp_path / "elsewhere" / "models")
    push(epochs=2)
    status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
    assert status == 0 and "Removed 0 folders" in printed.out
    assert f"that no model in {tmp_path / 'savedmodels'}, {tmp_path / 'elsewhere' / 'models'} needs" in printed.out
    shutil.rmtree(tmp_path / "elsewhere" / "models" / "photos" / "1")
    listed = run_gc(tmp_path, capsys)[1].out
    assert str(elsewhere["model"].path) in listed and str(elsewhere["note"].path) in listed


@pytest.mark.parametrize("content", [b"", b'{"component": "tra', b"[]", b"null", b"{}", b"\xff"])
@pytest.mark.parametrize(
    ("damaged", "cure"),
    [
        ("runs/trainer/*/recipe.json", "the same run makes it again"),
        ("runs/pusher/*/pushed.json", "the same run makes it again"),
        ("savedmodels/photos/1/assets.extra/lineage.json", "remove that version"),
    ],
)
def test_damaged_json_is_named_with_a_cure_and_nothing_is_removed(push, tmp_path, capsys, damaged, cure, content):
    push(), push(epochs=2)
    file = next(tmp_path.glob(damaged))
    file.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
    assert (status, printed.out) == (2, "")
    assert printed.err.startswith(f"error: What says which results are needed must be readable. Received: {file} [")
    assert cure in printed.err and printed.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_push_to_that_is_a_file_is_refused(push, tmp_path, capsys):
    push(target=tmp_path / "elsewhere")
    (tmp_path / "savedmodels").write_text("")
    status, printed = run_gc(tmp_path, capsys, "--delete", "--delete")
    assert status == 2 and "--push-to must be a folder of pushed models. Received: --push-to " in printed.err
