"""kseg.layers.BatchNormalization against Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import BatchNormalization

SHAPE = (3, 5, 4, 7)


def layers_of_equal_weights(shape=SHAPE, **arguments):
    """Keras's layer and kseg's."""
    theirs, ours = keras.layers.BatchNormalization(**arguments), BatchNormalization(**arguments)
    theirs.build(shape)
    ours.build(shape)
    generator = np.random.default_rng(0)
    weights = [generator.uniform(0.5, 2, weight.shape) for weight in ours.weights]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours


def values_of(shape=SHAPE):
    return np.random.default_rng(1).normal(3, 2, shape).astype("float32")


def train(layer, values) -> list[np.ndarray]:
    """One pass in training: results, gradients of a weighted sum of their squares, and the weights after it."""
    values, factors = tf.constant(values), np.random.default_rng(2).uniform(size=values.shape).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(values)
        results = layer(values, training=True)
        loss = tf.reduce_sum(factors * tf.cast(results, "float32") ** 2)
    gradients = tape.gradient(loss, [values, *(variable.value for variable in layer.trainable_variables)])
    return [np.asarray(x, np.float64) for x in (results, *gradients, *layer.get_weights())]


def operations(layer, shape=SHAPE, **arguments) -> set[str]:
    graph = (
        tf.function(lambda x: layer(x, training=True, **arguments)).get_concrete_function(tf.TensorSpec(shape)).graph
    )
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 1e-2), ("mixed_float16", 2e-3)])
@pytest.mark.parametrize("synchronized", [False, True])
def test_training_gives_the_results_gradients_and_moving_averages_of_keras(dtype, tolerance, synchronized):
    layers = layers_of_equal_weights(dtype=dtype, momentum=0.7, epsilon=2e-3, synchronized=synchronized)
    for theirs, ours in zip(*(train(layer, values_of()) for layer in layers), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())
    assert "FusedBatchNormV3" in operations(layers[1])


def test_moving_averages_take_the_variance_of_the_batch_as_it_is():
    layer = BatchNormalization(momentum=0.0)
    layer(np.array([1.0, 3.0, 5.0, 7.0], "float32").reshape(1, 2, 2, 1), training=True)
    assert float(layer.moving_mean[0]) == 4 and float(layer.moving_variance[0]) == pytest.approx(5)


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((6, 7), {}),
        (SHAPE, {"axis": 1}),
        (SHAPE, {"scale": False}),
        (SHAPE, {"center": False}),
        (SHAPE, {"dtype": "float64"}),
        (SHAPE, {"dtype": "float16"}),
        (SHAPE, {"dtype": "bfloat16"}),
    ],
)
def test_what_the_operation_cannot_do_is_what_keras_does(shape, arguments):
    layers = layers_of_equal_weights(shape, **arguments)
    for theirs, ours in zip(
        *(train(layer, values_of(shape).astype(layer.compute_dtype)) for layer in layers), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_masked_positions_do_not_count():
    layers = layers_of_equal_weights()
    mask = np.random.default_rng(3).uniform(size=SHAPE[:-1]) < 0.5
    theirs, ours = (layer(values_of(), training=True, mask=mask) for layer in layers)
    np.testing.assert_array_equal(ours, theirs)


def test_prediction_and_a_frozen_layer_use_the_moving_averages():
    theirs, ours = layers_of_equal_weights()
    weights = ours.get_weights()
    expected = theirs(values_of(), training=False)
    np.testing.assert_array_equal(ours(values_of(), training=False), expected)
    ours.trainable = False
    np.testing.assert_array_equal(ours(values_of(), training=True), expected)
    assert all(map(np.array_equal, ours.get_weights(), weights))


def test_gradients_of_gradients_are_those_of_keras():
    """As a gradient penalty takes them."""
    found = []
    for layer in layers_of_equal_weights():
        x = tf.constant(values_of())
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(layer(x, training=True) ** 3)
            penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
        found.append(outer.gradient(penalty, x))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-4 * np.abs(found[0]).max())


def test_a_saved_network_loads_and_takes_weights_that_keras_layers_saved(tmp_path):
    networks = []
    for kind in (keras.layers.BatchNormalization, BatchNormalization):
        image = keras.Input((4, 4, 3))
        networks.append(keras.Model(image, kind(name="norm")(image)))
    networks[0].layers[-1].set_weights(list(np.random.default_rng(0).uniform(0.5, 2, (4, 3))))
    networks[0].save_weights(tmp_path / "keras.weights.h5")
    networks[1].load_weights(tmp_path / "keras.weights.h5")
    networks[1].save(tmp_path / "ours.keras")
    image = values_of((2, 4, 4, 3))
    loaded = keras.models.load_model(tmp_path / "ours.keras")
    assert isinstance(loaded.layers[-1], BatchNormalization)
    np.testing.assert_array_equal(loaded(image), networks[0](image))
