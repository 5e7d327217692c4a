"""What is compiled for images without masks: each setting reaches the teacher, the game and the discriminator."""

import pytest

from kseg import games
from kseg.metrics import ConfusionMatrix
from pipeline import networks
from pipeline.settings.trainer import MODELS, Trainer
from pipeline.training import compiling
from tests.pipeline.small_trunk import small_network

PLAN = {"class_weights": [1.0, 1.0, 1.0], "channels": 3, "examples": {"train": 4, "unlabelled": 6}}
PLAN["unlabelled_domain"] = "target"


def compiled(plan=PLAN, **settings):
    """The model of 2 epochs of 50 steps; its network is `small_network`."""
    config = Trainer(**{"epochs": 2, "precision": "float32", "label_stride": 4, "discriminator_filters": 4} | settings)
    return compiling.compile_model(small_network(3, 3), ConfusionMatrix(3), config, plan, 3, 50)


def test_without_such_images_the_network_trains_alone():
    for plan in (PLAN | {"examples": {"train": 4}}, PLAN | {"examples": {"train": 4, "unlabelled": 0}}):
        assert compiled(plan).name == "small"
    assert compiled(pseudo_label_weight=0.0).name == "small"


def test_every_setting_of_the_teacher_is_applied():
    plain = compiled().teacher.get_config()
    assert plain == {"decay": 0.99, "threshold": 0.9, "weight": 1.0, "start": 10, "cut_mix": True, "seed": 0}
    model = compiled(
        teacher_decay=0.5, pseudo_label_threshold=0.7, pseudo_label_weight=0.3, teacher_start=4, cut_mix=False, seed=9
    )
    assert isinstance(model, games.SelfTraining)
    changed = {"decay": 0.5, "threshold": 0.7, "weight": 0.3, "start": 4, "cut_mix": False, "seed": 9}
    assert model.teacher.get_config() == changed


@pytest.mark.parametrize(("domain", "apart"), [("same", False), ("target", True)])
def test_images_of_another_domain_alone_are_normalised_apart_from_the_pairs(domain, apart):
    assert compiled(PLAN | {"unlabelled_domain": domain}).apart is apart


def test_every_setting_of_the_adaptation_is_applied():
    steps = {"pretrain_discriminator": 2, "alternate_every": 3, "ramp": 4}
    options = {"objective": "least_squares", "label_smoothing": 0.2, "label_stride": 3}
    game = compiled(
        adaptation="maps", domain_weight=0.3, pretrain_segmentor=1, discriminator_learning_rate=5e-4,
        spectral_normalization=True, **steps, **options,
    )  # fmt: skip
    assert isinstance(game, games.DomainGame) and isinstance(game.teacher, games.Teacher)
    assert (game.weight, game.maps, game.layer) == (0.3, "softmax", None)
    assert {name: getattr(game, name) for name in options} == options
    assert game.schedule.get_config() == steps | {"pretrain_player": 1}
    assert float(game.discriminator_optimizer.learning_rate) == pytest.approx(5e-4)
    kinds = {type(layer).__name__ for layer in game.discriminator.layers}
    assert "SpectralNormalization" in kinds and "BatchNormalization" not in kinds
    alone = compiled(adaptation="entropy", pseudo_label_weight=0.0)
    assert (alone.maps, alone.teacher, alone.weight) == ("entropy", None, 0.01)


@pytest.mark.parametrize(
    "name", ["patch_gan", "fully_convolutional", "large_fov", "large_fov_light", "small_fov", "small_fov_light", "unet"]
)
def test_every_discriminator_that_needs_no_image_judges_maps(name):
    game = compiled(adaptation="maps", discriminator=name)
    assert len(game.discriminator.inputs) == 1 and game.discriminator.input_shape[-1] == 3


def test_features_are_judged_where_the_classifier_sees_them():
    game = compiled(adaptation="features")
    assert game.layer == "trunk_relu" and game.discriminator.output_shape[-1] == 6
    assert game.discriminator.name == "domain_classes"


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_network_has_such_features(model, symbolic):
    network = networks.segmentor(Trainer(model=model), 5, 3)
    layer = networks.feature_layer(network)
    assert len(layer.output.shape) == 4 and layer.output.shape[-1] >= 4
    assert networks.domain_discriminator(Trainer(adaptation="features"), 5, network)[1] == layer.name


@pytest.mark.parametrize(("domain", "apart"), [("same", False), ("target", True)])
def test_they_may_be_played_with_too(domain, apart):
    game = compiled(PLAN | {"unlabelled_domain": domain}, adversarial_weight=0.1)
    assert type(game) is games.SegmentationGame and isinstance(game.teacher, games.Teacher) and game.apart is apart
    assert not compiled(PLAN | {"unlabelled_domain": domain}, adversarial_weight=0.1, pseudo_label_weight=0.0).apart
