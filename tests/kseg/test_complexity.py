"""Multiply-adds, counted by hand."""

import keras
import pytest

import kseg
from kseg.complexity import multiply_adds

LAYERS = [  # on an image of 6 x 8 pixels with 3 channels
    (keras.layers.Conv2D(5, 3, padding="same"), 6 * 8 * 3 * 3 * 3 * 5),
    (keras.layers.Conv2D(5, 3), 4 * 6 * 3 * 3 * 3 * 5),
    (keras.layers.Conv2D(4, 3, strides=2, padding="same"), 3 * 4 * 3 * 3 * 3 * 4),
    (keras.layers.Conv2D(6, 1, groups=3), 6 * 8 * 1 * 6),  # each of the filters sees one channel
    (keras.layers.Conv2DTranspose(4, 2, strides=2), 6 * 8 * 2 * 2 * 3 * 4),
    (keras.layers.DepthwiseConv2D(3, padding="same"), 6 * 8 * 3 * 3 * 3),
    (keras.layers.SeparableConv2D(7, 3, padding="same"), 6 * 8 * (3 * 3 * 3 + 3 * 7)),
    (keras.layers.Dense(10), 6 * 8 * 3 * 10),
    (keras.layers.MaxPooling2D(), 0),
]


@pytest.mark.parametrize(("layer", "expected"), LAYERS, ids=[layer.name for layer, _ in LAYERS])
def test_each_weight_counts_once_per_position(layer, expected):
    image = keras.Input((6, 8, 3))
    assert multiply_adds(keras.Model(image, layer(image))) == expected


def test_a_network_of_any_size_is_counted_at_the_given_size_and_stays_as_it_is():
    image = keras.Input((None, None, 3))
    inner = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same")(inner(image)))
    before = model.get_weights()
    assert multiply_adds(model, (10, 20)) == 10 * 20 * (3 * 2 + 3 * 3 * 2 * 4)
    assert model.input_shape == (None, None, None, 3)
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("model", [None, kseg.UNet, "two inputs", "a game"])
def test_what_is_no_functional_network_of_one_image_is_refused(model):
    discriminator = kseg.discriminators.FullyConvolutional(2, base_filters=2)
    if model == "two inputs":
        model = keras.Model([keras.Input((4, 4, 1)), image := keras.Input((4, 4, 1))], image)
    if model == "a game":
        model = kseg.SemiSupervisedGame(kseg.UNet(2, filters=(2, 4)), discriminator)
    with pytest.raises(ValueError, match=r"^`model` must be a functional network of one image"):
        multiply_adds(model, (8, 8))


@pytest.mark.parametrize("size", [8, (8,), (0, 8), ("8", "8")])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match=r"^`size` must be \(height, width\)"):
        multiply_adds(kseg.UNet(2, filters=(2, 4)), size)


def test_a_network_of_any_size_is_refused_without_one():
    with pytest.raises(
        ValueError, match=r"`size` must be .*Received: size=None, model.input_shape=\(None, None, None, 3\)"
    ):
        kseg.multiply_adds(kseg.UNet(2, filters=(2, 4)))
