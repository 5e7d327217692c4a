"""Labels band by band equal those of all scores at once, bit for bit; groups of a batch are joined in order."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.data.resizing_in_graph import resize_in_graph
from kseg.serving import bands

CLASSES = 5


@pytest.fixture(scope="module")
def functions():
    """Both ways as graphs, the second in bands of few rows."""
    spec = [tf.TensorSpec((None, None, CLASSES)), tf.TensorSpec((2,), tf.int32)]

    @tf.function(input_signature=spec)
    def at_once(probabilities, size):
        resized = resize_in_graph(probabilities, size)
        return tf.cast(tf.argmax(resized, axis=-1), tf.uint8), tf.reduce_max(resized, axis=-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "BAND_PIXELS", 1000)
        by_bands = tf.function(bands.most_probable, input_signature=spec)
        by_bands.get_concrete_function()
    return at_once, by_bands


@pytest.mark.parametrize(
    "size",
    [(48, 64), (47, 65), (24, 32), (200, 150), (23, 31), (7, 9), (1, 1), (1, 900), (900, 1), (3, 2000), (2000, 3)],
)
@pytest.mark.parametrize("smooth", [False, True])
def test_bands_equal_all_scores_at_once_bit_for_bit(functions, size, smooth):
    scores = np.random.default_rng(0).normal(size=(24, 32, CLASSES)).astype(np.float32)
    if smooth:  # many near ties
        scores = 1e-3 * np.round(scores)
    probabilities = tf.nn.softmax(scores)
    for expected, found in zip(*(function(probabilities, size) for function in functions), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 1 or size == (1, 1)


def test_the_confidence_is_left_out_where_it_is_not_wanted():
    probabilities = tf.nn.softmax(np.random.default_rng(1).normal(size=(6, 8, CLASSES)).astype(np.float32))
    expected, _ = bands.most_probable(probabilities, tf.constant((9, 11)))
    label_map, nothing = bands.most_probable(probabilities, tf.constant((9, 11)), with_confidence=False)
    assert nothing is None
    np.testing.assert_array_equal(label_map, expected)


@pytest.mark.parametrize("number", [0, 1, 3, 4, 7])
def test_groups_hold_no_more_than_their_size_and_are_joined_in_order(number):
    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.int32)])
    def doubled(values):
        def function(group):
            tf.debugging.assert_less_equal(tf.shape(group)[0], 3)
            return 2 * group, tf.as_string(group[:, 0])

        return bands.map_groups(function, [values], 3, (tf.int32, tf.string))

    values = np.arange(2 * number, dtype=np.int32).reshape(number, 2)
    twice, texts = doubled(values)
    np.testing.assert_array_equal(twice, 2 * values.ravel())
    assert [text.decode() for text in texts.numpy()] == [str(value) for value in values[:, 0]]
