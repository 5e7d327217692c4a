"""Discriminators have the published parameters and receptive fields, and depend on image and label map."""

import keras
import numpy as np
import pytest

import kseg
from kseg.models.discriminators import DomainClasses, FullyConvolutional, LargeFOV, PatchGAN, SmallFOV, TwoBranch, UNet

DRAW = np.random.default_rng(0)
IMAGE, OTHER_IMAGE = DRAW.uniform(0, 255, (2, 1, 37, 43, 3)).astype("float32")
LABEL_MAP, OTHER_LABEL_MAP = np.eye(4, dtype="float32")[DRAW.integers(0, 4, (2, 1, 37, 43))]
PAIRS = {"input_shape": (None, None, 3)}
NARROW = {  # all judge pairs of image and label map of 4 classes
    "two_branch": lambda **settings: TwoBranch(4, width=1 / 16, **settings),
    "large_fov": lambda **settings: LargeFOV(4, width=1 / 16, **PAIRS | settings),
    "small_fov": lambda **settings: SmallFOV(4, width=1 / 16, light=True, **PAIRS | settings),
    "patch_gan": lambda **settings: PatchGAN(4, base_filters=4, layers_between=2, **PAIRS | settings),
    "fully_convolutional": lambda **settings: FullyConvolutional(4, base_filters=4, **PAIRS | settings),
    "unet": lambda **settings: UNet(4, base_filters=2, **PAIRS | settings),
}
VERDICTS = {"patch_gan": (1, 10, 11, 1), "fully_convolutional": (1, 37, 43, 1), "unet": (1, 37, 43, 1)}


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: TwoBranch(8), 1_667_265),
        (lambda: TwoBranch(8, logits=2), 1_671_874),
        (lambda: LargeFOV(21), 2_346_561),
        (lambda: LargeFOV(21, logits=2), 2_351_170),
        (lambda: LargeFOV(21, light=True), 869_185),
        (lambda: LargeFOV(21, light=True, logits=2), 871_490),
        (lambda: LargeFOV(63, logits=2), 2_387_458),
        (lambda: LargeFOV(63, light=True, logits=2), 907_778),
        (lambda: SmallFOV(21), 1_572_289),
        (lambda: SmallFOV(21, logits=2), 1_572_802),
        (lambda: SmallFOV(21, light=True), 490_177),
        (lambda: SmallFOV(21, light=True, logits=2), 490_434),
        (lambda: SmallFOV(63, logits=2), 1_609_090),
        (lambda: SmallFOV(63, light=True, logits=2), 526_722),
        (lambda: FullyConvolutional(21), 2_783_169),
        (lambda: PatchGAN(3), 2_769_601),
    ],
)
def test_trainable_parameters_are_the_published_ones(network, parameters, symbolic):
    assert sum(int(np.prod(weight.shape)) for weight in network().trainable_weights) == parameters


@pytest.mark.parametrize(
    ("network", "layer", "extent", "stride"),
    [
        (lambda: LargeFOV(4, width=1 / 16), "score", 34, 4),
        (lambda: LargeFOV(4, width=1 / 16, light=True), "score", 34, 4),
        (lambda: SmallFOV(4, width=1 / 16), "score", 18, 4),
        (lambda: SmallFOV(4, width=1 / 16, light=True), "score", 18, 4),
        (lambda: FullyConvolutional(4, base_filters=4), "score", 94, 32),
        *[
            (lambda n=n: PatchGAN(4, base_filters=4, layers_between=n), "score", extent, 2**n)
            for n, extent in enumerate((16, 34, 70, 142, 286, 574), start=1)
        ],
    ],
)
def test_fields_of_view_are_the_published_ones(network, layer, extent, stride):
    field = kseg.receptive_field(network(), layer)
    assert (field.extent, field.stride) == (extent, stride)


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("spectral_normalization", [False, True])
def test_the_verdict_depends_on_the_image_and_on_the_label_map(name, spectral_normalization):
    keras.utils.set_random_seed(0)
    network = NARROW[name](spectral_normalization=spectral_normalization)
    verdict = network([IMAGE, LABEL_MAP])
    assert verdict.shape == VERDICTS.get(name, (1, 1)) and verdict.dtype == "float32"
    assert not np.allclose(verdict, network([OTHER_IMAGE, LABEL_MAP]))
    assert not np.allclose(verdict, network([IMAGE, OTHER_LABEL_MAP]))


@pytest.mark.parametrize("name", [name for name in NARROW if name != "two_branch"])
def test_a_label_map_can_be_judged_alone(name):
    network = NARROW[name](input_shape=None)
    assert network.input_shape == (None, None, None, 4)
    verdict = network(LABEL_MAP)
    assert verdict.shape == VERDICTS.get(name, (1, 1)) and np.isfinite(verdict).all()
    assert not np.allclose(verdict, network(OTHER_LABEL_MAP))


@pytest.mark.parametrize("name", [*NARROW, "dcgan"])
def test_every_kernel_is_divided_by_its_largest_singular_value(name):
    def convolutions(spectral_normalization):
        constructor = NARROW.get(name, lambda **settings: kseg.discriminators.DCGAN(3, base_filters=4, **settings))
        network = constructor(spectral_normalization=spectral_normalization)
        wrapped = [layer.layer for layer in network.layers if isinstance(layer, keras.layers.SpectralNormalization)]
        bare = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)]
        return [[one.name for one in found] for found in (wrapped, bare)]

    (nothing, plain), (wrapped, left) = convolutions(False), convolutions(True)
    assert nothing == left == [] and len(plain) > 1
    assert wrapped == plain


@pytest.mark.parametrize("name", NARROW)
def test_a_keras_file_gives_back_the_same_discriminator(name, tmp_path):
    network = NARROW[name](spectral_normalization=True)
    network.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored([IMAGE, LABEL_MAP]), network([IMAGE, LABEL_MAP]))


def test_the_classes_of_domains_are_judged_at_each_position_of_the_features():
    features = DRAW.normal(size=(1, 5, 7, 6)).astype("float32")
    network = DomainClasses(4, 6, base_filters=8, spectral_normalization=True)
    assert network(features).shape == (1, 5, 7, 8)
    assert sum(isinstance(layer, keras.layers.SpectralNormalization) for layer in network.layers) == 3
    assert DomainClasses(19, 2048).count_params() == 9 * (2048 * 512 + 512 * 256 + 256 * 38) + 512 + 256 + 38


def test_less_than_one_layer_between_is_refused():
    with pytest.raises(
        ValueError, match=r"`layers_between` must be an integer of at least 1. Received: layers_between=0."
    ):
        PatchGAN(4, layers_between=0)
