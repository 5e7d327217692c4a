"""What the U-Net paper says (Ronneberger et al. 2015), where it could be false."""

import keras
import numpy as np
import pytest

import kseg
from kseg.inference import overlap_tiles, predict_overlap_tile


def scene(height, width, channels=1):
    return np.random.default_rng(0).uniform(0, 255, (1, height, width, channels)).astype("float32")


def started(network):
    """The network with small biases drawn too: a border of zeros would show."""
    for number, weight in enumerate(network.trainable_weights):
        if "bias" in weight.name:
            weight.assign(keras.random.normal(weight.shape, stddev=0.2, seed=number))
    return network


def test_the_network_does_not_have_any_fully_connected_layers_and_has_23_convolutional_layers(symbolic):
    network = kseg.UNet(2, input_shape=(572, 572, 1), padding="valid")
    assert not [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose)
    kernels = [layer.kernel_size for layer in network.layers if isinstance(layer, kinds)]
    assert (kernels.count((3, 3)), kernels.count((2, 2)), kernels.count((1, 1)), len(kernels)) == (18, 4, 1, 23)


def test_it_only_uses_the_valid_part_of_each_convolution_so_the_map_only_contains_pixels_with_full_context():
    network = started(kseg.UNet(2, input_shape=(None, None, 1), filters=(2, 3, 4), padding="valid"))
    image = scene(60, 60)
    assert network(image).shape == (1, 20, 20, 2)
    larger = np.pad(image, ((0, 0), (4, 4), (4, 4), (0, 0)), constant_values=1e4)  # would leak in where padding does
    np.testing.assert_allclose(network(larger)[:, 4:-4, 4:-4], network(image), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(60, 84), (61, 47), (7, 100)])
def test_this_strategy_allows_the_seamless_segmentation_of_arbitrarily_large_images_by_an_overlap_tile_strategy(
    height, width
):
    network = started(kseg.UNet(3, input_shape=(None, None, 1), filters=(2, 3, 4), padding="valid"))
    image = scene(height, width)
    by_tile_size = [predict_overlap_tile(network, image, tile=tile, batch_size=3) for tile in (44, 60, 92)]
    for logits in by_tile_size:
        assert logits.shape == (1, height, width, 3)
        np.testing.assert_allclose(logits, by_tile_size[0], rtol=1e-4, atol=1e-4)


def test_tiles_give_what_one_pass_over_the_mirrored_image_gives():
    network = started(kseg.UNet(3, input_shape=(None, None, 1), filters=(2, 3, 4), padding="valid"))
    image = scene(64, 32)
    whole = network(np.pad(image, ((0, 0), (20, 20), (20, 20), (0, 0)), mode="reflect"))
    np.testing.assert_allclose(predict_overlap_tile(network, image, tile=52), whole, rtol=1e-4, atol=1e-4)


def test_missing_input_data_is_extrapolated_by_mirroring():
    image = np.arange(12.0).reshape(1, 3, 4, 1)
    tile = overlap_tiles(image, tile=6, output_tile=2)[0, 0, 0, ..., 0]
    np.testing.assert_array_equal(tile[2], [2, 1, 0, 1, 2, 3])
    np.testing.assert_array_equal(tile[:, 2], [8, 4, 0, 4, 8, 4])


def test_the_tile_size_must_be_one_at_which_every_pooling_is_applied_to_a_layer_with_an_even_size():
    network = kseg.UNet(2, input_shape=(None, None, 1), filters=(1,) * 5, padding="valid")
    for tile in (573, 580, 587):
        with pytest.raises(ValueError, match=rf"only 184 pixels. Received: tile={tile}, .* Take tile=588"):
            predict_overlap_tile(network, scene(8, 8), tile=tile)
    assert predict_overlap_tile(network, scene(8, 8), tile=204).shape == (1, 8, 8, 2)
    with pytest.raises(ValueError, match="`output_tile` must be from 1 to `tile`"):
        overlap_tiles(scene(8, 8), tile=9, output_tile=4)


def test_the_unpadded_network_learns_tiles_and_labels_whole_images():
    keras.utils.set_random_seed(0)
    labels = np.zeros((2, 40, 56, 1), "uint8")
    labels[0, 10:30, 20:45] = labels[1, 5:20, :30] = 1
    images = np.where(labels, 200.0, 60.0) + np.random.default_rng(0).normal(0, 20, labels.shape)
    network = kseg.UNet(2, input_shape=(None, None, 1), filters=(8, 16), padding="valid")
    tiles = overlap_tiles(images, tile=36, output_tile=20).reshape(-1, 36, 36, 1)
    targets = overlap_tiles(labels, tile=20, output_tile=20).reshape(-1, 20, 20)
    network.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = network.fit(tiles, targets, batch_size=4, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]
    predicted = predict_overlap_tile(network, images, tile=36, batch_size=8).argmax(-1)
    assert (predicted == labels[..., 0]).mean() > 0.98


def test_weights_start_from_a_gaussian_of_deviation_sqrt_2_over_n():
    network = kseg.UNet(2, filters=(32, 64))
    for layer in network.layers:
        if layer.name.endswith(("_conv1", "_conv2")):
            incoming = np.prod(layer.kernel.shape[:3])
            assert np.std(layer.kernel) == pytest.approx(np.sqrt(2 / incoming), rel=0.05)
