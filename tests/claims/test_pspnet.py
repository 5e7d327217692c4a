"""Sentences of Zhao et al. 2017 (arXiv:1612.01105) and of its authors' prototxt."""

import keras
import numpy as np
import pytest

import kseg
from kseg.blocks import conv_norm, pyramid_pooling, score


def trainable(model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("depth", "classes", "parameters"), [(101, 21, 65_708_501), (101, 19, 65_707_475), (50, 150, 46_782_550)]
)
def test_parameters_are_the_authors(depth, classes, parameters, symbolic):
    assert trainable(kseg.PSPNet(classes, depth=depth)) == parameters


def test_the_head_of_21_classes_has_the_authors_parameters(symbolic):
    features = keras.Input((60, 60, 2048))
    x = conv_norm(pyramid_pooling(features), 512, 3, name="head")
    model = keras.Model(features, score(x, 21, name="score"))
    assert trainable(model) == 23_084_565 and model.count_params() == 23_089_685


@pytest.mark.parametrize(("size", "positions"), [(473, 60), (713, 90)])
def test_images_of_the_paper_give_maps_of_60_and_90_and_levels_of_1_2_3_6(size, positions, symbolic):
    model = kseg.PSPNet(21, input_shape=(size, size, 3))
    for bins in (1, 2, 3, 6):
        assert model.get_layer(f"pyramid_level{bins}_conv").output.shape[1:] == (bins, bins, 512)
    assert model.get_layer("pyramid_join").output.shape[1:] == (positions, positions, 4096)
    assert model.output_shape[1:] == (size, size, 21)


def test_each_level_is_the_mean_over_its_regions():
    features = keras.Input((None, None, 2))
    model = keras.Model(features, pyramid_pooling(features, bins=(1, 2)))
    pooled = keras.Model(features, model.get_layer("pyramid_pool2").output)
    x = np.random.default_rng(0).normal(size=(1, 6, 8, 2)).astype("float32")
    np.testing.assert_allclose(pooled(x)[0, 1, 0], x[0, 3:, :4].mean((0, 1)), rtol=1e-5)


def test_the_network_sees_the_whole_image():
    assert kseg.receptive_field(kseg.PSPNet(3, width=1 / 32, depth=50)).extent == float("inf")


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match=r"`depth` must be 50 or 101. Received: depth=34."):
        kseg.PSPNet(3, depth=34)
