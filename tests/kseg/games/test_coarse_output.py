"""A segmentor whose logits are coarser than the label maps learns, plays and is scored at its own resolution."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import SegmentationGame
from tests.kseg.games.replicas_case import K, discriminator
from tests.kseg.games.small_game import compile_game

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0, 255, (2, 7, 9, 3)).astype("float32")
IDS = RANDOM.choice([0, 1, 2, 255], (2, 7, 9)).astype("uint8")
MIDDLES = IDS[:, [0, 3, 6]][
    :, :, [1, 4, 7]
]  # of squares of 3 pixels; the outer ones reach over the upper and the lower edge


def game(stride=3, **arguments):
    keras.utils.set_random_seed(1)
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(K, 3, strides=stride, padding="same")(image)
    return SegmentationGame(keras.Model(image, logits), discriminator(), **arguments)


def test_the_discriminator_sees_the_truth_and_the_image_at_the_resolution_of_the_logits():
    logits, (image, truth), (again, prediction) = game().play(IMAGES, IDS)
    assert tuple(logits.shape) == tuple(truth.shape) == tuple(prediction.shape) == (2, 3, 3, K) and image is again
    np.testing.assert_array_equal(truth, np.eye(256)[MIDDLES][..., :K])  # nothing at void pixels
    assert (np.asarray(prediction)[MIDDLES == 255] == 0).all() and (MIDDLES == 255).any()
    np.testing.assert_allclose(image[:, 1, 2], IMAGES[:, 2:5, 6:9].mean(axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("encoding", ["basic", "scaling"])
def test_it_learns_and_is_scored_as_by_label_maps_of_its_resolution(encoding):
    fine, coarse = (compile_game(game(encoding=encoding)) for _ in range(2))
    for one, ids in ((fine, IDS), (coarse, MIDDLES)):
        one.fit(IMAGES, ids, epochs=2, verbose=0, shuffle=False)
    for one, other in zip(fine.weights, coarse.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert fine.evaluate(IMAGES, IDS[..., None], verbose=0, return_dict=True) == coarse.evaluate(
        IMAGES, MIDDLES[..., None], verbose=0, return_dict=True
    )


@pytest.mark.parametrize("stride", [1, 3])
def test_where_sizes_are_unknown_it_learns_the_same(stride):
    known, unknown = (compile_game(game(stride, label_stride=2)) for _ in range(2))
    known.fit(IMAGES, IDS, verbose=0, shuffle=False)
    sizes = tf.TensorSpec((None, None, None, 3), tf.float32), tf.TensorSpec((None, None, None), tf.uint8)
    unknown.fit(tf.data.Dataset.from_generator(lambda: [(IMAGES, IDS)], output_signature=sizes), verbose=0)
    for one, other in zip(unknown.weights, known.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def unpadded():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(K, 3)(image))


def test_label_maps_of_an_unpadded_segmentor_are_judged_without_the_image():
    network = unpadded()
    judge = keras.Model(network.output, keras.layers.GlobalAveragePooling2D()(keras.layers.Dense(1)(network.output)))
    _, truth, prediction = SegmentationGame(network, judge).play(IMAGES, IDS[:, 1:-1, 1:-1])
    assert truth.shape == prediction.shape == (2, 5, 7, K)


def test_logits_of_another_size_are_refused():
    network = unpadded()
    with pytest.raises(
        ValueError, match=r"coarser by an integer factor\. Received: logits of shape \(2, 5, 7, 3\), maps"
    ):
        SegmentationGame(network, discriminator()).play(IMAGES, IDS)
