"""The store computes once per recipe, and publishes a complete result or none."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pipeline.engine import contents
from pipeline.engine import store as store_module
from pipeline.engine.fingerprints import Artifact, Untracked, external
from pipeline.engine.store import Store


@dataclasses.dataclass(frozen=True)
class Config:
    value: int = 1


def write_value(out, config, **inputs):
    with open(out / "value.txt", "a") as file:
        file.write(str(config.value))


def test_a_recipe_is_computed_once_and_another_setting_again(tmp_path):
    calls = []

    def component(out, config):
        calls.append(config.value)

    store = Store(tmp_path)
    first, again, other = (store.run(component, Config(value)) for value in (1, 1, 2))
    assert calls == [1, 2]
    assert first == again != other


def test_other_content_is_computed_again_and_another_place_is_not(tmp_path):
    store = Store(tmp_path / "runs")
    results = []
    for place, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "data.txt").write_text(content)
        results.append(store.run(write_value, Config(), source=external(tmp_path / place)).fingerprint)
    assert results[0] == results[1] != results[2]


def test_external_sees_a_renamed_file(tmp_path):
    (tmp_path / "a").write_text("1")
    before = external(tmp_path).fingerprint
    (tmp_path / "a").rename(tmp_path / "b")
    assert external(tmp_path).fingerprint != before


def test_external_data_may_lie_below_the_root_and_their_place_be_text(tmp_path):
    table = tmp_path / "runs" / "table.csv"
    table.parent.mkdir()
    table.write_text("image,mask")
    store = Store(tmp_path / "runs")
    first = store.run(write_value, Config(1), source=Artifact(str(table), "digest"))
    assert store.run(write_value, Config(1), source=Artifact(str(table), "digest")).path == first.path


def test_an_untracked_input_is_passed_on_and_not_hashed(tmp_path):
    seen = []

    def component(out, config, *, runner):
        seen.append(runner)

    store = Store(tmp_path)
    prints = {store.run(component, Config(), runner=Untracked(value)).fingerprint for value in ("one", "two")}
    assert len(prints) == 1 and seen == ["one"]


def test_the_recipe_lies_next_to_the_result_and_hashes_to_its_name(tmp_path):
    import hashlib

    artifact = Store(tmp_path).run(write_value, Config(), data=Artifact(tmp_path, "abc"))
    text = (artifact.path / "recipe.json").read_text()
    assert hashlib.sha256(text.encode()).hexdigest() == artifact.fingerprint
    assert artifact.path.name == artifact.fingerprint[:16]
    assert json.loads(text)["inputs"] == {"data": "abc"}


def test_a_failing_component_publishes_nothing_and_starts_empty_next_time(tmp_path):
    def component(out, config):
        (out / "half.txt").write_text("half")
        if not (tmp_path / "mended").exists():
            raise ValueError("broken")
        assert len(list(out.iterdir())) == 1

    store = Store(tmp_path / "runs")
    with pytest.raises(ValueError, match="broken"):
        store.run(component, Config())
    assert not (tmp_path / "runs" / "component").exists()
    assert [path.suffix for path in (tmp_path / "runs" / ".scratch" / "component").iterdir()] == [".lock"]
    (tmp_path / "mended").touch()
    assert (store.run(component, Config()).path / "half.txt").exists()


def test_a_component_resumes_from_the_scratch_folder_of_a_killed_run(tmp_path):
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(tmp_path)!r})
        import victim
    """)
    (tmp_path / "victim.py").write_text(
        textwrap.dedent(f"""
        import dataclasses, os, signal
        from pipeline.engine.store import Store

        @dataclasses.dataclass(frozen=True)
        class Config:
            value: int = 1

        def train(out, config):
            steps = out / "steps.txt"
            done = len(steps.read_text()) if steps.exists() else 0
            while done < 3:
                done += 1
                steps.write_text("." * done)
                if done == 2 and not os.path.exists({str(tmp_path / "again")!r}):
                    os.kill(os.getpid(), signal.SIGKILL)

        Store({str(tmp_path / "runs")!r}).run(train, Config(), resume=True)
    """)
    )
    run = [sys.executable, "-c", script]
    assert subprocess.run(run, cwd=os.getcwd()).returncode == -signal.SIGKILL
    assert not (tmp_path / "runs" / "train").exists()
    (tmp_path / "again").touch()
    assert subprocess.run(run, cwd=os.getcwd()).returncode == 0
    (artifact,) = (tmp_path / "runs" / "train").iterdir()
    assert (artifact / "steps.txt").read_text() == "..."


def test_two_simultaneous_runs_of_one_recipe_compute_once(tmp_path):
    started, calls = threading.Barrier(2), []

    def component(out, config):
        calls.append(1)

    def run():
        started.wait()
        results.append(Store(tmp_path).run(component, Config()))

    results: list = []
    threads = [threading.Thread(target=run) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(calls) == 1 and results[0] == results[1]


def test_an_artifact_that_is_no_longer_valid_is_computed_again(tmp_path):
    store, calls = Store(tmp_path), []

    def component(out, config):
        calls.append(1)

    for valid in (True, True, False):
        store.run(component, Config(), valid=lambda path, valid=valid: valid)
    assert len(calls) == 2


def test_a_forced_component_replaces_its_result_only_by_a_complete_one(tmp_path):
    first = Store(tmp_path).run(write_value, Config())

    def fails(out, config):
        raise ValueError("broken")

    fails.__name__ = "write_value"
    with pytest.raises(ValueError, match="broken"):
        Store(tmp_path, forced=["write_value"]).run(fails, Config())
    assert (first.path / "value.txt").read_text() == "1"
    (first.path / "value.txt").write_text("spoilt")
    assert Store(tmp_path, forced=["write_value"]).run(write_value, Config()) == first
    assert (first.path / "value.txt").read_text() == "1"
    assert [path.suffix for path in (tmp_path / ".scratch" / "write_value").iterdir()] == [".lock"]


def test_a_required_component_is_not_computed(tmp_path):
    with pytest.raises(ValueError, match=r"Received: write_value is not: there is no earlier result\. Run up to it"):
        Store(tmp_path, required=["write_value"]).run(write_value, Config())
    made = Store(tmp_path).run(write_value, Config())
    assert Store(tmp_path, required=["write_value"]).run(write_value, Config()) == made
    with pytest.raises(ValueError, match="setting value is 2, was 1"):
        Store(tmp_path, required=["write_value"]).run(write_value, Config(2))


def test_fingerprints_are_known_before_the_results_exist(tmp_path, capsys):
    store = Store(tmp_path / "runs", explain=True)
    first = store.run(write_value, Config())
    second = store.run(write_value, Config(2), first=first)
    assert not (tmp_path / "runs").exists()
    store = Store(tmp_path / "runs")
    assert store.run(write_value, Config(2), first=store.run(write_value, Config())) == second


@pytest.mark.parametrize("what", ["changes", "vanishes", "vanishes with an error"])
def test_a_result_of_data_that_changed_meanwhile_is_not_kept(tmp_path, what):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("1")

    def component(out, config, *, source):
        (source / "a").write_text("2") if what == "changes" else shutil.rmtree(source)
        if what == "vanishes with an error":
            raise OSError("cannot read a")

    kind, message = (
        (ValueError, r"Data must not change while they are read\. Received: other files or contents after component")
        if what == "changes"
        else (FileNotFoundError, r"Received: .*/data vanished while component worked\. Bring them back")
    )
    with pytest.raises(kind, match=message):
        Store(tmp_path / "runs").run(component, Config(), source=external(tmp_path / "data"))
    assert not (tmp_path / "runs" / "component").exists()


def test_a_remote_root_is_refused():
    with pytest.raises(ValueError, match=r"`root` must be a local folder.*gs://bucket"):
        Store("gs://bucket/runs")


def chain(root, *, fails=None, **options):
    """Runs data -> model -> scores and note; returns the artifacts and the components that ran; the one that `fails` raises.

    `model` is as irreproducible as training: it holds another number each time.
    """
    ran, store = [], Store(root, **options)

    def data(out, config):
        ran.append("data")
        (out / "shard").write_bytes(b"0123456789")

    def model(out, config, *, data):
        ran.append("model")
        assert (data / "shard").read_bytes() == b"0123456789"
        (out / "variables").mkdir()
        (out / "variables" / "weights").write_bytes(os.urandom(16))

    def scores(out, config, *, model):
        ran.append("scores")
        weights = (model / "variables" / "weights").read_bytes()
        (out / "scores.json").write_text(json.dumps({"of": weights.hex()}))
        if fails == "scores":
            raise KeyboardInterrupt

    def note(out, config, *, model, scores):
        ran.append("note")
        weights = (model / "variables" / "weights").read_bytes()
        assert json.loads((scores / "scores.json").read_text()) == {"of": weights.hex()}

    def compute():
        yield store.run(data, Config())
        yield store.run(model, Config(), data=made[0])
        yield store.run(scores, Config(), model=made[1])
        yield store.run(note, Config(), model=made[1], scores=made[2])

    made = []
    for artifact in compute():
        made.append(artifact)
    return [artifact.path for artifact in made], ran


def spoil(path, how):
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:4], "zeroed": bytes(path.stat().st_size)}[how])


@pytest.mark.parametrize("how", ["cut", "deleted"])
def test_a_cached_result_of_another_size_is_named_and_made_again(tmp_path, capsys, how):
    (data, *_), ran = chain(tmp_path)
    assert ran == ["data", "model", "scores", "note"] and chain(tmp_path)[1] == []
    spoil(data / "shard", how)
    capsys.readouterr()
    assert chain(tmp_path)[1] == ["data"]  # what follows is kept, since the bytes are the same again
    fault = {"cut": "4 bytes instead of 10", "deleted": "missing"}[how]
    assert f"data                will run: its result is damaged: shard: {fault} [{data}]" in capsys.readouterr().out
    assert (data / "shard").read_bytes() == b"0123456789"


@pytest.mark.parametrize("kind", ["file", "link to nothing", "link to a file", "pipe"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_stands_in_the_place_of_a_result_and_is_no_folder_is_named_and_replaced(tmp_path, capsys, kind, resume):
    final = Store(tmp_path / "runs").run(write_value, Config(), resume=resume).path
    shutil.rmtree(final)
    (tmp_path / "other").write_text("kept")
    if kind == "file":
        final.write_text("")
    elif kind == "pipe":
        os.mkfifo(final)
    else:
        final.symlink_to(tmp_path / ("other" if kind == "link to a file" else "nowhere"))
    with pytest.raises(ValueError, match="its result is no folder"):
        Store(tmp_path / "runs", required=("write_value",)).run(write_value, Config(), resume=resume)
    assert Store(tmp_path / "runs").run(write_value, Config(), resume=resume).path == final
    assert (final / "value.txt").read_text() == "1" and not final.is_symlink()
    assert f"will run: its result is no folder [{final}]" in capsys.readouterr().out
    assert (tmp_path / "other").read_text() == "kept"


def test_a_place_of_results_that_is_no_folder_is_refused_before_work(tmp_path):
    (tmp_path / "write_value").write_text("")
    with pytest.raises(ValueError, match="must be a folder"):
        Store(tmp_path).run(write_value, Config())


def test_bytes_are_compared_before_a_component_reads_them(tmp_path, capsys):
    (data, *_), _ = chain(tmp_path)
    spoil(data / "shard", "zeroed")
    assert chain(tmp_path)[1] == []  # nobody reads it
    capsys.readouterr()
    assert chain(tmp_path, forced=["model"])[1] == ["data", "model", "scores", "note"]
    assert "data                will run: its result is damaged: shard: other bytes" in capsys.readouterr().out


def test_verify_compares_the_bytes_of_every_result(tmp_path, capsys):
    (data, model, *_), _ = chain(tmp_path)
    spoil(data / "shard", "zeroed")
    spoil(model / "variables" / "weights", "zeroed")
    assert chain(tmp_path, verify=True, explain=True)[1] == []
    assert capsys.readouterr().out.count("will run: its result is damaged") == 2
    assert chain(tmp_path, verify=True)[1] == ["data", "model", "scores", "note"]
    assert chain(tmp_path, verify=True)[1] == []


def test_bytes_are_compared_once_and_again_if_a_file_changes_meanwhile(tmp_path, monkeypatch):
    def data(out, config):
        (out / "shard").write_bytes(b"0123456789")

    def reads(out, config, *, data):
        assert (data / "shard").read_bytes() == b"0123456789"

    read, real = [], contents.file_digest
    monkeypatch.setattr(contents, "file_digest", lambda path: read.append(path.name == "shard") or real(path))
    store = Store(tmp_path)
    made = store.run(data, Config())
    read.clear()
    store.run(reads, Config(1), data=made)
    assert not any(read)  # just written
    time.sleep(0.05)  # longer than a tick of the file system's clock
    spoil(made.path / "shard", "zeroed")
    store.run(reads, Config(2), data=made)
    assert any(read)
    store = Store(tmp_path)
    store.run(data, Config())
    store.run(reads, Config(3), data=made)
    read.clear()
    store.run(reads, Config(4), data=made)
    assert read and not any(read)


def test_a_run_killed_after_its_component_had_ended_only_publishes(tmp_path, monkeypatch):
    calls = []

    def train(out, config):
        calls.append(1)
        (out / "weights").write_text("1")

    def interrupted(folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(store_module, "write_manifest", interrupted)
        Store(tmp_path).run(train, Config(), resume=True)
    assert not (tmp_path / "train").exists()
    made = Store(tmp_path).run(train, Config(), resume=True)
    assert calls == [1] and (made.path / "weights").read_text() == "1"


def test_what_was_made_from_an_earlier_result_is_made_again(tmp_path, capsys):
    chain(tmp_path)
    capsys.readouterr()
    assert chain(tmp_path, forced=["model"])[1] == ["model", "scores", "note"]
    assert "scores              will run: model had other contents when it ran" in capsys.readouterr().out
    assert chain(tmp_path)[1] == []


def test_a_result_found_damaged_late_remakes_what_was_already_taken_for_finished(tmp_path):
    (_, model, *_), _ = chain(tmp_path)
    spoil(model / "variables" / "weights", "zeroed")
    assert chain(tmp_path, forced=["note"])[1] == ["model", "scores", "note"]  # `note` compares scores with weights


def test_a_repair_that_was_interrupted_is_taken_up_by_the_next_run(tmp_path):
    (_, model, scores, _), _ = chain(tmp_path)
    spoil(model / "variables" / "weights", "cut")
    with pytest.raises(KeyboardInterrupt):
        chain(tmp_path, fails="scores")
    assert (model / "variables" / "weights").stat().st_size == 16 and scores.is_dir()
    assert chain(tmp_path)[1] == ["scores", "note"]


def test_scores_that_were_edited_by_hand_do_not_count(tmp_path, capsys):
    (_, _, scores, _), _ = chain(tmp_path)
    forged = (scores / "scores.json").read_text()
    forged = forged.replace(forged[8:12], "ffff")
    (scores / "scores.json").write_text(forged)
    capsys.readouterr()
    assert chain(tmp_path, forced=["note"])[1] == ["scores", "note"]
    assert "its result is damaged: scores.json: other bytes than were written" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["cut", "zeroed"])
def test_a_damaged_result_that_is_not_to_be_computed_is_refused(tmp_path, how):
    (data, *_), _ = chain(tmp_path)
    spoil(data / "shard", how)
    with pytest.raises(
        ValueError, match=r"shard: .*Run up to it with --until data|shard: .*Make it again with --until data"
    ):
        chain(tmp_path, required=["data"], forced=["model"])


def test_a_damaged_folder_that_no_store_made_is_refused(tmp_path):
    from pipeline.engine.contents import write_manifest

    pushed = tmp_path / "models" / "1"
    pushed.mkdir(parents=True)
    (pushed / "graph").write_bytes(b"1")
    store = Store(tmp_path / "runs")
    store.run(write_value, Config(0), baseline=Artifact(pushed, "abc"))  # from before there were manifests
    write_manifest(pushed)
    store.run(write_value, Config(1), baseline=Artifact(pushed, "abc"))
    spoil(pushed / "graph", "zeroed")
    with pytest.raises(ValueError, match=r"must be as it was written\. Received: graph: other bytes .*/models/1\]"):
        Store(tmp_path / "runs").run(write_value, Config(2), baseline=Artifact(pushed, "abc"))


def test_a_result_from_before_there_were_manifests_is_made_again(tmp_path, capsys):
    (data, *_), _ = chain(tmp_path)
    (data / "contents.json").unlink()
    capsys.readouterr()
    assert chain(tmp_path)[1] == ["data"]
    assert "will run: its result has no contents.json to be checked by" in capsys.readouterr().out


def test_what_killed_runs_left_goes_when_the_component_is_next_looked_at(tmp_path):
    Store(tmp_path).run(write_value, Config())
    Store(tmp_path).run(write_value, Config(2), resume=True)
    folder = tmp_path / ".scratch" / "write_value"
    lefts = [folder / "0123456789abcdef", *(path.with_suffix("") for path in folder.glob("*.lock"))]
    for left in lefts:
        (left / "beam-temp-rows-1").mkdir(parents=True)
    Store(tmp_path).run(write_value, Config(2), resume=True)
    assert all(left.is_dir() for left in lefts)  # it resumes from them

    def at_work(out, config):
        (out / "mine").touch()
        Store(tmp_path).run(write_value, Config())  # another run meanwhile
        assert (out / "mine").is_file()

    at_work.__name__ = "write_value"
    Store(tmp_path).run(at_work, Config(3))
    assert not any(left.exists() for left in lefts)
