"""Settings: every one can be set by name, and a wrong name is answered with the nearest right one."""

import json

import pytest

from pipeline import config as settings
from pipeline.configs import CONFIGS


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        ("trainer.epochs", "3", 3),
        ("trainer.learning_rate", "1e-3", 1e-3),
        ("trainer.filters", "8,16", (8, 16)),
        ("trainer.scale", "0.5,1", (0.5, 1.0)),
        ("transform.image_size", "240x180", (180, 240)),
        ("transform.image_size", "180,240", (180, 240)),
        ("transform.image_size", "none", None),
        ("example_gen.ignore_value", "11", 11),
        ("example_gen.ignore_value", "none", None),
        ("name", "camvid", "camvid"),
    ],
)
def test_text_becomes_a_value_of_the_settings_type(setting, text, value):
    changed = settings.changed(settings.Config(), setting, text)
    assert settings.settings(changed)[setting] == value


def test_a_wrong_name_is_refused_with_the_nearest_right_one():
    with pytest.raises(ValueError, match=r"Unknown setting 'trainer.epoch'.*Did you mean 'trainer.epochs'\?"):
        settings.changed(settings.Config(), "trainer.epoch", "3")


def test_a_wrong_value_is_refused_with_its_type():
    with pytest.raises(ValueError, match=r"trainer.epochs must be of type int. Received: trainer.epochs=many"):
        settings.changed(settings.Config(), "trainer.epochs", "many")
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        settings.changed(settings.Config(), "transform.image_size", "240x")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_is_made_of_json_values(name):
    values = settings.settings(CONFIGS[name]())
    assert json.loads(json.dumps(values, allow_nan=False)).keys() == values.keys()


def test_a_recipe_never_says_auto():
    assert settings.resolved(settings.Config()).trainer.precision in ("mixed_bfloat16", "float32")


def test_only_the_chosen_networks_enter_the_recipe():
    plain = settings.Trainer(model="fcn8s")
    assert settings.chosen_modules(plain) == ["kseg.models.fcn"]
    game = settings.Trainer(model="unet", adversarial_weight=0.1)
    assert settings.chosen_modules(game) == ["kseg.models.unet", "kseg.models.discriminators"]
    refined = settings.Trainer(crf={"iterations": 5})
    assert settings.chosen_modules(refined) == ["kseg.models.unet", "kseg.densecrf"]
    with pytest.raises(ValueError, match=r"`model` must be one of unet.*trainer.model=vnet"):
        settings.chosen_modules(settings.Trainer(model="vnet"))


def test_settings_of_few_names_are_refused_before_the_run_begins():
    with pytest.raises(ValueError, match=r"`objective` must be one of non_saturating, .*trainer.objective=wgan"):
        settings.chosen_modules(settings.Trainer(objective="wgan"))
    with pytest.raises(ValueError, match=r"`precision` must be one of auto, .*trainer.precision=half"):
        settings.chosen_modules(settings.Trainer(precision="half"))


def test_the_names_are_those_that_the_game_knows():
    from kseg.games.objectives import OBJECTIVES
    from kseg.label_encodings import ENCODINGS

    assert settings.CHOICES["objective"] == tuple(OBJECTIVES)
    assert settings.CHOICES["encoding"] == tuple(ENCODINGS)
