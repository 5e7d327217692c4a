"""Models pushed to an object store: the order of writing, two runs at once, what killed runs leave, rollback and pruning."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import pytest

from pipeline.components.pusher import pusher, still_pushed
from pipeline.publishing import remote, server_process
from pipeline.publishing.remote import CLAIM, NumberTaken, local_folder, refresh, updating
from pipeline.publishing.versions import BaselineChanged, publish, roll_back
from pipeline.settings.pusher import Pusher

URL = "memory://bucket/models"
LAYOUT = [
    ".last_version",
    "1/assets.extra/lineage.json",
    "1/contents.json",
    "1/saved_model.pb",
    "1/variables/variables.index",
]


@pytest.fixture
def push(saved_model, tmp_path):
    """Publishes the model below URL from the machine of that name; returns its version."""

    def run(fingerprint="a1", machine="one", url=URL, **options):
        copy = local_folder(url, tmp_path / machine)
        with updating(url, copy, "streets"):
            return publish(saved_model, copy / "streets", {"fingerprint": fingerprint}, **options)

    return run


def names(store, place="bucket/models/streets"):
    """Names of the objects below a place."""
    return sorted(name.removeprefix("/").removeprefix(f"{place}/") for name in store.find(place))


@pytest.fixture
def written(memory, monkeypatch):
    """What was written and removed, in order, as ("put" or "rm", name below the folder of models)."""
    order = []

    def record(method, verb):
        original = getattr(type(memory), method)

        def call(self, *args, **options):
            order.append((verb, args[-1 if method == "put_file" else 0].removeprefix("/bucket/models/")))
            return original(self, *args, **options)

        monkeypatch.setattr(type(memory), method, call)

    record("put_file", "put"), record("pipe_file", "put"), record("rm_file", "rm")
    return order


def test_a_version_has_the_layout_of_tensorflow_serving_and_its_graph_is_written_last(memory, push, written):
    assert push() == 1
    assert names(memory) == LAYOUT
    puts = [name for verb, name in written if verb == "put" and name.startswith("streets/1/")]
    assert puts[0] == f"streets/1/{CLAIM}" and puts[-1] == "streets/1/saved_model.pb"
    assert sorted(puts[1:-1]) == sorted(f"streets/{name}" for name in LAYOUT[1:] if name != "1/saved_model.pb")
    assert memory.cat_file("/bucket/models/streets/1/saved_model.pb") == b"graph"


def test_versions_are_numbered_as_on_a_disk_whichever_machine_pushes(memory, push):
    assert [push("a1"), push("b2", "two"), push("b2", "two"), push("b2", "three"), push("c3", "one")] == [1, 2, 2, 2, 3]
    memory.rm("/bucket/models/streets/3", recursive=True)
    assert push("d4", "two") == 4


def test_a_removed_version_loses_its_graph_first(memory, push, written, tmp_path):
    push("a1"), push("b2")
    written.clear()
    copy = local_folder(URL, tmp_path / "one")
    with updating(URL, copy, "streets"):
        shutil.rmtree(copy / "streets" / "1")
    removed = [name for verb, name in written if verb == "rm"]
    assert removed[0] == "streets/1/saved_model.pb" and removed[-1] == f"streets/1/{CLAIM}"
    assert {name.split("/")[0] for name in names(memory)} == {".last_version", "2"}


def test_a_rollback_is_seen_by_other_machines_and_the_number_is_not_used_again(memory, push, tmp_path):
    push("a1"), push("b2", "two")
    copy = local_folder(URL, tmp_path / "one")
    with updating(URL, copy, "streets"):
        place, newest = roll_back(copy / "streets")
    assert (place.name, newest) == ("rolled_back-2", 1)
    assert {name.split("/")[0] for name in names(memory)} == {".last_version", "1", "rolled_back-2"}
    assert (refresh(URL, tmp_path / "two", "streets") / "streets" / "rolled_back-2" / "saved_model.pb").is_file()
    assert push("c3", "two") == 3


def test_a_model_is_only_published_against_the_version_it_was_compared_with(memory, push):
    push("a1", baseline=None)
    with pytest.raises(BaselineChanged):
        push("b2", "two", baseline=None)
    assert push("b2", "two", baseline="a1") == 2


def test_a_failed_check_leaves_nothing_in_the_object_store(memory, push):
    def check(version):
        raise ValueError("it does not load")

    with pytest.raises(ValueError, match="it does not load"):
        push(check=check)
    assert names(memory) == []
    assert push() == 1


def test_a_store_that_fails_in_the_middle_leaves_no_part_of_a_version(memory, push, monkeypatch):
    put = type(memory).put_file

    def fail(self, file, key, *rest, **options):
        if key.endswith("variables.index"):
            raise PermissionError("Access Denied")
        return put(self, file, key, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "put_file", fail)
        with pytest.raises(
            ValueError, match=r"The object store must allow what is asked\. Received: --push-to memory://"
        ):
            push()
    assert [name for name in names(memory) if name.startswith("1/")] == []
    assert push() == 2


def test_files_beside_the_versions_that_others_put_there_stay(memory, push):
    memory.pipe_file("/bucket/models/streets/notes.txt", b"mine")
    memory.pipe_file("/bucket/models/streets/.hidden", b"mine")
    memory.pipe_file("/bucket/models/other/1/saved_model.pb", b"graph")
    push("a1"), push("b2")
    assert {"notes.txt", ".hidden"} <= set(names(memory))
    assert memory.cat_file("/bucket/models/other/1/saved_model.pb") == b"graph"


def leave_unfinished(store, url="bucket/models/streets/1", token=b"of another run"):
    """What a run leaves that is killed while it pushes."""
    store.pipe_file(f"{url}/{CLAIM}", token)
    store.pipe_file(f"{url}/variables/variables.index", b"ind")


def test_what_a_killed_run_left_is_no_version_and_is_removed_once_it_stays_as_it_is(
    memory, push, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(remote, "QUIET", 0.5)
    leave_unfinished(memory)
    assert not (refresh(URL, tmp_path / "one", "streets") / "streets").exists()
    assert push() == 1
    assert names(memory) == LAYOUT
    assert f"{URL}/streets/1, which a killed run left unfinished, is removed" in capsys.readouterr().out


def test_a_run_that_is_still_pushing_is_waited_for_and_its_version_counts(memory, push, monkeypatch, saved_model):
    monkeypatch.setattr(remote, "QUIET", 1.2)
    leave_unfinished(memory)
    looks, listing = [], type(memory).find

    def find(self, *args, **options):
        looks.append(args)
        if len(looks) < 30:
            self.pipe_file("/bucket/models/streets/1/.pushing", b"of another run %d" % len(looks))
        elif len(looks) == 30:
            self.pipe_file("/bucket/models/streets/1/saved_model.pb", b"other graph")
        return listing(self, *args, **options)

    monkeypatch.setattr(type(memory), "find", find)
    assert push() == 2
    assert memory.cat_file("/bucket/models/streets/1/saved_model.pb") == b"other graph"


def test_a_number_that_another_run_claims_at_the_same_moment_is_not_used_twice(memory, push, saved_model, tmp_path):
    copy = local_folder(URL, tmp_path / "one")
    with pytest.raises(NumberTaken), updating(URL, copy, "streets"):
        publish(saved_model, copy / "streets", {"fingerprint": "a1"})
        push("b2", "two")
    assert json.loads(memory.cat_file("/bucket/models/streets/1/assets.extra/lineage.json"))["fingerprint"] == "b2"
    assert names(memory) == LAYOUT
    assert push("a1") == 2


@pytest.mark.parametrize(
    "refusal", [OSError(38, "Function not implemented"), NotImplementedError("no conditional writes")]
)
def test_a_store_without_conditional_writes_is_pushed_to_and_a_number_that_is_claimed_is_taken(
    memory, push, monkeypatch, saved_model, tmp_path, refusal
):
    pipe = type(memory).pipe_file

    def refuse(self, key, content, mode="overwrite"):
        if mode == "create":
            raise refusal
        pipe(self, key, content)

    monkeypatch.setattr(type(memory), "pipe_file", refuse)
    assert push() == 1
    copy = local_folder(URL, tmp_path / "one")
    with pytest.raises(NumberTaken), updating(URL, copy, "streets"):
        publish(saved_model, copy / "streets", {"fingerprint": "b2"})
        leave_unfinished(memory, "bucket/models/streets/2")
    assert memory.cat_file("/bucket/models/streets/2/.pushing") == b"of another run"


def test_of_many_runs_at_once_each_gets_a_version_of_its_own(memory, push, tmp_path, monkeypatch):
    one_at_a_time = threading.RLock()  # as in a real store, of two that make the same object one fails

    def guarded(method):
        def call(*args, **options):
            with one_at_a_time:
                return method(*args, **options)

        return call

    for method in ("pipe_file", "put_file", "get_file", "cat_file", "rm_file", "find"):
        monkeypatch.setattr(type(memory), method, guarded(getattr(type(memory), method)))

    def attempt(number):
        for _ in range(20):
            try:
                return push(f"f{number}", f"machine{number}")
            except NumberTaken:
                continue
        return None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(attempt, range(4)))
    assert sorted(versions) == [1, 2, 3, 4]
    for number, version in enumerate(versions):
        lineage = memory.cat_file(f"/bucket/models/streets/{version}/assets.extra/lineage.json")
        assert json.loads(lineage)["fingerprint"] == f"f{number}"


@pytest.fixture
def component(saved_model, tmp_path, monkeypatch):
    """Runs the component pusher to a URL from the machine of that name; returns `out` and what pushed.json holds."""
    monkeypatch.setattr(server_process, "check_loads", lambda version: None)
    export = tmp_path / "exporter"
    export.mkdir()
    saved_model.rename(export / "saved_model")
    (export / "recipe.json").write_text('{"component": "exporter"}')

    def run(fingerprint="a1", machine="one", url=URL, keep=9, name="streets"):
        folders = {}
        for folder, file in (("evaluation", "scores.json"), ("validation", "infra.json")):
            folders[folder] = tmp_path / folder
            folders[folder].mkdir(exist_ok=True)
            (folders[folder] / file).write_text('{"blessed": true, "reasons": []}')
        out = tmp_path / machine / "pusher" / fingerprint
        out.mkdir(parents=True, exist_ok=True)
        copy = local_folder(url, tmp_path / machine)
        settings = Pusher(keep=keep)
        pusher(out, settings, export=export, **folders, name=name, target=url, fingerprint=fingerprint, copy=copy)
        return out, json.loads((out / "pushed.json").read_text())

    return run


def test_the_component_records_the_url_and_counts_while_the_version_is_there(memory, component, tmp_path):
    out, record = component()
    assert (record["target"], record["version"], record["pushed"]) == (URL, 1, True)
    assert still_pushed(out)
    memory.rm_file("/bucket/models/streets/1/variables/variables.index")
    refresh(URL, tmp_path / "one", "streets")
    assert not still_pushed(out)
    assert component()[1]["version"] == 2


def test_the_component_prunes_and_keeps_rolled_back_models_out(memory, component, tmp_path):
    assert [component(f"f{number}", keep=2)[1]["version"] for number in range(3)] == [1, 2, 3]
    assert {name.split("/")[0] for name in names(memory)} == {".last_version", "2", "3"}
    copy = local_folder(URL, tmp_path / "one")
    with updating(URL, copy, "streets"):
        roll_back(copy / "streets")
    out, record = component("f2", machine="two")
    assert not record["pushed"] and record["moved_out"] == f"{URL}/streets/rolled_back-3"
    assert f"Received: the model of {URL}/streets/rolled_back-3" in record["reasons"][0] and still_pushed(out)


def test_what_tensorflow_serving_reads_lies_beside_and_names_the_models_of_others(memory, component):
    memory.pipe_file("/bucket/models/other/1/saved_model.pb", b"graph")
    memory.pipe_file("/bucket/models/compose.yaml", b"mine")
    component()
    models = memory.cat_file("/bucket/models/models.config").decode()
    assert 'name: "other"' in models and 'name: "streets"' in models
    assert memory.cat_file("/bucket/models/compose.yaml") == b"mine"
    assert memory.exists("/bucket/models/monitoring.config")


def test_in_s3_the_graph_is_put_last_and_the_manifests_name_the_bucket(s3, component, caplog):
    caplog.set_level("INFO", logger="werkzeug")
    component(url="s3://bucket/models")
    puts = [record.getMessage().split(" ")[6] for record in caplog.records if '"PUT ' in record.getMessage()]
    version = [path.removeprefix("/bucket/models/streets/1/") for path in puts if "/streets/1/" in path]
    assert version[0] == CLAIM and version[-1] == "saved_model.pb" and len(version) == 6
    assert names(s3) == sorted([*LAYOUT, "1/model_card.md"])
    for file in ("compose.yaml", "kubernetes.yaml"):
        text = s3.cat_file(f"bucket/models/{file}").decode()
        assert "aws s3 sync s3://bucket/models /models" in text and "BUCKET" not in text


KILLED = """
import pathlib, sys
from pipeline.publishing.remote import local_folder, updating
from pipeline.publishing.versions import publish
copy = local_folder("s3://bucket/models", sys.argv[1])
with updating("s3://bucket/models", copy, "streets"):
    publish(pathlib.Path(sys.argv[2]), copy / "streets", {"fingerprint": "a1"})
"""


@pytest.mark.parametrize("machine", ["one", "two"])
def test_a_push_that_is_killed_is_finished_by_the_next_run_under_the_next_number(
    s3, push, saved_model, tmp_path, monkeypatch, machine
):
    """Killed by SIGKILL when the first file of the version arrives; the next run has the same copy, or another."""
    import logging

    monkeypatch.setattr(remote, "QUIET", 1.0)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "one"), str(saved_model)])

    class Kill(logging.Handler):
        def emit(self, record):
            if '"PUT /bucket/models/streets/1/' in record.getMessage() and CLAIM not in record.getMessage():
                os.kill(process.pid, signal.SIGKILL)

    logger, handler = logging.getLogger("werkzeug"), Kill()
    logger.addHandler(handler)
    try:
        assert process.wait(60) == -signal.SIGKILL
    finally:
        logger.removeHandler(handler)
    left = [name for name in names(s3) if name.startswith("1/")]
    assert f"1/{CLAIM}" in left and "1/saved_model.pb" not in left
    assert push(machine=machine, url="s3://bucket/models") == 2
    assert [name for name in names(s3) if name.startswith("1/")] == []
    assert [name for name in names(s3) if name.startswith("2/")] == [f"2{name[1:]}" for name in LAYOUT[1:]]
    copy = refresh("s3://bucket/models", tmp_path / "three", "streets")
    assert pathlib.Path(copy, "streets", "2", "saved_model.pb").read_bytes() == b"graph"
