"""Encoders: strides, weights from files by name, frozen encoders, any number of channels, and the networks that they serve."""

import functools

import keras
import numpy as np
import pytest

import kseg
from kseg import encoders
from kseg.encoders import weights
from kseg.encoders.weights import read

OWN = {"vgg16": 5, "alexnet": 4, "resnet50": 5, "resnet101": 5}
KERAS = {"mobilenet_v2": 5, "mobilenet_v3_small": 5, "mobilenet_v3_large": 5, "efficientnet_v2_b0": 5}


def image(height=37, width=51, channels=3):
    return np.random.default_rng(0).uniform(0, 255, (1, height, width, channels)).astype("float32")


def encoder_model(encoder, channels=3, **settings):
    keras.utils.set_random_seed(1)
    x = keras.Input((None, None, channels))
    return keras.Model(x, encoder(x, **settings))


@pytest.mark.parametrize("name", OWN | KERAS)
def test_there_is_one_feature_per_stride_from_fine_to_coarse(name, symbolic):
    x = keras.Input((None, None, 3))
    expected = [4, 8, 16, 32] if name == "alexnet" else [2, 4, 8, 16, 32]
    assert encoders.strides(x, getattr(encoders, name)(x)) == expected


@pytest.mark.parametrize("size", [(65, 33), (97, None), (33, 16), (9, 9)])
@pytest.mark.parametrize("name", OWN)
def test_strides_are_found_with_a_small_image_of_known_size_too(name, size, symbolic):
    x = keras.Input((*size, 3))
    expected = [4, 8, 16, 32] if name == "alexnet" else [2, 4, 8, 16, 32]
    assert encoders.strides(x, getattr(encoders, name)(x)) == expected


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "resnet101")) for name in OWN])
def test_sizes_of_features_are_rounded_up(name):
    settings = {"width": 1 / 32}
    for height, width in ((1, 1), (37, 51), (64, 33)):
        maps = encoder_model(getattr(encoders, name), **settings)(image(height, width))
        assert maps[-1].shape[1:3] == (-(-height // 32), -(-width // 32))


@pytest.mark.parametrize(
    ("encoder", "parameters"),
    [(encoders.vgg16, 14_714_688), (encoders.alexnet, 2_334_080), (encoders.resnet50, 23_587_712)],
)
def test_encoders_have_the_papers_parameters(encoder, parameters, symbolic):
    assert encoder_model(encoder).count_params() == parameters


@pytest.fixture(scope="module")
def vgg16():
    keras.utils.set_random_seed(3)
    return keras.applications.VGG16(weights=None, include_top=False)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_a_file_of_keras_applications_gives_fcn_the_same_activations(suffix, vgg16, tmp_path):
    path = tmp_path / f"vgg16{suffix}"
    (vgg16.save_weights if suffix == ".weights.h5" else vgg16.save)(path)
    network = kseg.FCN32s(5, width=1.0, fc_filters=4, encoder=functools.partial(encoders.vgg16, weights=path))
    pool5 = keras.Model(network.input, network.get_layer("block5_pool").output)
    pixels = image(64, 96)
    expected = vgg16(keras.applications.vgg16.preprocess_input(pixels.copy()))
    np.testing.assert_array_equal(pool5(pixels), expected)


def test_resnet50_of_keras_applications_gives_the_same_features(tmp_path):
    theirs = keras.applications.ResNet50(weights=None, include_top=False)
    for weight in theirs.weights:  # moving averages that say something
        if "moving" in weight.path:
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5, seed=1))
    theirs.save_weights(tmp_path / "resnet.weights.h5")
    ours = encoder_model(encoders.resnet50, weights=tmp_path / "resnet.weights.h5")
    pixels = image(65, 97)
    expected = theirs(keras.applications.resnet50.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(ours(pixels)[-1], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_mobilenet_takes_its_weights_from_a_file(tmp_path):
    theirs = keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=(64, 64, 3))
    theirs.save_weights(tmp_path / "mobilenet.weights.h5")
    ours = encoder_model(encoders.mobilenet_v2, width=0.35, weights=tmp_path / "mobilenet.weights.h5")
    pixels = image(64, 64)
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(ours(pixels)[-1], expected, rtol=1e-3, atol=1e-4)


def test_a_grey_image_gives_what_the_same_image_in_rgb_gives(vgg16, tmp_path):
    vgg16.save_weights(tmp_path / "vgg16.weights.h5")
    grey = encoder_model(encoders.vgg16, channels=1, weights=tmp_path / "vgg16.weights.h5")
    kernel = np.array(vgg16.get_layer("block1_conv1").kernel)
    np.testing.assert_allclose(grey.get_layer("block1_conv1").kernel, kernel.sum(2, keepdims=True), atol=1e-6)


def test_five_channels_give_what_three_give_for_a_constant_image(vgg16, tmp_path):
    vgg16.save_weights(tmp_path / "vgg16.weights.h5")
    five = encoder_model(encoders.vgg16, channels=5, weights=tmp_path / "vgg16.weights.h5")
    kernel = np.array(vgg16.get_layer("block1_conv1").kernel)
    np.testing.assert_allclose(np.array(five.get_layer("block1_conv1").kernel).sum(2), kernel.sum(2), atol=1e-6)


def test_the_error_for_a_missing_file_tells_where_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'Received: weights=.*nowhere.h5.*weights="imagenet" to download'):
        read(tmp_path / "nowhere.h5")


def test_a_file_that_keras_did_not_write_is_named(tmp_path):
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(ValueError, match=r"must be a file of Keras's. Received: weights=.*text.h5"):
        read(tmp_path / "text.h5")


def test_a_layer_of_another_shape_is_named(vgg16, tmp_path):
    vgg16.save_weights(tmp_path / "vgg16.weights.h5")
    with pytest.raises(ValueError, match=r"'block1_conv1' has .*3, 3, 3, 64.* instead of .*3, 3, 3, 32"):
        encoder_model(encoders.vgg16, width=0.5, weights=tmp_path / "vgg16.weights.h5")


def test_a_layer_that_the_file_lacks_is_named(vgg16, tmp_path):
    vgg16.save_weights(tmp_path / "vgg16.weights.h5")
    with pytest.raises(ValueError, match=r"lacks 'conv1_conv'"):
        encoder_model(encoders.resnet50, weights=tmp_path / "vgg16.weights.h5")


def test_imagenet_is_refused_where_keras_has_no_weights():
    with pytest.raises(ValueError, match=r"no ImageNet weights for this encoder"):
        encoder_model(encoders.alexnet, width=0.1, weights="imagenet")


def test_a_download_that_fails_is_named_with_other_ways():
    def refuse(**_):
        raise Exception("URL fetch failure on https://example.org/w.h5: None -- no route to host")  # as Keras does

    with pytest.raises(
        ConnectionError, match=r"needs a connection\. Received: URL fetch failure on .*install with pip\.$"
    ):
        weights._imagenet(refuse)


def test_a_frozen_encoder_keeps_its_weights_and_its_batch_statistics():
    frozen = functools.partial(encoders.resnet50, width=1 / 32, output_stride=16, trainable=False)
    network = kseg.DeepLabV3(3, width=1 / 32, encoder=frozen)
    network.compile("adam", loss=kseg.losses.CrossEntropy(), run_eagerly=True)
    names = {layer.name for layer in network.layers if layer.name.startswith("conv")}
    before = {weight.path: weight.numpy() for weight in network.weights}
    network.fit(image(33, 33), np.zeros((1, 33, 33), "uint8"), verbose=0)
    moved = {path.split("/")[0] for path, value in before.items() if not np.array_equal(value, find(network, path))}
    assert moved and not moved & names


def find(network, path):
    return next(weight.numpy() for weight in network.weights if weight.path == path)


def test_dilated_stages_compute_what_strided_ones_do_and_more():
    """With the same weights, every second position at output stride 16 holds the value at stride 32."""
    strided = encoder_model(encoders.resnet50, width=1 / 16)
    dilated = encoder_model(encoders.resnet50, width=1 / 16, output_stride=16)
    dilated.set_weights(strided.get_weights())
    pixels = image(97, 65)
    np.testing.assert_allclose(dilated(pixels)[-1][:, ::2, ::2], strided(pixels)[-1], rtol=1e-4, atol=1e-4)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"`output_stride` must be 8, 16 or 32. Received: output_stride=12"):
        encoder_model(encoders.resnet50, output_stride=12)
    with pytest.raises(ValueError, match=r'`stem` must be "7x7" or "deep"'):
        encoder_model(encoders.resnet50, stem="5x5")
    with pytest.raises(ValueError, match=r"`multi_grid` must be a tuple of 3 integers"):
        encoder_model(encoders.resnet50, multi_grid=(1, 2))
    with pytest.raises(ValueError, match=r"at strides 8, 16 and 32. Received: features at strides \[2, 4, 8, 16\]"):
        kseg.FCN8s(5, fc_filters=4, encoder=functools.partial(encoders.resnet50, output_stride=16, width=0.05))
    with pytest.raises(ValueError, match=r"strides 2, 4, 8 and so on. Received: features at strides \[4, 8, 16, 32\]"):
        kseg.UNet(5, filters=(4,) * 5, encoder=functools.partial(encoders.alexnet, width=0.05))


NETWORKS = {
    "unet": lambda encoder: kseg.UNet(4, filters=(4,) * 5, encoder=encoder),
    "fcn8s": lambda encoder: kseg.FCN8s(4, width=1 / 64, encoder=encoder),
    "pspnet": lambda encoder: kseg.PSPNet(4, width=1 / 32, encoder=encoder),
    "fpn": lambda encoder: kseg.FPN(4, width=1 / 32, encoder=encoder),
    "deeplab_v3": lambda encoder: kseg.DeepLabV3(4, width=1 / 32, encoder=lambda image: encoder(image)[:-1]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN | KERAS)
@pytest.mark.parametrize("network", NETWORKS)
def test_every_encoder_fits_every_network_that_its_strides_allow(network, name):
    if (network, name) == ("unet", "alexnet"):
        pytest.skip("AlexNet has no stride of 2")
    narrow = {} if name == "efficientnet_v2_b0" else {"width": 0.35 if name in KERAS else 1 / 32}
    model = NETWORKS[network](functools.partial(getattr(encoders, name), **narrow))
    assert model(image(37, 51)).shape == (1, 37, 51, 4)
