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

import pytest

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
