"""Arguments of a patch classifier, and the layers that cannot be converted, are refused by name."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg


def test_a_window_that_is_too_small_is_refused_with_the_smallest_size():
    with pytest.raises(
        ValueError, match=r"`window` must be at least 63 for kernel_sizes=\(4, 5, 4, 4\)\. Received: window=62"
    ):
        kseg.PatchClassifier(2, window=62)
    assert kseg.PatchClassifier(2, window=63, filters=(1,) * 4, dense_units=()).get_layer("fc_flat").output.shape == (
        None,
        1,
    )


def test_filters_and_kernel_sizes_must_have_the_same_length():
    with pytest.raises(ValueError, match=r"the same length\. Received: filters=\(8,\), kernel_sizes=\(4, 5, 4, 4\)"):
        kseg.PatchClassifier(2, filters=(8,))


def test_width_multiplies_channels_and_units():
    network = kseg.PatchClassifier(2, width=0.25)
    assert network.get_layer("stage1_conv").filters == 12 and network.get_layer("fc1").units == 50
    assert kseg.PatchClassifier(2, width=0.001).get_layer("stage1_conv").filters == 1


def test_softmax_gives_probabilities():
    network = kseg.convolutionalize(kseg.PatchClassifier(3, width=0.1, activation="softmax"))
    answer = network(np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)))
    np.testing.assert_allclose(np.sum(answer, axis=-1), np.ones((1, 4, 5)), rtol=1e-5)


def windows(*stack, size=9):
    image = x = keras.Input((size, size, 1))
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


def test_padding_inside_a_classifier_is_refused():
    model = windows(layers.Conv2D(2, 3, padding="same", name="padded_conv"), layers.Flatten(), layers.Dense(2))
    with pytest.raises(ValueError, match=r"must not pad.*padding='same' in layer 'padded_conv'"):
        kseg.convolutionalize(model)


def test_layers_that_cannot_be_converted_are_named():
    for layer in (layers.GlobalAveragePooling2D(name="odd"), layers.Flatten(name="flat")):
        tail = layers.BatchNormalization(name="odd") if layer.name == "flat" else layers.Dense(2)
        model = windows(layers.Conv2D(2, 3), layer, tail, layers.Dense(2))
        with pytest.raises(
            ValueError, match=r"must consist of layers that can be converted\. Received: layer 'odd' of type"
        ):
            kseg.convolutionalize(model)


def test_branches_and_unknown_sizes_are_refused():
    image = keras.Input((9, 9, 1))
    flat = layers.Flatten(name="flat")(image)
    branched = keras.Model(image, layers.Add(name="join")([layers.Dense(81, name="one")(flat), flat]))
    with pytest.raises(ValueError, match=r"must be a chain of layers\. Received: layer 'join'"):
        kseg.convolutionalize(branched)
    with pytest.raises(ValueError, match=r"of known size to \(N, K\)\. Received: input_shape=\(None, None, None, 3\)"):
        kseg.convolutionalize(kseg.FullResolutionFCN(2, depth=1))
    with pytest.raises(ValueError, match=r'`border` must be "reflect" or "zeros"\. Received: border=\'wrap\''):
        kseg.convolutionalize(kseg.PatchClassifier(2, width=0.1), border="wrap")
