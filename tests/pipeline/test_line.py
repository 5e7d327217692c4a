"""Which stages run, what a change recomputes, and what is printed; up to the transform, without TensorFlow."""

import shutil

import pytest

from pipeline import line, run
from pipeline.settings.config import Config

COMPONENTS = line.components_of(Config())
BEFORE_TRAINER = COMPONENTS[: COMPONENTS.index("trainer")]


@pytest.fixture
def ran(photos, tmp_path, capsys):
    """A function of further arguments: exit status, and what was shown of each component."""

    def command(*more, model="unet"):
        places = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")]
        status = run.main(["--data", str(photos), "--ignore-value", "9", "--model", model, *places, *more])
        printed = capsys.readouterr()
        shown = {}
        for text in printed.out.splitlines():
            name, *words = text.split() or [""]
            became = words and words[0] in ("cached", "done", "will")  # or it says something meanwhile
            if became and not text.startswith(" "):
                shown.setdefault(name, " ".join(words))
        return status, shown, printed.err

    return command


def kinds(shown):
    return {name: text.split()[0] for name, text in shown.items()}


def test_stages_run_only_on_finished_ones_and_end_with_the_last(ran, tmp_path):
    status, _, error = ran("--only", "statistics_gen")
    assert status == 2
    assert error == (
        "error: What comes before must be finished. Received: example_gen is not: there is no earlier result. "
        "Run up to it with --until example_gen.\n"
    )
    assert not (tmp_path / "runs").exists()
    assert ran("--until", "statistics_gen")[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir() if path.name[0] != ".") == [
        "example_gen",
        "statistics_gen",
    ]
    status, shown, _ = ran("--only", "schema_gen")
    assert (status, kinds(shown)) == (
        0,
        {"example_gen": "cached", "statistics_gen": "cached", "schema_gen": "done"},
    )
    assert ran("--from", "example_validator", "--until", "transform")[0] == 0
    status, _, error = ran("--from", "transform", "--until", "schema_gen")
    assert (status, error) == (
        2,
        "error: --from must not come after --until. Received: --from transform --until schema_gen.\n",
    )


def test_explain_shows_why_each_component_would_run_and_writes_nothing(ran, tmp_path):
    status, shown, _ = ran("--explain")
    assert (status, set(shown)) == (0, set(COMPONENTS))
    assert set(shown.values()) == {"will run: there is no earlier result"}
    assert not (tmp_path / "runs").exists()

    ran("--until", "transform")
    shown = ran("--explain", "--set", "transform.image_size=16x12", "--force", "schema_gen")[1]
    assert kinds(shown) == {
        name: "will" if name in ("schema_gen", *COMPONENTS[4:]) else "cached" for name in COMPONENTS
    }
    assert shown["schema_gen"] == "will run: it is forced"
    assert shown["transform"] == "will run: setting image_size is [12, 16], was null"
    assert kinds(ran("--until", "transform")[1]) == dict.fromkeys(BEFORE_TRAINER, "cached")


def test_a_change_recomputes_what_depends_on_it_and_nothing_else(ran, photos):
    ran("--until", "transform")
    assert kinds(ran("--until", "transform")[1]) == dict.fromkeys(BEFORE_TRAINER, "cached")
    shown = kinds(ran("--until", "transform", "--set", "example_validator.max_skew=0.5")[1])
    assert [name for name, kind in shown.items() if kind == "done"] == ["example_validator"]
    shown = kinds(ran("--until", "transform", "--set", "transform.class_weights=none")[1])
    assert [name for name, kind in shown.items() if kind == "done"] == ["transform"]
    (photos / "images" / "train" / "00.png").write_bytes((photos / "images" / "train" / "01.png").read_bytes())
    (photos / "masks" / "train" / "00.png").write_bytes((photos / "masks" / "train" / "01.png").read_bytes())
    shown = kinds(ran("--until", "transform")[1])
    assert [name for name, kind in shown.items() if kind == "done"] == list(BEFORE_TRAINER)


def test_a_forced_component_runs_again_and_what_follows_stays_cached(ran):
    ran("--until", "transform")
    shown = kinds(ran("--until", "transform", "--force", "statistics_gen")[1])
    assert [name for name, kind in shown.items() if kind == "done"] == ["statistics_gen"]


@pytest.mark.parametrize(
    "missing, setting", [("test", "evaluator.split=test"), ("val", "trainer.train_on_validation=true")]
)
def test_a_split_that_the_data_do_not_have_is_refused_before_training(ran, photos, missing, setting):
    for kind in ("images", "masks"):
        shutil.rmtree(photos / kind / missing)
    status, shown, error = ran("--set", setting)
    assert (status, "transform" in shown) == (2, False)
    assert setting in error and "train, " in error
    assert ran("--until", "transform")[0] == 0


def test_with_a_plan_what_follows_is_not_known_before_the_planner_has_run(ran, capsys):
    status, shown, _ = ran("--explain", model="auto")
    assert (status, set(shown)) == (0, set(line.COMPONENTS[: line.COMPONENTS.index("planner") + 1]))
    assert shown["planner"] == "will run: there is no earlier result"


def test_the_planner_is_refused_where_it_has_nothing_to_choose(ran):
    for arguments in (("--dry-run",), ("--until", "planner"), ("--force", "planner")):
        status, _, error = ran(*arguments)
        assert (status, error) == (
            2,
            "error: The planner runs where it has something to choose. Received: --model unet without --minutes. Give --minutes, "
            "or --model auto.\n",
        )
