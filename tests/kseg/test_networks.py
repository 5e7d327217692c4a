"""One contract over every network, in narrow variants."""

import json
import random

import keras
import numpy as np
import pytest

import kseg

K = 5
NETWORKS = {
    "unet": lambda: kseg.UNet(K, filters=(4, 8, 8)),
    "unet_norm": lambda: kseg.UNet(K, filters=(4, 8, 8), batch_normalization=True),
    "fcn32s": lambda: kseg.FCN32s(K, fc_filters=8, upsampling_trainable=True),
    "fcn16s": lambda: kseg.FCN16s(K, fc_filters=8, upsampling_trainable=True),
    "fcn8s": lambda: kseg.FCN8s(K, fc_filters=8, upsampling_trainable=True),
    "full_resolution_fcn": lambda: kseg.FullResolutionFCN(K, depth=3, filters=4),
    "patch_classifier": lambda: kseg.convolutionalize(
        kseg.PatchClassifier(
            K, window=18, kernel_sizes=(3, 3), filters=(4, 4), dense_units=(8,), batch_normalization=True
        )
    ),
    "dilated": lambda: kseg.DilatedFrontEnd(K, width=0.05, upsampling_trainable=True),
    "dilated_context": lambda: kseg.DilatedFrontEnd(
        K, context="large", width=0.05, batch_normalization=True, upsampling_trainable=True
    ),
    "dilated_margin": lambda: kseg.DilatedFrontEnd(K, context="basic", width=0.02, padding=186),
    "fcn8s_caffe": lambda: kseg.FCN8s(K, fc_filters=8, padding=100),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    keras.utils.set_random_seed(0)
    return NETWORKS[request.param]()


def image(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, channels)).astype("float32")


def test_every_size_keeps_its_size(network):
    draw = random.Random(0)
    for height, width in [(1, 1), *((draw.randint(1, 97), draw.randint(1, 97)) for _ in range(2))]:
        logits = network(image(height, width))
        assert logits.shape == (2, height, width, K) and logits.dtype == "float32"


def test_layers_have_unique_names_that_say_a_stage_or_a_role(network):
    names = [layer.name for layer in network.layers]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.startswith(("conv2d", "dense", "re_lu", "add", "concatenate"))]


def test_gradients_reach_every_trainable_tensor(network):
    import tensorflow as tf

    for variable in network.trainable_variables:  # score layers start at 0, which would stop the gradient
        variable.assign(keras.random.normal(variable.shape, stddev=0.1, seed=1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network(image(67, 45), training=True)))
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    silent = [
        variable.path
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True)
        if gradient is None or not np.any(gradient)
    ]
    assert not silent


def test_a_keras_file_gives_back_the_same_network(network, tmp_path):
    network.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(restored(image(21, 34)), network(image(21, 34)))
    json.dumps(network.get_config())


@pytest.mark.parametrize("name", ["unet_norm", "fcn8s"])
def test_mixed_bfloat16_still_gives_float32_logits(name):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        logits = NETWORKS[name]()(image(33, 47))
    finally:
        keras.config.set_dtype_policy(policy)
    assert logits.dtype == "float32" and logits.shape == (2, 33, 47, K)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels_enters(channels):
    for network in (kseg.UNet, kseg.FCN8s):
        narrow = {"filters": (4, 8)} if network is kseg.UNet else {"fc_filters": 8}
        assert network(K, input_shape=(None, None, channels), **narrow)(image(9, 9, channels)).shape == (2, 9, 9, K)
