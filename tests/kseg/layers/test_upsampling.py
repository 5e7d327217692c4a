"""Every upsampling mode: what it computes, and that a transposed convolution is the transpose of a convolution."""

import keras
import numpy as np
import pytest
from keras import ops

from kseg.layers import Interpolation2D, Upsampling
from kseg.layers.upsampling import MODES

FACTORS = [1, 2, 3, 8]


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def layer(mode, factor, channels):
    return Upsampling(mode, factor, filters=channels if mode.startswith("transposed") else None, name="up")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", FACTORS)
def test_every_mode_enlarges_any_map_by_the_factor_in_a_graph_of_unknown_sizes(mode, factor):
    tf = pytest.importorskip("tensorflow")
    values = keras.Input((None, None, 3))
    indices = [keras.Input((None, None, 3), dtype="int32")] if mode == "max_unpooling" else []
    model = keras.Model([values, *indices], layer(mode, factor, 3)([values, *indices] if indices else values))
    assert model.output_shape == (None, None, None, 3)
    graph = tf.function(lambda inputs: model(inputs))
    specs = [tf.TensorSpec((None, None, None, 3), dtype) for dtype in ("float32", "int32")][: len(model.inputs)]
    unknown = graph.get_concrete_function(specs)
    for size in ((1, 1), (3, 5)):
        inputs = [tf.constant(drawn(2, *size, 3)), tf.zeros((2, *size, 3), "int32")][: len(model.inputs)]
        assert unknown(*inputs).shape == (2, factor * size[0], factor * size[1], 3)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_interpolation_is_tensorflows_resize(mode, factor):
    tf = pytest.importorskip("tensorflow")
    values = drawn(2, 5, 7, 3)
    expected = tf.image.resize(values, (5 * factor, 7 * factor), mode)
    np.testing.assert_allclose(Upsampling(mode, factor)(values), expected, atol=1e-5)


def test_bilinear_and_nearest_interpolation_by_hand():
    row = np.array([1.0, 3.0], np.float32).reshape(1, 1, 2, 1)
    enlarged = {
        mode: np.asarray(Interpolation2D(2, mode)(row))[0, :, :, 0].tolist() for mode in ("bilinear", "nearest")
    }
    assert enlarged == {"bilinear": [[1.0, 1.5, 2.5, 3.0]] * 2, "nearest": [[1.0, 1.0, 3.0, 3.0]] * 2}


@pytest.mark.parametrize("factor", [2, 8])
def test_bicubic_interpolation_is_tensorflows_away_from_the_border(factor):
    tf = pytest.importorskip("tensorflow")
    values, inner = drawn(2, 6, 7, 3), slice(2 * factor, -2 * factor)
    expected = tf.image.resize(values, (6 * factor, 7 * factor), "bicubic")[:, inner, inner]
    np.testing.assert_allclose(Upsampling("bicubic", factor)(values)[:, inner, inner], expected, atol=1e-5)


@pytest.mark.parametrize("factor", FACTORS)
def test_bicubic_interpolation_is_exact_for_a_quadratic_in_the_interior(factor):
    at = lambda n: (np.arange(n * factor) + 0.5) / factor - 0.5  # noqa: E731  where each new pixel lies among the old
    quadratic = lambda y, x: 2 * y[:, None] ** 2 - y[:, None] * x + 0.5 * x**2 + 3  # noqa: E731
    values = quadratic(np.arange(7.0), np.arange(8.0))[None, ..., None]
    inner = (slice(2 * factor, -2 * factor),) * 2
    result = np.asarray(Upsampling("bicubic", factor)(values))[0, ..., 0]
    np.testing.assert_allclose(result[inner], quadratic(at(7), at(8))[inner], rtol=1e-4)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_interpolation_keeps_a_constant_up_to_the_border(mode):
    np.testing.assert_allclose(Upsampling(mode, 4)(np.full((1, 2, 3, 1), 7.0)), 7.0, rtol=1e-6)


def test_a_transposed_convolution_is_initialised_as_bilinear_interpolation_away_from_the_border():
    values, inner = drawn(1, 6, 7, 3), slice(4, -4)
    transposed = layer("transposed_bilinear", 4, 3)(values)
    expected = Upsampling("bilinear", 4)(values)
    np.testing.assert_allclose(transposed[:, inner, inner], expected[:, inner, inner], atol=1e-5)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, "same"), (4, 2, "same"), (4, 2, "valid"), (3, 1, "same")]
)
def test_a_transposed_convolution_multiplies_by_the_transpose_of_the_convolutions_matrix(size, stride, padding):
    height, width, channels, filters = 6, 8, 2, 3
    kernel = drawn(size, size, channels, filters)

    def convolve(images):
        return np.asarray(ops.conv(images, kernel, strides=stride, padding=padding))

    basis = np.eye(height * width * channels, dtype="float32").reshape(-1, height, width, channels)
    columns = convolve(basis)  # the image of each unit vector is a column of the matrix
    matrix = columns.reshape(len(basis), -1).T
    values = drawn(1, *columns.shape[1:])
    settings = {"strides": stride, "padding": padding, "use_bias": False}
    transposed = keras.layers.Conv2DTranspose(channels, size, **settings)
    transposed.build(values.shape)
    transposed.kernel.assign(kernel)
    expected = (matrix.T @ values.ravel()).reshape(1, height, width, channels)
    np.testing.assert_allclose(transposed(values), expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["bed_of_nails", "nearest", "bilinear", "bicubic"])
def test_every_linear_mode_is_a_transposed_convolution_of_its_impulse_response(mode):
    factor, reach = 2, 4
    impulse = np.zeros((1, 2 * reach + 1, 2 * reach + 1, 1), "float32")
    impulse[0, reach, reach, 0] = 1
    response = np.asarray(Upsampling(mode, factor)(impulse))
    values = drawn(1, 12, 12, 1)
    kernel = response[0][:, :, :, None]
    whole = np.asarray(ops.conv_transpose(values, kernel, strides=factor, padding="valid"))
    offset = factor * reach
    inner = slice(2 * factor, -2 * factor)
    expected = whole[:, offset : offset + 24, offset : offset + 24]
    np.testing.assert_allclose(Upsampling(mode, factor)(values)[:, inner, inner], expected[:, inner, inner], atol=1e-5)


def test_frozen_upsampling_holds_no_trainable_weight():
    up = Upsampling("transposed_bilinear", 2, filters=3, trainable=False)
    up.build((None, None, None, 3))
    assert not up.trainable_weights and len(up.weights) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "cubic"}, r"`mode` must be one of .bed_of_nails., .nearest..*mode='cubic'"),
        ({"mode": "nearest", "factor": 0}, r"`factor` must be an integer of at least 1. Received: factor=0"),
        ({"mode": "transposed_random"}, r"`filters` is required.*filters=None"),
        ({"mode": "nearest", "filters": 3}, r"take neither.*mode='nearest', filters=3"),
        ({"mode": "bilinear", "padding": "valid"}, r"padding='valid'"),
    ],
)
def test_arguments_that_do_not_fit_the_mode_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Upsampling(**{"factor": 2, **settings})


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match=r"`interpolation` must be .nearest., .bilinear. or .bicubic..*'lanczos'"):
        Interpolation2D(2, "lanczos")
