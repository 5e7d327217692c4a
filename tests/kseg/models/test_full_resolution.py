"""Each layer of the network without downsampling adds a pixel on each side to the receptive field."""

import keras
import pytest

import kseg


@pytest.mark.parametrize("depth", [1, 2, 5, 8, 16])
def test_the_receptive_field_of_l_layers_is_1_plus_2_l(depth):
    field = kseg.receptive_field(kseg.FullResolutionFCN(3, depth=depth, width=1 / 32))
    assert vars(field) == {"extent": 1 + 2 * depth, "stride": 1, "offset": -depth, "margin": depth}


def test_every_convolution_is_3x3_at_full_resolution_and_width_multiplies_its_channels():
    network = kseg.FullResolutionFCN(3, depth=4, width=0.25, input_shape=(20, 30, 3))
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 4 + [(1, 1)]
    assert [layer.output.shape for layer in convolutions] == [(None, 20, 30, 16)] * 4 + [(None, 20, 30, 3)]
    assert kseg.FullResolutionFCN(3).count_params() == (27 + 1) * 64 + 7 * (9 * 64 + 1) * 64 + (64 + 1) * 3


def test_a_network_without_layers_is_refused():
    with pytest.raises(ValueError, match=r"`depth` must be an integer of at least 1\. Received: depth=0\."):
        kseg.FullResolutionFCN(3, depth=0)
