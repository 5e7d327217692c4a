"""Pooling with indices and its two inverses, against a loop over windows."""

import keras
import numpy as np
import pytest

from kseg.layers import BedOfNails2D, CropToMatch, MaxPoolingWithIndices2D, MaxUnpooling2D

SHAPES = [(1, 1), (2, 2), (5, 7), (6, 6), (11, 4)]
POOL_SIZES = [1, 2, 3, (2, 3), (4, 1)]


def drawn(height, width, levels=4):
    """Few different values, so that nearly every window holds its maximum more than once."""
    return np.random.default_rng(0).integers(-levels, levels, (2, height, width, 3)).astype("float32")


def windows(length, size):
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def by_loops(values, rows, columns):
    """Maxima, indices within the window, and the map that holds each maximum at the first place where it occurs."""
    batch, height, width, channels = values.shape
    shape = (batch, len(windows(height, rows)), len(windows(width, columns)), channels)
    maxima, indices, back = np.zeros(shape, "float32"), np.zeros(shape, int), np.zeros_like(values)
    for b, c in np.ndindex(batch, channels):
        for i, row in enumerate(windows(height, rows)):
            for j, column in enumerate(windows(width, columns)):
                window = values[b, row, column, c]
                y, x = np.unravel_index(np.argmax(window), window.shape)
                maxima[b, i, j, c], indices[b, i, j, c] = window[y, x], y * columns + x
                back[b, row.start + y, column.start + x, c] = window[y, x]
    return maxima, indices, back


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pool_size", POOL_SIZES)
def test_any_size_and_any_window_give_the_result_of_a_loop_with_ties_to_the_first(shape, pool_size):
    values = drawn(*shape)
    rows, columns = pool_size if isinstance(pool_size, tuple) else (pool_size, pool_size)
    expected, places, back = by_loops(values, rows, columns)
    maxima, indices = MaxPoolingWithIndices2D(pool_size)(values)
    np.testing.assert_array_equal(maxima, expected)
    np.testing.assert_array_equal(indices, places)
    unpooled = CropToMatch()([MaxUnpooling2D(pool_size)([maxima, indices]), values])
    np.testing.assert_array_equal(unpooled, back)


def test_maxima_are_those_of_keras_max_pooling():
    values = np.random.default_rng(0).normal(size=(2, 13, 10, 4)).astype("float32")
    expected = keras.layers.MaxPooling2D((3, 2), padding="same")(values[:, :12])
    np.testing.assert_array_equal(MaxPoolingWithIndices2D((3, 2))(values[:, :12])[0], expected)


def test_infinite_values_are_kept():
    values = np.array([[-np.inf, -np.inf, 1.0], [-np.inf, -np.inf, np.inf]], "float32").reshape(1, 2, 3, 1)
    maxima, indices = MaxPoolingWithIndices2D(2)(values)
    assert np.asarray(maxima).ravel().tolist() == [-np.inf, np.inf]
    assert np.asarray(indices).ravel().tolist() == [0, 2]


def test_unpooling_what_was_pooled_and_pooling_it_again_changes_nothing():
    values = np.random.default_rng(0).uniform(1, 2, (2, 9, 8, 3)).astype("float32")
    maxima, indices = MaxPoolingWithIndices2D(2)(values)
    again, same = MaxPoolingWithIndices2D(2)(MaxUnpooling2D(2)([maxima, indices]))
    np.testing.assert_array_equal(again, maxima)
    np.testing.assert_array_equal(same, indices)


@pytest.mark.parametrize("pool_size", POOL_SIZES)
def test_the_gradient_of_pooling_goes_to_the_first_maximum_alone_and_that_of_unpooling_comes_from_it(pool_size):
    tf = pytest.importorskip("tensorflow")
    values = tf.constant(drawn(7, 8))
    rows, columns = pool_size if isinstance(pool_size, tuple) else (pool_size, pool_size)
    draw = np.random.default_rng(1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        maxima, indices = MaxPoolingWithIndices2D(pool_size)(values)
        coarse = draw.normal(size=maxima.shape).astype("float32")
        pooled = tf.reduce_sum(maxima * coarse)
        code = tf.constant(draw.normal(size=maxima.shape).astype("float32"))
        tape.watch(code)
        unpooled = MaxUnpooling2D(pool_size)([code, indices])
        fine = draw.normal(size=unpooled.shape).astype("float32")
        placed = tf.reduce_sum(unpooled * fine)
    first = by_loops(drawn(7, 8), rows, columns)[1]
    at = np.arange(rows * columns)[:, None] == first[:, :, :, None]  # (B, h, w, place, C)
    batch, height, width, channels = first.shape

    def as_map(by_place):
        blocks = by_place.reshape(batch, height, width, rows, columns, channels).transpose(0, 1, 3, 2, 4, 5)
        return blocks.reshape(batch, height * rows, width * columns, channels)

    expected = as_map(np.where(at, coarse[:, :, :, None], 0))[:, :7, :8]
    np.testing.assert_array_equal(tape.gradient(pooled, values), expected)
    summed = np.where(as_map(at), fine, 0).reshape(batch, height, rows, width, columns, channels).sum((2, 4))
    np.testing.assert_array_equal(tape.gradient(placed, code), summed)


def test_gradients_are_the_finite_differences():
    tf = pytest.importorskip("tensorflow")
    values = np.random.default_rng(0).permutation(5 * 7 * 2).reshape(1, 5, 7, 2).astype("float64")  # no two are close
    pool, unpool = MaxPoolingWithIndices2D((2, 3), dtype="float64"), MaxUnpooling2D((2, 3), dtype="float64")

    def loss(x):
        return tf.reduce_sum(tf.sin(unpool(list(pool(x)))))

    theoretical, numerical = tf.test.compute_gradient(loss, [tf.constant(values)])
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=1e-6)


def test_pooling_and_unpooling_run_in_a_graph_of_unknown_sizes():
    tf = pytest.importorskip("tensorflow")
    image = keras.Input((None, None, 3))
    maxima, indices = MaxPoolingWithIndices2D((2, 3))(image)
    model = keras.Model(image, [maxima, indices, MaxUnpooling2D((2, 3))([maxima, indices])])
    assert maxima.shape == indices.shape == (None, None, None, 3) and indices.dtype == "int32"
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, None, None, 3))])
    for shape in ((5, 7), (1, 1), (4, 6)):
        for ours, eager in zip(graph(drawn(*shape)), model(drawn(*shape)), strict=True):
            np.testing.assert_array_equal(ours, eager)


def test_static_sizes_are_inferred_and_checked_without_running():
    maxima, indices = MaxPoolingWithIndices2D(2)(keras.Input((45, 60, 8)))
    assert maxima.shape == (None, 23, 30, 8)
    assert MaxUnpooling2D(2)([maxima, indices]).shape == (None, 46, 60, 8)
    with pytest.raises(ValueError, match=r"must have the same shape.*\(None, 23, 30, 4\).*by a 1x1 convolution"):
        MaxUnpooling2D(2)([keras.Input((23, 30, 4)), indices])


def test_a_bed_of_nails_holds_each_value_at_the_top_left_of_zeros():
    result = np.asarray(BedOfNails2D((2, 3))(np.array([[5.0, 7.0]]).reshape(1, 1, 2, 1)))[0, ..., 0]
    assert result.tolist() == [[5, 0, 0, 7, 0, 0], [0, 0, 0, 0, 0, 0]]
    values = drawn(3, 4)
    expected = MaxUnpooling2D(3)([values, np.zeros(values.shape, "int32")])
    np.testing.assert_array_equal(BedOfNails2D(3)(values), expected)


@pytest.mark.parametrize("value", [0, (2, 0), (2, 2, 2), 1.5, "2", None])
@pytest.mark.parametrize("layer", [MaxPoolingWithIndices2D, MaxUnpooling2D, BedOfNails2D])
def test_an_invalid_window_is_refused(layer, value):
    with pytest.raises(ValueError, match=r"must be one or two integers of at least 1\. Received: "):
        layer(value)
