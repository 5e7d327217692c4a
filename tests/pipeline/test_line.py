"""Which part of the line runs, what a change reaches, and what is said about it; up to the transform, without TensorFlow."""

import pytest

from pipeline import line, run

BEFORE_TRAINER = line.COMPONENTS[: line.COMPONENTS.index("trainer")]


@pytest.fixture
def asked(photos, tmp_path, capsys):
    """A function of further arguments: exit status, and what was said of each component."""

    def ask(*more):
        places = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")]
        status = run.main(["--data", str(photos), "--ignore-value", "9", *places, *more])
        printed = capsys.readouterr()
        said = {text.split()[0]: " ".join(text.split()[1:]) for text in printed.out.splitlines() if text.strip()}
        return status, said, printed.err

    return ask


def kinds(said):
    return {name: text.split()[0] for name, text in said.items()}


def test_the_line_ends_where_it_is_told_and_starts_only_on_what_is_finished(asked, tmp_path):
    status, _, error = asked("--only", "statistics_gen")
    assert status == 2
    assert error == (
        "error: What comes before must be finished. Received: example_gen is not: there is no earlier result. "
        "Run up to it with --until example_gen.\n"
    )
    assert not (tmp_path / "runs").exists()
    assert asked("--until", "statistics_gen")[0] == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir() if path.name[0] != ".") == [
        "example_gen",
        "statistics_gen",
    ]
    status, said, _ = asked("--only", "schema_gen")
    assert (status, kinds(said)) == (
        0,
        {"example_gen": "cached", "statistics_gen": "cached", "schema_gen": "done"},
    )
    assert asked("--from", "example_validator", "--until", "transform")[0] == 0
    status, _, error = asked("--from", "transform", "--until", "schema_gen")
    assert (status, error) == (
        2,
        "error: --from must not come behind --until. Received: --from transform --until schema_gen.\n",
    )


def test_explaining_says_why_each_component_would_run_and_writes_nothing(asked, tmp_path):
    status, said, _ = asked("--explain")
    assert (status, set(said)) == (0, set(line.COMPONENTS))
    assert set(said.values()) == {"will run: there is no earlier result"}
    assert not (tmp_path / "runs").exists()

    asked("--until", "transform")
    said = asked("--explain", "--set", "transform.image_size=16x12", "--force", "schema_gen")[1]
    assert kinds(said) == {
        name: "will" if name in ("schema_gen", *line.COMPONENTS[4:]) else "cached" for name in line.COMPONENTS
    }
    assert said["schema_gen"] == "will run: it is forced"
    assert said["transform"] == "will run: setting image_size is [12, 16], was null"
    assert kinds(asked("--until", "transform")[1]) == dict.fromkeys(BEFORE_TRAINER, "cached")


def test_a_change_runs_what_depends_on_it_and_nothing_else(asked, photos):
    asked("--until", "transform")
    assert kinds(asked("--until", "transform")[1]) == dict.fromkeys(BEFORE_TRAINER, "cached")
    said = kinds(asked("--until", "transform", "--set", "example_validator.max_skew=0.5")[1])
    assert [name for name, kind in said.items() if kind == "done"] == ["example_validator"]
    said = kinds(asked("--until", "transform", "--set", "transform.class_weights=none")[1])
    assert [name for name, kind in said.items() if kind == "done"] == ["transform"]
    (photos / "images" / "train" / "00.png").write_bytes((photos / "images" / "train" / "01.png").read_bytes())
    (photos / "masks" / "train" / "00.png").write_bytes((photos / "masks" / "train" / "01.png").read_bytes())
    said = kinds(asked("--until", "transform")[1])
    assert [name for name, kind in said.items() if kind == "done"] == list(BEFORE_TRAINER)


def test_a_forced_component_runs_again_and_what_follows_is_still_good(asked):
    asked("--until", "transform")
    said = kinds(asked("--until", "transform", "--force", "statistics_gen")[1])
    assert [name for name, kind in said.items() if kind == "done"] == ["statistics_gen"]
