"""Folding batch normalisation into convolutions changes no prediction, and folds what a convolution can do alone."""

import keras
import numpy as np
import pytest

import kseg
from kseg.serving.folding import fold_batch_normalization


def trained(model):
    """The model with statistics and factors drawn at random, as training leaves them."""
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            trained(layer)
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = {variable.name: variable.shape for variable in layer.weights}
            low = {"gamma": 0.5, "beta": -0.5, "moving_mean": -0.5, "moving_variance": 0.5}
            layer.set_weights([draw.uniform(low[name], low[name] + 1, shape) for name, shape in shapes.items()])
    return model


def built(*layers):
    image = x = keras.Input((None, None, 3), name="image")
    for layer in layers:
        x = layer(x)
    return trained(keras.Model(image, x))


def count(model):
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


def assert_equal(model, folded):
    image = np.random.default_rng(1).uniform(0, 255, (2, 12, 14, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(image))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(folded(image), expected, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "convolution",
    [
        lambda: keras.layers.Conv2D(4, 3, use_bias=False),
        lambda: keras.layers.Conv2D(4, 3, bias_initializer="normal"),
        lambda: keras.layers.Conv2D(6, 3, groups=3),
        lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
        lambda: keras.layers.Conv2DTranspose(4, 2, strides=2),
    ],
)
@pytest.mark.parametrize("arguments", [{}, {"center": False, "scale": False}])
def test_a_convolution_does_what_the_batch_normalisation_after_it_did(convolution, arguments):
    model = built(convolution(), keras.layers.BatchNormalization(**arguments), keras.layers.ReLU())
    folded = fold_batch_normalization(model)
    assert (count(model), count(folded)) == (1, 0)
    assert_equal(model, folded)


def test_what_is_no_part_of_a_convolution_stays():
    image = keras.Input((None, None, 3), name="image")
    shared, twice = keras.layers.Conv2D(3, 1, name="shared"), keras.layers.BatchNormalization(name="twice")
    read_twice = keras.layers.Conv2D(3, 1, name="read_twice")(image)
    with_relu = keras.layers.Conv2D(3, 1, activation="relu")(image)
    outputs = [
        keras.layers.BatchNormalization()(with_relu),
        keras.layers.BatchNormalization()(read_twice) + read_twice,
        keras.layers.BatchNormalization()(shared(image)) + shared(with_relu),
        twice(keras.layers.Conv2D(3, 1)(image)) + twice(keras.layers.Conv2D(3, 1)(image)),
        keras.layers.BatchNormalization()(image),
    ]
    model = trained(keras.Model(image, keras.layers.Concatenate()(outputs)))
    folded = fold_batch_normalization(model)
    assert count(folded) == count(model) == 5
    assert_equal(model, folded)


def test_a_network_and_those_inside_an_ensemble_are_folded():
    networks = [trained(kseg.UNet(3, filters=(4, 8), batch_normalization=True)) for _ in range(2)]
    assert count(networks[0]) == 6 and count(fold_batch_normalization(networks[0])) == 0
    assert_equal(networks[0], fold_batch_normalization(networks[0]))
    ensemble = kseg.DeepEnsemble(networks)
    folded = fold_batch_normalization(ensemble)
    assert_equal(ensemble, folded)
    inner = [layer for layer in folded.layers if isinstance(layer, keras.Model)]
    assert len(inner) == 2 and not any(map(count, inner))


def test_a_network_in_bfloat16_is_folded_in_float32():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = trained(kseg.UNet(3, filters=(4, 8), batch_normalization=True))
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    folded = fold_batch_normalization(model)
    assert {layer.compute_dtype for layer in folded.layers} == {"float32"}
