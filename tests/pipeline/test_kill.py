"""Killed at any moment, the line ends the next time with what an undisturbed run would have left."""

import random
import shutil

import pytest

from pipeline.line import COMPONENTS

from .whole_line import contents, finish, kill

SECONDS = {"example_gen": 4, "statistics_gen": 3, "transform": 2, "trainer": 12, "evaluator": 5, "infra_validator": 5}
"""About how long each works; the others take less than half a second."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a whole run, and its contents."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder)
    return folder, contents(folder)


def without(undisturbed, component, folder):
    """A copy of the undisturbed run as it was before `component` began."""
    shutil.copytree(undisturbed, folder)
    shutil.rmtree(folder / "models")
    (folder / "runs" / "report-small.html").unlink()
    for name in COMPONENTS[COMPONENTS.index(component) :]:
        shutil.rmtree(folder / "runs" / name)
        shutil.rmtree(folder / "runs" / ".scratch" / name)


def disturbed(undisturbed, folder, component, share):
    """Kills a run in `component`, looks at what lies there, and runs again; whether the kill came in time."""
    whole, expected = undisturbed
    without(whole, component, folder)
    killed = kill(folder, component, share * SECONDS.get(component, 0.3))
    left = contents(folder)
    assert left == {name: expected[name] for name in left}, component
    finish(folder)
    again = contents(folder)
    assert {name for name in expected | again if expected.get(name) != again.get(name)} == set(), component
    return killed


@pytest.mark.parametrize("component", ["transform", "trainer", "trainer", "pusher"])
def test_a_killed_run_ends_the_next_time_as_an_undisturbed_one(component, undisturbed, tmp_path, request):
    share = random.Random(request.node.name).random()
    disturbed(undisturbed, tmp_path / "run", component, share)


@pytest.mark.slow
def test_thirty_kills_over_all_components_leave_the_same(undisturbed, tmp_path):
    draw = random.Random(5)
    moments = [(draw.choice(COMPONENTS), draw.random()) for _ in range(30)]
    killed = [disturbed(undisturbed, tmp_path / str(n), *moment) for n, moment in enumerate(moments)]
    assert sum(killed) >= 20, killed  # the others were finished before
