"""A classifier of windows is a fully convolutional network in disguise (Long et al. 2015, section 3.1; Giusti et al. 2013)."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg

VARIANTS = {
    "even window": {"window": 14, "kernel_sizes": (3, 3)},
    "odd window": {"window": 17, "kernel_sizes": (4, 3)},
    "rows that no pool takes": {"window": 19, "kernel_sizes": (3, 3)},
    "one stage, a wide dense layer": {"window": 9, "kernel_sizes": (4,)},
    "two dense layers and normalisation": {
        "window": 18,
        "kernel_sizes": (3, 3),
        "dense_units": (6, 5),
        "batch_normalization": True,
    },
}


def classifier(variant, **settings):
    """A narrow classifier with weights drawn at random, those of batch normalisation too."""
    keras.utils.set_random_seed(0)
    settings = {
        "filters": (5,) * len(VARIANTS[variant]["kernel_sizes"]),
        "dense_units": (7,),
        **VARIANTS[variant],
        **settings,
    }
    model = kseg.PatchClassifier(4, **settings)
    draw = np.random.default_rng(1)
    for weight in model.weights:
        offset = 0.5 if weight.path.endswith(("moving_variance", "gamma")) else -0.3
        weight.assign(weight + draw.uniform(0, 0.6, weight.shape) + offset)
    return model


def images(*shape):
    return np.random.default_rng(2).integers(0, 256, shape).astype("float32")


@pytest.mark.parametrize("border", ["reflect", "zeros"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sliding_windows_and_the_converted_network_give_the_same_label_map(variant, border):
    model = classifier(variant)
    batch = images(2, 21, 26, 3)
    slid = kseg.predict_windows(model, batch, border=border)
    whole = np.asarray(kseg.convolutionalize(model, border=border)(batch))
    np.testing.assert_allclose(whole, slid, rtol=1e-4, atol=1e-4 * np.abs(slid).max())
    np.testing.assert_array_equal(whole.argmax(-1), slid.argmax(-1))
    assert len(np.unique(slid.argmax(-1))) > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_images_smaller_than_half_a_window_are_labelled_too(size):
    model = classifier("odd window")
    batch = images(1, *size, 3)
    whole = np.asarray(kseg.convolutionalize(model)(batch))
    np.testing.assert_allclose(whole, kseg.predict_windows(model, batch), rtol=1e-4, atol=1e-3)


def test_the_converted_networks_receptive_field_is_the_window():
    field = kseg.receptive_field(kseg.convolutionalize(kseg.PatchClassifier(2)))
    assert (field.extent, field.stride, field.offset) == (95, 1, -47)
    even = kseg.receptive_field(kseg.convolutionalize(classifier("even window")))
    assert (even.extent, even.stride, even.offset, even.margin) == (14, 1, -7, 7)


def test_strides_become_dilation_and_dense_layers_convolutions():
    network = kseg.convolutionalize(kseg.PatchClassifier(2))
    rates = {layer.name: layer.dilation_rate for layer in network.layers if isinstance(layer, layers.Conv2D)}
    names = ("stage1_conv", "stage2_conv", "stage3_conv", "stage4_conv", "fc1", "logits")
    assert rates == dict(zip(names, [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (1, 1)], strict=True))
    assert all(layer.strides == (1, 1) for layer in network.layers if isinstance(layer, layers.Conv2D))
    assert network.get_layer("fc1").kernel_size == (3, 3)
    assert network.count_params() == kseg.PatchClassifier(2).count_params()


def test_the_default_is_n4_of_ciresan_and_others():
    network = kseg.PatchClassifier(2, channels=1)
    sizes = [layer.output.shape[1:] for layer in network.layers if "conv" in layer.name or "pool" in layer.name]
    assert [size[0] for size in sizes] == [92, 46, 42, 21, 18, 9, 6, 3] and {size[2] for size in sizes} == {48}
    assert [network.get_layer(name).units for name in ("fc1", "logits")] == [200, 2]
    convolutions = [48 * (size * size * channels + 1) for size, channels in ((4, 1), (5, 48), (4, 48), (4, 48))]
    assert network.count_params() == sum(convolutions) + 200 * (9 * 48 + 1) + 2 * 201


def test_a_strided_or_dilated_convolution_is_converted_as_pooling_is():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((13, 13, 1)),
            layers.Conv2D(3, 3, strides=2, name="stride_conv"),
            layers.Conv2D(3, 2, dilation_rate=(1, 2), activation="relu", name="dilated_conv"),
            layers.MaxPooling2D((2, 1), strides=(1, 2), name="overlap_pool"),
            layers.Flatten(name="fc_flat"),
            layers.Dropout(0.5, name="fc_dropout"),
            layers.Dense(2, use_bias=False, name="score"),
        ]
    )
    batch = images(1, 15, 8, 1) / 255
    whole = np.asarray(kseg.convolutionalize(model)(batch))
    np.testing.assert_allclose(whole, kseg.predict_windows(model, batch), rtol=1e-4, atol=1e-5)


def stripes(count, size=24):
    """Grey images (N, H, W, 1) of two kinds of stripes, and the kind of each pixel (N, H, W)."""
    draw = np.random.default_rng(3)
    rows, columns = np.mgrid[:size, :size]
    batch, label_maps = [], []
    for _ in range(count):
        label_map = np.where(columns < draw.integers(8, size - 8), *draw.permutation(2)[:, None, None])
        wave = np.where(label_map == 0, (rows + draw.integers(4)) % 4 < 2, (columns + draw.integers(4)) % 4 < 2)
        batch.append(200.0 * wave + draw.normal(0, 15, wave.shape))
        label_maps.append(label_map)
    return np.stack(batch)[..., None].clip(0, 255).astype("float32"), np.stack(label_maps)


def narrow():
    keras.utils.set_random_seed(0)
    return kseg.PatchClassifier(2, channels=1, window=11, kernel_sizes=(4,), filters=(8,), dense_units=(16,))


def test_it_learns_from_windows_and_the_converted_network_then_labels_images():
    training, label_maps = stripes(8)
    draw = np.random.default_rng(4)
    places = tuple(draw.integers(0, size, 2000) for size in label_maps.shape)
    model = narrow()
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(kseg.inference.windows(training, 11)[places], label_maps[places], batch_size=100, epochs=4, verbose=0)
    unseen, truth = stripes(20)
    answer = np.asarray(kseg.convolutionalize(model)(unseen[8:])).argmax(-1)
    assert np.mean(answer == truth[8:]) > 0.85


def test_the_converted_network_learns_from_label_maps():
    training, label_maps = stripes(8)
    network = kseg.convolutionalize(narrow())
    network.compile(keras.optimizers.Adam(1e-2), kseg.losses.CrossEntropy())
    network.fit(training, label_maps, batch_size=4, epochs=15, verbose=0)
    unseen, truth = stripes(20)
    assert np.mean(np.asarray(network(unseen[8:])).argmax(-1) == truth[8:]) > 0.85
