"""The FCNs' counts, sizes and crops are the authors'."""

import math

import keras
import numpy as np
import pytest

import kseg
from kseg.encoders import vgg16

COUNTS = {"FCN32s": 136_152_917, "FCN16s": 134_815_994, "FCN8s": 134_489_759}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_of_21_classes_are_the_authors(name, symbolic):
    network = getattr(kseg, name)(21)
    assert network.count_params() == COUNTS[name]
    trainable = {"FCN32s": 134_346_581, "FCN16s": 134_357_354, "FCN8s": 134_362_751}[name]
    assert sum(math.prod(weight.shape) for weight in network.trainable_weights) == trainable


def test_parameters_of_each_layer_are_the_authors(symbolic):
    network = kseg.FCN8s(21)
    counts = {
        name: network.get_layer(name).count_params()
        for name in ("fc6", "fc7", "score_fc7", "score_pool4", "score_pool3")
    }
    assert counts == {
        "fc6": 102_764_544, "fc7": 16_781_312, "score_fc7": 86_037, "score_pool4": 10_773, "score_pool3": 5_397,
    }  # fmt: skip


def test_vgg16_has_thirteen_convolutions_named_as_in_keras_applications(symbolic):
    image = keras.Input((None, None, 3))
    encoder = keras.Model(image, vgg16(image))
    names = [layer.name for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert encoder.count_params() == 14_714_688 and len(names) == 13
    theirs = keras.applications.VGG16(weights=None, include_top=False)
    assert names == [layer.name for layer in theirs.layers if isinstance(layer, keras.layers.Conv2D)]


def test_the_encoder_computes_what_keras_applications_vgg16_computes():
    keras.utils.set_random_seed(0)
    theirs = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 96, 3))
    inputs = keras.Input((None, None, 3))
    ours = keras.Model(inputs, vgg16(inputs)[-1])
    ours.set_weights(theirs.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    expected = theirs(keras.applications.vgg16.preprocess_input(image.copy()))
    np.testing.assert_allclose(ours(image), expected, rtol=1e-4, atol=1e-4 * float(np.max(expected)))


@pytest.mark.parametrize(("name", "upsampled"), [("FCN32s", 544), ("FCN16s", 560), ("FCN8s", 568)])
def test_maps_of_a_500x500_image_with_margin_100_are_caffes(name, upsampled, symbolic):
    network = getattr(kseg, name)(21, input_shape=(500, 500, 3), padding=100)
    layers = [*(f"block{stage}_pool" for stage in range(1, 6)), "fc6", "up_image", "logits"]
    sizes = [network.get_layer(layer).output.shape[1] for layer in layers]
    assert sizes == [349, 175, 88, 44, 22, 16, upsampled, 500]


def test_crops_with_margin_100_are_caffes(symbolic):
    network = kseg.FCN8s(21, input_shape=(500, 500, 3), padding=100)
    offsets = {layer: network.get_layer(layer).offset[0] for layer in ("crop_pool4", "crop_pool3", "crop_image")}
    assert offsets == {"crop_pool4": 5, "crop_pool3": 9, "crop_image": 31}
    sizes = [network.get_layer(layer).output.shape[1] for layer in ("up_pool4", "up_pool3")]
    assert sizes == [34, 70]
    for name, crop in (("FCN32s", 19), ("FCN16s", 27)):
        network = getattr(kseg, name)(21, padding=100)
        assert network.get_layer("crop_image").offset == (crop, crop)


def test_scores_start_at_zero_and_upsampling_stays_bilinear():
    network = kseg.FCN8s(3, width=1 / 64)
    assert not np.any(network(np.full((1, 40, 40, 3), 200.0)))
    assert [weight.path for weight in network.non_trainable_weights] == [
        "up_pool4/kernel", "up_pool3/kernel", "up_image/kernel",
    ]  # fmt: skip


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match=r'`padding` must be "same" or 100. Received: padding=50'):
        kseg.FCN8s(3, padding=50)


def test_an_unknown_argument_is_refused_by_name():
    with pytest.raises(TypeError, match="unexpected keyword argument 'filters'"):
        kseg.FCN32s(3, filters=8)


@pytest.mark.parametrize("network", [kseg.FCN32s, kseg.FCN16s, kseg.FCN8s])
def test_width_multiplies_every_channel_count_of_the_encoder_and_its_head(network, symbolic):
    narrow = network(3, width=1 / 16)
    convolutions = [layer for layer in narrow.layers if type(layer) is keras.layers.Conv2D]
    filters = {layer.name: layer.filters for layer in convolutions if not layer.name.startswith("score")}
    assert set(filters) == {layer.name for layer in network(3).layers if layer.name in filters}
    assert filters == {name: network(3).get_layer(name).filters // 16 for name in filters}


def test_an_encoder_provides_its_last_three_features(symbolic):
    def encoder(image):
        features = [keras.layers.AveragePooling2D(2, padding="same", name="stride2")(image)]
        for stride in (4, 8, 16, 32):
            features.append(keras.layers.AveragePooling2D(2, padding="same", name=f"stride{stride}")(features[-1]))
        return features

    network = kseg.FCN8s(3, width=1 / 64, encoder=encoder, input_shape=(65, 33, 3))
    assert network.get_layer("score_pool3").input.shape == (None, 9, 5, 3)
    assert network.get_layer("score_pool4").input.shape == (None, 5, 3, 3)
    assert network.get_layer("fc6").input.shape == (None, 3, 2, 3)
    with pytest.raises(ValueError, match=r"strides 8, 16 and 32. Received: features at strides \[2, 4, 8, 16\]"):
        kseg.FCN8s(3, encoder=lambda image: encoder(image)[:4])
    with pytest.raises(ValueError, match='"same" with an `encoder` or another'):
        kseg.FCN8s(3, encoder=encoder, padding=100)


def test_softmax_gives_probabilities_of_the_same_logits():
    keras.utils.set_random_seed(0)
    network = kseg.FCN32s(4, width=1 / 64, activation="softmax")
    network.get_layer("score_fc7").bias.assign([0.0, 1.0, 2.0, 3.0])
    image = np.full((1, 40, 40, 3), 90.0)
    logits = keras.Model(network.input, network.get_layer("logits").output)(image)
    np.testing.assert_allclose(network(image), keras.ops.softmax(logits), rtol=1e-5)
    with pytest.raises(ValueError, match=r"`activation` must be None or .softmax..*activation='relu'"):
        kseg.FCN32s(4, width=1 / 64, activation="relu")


@pytest.mark.parametrize("upsampling", ["bed_of_nails", "nearest", "bilinear", "bicubic", "transposed_random"])
def test_any_upsampling_can_replace_the_papers(upsampling):
    network = kseg.FCN8s(3, width=1 / 64, upsampling=upsampling)
    network.get_layer("score_fc7").bias.assign([1.0, 2.0, 3.0])
    logits = network(np.full((1, 37, 21, 3), 90.0))
    assert logits.shape == (1, 37, 21, 3)
    if upsampling in ("nearest", "bilinear", "bicubic"):
        np.testing.assert_allclose(logits[0, ..., 2], 3.0, rtol=1e-5)
    frozen = [weight.path for weight in network.non_trainable_weights]
    assert not frozen, "only the paper's own upsampling stays as it starts"


def test_combinations_without_meaning_are_refused():
    with pytest.raises(
        ValueError, match=r"`upsampling` must be one of .bed_of_nails.*Received: upsampling=.max_unpooling."
    ):
        kseg.FCN8s(3, upsampling="max_unpooling")
    with pytest.raises(ValueError, match=r"the crops of 100 hold for the paper's.*upsampling='nearest'"):
        kseg.FCN8s(3, upsampling="nearest", padding=100)


def started(network):
    """The network with every weight drawn, but for kernels that stay bilinear."""
    for number, weight in enumerate(network.trainable_weights):
        weight.assign(keras.random.normal(weight.shape, stddev=0.1, seed=number))
    return network


@pytest.mark.parametrize("padding", ["same", 100])
def test_each_stage_starts_with_the_scores_of_the_coarser_one(padding):
    settings = {"width": 1 / 64, "padding": padding}
    fcn32s = started(kseg.FCN32s(3, **settings))
    fcn16s = kseg.FCN16s(3, initial=fcn32s, **settings)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")

    def coarse(network, layer):
        return keras.Model(network.input, network.get_layer(layer).output)(image)

    np.testing.assert_array_equal(coarse(fcn16s, "score_fc7"), coarse(fcn32s, "score_fc7"))
    assert not np.any(coarse(fcn16s, "score_pool4"))
    np.testing.assert_array_equal(coarse(fcn16s, "fuse_pool4"), coarse(fcn16s, "up_pool4"))
    fcn8s = kseg.FCN8s(3, initial=started(fcn16s), **settings)
    np.testing.assert_array_equal(coarse(fcn8s, "fuse_pool4"), coarse(fcn16s, "fuse_pool4"))
    assert np.any(coarse(fcn8s, "score_pool4")) and not np.any(coarse(fcn8s, "score_pool3"))


def test_the_next_stage_inherits_learnt_upsampling_except_the_last():
    settings = {"width": 1 / 64, "upsampling_trainable": True}
    fcn16s = started(kseg.FCN16s(3, **settings))
    fcn8s = kseg.FCN8s(3, initial=fcn16s, **settings)
    np.testing.assert_array_equal(fcn8s.get_layer("up_pool4").kernel, fcn16s.get_layer("up_pool4").kernel)
    untouched = kseg.FCN8s(3, **settings)
    np.testing.assert_array_equal(fcn8s.get_layer("up_image").kernel, untouched.get_layer("up_image").kernel)


def test_a_coarser_network_with_other_channels_is_refused_by_layer():
    with pytest.raises(
        ValueError, match=r"`initial` must have the same.*initial='fcn32s', whose layer 'score_fc7' has"
    ):
        kseg.FCN16s(3, width=1 / 64, initial=kseg.FCN32s(4, width=1 / 64))


def test_at_once_scales_pool4_and_pool3_down():
    plain = started(kseg.FCN8s(3, width=1 / 64))
    at_once = kseg.FCN8s(3, width=1 / 64, at_once=True, initial=plain)
    for source, scale in (("pool4", 0.01), ("pool3", 0.0001)):
        kernel = plain.get_layer(f"score_{source}").kernel
        kernel.assign(scale * kernel)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    assert np.any(plain(image))
    np.testing.assert_allclose(at_once(image), plain(image), rtol=1e-4)
