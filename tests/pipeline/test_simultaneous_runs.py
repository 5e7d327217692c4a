"""Two runs with one place and name: each model is compared with the version that it replaces, whoever pushes meanwhile."""

import dataclasses
import functools
import json
import multiprocessing
import pathlib
import shutil

import pytest

from pipeline import gc, line
from pipeline.components.pusher import pusher  # noqa: F401  (one of COMPONENTS)
from pipeline.engine import code_digests
from pipeline.engine.store import Store
from pipeline.publishing import entries, server_process, versions
from pipeline.settings.config import Config
from tests.pipeline import whole_line

during_evaluation = None
"""Called by the evaluator before it reads the baseline."""
again = None
"""What the same training gives another time, as on a GPU."""
FRESH = multiprocessing.get_context("spawn")
"""A fork of the process of the tests would hold the locks of TensorFlow's threads, but not the threads."""


def example_gen(out, config, **inputs):
    (out / "ingestion.json").write_text('{"pairs": {"train": 5, "test": 2}, "quarantined": []}')
    (out / "labels.json").write_text('{"names": ["ground", "tree"]}')


def statistics_gen(out, config, **inputs):
    (out / "statistics.json").write_text('{"splits": {}}')


def schema_gen(out, config, **inputs):
    pass


def example_validator(out, config, **inputs):
    pass


def transform(out, config, **inputs):
    pass


def trainer(out, config, **inputs):
    """A model that is as good as its learning rate, or when it is trained `again`, as that."""
    (out / "model.keras").write_text(str(again or config.learning_rate))


def exporter(out, config, *, model, **inputs):
    (out / "saved_model").mkdir()
    (out / "saved_model" / "saved_model.pb").write_text((model / "model.keras").read_text())


def evaluator(out, config, *, export, baseline=None, **inputs):
    """Blesses what is not worse than the baseline."""
    ours = float((export / "saved_model" / "saved_model.pb").read_text())
    if during_evaluation:
        during_evaluation()
    theirs = float((baseline / "saved_model.pb").read_text()) if baseline else None
    blessed = theirs is None or ours >= theirs
    scores = {"blessed": blessed, "reasons": [] if blessed else ["worse"], "gate": dataclasses.asdict(config)}
    (out / "scores.json").write_text(json.dumps(scores | {"compared_with": theirs}))


def infra_validator(out, config, **inputs):
    (out / "infra.json").write_text('{"blessed": true, "reasons": []}')


COMPONENTS = {name: globals()[name] for name in line.components_of(Config())}


def use_stand_ins(patch: pytest.MonkeyPatch):
    """Makes the line one of small stand-ins, store and pusher being real."""
    patch.setattr(line, "component", COMPONENTS.__getitem__)
    patch.setattr(code_digests, "code", lambda module, choices: ({}, {}))  # the same throughout, and slow to find
    patch.setattr(server_process, "check_loads", lambda version: None)


def start(place, quality, keep=9, first="example_gen", forced=()):
    """Starts a line below the folder `place`; yields its components as they finish."""
    config = Config(data="streets", name="streets", root=str(place / "runs"), push_to=str(place / "models"))
    config = dataclasses.replace(
        config,
        trainer=dataclasses.replace(config.trainer, learning_rate=quality),
        pusher=dataclasses.replace(config.pusher, keep=keep),
    )
    required = line.COMPONENTS[: line.COMPONENTS.index(first)]
    return line.compute(config, [], Store(place / "runs", required=required, forced=forced))


@pytest.fixture
def started(tmp_path, monkeypatch):
    """`started(quality)` starts a line of stand-ins."""
    use_stand_ins(monkeypatch)
    starting = functools.partial(start, tmp_path)
    starting.folder = tmp_path / "models" / "streets"
    return starting


def finish(run, until="pusher"):
    """The names of the components that finish, and the contents of pushed.json once it is there."""
    names = []
    for name, artifact in run:
        names.append(name)
        if name == until:
            pushed = artifact.path / "pushed.json"
            return names, json.loads(pushed.read_text()) if name == "pusher" else None
    raise AssertionError(names)


def pushed_models(folder):
    """Quality of each version, and of the model that it was compared with."""
    found = {}
    for number in entries.list_versions(folder):
        lineage = entries.read_lineage(folder / str(number))
        found[number] = (
            float((folder / str(number) / "saved_model.pb").read_text()),
            lineage["scores"]["compared_with"],
        )
    return found


def test_a_worse_model_that_was_compared_with_nothing_does_not_replace_a_better_one_pushed_meanwhile(started, capsys):
    worse = started(0.3)
    finish(worse, "infra_validator")
    finish(started(0.6))
    names, record = finish(worse)
    assert names == ["evaluator", "infra_validator", "pusher"]
    assert (record["pushed"], record["reasons"][0][:6]) == (False, "worse ")
    assert pushed_models(started.folder) == {1: (0.6, None)}
    assert (
        "versions            The newest one changed meanwhile: the model is compared with it again.\n"
        in capsys.readouterr().out
    )


def test_a_better_model_is_compared_with_what_was_pushed_meanwhile_and_replaces_it(started):
    better = started(0.9)
    finish(better, "infra_validator")
    finish(started(0.3)), finish(started(0.6))
    assert finish(better)[1]["version"] == 3
    assert pushed_models(started.folder) == {1: (0.3, None), 2: (0.6, 0.3), 3: (0.9, 0.6)}
    assert finish(started(0.9))[0] == list(COMPONENTS)  # cached


def test_a_model_is_compared_with_what_is_served_after_a_rollback_meanwhile(started):
    finish(started(0.3)), finish(started(0.6))
    third = started(0.7)
    finish(third, "infra_validator")
    versions.roll_back(started.folder)
    assert finish(third)[1]["version"] == 3
    assert pushed_models(started.folder) == {1: (0.3, None), 3: (0.7, 0.3)}


def test_the_pusher_alone_refuses_a_model_that_was_not_compared_with_the_newest_version(started):
    finish(started(0.3), "infra_validator")
    alone = started(0.3, first="pusher")
    finish(alone, "infra_validator")
    finish(started(0.6))
    with pytest.raises(
        versions.BaselineChanged, match=r"Received: version 1 .* run the evaluator again, with --from evaluator"
    ):
        finish(alone)
    with pytest.raises(ValueError, match="Received: evaluator is not: input baseline is new"):
        finish(started(0.3, first="pusher"))
    assert finish(started(0.3, first="evaluator"))[1]["pushed"] is False
    assert pushed_models(started.folder) == {1: (0.6, None)}


def test_a_baseline_that_is_pruned_while_the_evaluator_reads_it_gives_way_to_the_new_one(started, monkeypatch):
    finish(started(0.3))

    def push_another():
        monkeypatch.setitem(globals(), "during_evaluation", None)
        finish(started(0.6, keep=1))

    monkeypatch.setitem(globals(), "during_evaluation", push_another)
    assert finish(started(0.9))[1]["version"] == 3
    assert pushed_models(started.folder) == {2: (0.6, 0.3), 3: (0.9, 0.6)}


def test_a_baseline_that_vanishes_for_good_is_compared_with_no_more(started, monkeypatch):
    finish(started(0.3))
    monkeypatch.setitem(globals(), "during_evaluation", lambda: shutil.rmtree(started.folder / "1", ignore_errors=True))
    assert finish(started(0.2))[1]["version"] == 2
    assert pushed_models(started.folder) == {2: (0.2, None)}


@pytest.mark.parametrize("file", ["contents.json", str(entries.LINEAGE)])
def test_a_baseline_whose_description_is_damaged_is_compared_with_all_the_same(started, file):
    finish(started(0.6))
    (started.folder / "1" / file).write_bytes(b"{")
    assert finish(started(0.3))[1]["pushed"] is False
    assert finish(started(0.9))[1]["version"] == 2
    assert entries.read_lineage(started.folder / "2")["scores"]["compared_with"] == 0.6


def test_a_damaged_version_is_passed_over_for_the_one_before_it(started, capsys):
    finish(started(0.3)), finish(started(0.6))
    (started.folder / "2" / "saved_model.pb").write_text("0.1")
    assert finish(started(0.2))[1]["pushed"] is False
    assert (
        f"Received: {started.folder / '2'} [saved_model.pb: other bytes than were written]." in capsys.readouterr().out
    )
    assert finish(started(0.4))[1]["version"] == 3
    assert entries.read_lineage(started.folder / "3")["scores"]["compared_with"] == 0.3


@pytest.mark.parametrize(("quality", "pushed"), [(0.3, False), (0.7, True)])
def test_a_model_that_the_same_training_gives_anew_is_compared_with_the_pushed_one(
    started, monkeypatch, quality, pushed
):
    finish(started(0.6))
    monkeypatch.setitem(globals(), "again", quality)
    for forced in (("trainer",), ()):
        assert finish(started(0.6, forced=forced))[1]["pushed"] is pushed
        assert pushed_models(started.folder) == ({1: (0.6, None), 2: (0.7, 0.6)} if pushed else {1: (0.6, None)})


def test_scores_that_were_edited_by_hand_bless_nothing(started, tmp_path):
    finish(started(0.6)), finish(started(0.3))
    (scores,) = (file for file in tmp_path.glob("runs/evaluator/*/scores.json") if '"worse"' in file.read_text())
    scores.write_text(json.dumps(json.loads(scores.read_text()) | {"blessed": True, "reasons": []}))
    assert finish(started(0.3, forced=("pusher",)))[1]["pushed"] is False
    assert pushed_models(started.folder) == {1: (0.6, None)}
    assert '"worse"' in scores.read_text()


def run_one_after_the_other(place, qualities, keep, meeting=None):
    """In a process of its own: lines of stand-ins, whose first evaluation waits for that of another process."""

    def meet_once():
        globals()["during_evaluation"] = None
        meeting.wait(60)

    with pytest.MonkeyPatch.context() as patch:
        use_stand_ins(patch)
        patch.setitem(globals(), "during_evaluation", meeting and meet_once)
        for quality in qualities:
            finish(start(place, quality, keep))


def collect_until(done, place):
    """In a process of its own: `gc` again and again until the event `done`."""
    while not done.is_set():
        assert gc.main([f"--root={place / 'runs'}", f"--push-to={place / 'models'}", "--delete", "--delete"]) in (0, 2)


@pytest.mark.parametrize("qualities", [(0.3, 0.6), (0.6, 0.3)])
def test_two_processes_that_saw_no_baseline_end_with_the_better_model(started, qualities, tmp_path):
    both_saw_none = FRESH.Barrier(2)
    processes = [
        FRESH.Process(target=run_one_after_the_other, args=(tmp_path, (quality,), 9, both_saw_none))
        for quality in qualities
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = pushed_models(started.folder)
    assert found in ({1: (0.6, None)}, {1: (0.3, None), 2: (0.6, 0.3)})


def test_two_runs_and_gc_at_once_end_with_whole_versions_and_what_they_need(started, tmp_path):
    done = FRESH.Event()
    finish(started(0.1))
    runs = [
        FRESH.Process(target=run_one_after_the_other, args=(tmp_path, qualities, 2))
        for qualities in ((0.2, 0.4, 0.6), (0.3, 0.5, 0.7))
    ]
    collecting = FRESH.Process(target=collect_until, args=(done, tmp_path))
    for process in (collecting, *runs):
        process.start()
    for process in runs:
        process.join(120)
    done.set()
    collecting.join(60)
    assert [process.exitcode for process in (*runs, collecting)] == [0, 0, 0]
    assert entries.describe_faults(started.folder) == []
    found = pushed_models(started.folder)
    assert found[max(found)][0] == 0.7
    for number in found:
        artifact = pathlib.Path(entries.read_lineage(started.folder / str(number))["artifact"])
        assert (artifact / "saved_model" / "saved_model.pb").read_text() == str(found[number][0])


@pytest.mark.slow
def test_two_real_runs_started_together_end_with_models_that_were_compared(tmp_path):
    runs = [whole_line.start(tmp_path, "--set", f"trainer.seed={seed}") for seed in (1, 2)]
    outputs = [process.communicate()[0] for process in runs]
    assert all(process.returncode in (0, 3) for process in runs), outputs
    folder = tmp_path / "models" / "small"
    found = [entries.read_lineage(folder / str(number))["scores"] for number in entries.list_versions(folder)]
    assert found and found[0]["baseline"] is None
    assert all(scores["baseline"]["compared"] for scores in found[1:])
    assert len(found) == sum(process.returncode == 0 for process in runs)
