"""What the FCN paper says (Long, Shelhamer, Darrell 2015), where it could be false."""

import keras
import numpy as np
import pytest
from keras import ops

import kseg

NETWORKS = [kseg.FCN32s, kseg.FCN16s, kseg.FCN8s]


def upsampling_footprint(network, size):
    """Index of the middle score of fc7, and the row around which the output depends on it."""
    score = network.get_layer("score_fc7").output
    head = keras.Model([network.input, score], network.output)
    image = np.zeros((1, size, size, 3), "float32")
    scores = np.zeros(keras.Model(network.input, score)(image).shape, "float32")
    middle = scores.shape[1] // 2
    scores[0, middle, middle] = 1
    response = np.asarray(head([image, scores]))[0, :, :, 0].sum(1)
    return middle, float((response * np.arange(size)).sum() / response.sum())


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("padding", ["same", 100])
def test_the_output_is_aligned_to_the_input(network, padding):
    model = network(1, width=1 / 64, padding=padding)
    field = kseg.receptive_field(model, "score_fc7")
    assert (field.extent, field.stride) == (404, 32)
    middle, centre = upsampling_footprint(model, size=32 * 12)
    seen = field.offset + field.stride * middle + (field.extent - 1) / 2
    # half a pixel is as near as crops of whole pixels come
    assert abs(seen - centre) <= (0.5 if padding == 100 else 0)


@pytest.mark.parametrize("network", NETWORKS)
def test_an_fcn_operates_on_an_input_of_any_size_and_scores_of_fc7_are_those_of_its_crops(network):
    keras.utils.set_random_seed(0)
    model = network(3, width=1 / 32)
    scores = keras.Model(model.input, model.get_layer("fc7_relu").output)
    image = np.random.default_rng(0).uniform(0, 255, (1, 544, 480, 3)).astype("float32")
    crop = image[:, 32:512, 32:448]
    inner = slice(6, 9)  # the positions of fc7 whose 404 pixels lie inside the crop
    np.testing.assert_allclose(
        scores(image)[:, inner.start + 1 : inner.stop + 1, 7:8], scores(crop)[:, inner, 6:7], rtol=1e-4, atol=1e-4
    )


def test_zero_initialised_skips_start_with_the_unmodified_predictions_of_the_coarser_net():
    keras.utils.set_random_seed(0)
    coarse = kseg.FCN32s(4, width=1 / 32)
    coarse.get_layer("score_fc7").kernel.assign(keras.random.normal((1, 1, 128, 4), seed=1))
    image = np.random.default_rng(0).uniform(0, 255, (1, 256, 320, 3)).astype("float32")
    labels = np.argmax(coarse(image), axis=-1)
    assert len(np.unique(labels)) > 1
    fcn16s = kseg.FCN16s(4, width=1 / 32, initial=coarse)
    fcn8s = kseg.FCN8s(4, width=1 / 32, initial=fcn16s)
    for fine in (fcn16s, fcn8s):  # twofold and then 16-fold interpolation is 32-fold interpolation but for its kinks
        assert np.mean(np.argmax(fine(image), axis=-1) == labels) > 0.98


def test_whole_image_training_is_patchwise_training_on_all_receptive_fields():
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(0)
    model = kseg.FullResolutionFCN(3, depth=2, width=1 / 16)
    image = np.random.default_rng(0).uniform(0, 255, (1, 9, 9, 3)).astype("float32")
    patches = [image[:, i : i + 5, j : j + 5] for i in range(5) for j in range(5)]
    targets = np.random.default_rng(1).integers(0, 3, (1, 5, 5))
    variables = [variable.value for variable in model.trainable_variables]

    def loss(logits, target):
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))

    with tf.GradientTape(persistent=True) as tape:
        whole = loss(model(image)[:, 2:-2, 2:-2], targets)
        middles = tf.concat([model(patch)[:, 2, 2] for patch in patches], 0)
        patchwise = loss(middles, targets.ravel())
    for ours, theirs in zip(tape.gradient(whole, variables), tape.gradient(patchwise, variables), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * float(ops.max(ops.abs(theirs))))


def test_fully_connected_layers_are_convolutions_with_kernels_that_cover_their_entire_input_regions():
    keras.utils.set_random_seed(0)
    model = kseg.FCN32s(3, width=1 / 32, padding=100, dropout=0.0)
    pooled = np.random.default_rng(0).uniform(0, 1, (2, 7, 7, 16)).astype("float32")
    convolution = model.get_layer("fc6")
    dense = keras.layers.Dense(128)
    dense.build((None, 7 * 7 * 16))
    dense.set_weights([ops.reshape(convolution.kernel, (-1, 128)), convolution.bias])
    np.testing.assert_allclose(convolution(pooled)[:, 0, 0], dense(pooled.reshape(2, -1)), rtol=1e-4, atol=1e-4)


def test_the_upsampling_of_the_last_layer_is_fixed_to_bilinear_interpolation(symbolic):
    for network in NETWORKS:
        frozen = [weight.path for weight in network(21).non_trainable_weights]
        assert frozen[-1] == "up_image/kernel"
        learning = network(21, upsampling_trainable=True)
        assert len(learning.trainable_weights) == len(network(21).trainable_weights) + len(frozen)
