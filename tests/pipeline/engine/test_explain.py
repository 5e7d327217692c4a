"""Differences between recipes are named, against the most similar one."""

import json

from pipeline.engine.explain import changes, reasons

RECIPE = {
    "component": "trainer",
    "config": {"epochs": 16, "model": "unet"},
    "inputs": {"transform": "aa"},
    "code": {"kseg.data": "11", "kseg.losses": "22"},
    "packages": {"keras": "3.15.0"},
    "python": "3.11",
}


def changed(**parts):
    return RECIPE | {name: RECIPE[name] | value if isinstance(value, dict) else value for name, value in parts.items()}


def test_every_part_of_a_recipe_is_compared():
    now = changed(
        config={"epochs": 80}, inputs={"transform": "bb"}, code={"kseg.data": "12"}, packages={"keras": "3.16.0"}
    )
    assert changes(now | {"python": "3.12"}, RECIPE) == [
        "setting epochs is 80, was 16",
        'package keras is "3.16.0", was "3.15.0"',
        "input transform changed",
        "code of kseg.data changed",
        "Python is 3.12, was 3.11",
    ]
    assert changes(RECIPE, RECIPE) == []


def test_new_and_missing_entries_are_named():
    assert changes(changed(config={"width": None}), RECIPE) == ["setting width is new"]
    assert changes(RECIPE, changed(code={"kseg.old": "33"})) == ["code of kseg.old is gone"]


def test_the_most_similar_earlier_recipe_is_compared_with(tmp_path):
    assert reasons(RECIPE, tmp_path) == ["there is no earlier result"]
    earlier = (changed(config={"epochs": 3, "model": "fcn8s"}), changed(config={"epochs": 3}), changed(python="2.7"))
    for number, recipe in enumerate(earlier[:2]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "recipe.json").write_text(json.dumps(recipe))
    assert reasons(RECIPE, tmp_path) == ["setting epochs is 16, was 3"]


def test_of_many_changed_modules_three_are_named_and_the_rest_counted(tmp_path):
    earlier = changed(config={"epochs": 3}, code={f"kseg.m{number}": "1" for number in range(9)})
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "recipe.json").write_text(json.dumps(earlier))
    assert reasons(RECIPE, tmp_path) == [
        "setting epochs is 16, was 3",
        "code of kseg.m0 is gone",
        "code of kseg.m1 is gone",
        "code of kseg.m2 is gone",
        "and the code of 6 more modules",
    ]
