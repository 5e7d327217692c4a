"""Labels band by band equal those of all scores at once, bit for bit; groups of a batch are joined in order."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from kseg.data.resizing_in_graph import resize_in_graph
from kseg.serving import bands, borders

CLASSES = 5
SIZES = [(48, 64), (47, 65), (24, 32), (200, 150), (23, 31), (7, 9), (1, 1), (1, 900), (900, 1), (3, 2000), (2000, 3)]


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("smooth", [False, True])
def test_bands_equal_all_scores_at_once_bit_for_bit(functions, size, smooth):
    scores = np.random.default_rng(0).normal(size=(24, 32, CLASSES)).astype(np.float32)
    if smooth:  # many near ties
        scores = 1e-3 * np.round(scores)
    probabilities = tf.nn.softmax(scores)
    for expected, found in zip(*(function(probabilities, size) for function in functions), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(np.unique(expected)) > 1 or size == (1, 1)


@pytest.fixture(scope="module", params=[borders.SHARE, 2.0], ids=["as served", "wherever there are borders"])
def by_borders(request):
    """The label map alone, in bands of few rows; 2.0: no band is too full of borders."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, CLASSES)), tf.TensorSpec((2,), tf.int32)])
    def label(probabilities, size):
        return bands.most_probable(probabilities, size, with_confidence=False)[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "BAND_PIXELS", 1000)
        patch.setattr(borders, "SHARE", request.param)
        label.get_concrete_function()
    return label


@pytest.mark.parametrize("size", [*SIZES, (49, 64), (72, 96), (333, 517), (960, 1280)])
@pytest.mark.parametrize("kind", ["noise", "ties", "near ties", "areas", "nowhere"])
def test_labels_by_borders_equal_those_of_all_scores_bit_for_bit(functions, by_borders, size, kind):
    at_once, _ = functions
    generator = np.random.default_rng([*size, len(kind)])
    shape = {(1, 900): (1, 32), (900, 1): (24, 1), (960, 1280): (2, 2)}.get(size, (24, 32))
    scores = generator.normal(size=(*shape, CLASSES)).astype(np.float32)
    if kind == "ties":
        probabilities = np.round(2 * scores) / 8
    elif kind == "nowhere":
        probabilities = np.full_like(scores, 1 / CLASSES)
    else:
        if kind == "areas":  # one border down, another one across
            scores[: shape[0] // 2, ..., 1] += 9
            scores[:, shape[1] // 3 :, 2] += 20
        probabilities = tf.nn.softmax({"near ties": 1e-6, "areas": 1.0, "noise": 1.0}[kind] * scores)
    found, (expected, _) = by_borders(probabilities, size), at_once(probabilities, size)
    np.testing.assert_array_equal(found, expected)


def test_a_pixel_between_neighbours_of_one_class_is_not_interpolated():
    probabilities = np.zeros((6, 8, 3), np.float32)
    probabilities[..., 1] = 1
    probabilities[3:, 4, 1:] = 1, 2  # a spot of class 2 at the bottom
    cells = borders._common_classes(tf.constant(probabilities)).numpy()
    expected = np.full((5, 7), 1)
    expected[2:, 3:5] = borders.BORDER
    np.testing.assert_array_equal(cells, expected)


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


@pytest.mark.parametrize("size", [(48, 64), (12, 16), (6, 8)])
def test_nothing_of_8_bits_is_transposed_when_the_graph_has_been_optimized(size):
    """oneDNN prints "supports DT_UINT8 only on platforms with AVX-512" about such a transpose, in the middle of a run."""
    label = tf.function(lambda probabilities: bands.most_probable(probabilities, tf.constant(size))[0], autograph=False)
    with context.collect_graphs(optimized=True) as graphs:
        label(tf.random.stateless_uniform((12, 16, 3), (0, 1)))
    nodes = [node for graph in graphs for function in graph.library.function for node in function.node_def]
    nodes += [node for graph in graphs for node in graph.node]
    transposed = [node.attr["T"].type for node in nodes if "Transpose" in node.op]
    assert tf.float32.as_datatype_enum in transposed and tf.uint8.as_datatype_enum not in transposed
