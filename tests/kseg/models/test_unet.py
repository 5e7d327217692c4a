"""U-Net's sizes and counts are the paper's."""

import keras
import numpy as np
import pytest

import kseg
from kseg.layers.upsampling import MODES


@pytest.mark.parametrize(
    ("channels", "classes", "parameters"),
    [(1, 2, 31_030_658), (3, 2, 31_031_810), (3, 3, 31_031_875), (3, 11, 31_032_395), (3, 21, 31_033_045)],
)
def test_parameters_are_the_papers(channels, classes, parameters, symbolic):
    network = kseg.UNet(classes, input_shape=(None, None, channels))
    assert network.count_params() == parameters
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    assert sum(isinstance(layer, kinds) for layer in network.layers) == 23


@pytest.mark.parametrize(("size", "expected"), [(572, 388), (220, 36), (188, 4)])
def test_the_unpadded_network_crops_as_figure_1(size, expected):
    network = kseg.UNet(2, input_shape=(size, size, 1), filters=(1, 1, 1, 1, 1), padding="valid")
    assert network.output_shape == (None, expected, expected, 2)


def test_the_unpadded_networks_maps_have_the_sizes_of_figure_1():
    network = kseg.UNet(2, input_shape=(572, 572, 1), filters=(1, 1, 1, 1, 1), padding="valid")
    sizes = [network.get_layer(f"{stage}_conv2").output.shape[1] for stage in ("down1", "down2", "down3", "down4")]
    assert sizes == [568, 280, 136, 64]
    assert [network.get_layer(f"up{level}_crop").output.shape[1] for level in (4, 3, 2, 1)] == [56, 104, 200, 392]
    crops = [
        (network.get_layer(f"up{level}_crop").input[0].shape[1] - size) // 2
        for level, size in zip((4, 3, 2, 1), (56, 104, 200, 392), strict=True)
    ]
    assert crops == [4, 16, 40, 88]
    assert network.get_layer("bottom_conv2").output.shape[1] == 28
    assert [network.get_layer(f"up{level}_stack_conv2").output.shape[1] for level in (4, 3, 2, 1)] == [
        52,
        100,
        196,
        388,
    ]


def test_away_from_the_border_the_unpadded_network_computes_what_the_padded_one_does():
    keras.utils.set_random_seed(0)
    valid = kseg.UNet(2, input_shape=(None, None, 1), filters=(2, 3), padding="valid")
    same = kseg.UNet(2, input_shape=(None, None, 1), filters=(2, 3))
    same.set_weights(valid.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 1))
    logits = valid(image)
    assert logits.shape == (1, 16, 16, 2)
    np.testing.assert_allclose(logits, same(image)[:, 8:-8, 8:-8], rtol=1e-4, atol=1e-5)


def test_an_unknown_padding_and_a_single_level_are_refused():
    with pytest.raises(ValueError, match=r'`padding` must be "same" or "valid".*padding=\'full\''):
        kseg.UNet(2, padding="full")
    with pytest.raises(ValueError, match=r"at least two levels.*filters=\(8,\)"):
        kseg.UNet(2, filters=(8,))


@pytest.mark.parametrize(("filters", "smallest", "left"), [((1, 1), 18, 2), ((1, 1, 1), 44, 4), ((1,) * 5, 188, 4)])
def test_the_smallest_image_of_the_unpadded_network_is_the_smallest_it_can_label(filters, smallest, left):
    network = kseg.UNet(2, filters=filters, padding="valid")
    assert network(np.zeros((1, smallest, smallest + 1, 3))).shape[1] == left
    with pytest.raises(ValueError, match=rf"at least {smallest} rows and columns. Received: {smallest - 1} x"):
        network(np.zeros((1, smallest - 1, 200, 3)))
    with pytest.raises(ValueError, match="Give a larger image"):
        kseg.UNet(2, filters=filters, padding="valid", input_shape=(200, smallest - 1, 3))


def test_the_unpadded_network_refuses_a_small_image_in_a_graph_of_unknown_sizes_too():
    tf = pytest.importorskip("tensorflow")
    network = kseg.UNet(2, filters=(1, 1), padding="valid")
    graph = tf.function(network, input_signature=[tf.TensorSpec((None, None, None, 3))])
    assert graph(np.zeros((1, 20, 18, 3), "float32")).shape == (1, 4, 2, 2)
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(np.zeros((1, 20, 17, 3), "float32"))


def encoder(image):
    """Features at strides 2, 4 and 8 without a weight."""
    features = [image]
    for stride in (2, 4, 8):
        features.append(keras.layers.AveragePooling2D(2, padding="same", name=f"stride{stride}")(features[-1]))
    return features[1:]


def test_an_encoders_features_are_the_skips_and_its_coarsest_the_bottom(symbolic):
    network = kseg.UNet(3, filters=(4, 8, 16, 32), encoder=encoder, input_shape=(37, 21, 3))
    joined = {level: network.get_layer(f"up{level}_skip").input for level in (3, 2)}
    assert [tuple(tensor.shape) for tensor in joined[3]] == [(None, 10, 6, 3), (None, 10, 6, 16)]
    assert [tuple(tensor.shape) for tensor in joined[2]] == [(None, 19, 11, 3), (None, 19, 11, 8)]
    assert joined[3][0] is network.get_layer("stride4").output
    assert network.get_layer("up3_upsampling").input is network.get_layer("stride8").output
    assert "up1_skip" not in {layer.name for layer in network.layers}, "there is no feature at stride 1"
    assert network.output_shape == (None, 37, 21, 3)


def test_an_encoder_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"a level for each stride.*filters=\(4, 8\) for 3 features"):
        kseg.UNet(3, filters=(4, 8), encoder=encoder)
    with pytest.raises(ValueError, match=r"`encoder` needs padding=.same.*padding='valid'"):
        kseg.UNet(3, encoder=encoder, padding="valid")
    with pytest.raises(ValueError, match=r"cannot be used with .max_unpooling..*upsampling='max_unpooling'"):
        kseg.UNet(3, encoder=encoder, upsampling="max_unpooling")


@pytest.mark.parametrize("mode", MODES)
def test_the_decoder_takes_any_upsampling(mode):
    network = kseg.UNet(2, filters=(4, 8, 16), upsampling=mode)
    assert network(np.zeros((1, 13, 18, 3))).shape == (1, 13, 18, 2)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_the_decoder_learns_with_any_upsampling(mode):
    keras.utils.set_random_seed(0)
    network = kseg.UNet(2, input_shape=(None, None, 1), filters=(8, 16, 16), upsampling=mode)
    label_map = np.zeros((2, 24, 30), "uint8")
    label_map[0, 5:17, 8:20] = label_map[1, :11, 14:] = 1
    images = np.where(label_map, 180.0, 80.0)[..., None] + np.random.default_rng(0).normal(0, 20, (2, 24, 30, 1))
    network.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = network.fit(images, label_map, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


def test_unpooling_takes_the_indices_of_the_contracting_path(symbolic):
    network = kseg.UNet(2, filters=(4, 8, 16), upsampling="max_unpooling")
    for level in (1, 2):
        values, indices = network.get_layer(f"up{level}_upsampling").input
        assert indices is network.get_layer(f"down{level}_pool").output[1]
        assert values is network.get_layer(f"up{level}_conv").output  # brought to the pooled map's channels
