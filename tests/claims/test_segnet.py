"""What the SegNet paper says (Badrinarayanan, Kendall, Cipolla 2017), where it could be false."""

import math

import keras
import numpy as np
import pytest

import kseg
from kseg.layers import MaxPoolingWithIndices2D, MaxUnpooling2D


def counted(network):
    return sum(math.prod(weight.shape) for weight in network.trainable_weights)


def test_the_encoder_network_is_topologically_identical_to_the_13_convolutional_layers_of_vgg16(symbolic):
    def shapes(network, prefix):
        layers = [layer for layer in network.layers if type(layer) is keras.layers.Conv2D]
        return [tuple(layer.kernel.shape) for layer in layers if layer.name.startswith(prefix)]

    theirs = shapes(keras.applications.VGG16(weights=None, include_top=False), "block")
    assert len(theirs) == 13 and shapes(kseg.SegNet(11), "block") == theirs


def test_removing_the_fully_connected_layers_reduces_the_encoder_from_134_to_14_point_7_million_parameters(symbolic):
    network = keras.applications.VGG16(weights=None)
    with_dense = sum(counted(layer) for layer in network.layers if layer.name != "predictions")
    convolutions = sum(counted(layer) for layer in network.layers if layer.name.startswith("block"))
    assert round(with_dense / 1e6) == 134 and round(convolutions / 1e6, 1) == 14.7


def test_each_encoder_layer_has_a_corresponding_decoder_layer_hence_the_decoder_network_has_13_layers(symbolic):
    layers = [layer for layer in kseg.SegNet(11).layers if type(layer) is keras.layers.Conv2D]
    assert len([layer for layer in layers if layer.name.startswith(("decode", "logits"))]) == 13


def test_two_bits_are_enough_for_each_2x2_pooling_window():
    values = np.random.default_rng(0).normal(size=(1, 31, 40, 8)).astype("float32")
    indices = np.asarray(MaxPoolingWithIndices2D(2)(values)[1])
    assert set(np.unique(indices)) == {0, 1, 2, 3}


def test_upsampling_by_max_pooling_indices_learns_nothing_and_gives_sparse_maps(symbolic):
    network = kseg.SegNet(11)
    unpoolings = [layer for layer in network.layers if isinstance(layer, MaxUnpooling2D)]
    assert len(unpoolings) == 5 and not any(layer.weights for layer in unpoolings)


def test_the_sparse_maps_hold_one_value_of_four_at_most():
    values = np.random.default_rng(0).uniform(1, 2, (1, 16, 12, 4)).astype("float32")
    sparse = np.asarray(MaxUnpooling2D(2)(list(MaxPoolingWithIndices2D(2)(values))))
    assert np.count_nonzero(sparse) == values.size / 4
    np.testing.assert_array_equal(sparse[sparse > 0], values[sparse > 0])


def test_a_pixel_of_the_deepest_layer_of_segnet_basic_sees_106x106_pixels_of_the_input():
    network = kseg.SegNetBasic(11, width=1 / 32)
    assert kseg.receptive_field(network, "encode4_pool").extent == 106


@pytest.mark.parametrize("network", [kseg.SegNet, kseg.SegNetBasic])
def test_segnet_is_smaller_than_fcn_and_than_a_decoder_that_carries_whole_feature_maps(network, symbolic):
    assert counted(network(11)) < counted(kseg.UNet(11)) < counted(kseg.FCN8s(11))


def test_boundaries_are_delineated_where_the_maxima_lay():
    """A shift of the image within a pooling window moves what the indices put back, and not what a bed of nails does."""
    line = np.zeros((1, 8, 8, 1), "float32")
    line[0, :, 4] = 1
    shifted = np.roll(line, 1, axis=2)

    def placed(image):
        maxima, indices = MaxPoolingWithIndices2D(2)(image)
        return np.asarray(MaxUnpooling2D(2)([maxima, indices]))

    assert np.flatnonzero(placed(line).sum((0, 1, 3))).tolist() == [4]
    assert np.flatnonzero(placed(shifted).sum((0, 1, 3))).tolist() == [5]
    nails = [kseg.layers.BedOfNails2D(2)(MaxPoolingWithIndices2D(2)(image)[0]) for image in (line, shifted)]
    np.testing.assert_array_equal(nails[0], nails[1])
