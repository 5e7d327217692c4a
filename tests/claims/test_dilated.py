"""Sentences of Yu and Koltun 2016 (arXiv:1511.07122) about the context module and the front end."""

import functools
import math

import keras
import numpy as np
import pytest

import kseg
from kseg.models.dilated import IdentityByClass, context_module


def context(kind, classes, noise=0.0):
    scores = keras.Input((None, None, classes))
    return keras.Model(scores, context_module(scores, kind, noise=noise))


@pytest.mark.parametrize(
    ("kind", "classes", "parameters"),
    [("basic", 21, 28_392), ("basic", 19, 23_256), ("basic", 11, 7_832), ("large", 21, 6_803_139)],
)
def test_context_modules_have_the_papers_parameters(kind, classes, parameters, symbolic):
    assert context(kind, classes).count_params() == parameters


def test_receptive_fields_grow_as_in_table_1():
    module = context("basic", 2)
    names = [*(f"context_conv{i}" for i in range(1, 8)), "context_final"]
    fields = [kseg.receptive_field(module, name) for name in names]
    assert [field.extent for field in fields] == [3, 5, 9, 17, 33, 65, 67, 67]
    assert {field.stride for field in fields} == {1}


@pytest.mark.parametrize("kind", ["basic", "large"])
def test_the_untrained_module_returns_its_input(kind):
    scores = np.random.default_rng(0).uniform(0, 9, (2, 13, 17, 3)).astype("float32")
    np.testing.assert_allclose(context(kind, 3)(scores), scores, rtol=1e-5, atol=1e-5)


def test_negative_scores_do_not_pass_the_untrained_module():
    scores = np.random.default_rng(0).normal(size=(1, 9, 9, 3)).astype("float32")
    np.testing.assert_allclose(context("basic", 3)(scores), np.maximum(scores, 0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["basic", "large"])
def test_noise_is_small_next_to_the_identity_and_distinguishes_the_channels_of_a_class(kind):
    keras.utils.set_random_seed(0)
    scores = np.random.default_rng(0).uniform(1, 2, (1, 24, 24, 3)).astype("float32")
    module = context(kind, 3, noise=0.01)
    noisy = np.asarray(module(scores))
    assert 0 < np.abs(noisy - scores).mean() < 0.5
    kernel = np.asarray(module.get_layer("context_conv2").kernel)
    assert np.unique(kernel).size == kernel.size


def test_the_identity_joins_the_channels_of_a_class_and_divides_by_how_many_it_makes():
    kernel = np.asarray(IdentityByClass(2)((3, 3, 2, 4)))
    np.testing.assert_array_equal(kernel[1, 1], [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert kernel.sum() == kernel[1, 1].sum()
    np.testing.assert_array_equal(np.asarray(IdentityByClass(2)((1, 1, 4, 2)))[0, 0], [[1, 0], [1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize(
    ("classes", "kind", "parameters"),
    [(11, "basic", 134_313_443), (21, "large", 141_149_720), (21, None, 134_346_581)],
)
def test_whole_networks_have_the_papers_parameters(classes, kind, parameters, symbolic):
    network = kseg.DilatedFrontEnd(classes, context=kind)
    assert sum(math.prod(weight.shape) for weight in network.trainable_weights) == parameters
    assert math.prod(network.get_layer("up_image").kernel.shape) == 16 * 16 * classes**2
    assert network.count_params() == parameters + 16 * 16 * classes**2


def test_the_front_end_of_a_528_image_makes_66_positions_of_900_pixels(symbolic):
    network = kseg.DilatedFrontEnd(21, input_shape=(528, 528, 3), padding=186)
    assert network.get_layer("margin").output.shape == (None, 900, 900, 3)
    sizes = [
        network.get_layer(f"{stage}").output.shape[1]
        for stage in ("block3_pool", "block4_relu3", "block5_relu3", "final")
    ]
    assert sizes == [108, 102, 90, 66]
    assert network.get_layer("up_image").output.shape == network.output_shape == (None, 528, 528, 21)


def test_the_front_end_has_fcns_layers_without_pool4_and_pool5_and_dilated_instead(symbolic):
    network = kseg.DilatedFrontEnd(21)
    pools = [layer.name for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert pools == ["block1_pool", "block2_pool", "block3_pool"]
    rates = {layer.name: layer.dilation_rate[0] for layer in network.layers if isinstance(layer, keras.layers.Conv2D)}
    assert {name: rate for name, rate in rates.items() if rate > 1} == {
        "block5_conv1": 2,
        "block5_conv2": 2,
        "block5_conv3": 2,
        "fc6": 4,
    }
    start = network.get_layer("final").kernel_initializer
    assert isinstance(start, keras.initializers.RandomNormal) and start.stddev == 0.001
    upsampling = network.get_layer("up_image")
    assert (upsampling.kernel_size, upsampling.strides, upsampling.trainable) == ((16, 16), (8, 8), False)


@pytest.mark.parametrize("padding", ["same", 186])
def test_a_front_end_position_sees_380_pixels_around_its_own_8_and_with_context_528_more(padding):
    network = kseg.DilatedFrontEnd(3, context="basic", width=0.02, padding=padding)
    front = kseg.receptive_field(network, "final")
    assert (front.extent, front.stride, front.offset, front.margin) == (380, 8, -186, 186)
    assert kseg.receptive_field(network, "context_final").extent == 380 + 66 * 8


def test_away_from_the_border_both_paddings_give_the_same_scores():
    keras.utils.set_random_seed(0)
    networks = [kseg.DilatedFrontEnd(3, width=0.05, padding=padding) for padding in ("same", 186)]
    networks[1].set_weights(networks[0].get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 448, 440, 3)).astype("float32")
    padded, mirrored = (np.asarray(network(image)) for network in networks)
    scale = np.abs(padded).max()
    np.testing.assert_allclose(padded[:, 198:-198, 198:-198], mirrored[:, 198:-198, 198:-198], atol=1e-4 * scale)
    assert np.abs(padded - mirrored).max() > 0.01 * scale


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (67, 33)])
def test_the_margin_is_mirrored_again_where_the_image_is_smaller(size):
    network = kseg.DilatedFrontEnd(3, width=0.02, padding=186)
    image = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32")
    margin = ((186, 186 + -size[0] % 8), (186, 186 + -size[1] % 8))
    around = keras.Model(network.inputs, network.get_layer("margin").output)(image)
    expected = np.pad(image, ((0, 0), *margin, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(around, expected)
    assert network(image).shape == (1, *size, 3)


def test_weights_of_vgg16_fill_the_encoder_whose_first_ten_convolutions_then_compute_what_vgg16_does(tmp_path):
    keras.utils.set_random_seed(0)
    theirs = keras.applications.VGG16(weights=None, include_top=False)
    theirs.save_weights(tmp_path / "vgg16.weights.h5")
    encoder = functools.partial(kseg.encoders.vgg16_dilated, weights=tmp_path / "vgg16.weights.h5")
    network = kseg.DilatedFrontEnd(3, encoder=encoder, fc_filters=4)
    image = np.random.default_rng(0).uniform(0, 255, (1, 40, 48, 3)).astype("float32")
    ours = keras.Model(network.inputs, network.get_layer("block4_relu3").output)(image)
    expected = keras.Model(theirs.inputs, theirs.get_layer("block4_conv3").output)(
        keras.applications.vgg16.preprocess_input(image.copy())
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * np.max(expected))
    last = network.get_layer("block5_conv3").get_weights()[0]
    np.testing.assert_array_equal(last, theirs.get_layer("block5_conv3").get_weights()[0])


def test_an_unpadded_encoder_can_be_passed_and_gets_the_margin_too():
    encoder = functools.partial(kseg.encoders.vgg16_dilated, padding="valid", width=0.02)
    given, own = (kseg.DilatedFrontEnd(3, width=0.02, padding=186, **each) for each in ({"encoder": encoder}, {}))
    given.set_weights(own.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 19, 30, 3))
    np.testing.assert_array_equal(given(image), own(image))


def test_another_encoder_of_stride_8_can_replace_the_front_end():
    encoder = functools.partial(kseg.encoders.resnet50, output_stride=8, width=1 / 64)
    network = kseg.DilatedFrontEnd(3, encoder=encoder, width=0.01)
    assert network(np.zeros((1, 19, 30, 3))).shape == (1, 19, 30, 3)
    with pytest.raises(
        ValueError, match=r"`encoder` must end at stride 8\. Received: features of strides \[2, 4, 8, 16, 32\]"
    ):
        kseg.DilatedFrontEnd(3, encoder=functools.partial(kseg.encoders.vgg16, width=1 / 64), width=0.01)


def test_unknown_contexts_and_paddings_are_refused():
    with pytest.raises(ValueError, match=r"`context` must be None, .basic. or .large.\. Received: context='huge'"):
        kseg.DilatedFrontEnd(3, context="huge", width=0.02)
    with pytest.raises(ValueError, match=r'`padding` must be "same" or 186\. Received: padding=100'):
        kseg.DilatedFrontEnd(3, padding=100)
