"""Every setting can be changed by name, and the nearest name is suggested for a wrong one."""

import dataclasses
import json
import typing

import pytest

from pipeline.settings import config as settings
from pipeline.settings import exporter, trainer, transform
from pipeline.settings.presets import CONFIGS


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
        ("trainer.crop_size", "240x180", (180, 240)),
        ("trainer.crop_size", "180,240", (180, 240)),
        ("example_gen.ignore_value", "11", 11),
        ("example_gen.ignore_value", "none", None),
        ("name", "camvid", "camvid"),
    ],
)
def test_text_becomes_a_value_of_the_settings_type(setting, text, value):
    changed = settings.replace_setting(settings.Config(), setting, text)
    assert settings.flatten(changed)[setting] == value


def test_a_wrong_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(ValueError, match=r"Unknown setting 'trainer.epoch'.*Did you mean 'trainer.epochs'\?"):
        settings.replace_setting(settings.Config(), "trainer.epoch", "3")


def test_a_wrong_value_is_refused_with_its_type():
    with pytest.raises(ValueError, match=r"trainer.epochs must be of type int. Received: trainer.epochs=many"):
        settings.replace_setting(settings.Config(), "trainer.epochs", "many")
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        settings.replace_setting(settings.Config(), "transform.image_size", "240x")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_consists_of_json_values(name):
    values = settings.flatten(CONFIGS[name]())
    assert json.loads(json.dumps(values, allow_nan=False)).keys() == values.keys()


def test_a_recipe_never_contains_auto():
    assert settings.resolve_auto(settings.Config()).trainer.precision in ("mixed_bfloat16", "float32")


def test_settings_say_which_networks_and_refinements_they_use():
    plain = trainer.choices(trainer.Trainer(model="fcn8s"))
    assert plain == {
        "kseg.encoders.names.ENCODERS": [],
        "pipeline.networks.segmentors": ["fcn8s"],
        "pipeline.networks.discriminators": [],
        "kseg.postprocess.densecrf": [],
    }
    game = trainer.choices(trainer.Trainer(adversarial_weight=0.1, discriminator="patch_gan"))
    assert game == {
        "kseg.encoders.names.ENCODERS": [],
        "pipeline.networks.segmentors": ["unet"],
        "pipeline.networks.discriminators": ["patch_gan"],
        "kseg.postprocess.densecrf": [],
    }
    assert exporter.crf_choice(True) == {} and exporter.crf_choice(False) == {"kseg.postprocess.densecrf": []}


def test_a_game_brings_what_suits_it_unless_it_is_given():
    def found(**settings):
        config = settings_of(settings).trainer
        return config.discriminator, config.encoding, config.spectral_normalization

    def settings_of(given):
        return settings.resolve_auto(settings.Config(trainer=trainer.Trainer(adversarial_weight=0.1, **given)))

    assert found() == ("two_branch", "scaling", False)
    assert found(game="embedding") == ("two_branch", "basic", False)
    assert found(game="segan", encoding="product") == ("two_branch", "product", True)
    assert found(game="gambler") == ("unet", "basic", False)
    assert trainer.choices(trainer.Trainer(adversarial_weight=0.1, game="gambler"))[
        "pipeline.networks.discriminators"
    ] == ["unet"]
    with pytest.raises(ValueError, match=r"`discriminator` must give a bet.*=patch_gan. Leave it out, or take unet or"):
        trainer.Trainer(game="gambler", discriminator="patch_gan")
    for given in ({"objective": "hinge"}, {"label_smoothing": 0.1}):
        with pytest.raises(
            ValueError, match=r"`objective` and `label_smoothing` must be left out.* trainer.game=segan"
        ):
            trainer.Trainer(game="segan", **given)
    with pytest.raises(ValueError, match=r"`label_smoothing` must be 0 with the objective hinge.*label_smoothing=0.1"):
        trainer.Trainer(objective="hinge", label_smoothing=0.1)


@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("trainer.model", "vnet", r"`model` must be one of .*unet.*trainer\.model=vnet"),
        ("trainer.objective", "wgan", "`objective` must be one of non_saturating, minimax, least_squares, hinge"),
        ("trainer.precision", "half", "`precision` must be one of auto, float32"),
        (
            "trainer.epochs",
            "0",
            r"`epochs` must be a whole number from 1 to 1,000,000\. Received: trainer\.epochs=0\. The default is 80\.",
        ),
        ("trainer.learning_rate", "0", "a number from 1e-10 to 10"),
        ("trainer.learning_rate", "nan", "a number from 1e-10 to 10"),
        ("trainer.learning_rate", "inf", "a number from 1e-10 to 10"),
        ("trainer.adversarial_weight", "-1", "a number from 0 to 1,000"),
        ("trainer.label_smoothing", "1", "a number of at least 0 and below 1"),
        (
            "trainer.filters",
            "16,0",
            r"`filters` must be 2 to 8 values, each a whole number from 1 to 4,096.*filters=16,0",
        ),
        (
            "trainer.scale",
            "1",
            r"`scale` must be 2 values, each a number from 0\.05 to 16\. Received: trainer\.scale=1\.0",
        ),
        ("trainer.scale", "2,1", "`scale` must be smallest,largest"),
        ("transform.image_size", "0,5", "2 values, each a whole number from 1 to 16,384"),
        ("transform.class_weights", "many", "one of none, inverse_square_root, median_frequency"),
        ("example_gen.validation_share", "2", "a number from 0 to 1"),
        ("example_gen.ignore_value", "-1", "from 0 to 255"),
        ("statistics_gen.near_duplicate_bits", "129", "a whole number from 0 to 128"),
        ("evaluator.split", "tset", "one of auto, train, validation, test"),
        ("evaluator.margin", "-0.1", "from 0 to 1"),
        ("infra_validator.samples", "0", r"Received: infra_validator\.samples=0"),
        ("pusher.keep", "0", r"Received: pusher\.keep=0"),
        ("wait_for_machines", "-1", r"Received: wait_for_machines=-1"),
    ],
)
def test_values_that_a_setting_cannot_have_are_refused_before_the_run(setting, text, message):
    with pytest.raises(ValueError, match=message):
        settings.replace_setting(settings.Config(), setting, text)


def test_settings_made_in_python_are_checked_by_the_same_rules():
    with pytest.raises(
        ValueError, match=r"`epochs` must be a whole number from 1 to 1,000,000\. Received: trainer\.epochs=2\.5"
    ):
        settings.Trainer(epochs=2.5)


def test_every_number_has_a_rule():
    for component in (*vars(settings.Config()).values(), settings.Config()):
        if dataclasses.is_dataclass(component):
            for name, kind in typing.get_type_hints(type(component), include_extras=True).items():
                assert kind not in (int, float), f"{type(component).__name__}.{name}"


def test_the_choices_are_those_that_the_game_knows():
    from kseg.games.formulations import FORMULATIONS
    from kseg.games.label_encodings import ENCODINGS
    from kseg.games.objectives import OBJECTIVES
    from kseg.pairs.class_balance import RULES

    kinds = typing.get_type_hints(settings.Trainer)
    assert typing.get_args(kinds["objective"]) == tuple(OBJECTIVES)
    assert typing.get_args(kinds["encoding"]) == (trainer.AUTO, *ENCODINGS)
    assert typing.get_args(kinds["game"]) == tuple(FORMULATIONS)
    kinds = typing.get_type_hints(settings.Transform)
    assert typing.get_args(kinds["class_weights"]) == ("none", *RULES)


def test_the_size_that_a_step_sees_bounds_batches_and_the_working_size_bounds_itself():
    def config(**trainer):
        sides = transform.Transform(image_size=(4000, 4000))
        return settings.Config(transform=sides, trainer=dataclasses.replace(settings.Config().trainer, **trainer))

    with pytest.raises(
        ValueError, match=r"`image_size` and `batch_size` must .* trainer.batch_size=16, hence 256,000,000"
    ):
        settings.check_sizes(config(batch_size=16))
    settings.check_sizes(config(batch_size=16, crop_size=(512, 512), scale=(0.5, 16.0)))
    with pytest.raises(
        ValueError, match=r"`crop_size` and `batch_size` .* trainer.crop_size=3000x4000, trainer.batch_size=16"
    ):
        settings.check_sizes(config(batch_size=16, crop_size=(4000, 3000)))
    with pytest.raises(
        ValueError, match=r"`label_stride` must .* trainer.label_stride=8, trainer.crop_size=20x4. Lower it"
    ):
        settings.check_sizes(config(crop_size=(4, 20), adversarial_weight=0.1, label_stride=8))
    huge = dataclasses.replace(config(crop_size=(64, 64)), transform=transform.Transform(image_size=(16_384, 16_384)))
    with pytest.raises(ValueError, match=r"`image_size` must stay below 134,217,728 pixels. Received: .*=16384x16384"):
        settings.check_sizes(huge)
