"""The whole line is reproducible: from scratch with the same seed, and after being killed at any moment."""

import json
import random
import re
import shutil

import pytest

from kseg.serving.manifest import read_manifest
from tests.pipeline.whole_line import COMPONENTS, contents, finish, kill

random_moments = random.Random(5)
MOMENTS = [(random_moments.choice(COMPONENTS), round(random_moments.random(), 2)) for _ in range(30)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a whole run, its contents, and the seconds that each component took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    took = re.findall(r"^(\w+) +done in (\d+) s$", finish(folder), re.MULTILINE)
    assert [name for name, _ in took] == list(COMPONENTS)
    return folder, contents(folder), {name: max(0.3, float(seconds)) for name, seconds in took}


def rewind(component, whole, folder):
    """Makes `folder` a copy of the undisturbed run as of the start of `component`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "models")
    (folder / "runs" / "report-small.html").unlink()
    for name in COMPONENTS[COMPONENTS.index(component) :]:
        shutil.rmtree(folder / "runs" / name)
        shutil.rmtree(folder / "runs" / ".scratch" / name)


def check_killed_run(component, share, undisturbed, folder):
    """Kills a run after a share of the time of `component`, checks what it published, and runs again."""
    whole, expected, seconds = undisturbed
    after = share * seconds[component]
    rewind(component, whole, folder)
    while not kill(folder, component, after):  # the machine was faster than before
        after /= 2
        rewind(component, whole, folder)
    published = contents(folder)
    assert published == {name: expected[name] for name in published}  # nothing incomplete is published
    finish(folder)
    again = contents(folder)
    assert {name for name in expected | again if expected.get(name) != again.get(name)} == set()


def test_a_second_run_from_scratch_is_equal_bit_for_bit_although_it_was_killed_while_it_trained(undisturbed, tmp_path):
    _, expected, seconds = undisturbed
    folder, after = tmp_path / "again", 0.8 * seconds["trainer"]
    while not kill(folder, "trainer", after, "--", "--direct_num_workers=2"):  # the machine was faster than before
        after /= 2
        shutil.rmtree(folder)
    published = contents(folder)
    assert published == {name: expected[name] for name in published}  # nothing incomplete is published
    assert any("tfrecord" in name for name in published)
    finish(folder)
    again = contents(folder)
    assert {name for name in expected | again if expected.get(name) != again.get(name)} == set()
    for kind in ("statistics.json", "plan.json", "scores.json", "model.keras", "variables.data", "overlays"):
        assert any(kind in name for name in again)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("component", "share"), [("transform", 0.6), ("trainer", 0.8), ("evaluator", 0.5), ("pusher", 0.2)]
)
def test_a_killed_run_ends_like_an_undisturbed_one_when_run_again(component, share, undisturbed, tmp_path):
    check_killed_run(component, share, undisturbed, tmp_path / "run")


@pytest.mark.slow
def test_a_trained_model_is_exported_with_a_refinement_and_pushed_without_training_again(undisturbed, tmp_path):
    rewind("exporter", undisturbed[0], tmp_path / "run")
    crf = {"iterations": 2, "appearance_colour_sigma": 8}
    settings = {"exporter.tiles": "true", "exporter.crf": json.dumps(crf)}
    chosen = [f"--set={name}={value}" for name, value in settings.items()]
    output = finish(tmp_path / "run", *chosen, "--set=evaluator.refinements=superpixels")
    assert re.search(r"trainer +cached", output) and re.search(r"exporter +done", output)
    runs, pushed = tmp_path / "run" / "runs", tmp_path / "run" / "models" / "small" / "1"
    made_with = read_manifest(pushed)
    assert made_with["tiles"] and made_with["crf"].items() >= crf.items()
    (infra,), (scores,) = (
        list((runs / name).glob(f"*/{file}.json"))
        for name, file in (("infra_validator", "infra"), ("evaluator", "scores"))
    )
    verdict = json.loads(infra.read_text())
    assert verdict["agreement"] >= 0.999 and "tiles" in verdict["signatures"]
    assert json.loads(scores.read_text())["unlabelled"]["superpixels"]["mean_iou"] > 0.8
    assert "refines its own predictions" in (runs / "report-small.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("component", "share"), MOMENTS)
def test_a_run_killed_at_any_moment_ends_like_an_undisturbed_one(component, share, undisturbed, tmp_path):
    check_killed_run(component, share, undisturbed, tmp_path / "run")
