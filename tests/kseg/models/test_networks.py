"""One contract over every network, in narrow variants. To add a network, add a line to NETWORKS.

Those in NETWORKS give logits of the image's size for images of any size; OTHERS holds the rest.
"""

import functools
import json
import random
import re

import keras
import numpy as np
import pytest

import kseg

K = 5
NETWORKS = {
    "unet": lambda: kseg.UNet(K, filters=(4, 8, 8)),
    "unet_norm": lambda: kseg.UNet(K, filters=(4, 8, 8), batch_normalization=True),
    "unet_unpooling": lambda: kseg.UNet(K, filters=(4, 8, 8), upsampling="max_unpooling"),
    "unet_bicubic": lambda: kseg.UNet(K, filters=(4, 8, 8), upsampling="bicubic", activation="softmax"),
    "unet_vgg16": lambda: kseg.UNet(K, filters=(4,) * 5, encoder=lambda image: kseg.encoders.vgg16(image, width=1 / 8)),
    "fcn32s": lambda: kseg.FCN32s(K, width=1 / 16, upsampling_trainable=True),
    "fcn16s": lambda: kseg.FCN16s(K, width=1 / 16, upsampling_trainable=True),
    "fcn8s": lambda: kseg.FCN8s(K, width=1 / 16, upsampling_trainable=True, batch_normalization=True),
    "fcn8s_caffe": lambda: kseg.FCN8s(K, width=1 / 16, padding=100),
    "fcn8s_at_once": lambda: kseg.FCN8s(K, width=1 / 16, at_once=True, upsampling="bilinear"),
    "segnet": lambda: kseg.SegNet(K, width=1 / 16),
    "segnet_nails": lambda: kseg.SegNet(K, width=1 / 16, upsampling="bed_of_nails"),
    "segnet_basic": lambda: kseg.SegNetBasic(K, width=1 / 16),
    "full_resolution_fcn": lambda: kseg.FullResolutionFCN(K, depth=3, width=1 / 16),
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
    "deeplab_v3": lambda: kseg.DeepLabV3(K, width=1 / 32, depth=50),
    "deeplab_v3_cascade": lambda: kseg.DeepLabV3(K, width=1 / 32, depth=50, output_stride=8, context="cascade"),
    "deeplab_v3_plus": lambda: kseg.DeepLabV3Plus(K, width=1 / 32, depth=50),
    "pspnet": lambda: kseg.PSPNet(K, width=1 / 32, depth=50),
    "fpn": lambda: kseg.FPN(K, width=1 / 32, depth=50),
    "light_fpn": lambda: kseg.LightFPN(
        K, filters=(4, 4, 6, 6, 8), encoder=functools.partial(kseg.encoders.resnet50, width=1 / 32)
    ),
}
OTHERS = {
    "unet_valid": lambda: kseg.UNet(K, filters=(4, 8), padding="valid"),
    "two_branch": lambda: kseg.discriminators.TwoBranch(K, width=1 / 16),
}
SMALLEST = {"unet_valid": 18}  # rows and columns
OUTPUT_SHAPES = {  # (height, width) of the image -> shape of the output
    "unet_valid": lambda height, width: (height // 2 * 2 - 16, width // 2 * 2 - 16, K),
    "two_branch": lambda height, width: (1,),
}


VARIANTS = {"fcn32s", "fcn16s", "fcn8s_caffe", "segnet_nails", "dilated_margin", "deeplab_v3_cascade"}
"""Networks of which others have every part."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name in VARIANTS)) for name in NETWORKS | OTHERS],
)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def network(name):
    keras.utils.set_random_seed(0)
    return (NETWORKS | OTHERS)[name]()


def inputs(network, height, width):
    """Two images, and two label maps of probabilities where the network takes any."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (2, height, width, network.inputs[0].shape[-1])).astype("float32")
    label_maps = [draw.dirichlet(np.ones(each.shape[-1]), (2, height, width)) for each in network.inputs[1:]]
    return [images, *(each.astype("float32") for each in label_maps)] if label_maps else images


def output_shape(name, height, width):
    return OUTPUT_SHAPES.get(name, lambda *size: (*size, K))(height, width)


def sizes(name, number):
    """The smallest size and `number` others up to 97x97, the same in every run."""
    draw, smallest = random.Random(name), SMALLEST.get(name, 1)
    return [(smallest, smallest), *((draw.randint(smallest, 97), draw.randint(smallest, 97)) for _ in range(number))]


def test_images_of_a_batch_do_not_influence_each_other(name, network):
    both = inputs(network, 35, 38)
    alone = [each[1:] for each in both] if isinstance(both, list) else both[1:]
    np.testing.assert_allclose(network(alone)[0], network(both)[1], rtol=1e-4, atol=1e-5)


def test_layers_have_unique_names_of_a_stage_or_a_role(network):
    names = [layer.name for layer in network.layers]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)]
    kinds = {
        layer.name: re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower() for layer in network.layers
    }
    numbered = [name for name, kind in kinds.items() if re.fullmatch(rf"{kind}(_\d+)?", name)]
    assert not numbered, "Keras chose these names"


def test_gradients_reach_every_trainable_tensor(name, network):
    import tensorflow as tf

    for number, variable in enumerate(network.trainable_variables):
        if not np.any(variable):  # scores that start at 0 would stop the gradient
            variable.assign(keras.random.normal(variable.shape, stddev=0.1, seed=number))
    variables = [variable.value for variable in network.trainable_variables]
    weights = np.random.default_rng(1).normal(size=(2, *output_shape(name, 67, 45)))
    reached = np.zeros(len(variables), bool)
    for training in (True, False):  # batch statistics take a preceding bias away: it counts when they are not in use
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(inputs(network, 67, 45), training=training) * weights)
        reached |= [gradient is not None and np.any(gradient) for gradient in tape.gradient(loss, variables)]
    assert reached.all(), [
        variable.path for variable, r in zip(network.trainable_variables, reached, strict=True) if not r
    ]


def test_a_keras_file_and_a_json_text_give_back_the_same_network(network, tmp_path):
    network.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    described = keras.Model.from_config(json.loads(json.dumps(network.get_config())))
    described.set_weights(network.get_weights())
    images = inputs(network, 21, 34)
    expected = network(images)
    for each in (restored, described):
        np.testing.assert_array_equal(each(images), expected)
        assert [weight.path for weight in each.weights] == [weight.path for weight in network.weights]


def assert_same_logits(name, network, graph, number):
    """At the smallest size and `number` others the network gives finite float32 logits of the right shape, as `graph` does."""
    for size in sizes(name, number):
        images = inputs(network, *size)
        expected = network(images)
        assert expected.shape == (2, *output_shape(name, *size)) and expected.dtype == "float32"
        expected = np.asarray(expected)
        assert np.isfinite(expected).all(), size
        scale = np.abs(expected).max()
        np.testing.assert_allclose(graph(images), expected, rtol=1e-4, atol=1e-4 * scale)


def test_every_size_gives_finite_float32_logits_and_one_graph_gives_those_of_all(name, network):
    import tensorflow as tf

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in network.inputs]
    graph = tf.function(network, input_signature=[specs if len(specs) > 1 else specs[0]], autograph=False)
    assert_same_logits(name, network, graph, 1)


@pytest.mark.slow
def test_a_saved_model_gives_the_logits_of_keras_at_every_size(name, network, tmp_path):
    import tensorflow as tf

    network.export(tmp_path / "export", verbose=False)
    assert_same_logits(name, network, tf.saved_model.load(tmp_path / "export").serve, 3)


def test_mixed_bfloat16_still_gives_float32_logits(name):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = (NETWORKS | OTHERS)[name]()
    finally:
        keras.config.set_dtype_policy(policy)
    logits = network(inputs(network, 33, 47))
    assert logits.dtype == "float32" and logits.shape == (2, *output_shape(name, 33, 47))
    assert np.isfinite(logits).all()
    assert {layer.compute_dtype for layer in network.layers if layer.weights} - {"float32"} == {"bfloat16"}
    assert all(weight.dtype in ("float32", "uint32") for weight in network.weights)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    ("network", "narrow"),
    [
        (kseg.UNet, {"filters": (4, 8)}),
        (kseg.FCN8s, {"width": 1 / 16}),
        (kseg.SegNet, {"width": 1 / 16}),
        (kseg.SegNetBasic, {"width": 1 / 16}),
    ],
)
def test_images_may_have_any_number_of_channels(network, narrow, channels):
    model = network(K, input_shape=(None, None, channels), **narrow)
    assert model(inputs(model, 9, 9)).shape == (2, 9, 9, K)


def test_no_pixel_outside_the_receptive_field_influences_a_position(name, network):
    import tensorflow as tf

    field = kseg.receptive_field(network)
    if field.extent == np.inf:
        return  # the whole image has
    for variable in network.trainable_variables:
        if not np.any(variable):
            variable.assign(keras.random.normal(variable.shape, stddev=0.1, seed=0))
    image = tf.constant(inputs(network, 33, field.extent + 64))
    with tf.GradientTape() as tape:
        tape.watch(image)
        logits = network(image)
        middle = logits.shape[2] // 2
        total = tf.reduce_sum(logits[:, :, middle] * np.arange(1, K + 1))
    seen = np.flatnonzero(np.any(tape.gradient(total, image), axis=(0, 1, 3)))
    assert seen[0] >= middle + field.offset and seen[-1] - seen[0] < field.extent
