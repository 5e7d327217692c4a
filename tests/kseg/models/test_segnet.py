"""SegNet's and SegNet-Basic's parameters, sizes and pooling indices are the authors'."""

import math

import keras
import numpy as np
import pytest

import kseg
from kseg.layers import LocalResponseNormalization, MaxPoolingWithIndices2D, MaxUnpooling2D


def trainable(network):
    return sum(math.prod(weight.shape) for weight in network.trainable_weights)


def convolutions(network):
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]


def test_segnet_has_the_authors_29449355_trainable_parameters_in_26_convolutions(symbolic):
    network = kseg.SegNet(11)
    assert trainable(network) == 29_449_355
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert sum(trainable(norm) for norm in norms) == 15_872
    assert len(convolutions(network)) == 26 and len(norms) == 25


def test_segnets_encoder_is_vgg16_by_name_and_shape(symbolic):
    ours = {layer.name: [weight.shape for weight in layer.weights] for layer in convolutions(kseg.SegNet(11))}
    theirs = keras.applications.VGG16(weights=None, include_top=False)
    expected = {layer.name: [weight.shape for weight in layer.weights] for layer in convolutions(theirs)}
    assert len(expected) == 13 and expected.items() <= ours.items()


def test_segnet_basic_has_the_authors_1416587_trainable_parameters(symbolic):
    network = kseg.SegNetBasic(11)
    assert trainable(network) == 1_416_587
    sizes = [layer.kernel_size for layer in convolutions(network)]
    assert sizes == [(7, 7)] * 8 + [(1, 1)]
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in network.layers) == 4  # none in the decoder


def test_maps_of_a_360x480_image_have_the_authors_sizes(symbolic):
    network = kseg.SegNet(11, input_shape=(360, 480, 3))
    pooled = [network.get_layer(f"block{stage}_pool").output[0].shape[1:3] for stage in range(1, 6)]
    assert pooled == [(180, 240), (90, 120), (45, 60), (23, 30), (12, 15)]
    decoded = [network.get_layer(f"decode{stage}_crop").output.shape[1:3] for stage in (5, 4, 3, 2, 1)]
    assert decoded == [(23, 30), (45, 60), (90, 120), (180, 240), (360, 480)]
    assert network.output_shape == (None, 360, 480, 11)


@pytest.mark.parametrize(("network", "stages"), [(kseg.SegNet, 5), (kseg.SegNetBasic, 4)])
def test_each_unpooling_takes_the_indices_of_its_own_pooling(network, stages, symbolic):
    model = network(3, width=0.1)
    unpoolings = [layer for layer in model.layers if isinstance(layer, MaxUnpooling2D)]
    poolings = [layer for layer in model.layers if isinstance(layer, MaxPoolingWithIndices2D)]
    assert len(unpoolings) == len(poolings) == stages
    for pooling, unpooling in zip(reversed(poolings), unpoolings, strict=True):
        assert unpooling.input[1] is pooling.output[1]


def test_the_decoder_puts_values_where_the_maxima_lay():
    keras.utils.set_random_seed(0)
    network = kseg.SegNetBasic(3, width=1 / 16)
    image = np.random.default_rng(0).uniform(0, 255, (1, 21, 34, 3)).astype("float32")
    layers = [network.get_layer(name) for name in ("encode1_relu", "encode1_pool", "decode1_crop")]
    fine, (pooled, _), unpooled = keras.Model(network.input, [layer.output for layer in layers])(image)
    fine, pooled, unpooled = np.asarray(fine), np.asarray(pooled), np.asarray(unpooled)
    assert np.count_nonzero(unpooled) <= pooled.size
    largest = pooled.repeat(2, axis=1).repeat(2, axis=2)[:, :21, :34]
    assert np.all((unpooled == 0) | (fine == largest))


@pytest.mark.parametrize("network", [kseg.SegNet, kseg.SegNetBasic])
@pytest.mark.parametrize("upsampling", ["bed_of_nails", "bilinear", "transposed_bilinear", "transposed_random"])
def test_any_upsampling_can_replace_the_papers(network, upsampling):
    model = network(3, width=1 / 32, upsampling=upsampling)
    assert not [layer for layer in model.layers if isinstance(layer, MaxPoolingWithIndices2D)]
    assert model(np.zeros((1, 37, 21, 3))).shape == (1, 37, 21, 3)


def test_width_multiplies_every_channel_count_except_the_classes(symbolic):
    narrow, full = kseg.SegNet(7, width=0.25), kseg.SegNet(7)
    filters = [[layer.filters for layer in convolutions(network)] for network in (narrow, full)]
    assert [4 * channels for channels in filters[0][:-1]] == filters[1][:-1] and filters[0][-1] == 7


def test_local_response_normalisation_is_tensorflows_with_alpha_over_size():
    tf = pytest.importorskip("tensorflow")
    values = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 7)).astype("float32")
    expected = tf.nn.local_response_normalization(values, depth_radius=2, bias=1, alpha=1e-4 / 5, beta=0.75)
    np.testing.assert_allclose(LocalResponseNormalization()(values), expected, rtol=1e-5)
    white = LocalResponseNormalization()(np.full((1, 1, 1, 3), 100.0))
    np.testing.assert_allclose(white, 100 / 1.6**0.75, rtol=1e-6)
    half = LocalResponseNormalization(dtype="float16")(np.full((1, 1, 1, 3), 255.0))
    assert np.isfinite(half).all() and half.dtype == "float16"
    with pytest.raises(ValueError, match=r"`size` must be an odd number of at least 1. Received: size=4"):
        LocalResponseNormalization(4)
