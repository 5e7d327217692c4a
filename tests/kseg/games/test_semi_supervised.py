"""The semi-supervised game: weights of images, and which pixels become pseudo-labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import Schedule, SegmentationGame, SemiSupervisedGame
from kseg.models.discriminators import FullyConvolutional, LargeFOV
from tests.kseg.games.replicas_case import K, segmentor
from tests.kseg.games.small_game import (
    DISCRIMINATOR_RATE,
    IDS,
    IMAGES,
    RATE,
    assert_equal,
    compile_game,
    moved,
    weights_of,
)

UNLABELLED = np.array([False, True, False, True, True, False, False, True])
HALF = np.where(UNLABELLED[:, None, None], 255, IDS).astype(np.uint8)


def make_game(kind=SemiSupervisedGame, **settings):
    keras.utils.set_random_seed(3)
    settings = {"weight": 0.7} | settings
    return kind(segmentor(), FullyConvolutional(K, base_filters=2), name="game", **settings)


def train_one_step_on(game, images=IMAGES, ids=HALF):
    """One step of all images; returns the logs."""
    game = compile_game(game, run_eagerly=True)
    history = game.fit(images, ids, batch_size=len(images), shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def test_a_step_equals_the_paper_written_out():
    settings = {"weight": 0.7, "unlabelled_weight": 0.3, "region_weight": 0.4, "threshold": 0.5, "regions_from": 0}
    game, again = make_game(**settings), make_game(**settings)
    _, _, shown = game.play(tf.constant(IMAGES), tf.constant(HALF))
    middle = np.median(game.discriminator(shown).numpy()[UNLABELLED])
    for one in (game, again):  # some pixels are confident then, and some are not
        one.discriminator.get_layer("score").bias.assign([-middle])
    s, d = again.segmentor, again.discriminator
    labelled = (~UNLABELLED).astype(np.float32)
    valid = ((HALF != 255) | UNLABELLED[:, None, None])[..., None].astype(np.float32)
    truth = tf.constant(HALF[..., None] == np.arange(K), tf.float32)

    def bce(logits, label):
        pixels = tf.nn.sigmoid_cross_entropy_with_logits(label * tf.ones_like(logits), logits)
        return tf.reduce_mean(pixels, axis=[1, 2, 3])  # (B,)

    with tf.GradientTape() as tape:
        fake = d(tf.nn.softmax(s(tf.constant(IMAGES))) * valid)
        d_loss = tf.reduce_mean((bce(d(truth), 1.0) + bce(fake, 0.0)) * labelled)
    d_gradients = tape.gradient(d_loss, d.trainable_variables)
    with tf.GradientTape() as tape:
        logits = s(tf.constant(IMAGES))

        def cross_entropy(ids, pixels):
            values = (
                tf.nn.sparse_softmax_cross_entropy_with_logits(np.where(pixels, ids, 0).astype(np.int32), logits)
                * pixels
            )
            return tf.reduce_mean(tf.reduce_sum(values, [1, 2]) / np.maximum(pixels.sum((1, 2)), 1))

        verdict = d(tf.nn.softmax(logits) * valid)
        confident = (tf.sigmoid(verdict)[..., 0].numpy() > 0.5) & UNLABELLED[:, None, None]
        regions = cross_entropy(logits.numpy().argmax(-1), confident.astype(np.float32))
        task = cross_entropy(HALF, (HALF != 255).astype(np.float32))
        player_weights = np.where(UNLABELLED, 0.3, 0.7).astype(np.float32)
        loss = task + 0.4 * regions + tf.reduce_mean(bce(verdict, 1.0) * player_weights)
    assert 0 < confident[UNLABELLED].mean() < 1
    gradients = tape.gradient(loss, s.trainable_variables)
    for rate, network, steps in ((RATE, s, gradients), (DISCRIMINATOR_RATE, d, d_gradients)):
        for variable, gradient in zip(network.trainable_variables, steps, strict=True):
            variable.assign_sub(rate * gradient)

    logs = train_one_step_on(game)
    assert_equal(weights_of(game.segmentor), weights_of(s), atol=1e-5)
    assert_equal(weights_of(game.discriminator), weights_of(d), atol=1e-5)
    assert logs["confident_share"] == pytest.approx(confident[UNLABELLED].mean())
    assert logs["loss"] == pytest.approx(float(task + 0.4 * regions), abs=1e-5)


def test_with_labelled_images_only_it_is_the_segmentation_game():
    images, ids = IMAGES[:6], np.where(IDS == 255, 0, IDS)[:6]
    game, other = make_game(regions_from=0), make_game(SegmentationGame)
    logs, expected = train_one_step_on(game, images, ids), train_one_step_on(other, images, ids)
    assert_equal(weights_of(game), weights_of(other), atol=1e-7)
    assert {name: logs[name] for name in expected} == pytest.approx(expected)


def test_the_discriminator_learns_from_labelled_images_alone():
    game, other = make_game(), make_game()
    images = np.where(UNLABELLED[:, None, None, None], 255 - IMAGES, IMAGES)
    logs, other_logs = train_one_step_on(game), train_one_step_on(other, images)
    assert_equal(weights_of(game.discriminator), weights_of(other.discriminator))
    assert logs["discriminator_accuracy"] == other_logs["discriminator_accuracy"]
    assert moved(weights_of(game.segmentor), weights_of(other.segmentor))


def test_there_are_no_pseudo_labels_before_their_time_or_below_the_threshold():
    never = make_game(region_weight=0.0)
    train_one_step_on(never)
    for settings in ({"regions_from": 1}, {"regions_from": 0, "threshold": 0.999}):
        game = make_game(region_weight=50.0, **settings)
        train_one_step_on(game)
        assert_equal(weights_of(game.segmentor), weights_of(never.segmentor))
    at_once = make_game(region_weight=50.0, regions_from=0, threshold=0.0)
    assert train_one_step_on(at_once)["confident_share"] == 1
    assert moved(weights_of(at_once.segmentor), weights_of(never.segmentor))


def test_pretraining_does_not_count_towards_the_start_of_pseudo_labels():
    schedule = Schedule(pretrain_player=1)
    games = [
        make_game(region_weight=weight, regions_from=0, threshold=0.0, schedule=schedule) for weight in (50.0, 0.0)
    ]
    for game in games:
        train_one_step_on(game)
    assert_equal(weights_of(games[0].segmentor), weights_of(games[1].segmentor))
    for game in games:
        train_one_step_on(game)
    assert moved(weights_of(games[0].segmentor), weights_of(games[1].segmentor))


def test_coarse_logits_cover_their_squares_and_a_file_restores_the_game(tmp_path):
    game = make_game(label_stride=5, regions_from=0, threshold=0.3, unlabelled_weight=0.2)
    assert all(np.isfinite(value) for value in train_one_step_on(game).values())
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    names = ("unlabelled_weight", "region_weight", "threshold", "regions_from", "label_stride")
    assert [getattr(again, name) for name in names] == [getattr(game, name) for name in names]
    for one in (game, again):
        one.fit(IMAGES, HALF, batch_size=4, shuffle=False, verbose=0)
    assert_equal(weights_of(again), weights_of(game))


def certain_discriminator(row, column):
    """A judge of 3 x 3 squares that takes one of them for real, whatever it is shown, and the others not."""
    logits = np.full((3, 3), -4.0)
    logits[row, column] = 4.0
    label_map = keras.Input((3, 3, K))
    bias = keras.initializers.Constant(logits.ravel())
    x = keras.layers.Dense(9, kernel_initializer="zeros", bias_initializer=bias)(keras.layers.Flatten()(label_map))
    return keras.Model(label_map, keras.layers.Reshape((3, 3, 1))(x))


@pytest.mark.parametrize(("row", "column", "pixels"), [(0, 0, 16), (1, 0, 20), (0, 2, 12), (2, 1, 15), (2, 2, 9)])
def test_exactly_the_pixels_of_a_confident_square_become_pseudo_labels(row, column, pixels):
    game = compile_game(
        SemiSupervisedGame(
            segmentor(), certain_discriminator(row, column), label_stride=5, region_weight=1.0, regions_from=0
        )
    )
    logits = game.segmentor(IMAGES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        judged = game.discriminator_inputs(IMAGES, HALF, logits)[1][:, row, column, 0]
        loss = game.compute_loss(tf.constant(IMAGES), tf.constant(HALF), logits)
    seen, joined = ((tape.gradient(of, logits).numpy() != 0).any(axis=-1)[UNLABELLED] for of in (judged, loss))
    expected = np.zeros_like(joined)
    parts = slice(0, 4), slice(4, 9), slice(9, 12)  # of 12 pixels
    expected[:, parts[row], parts[column]] = True
    np.testing.assert_array_equal(joined, expected)
    np.testing.assert_array_equal(seen, expected)  # and it is those that the discriminator judged
    assert float(game.game_metrics["confident_share"].result()) == pytest.approx(pixels / 144)


def test_a_class_that_is_void_is_no_pseudo_label():
    half = np.where(UNLABELLED[:, None, None], 0, np.where(IDS == 255, 0, IDS)).astype(np.uint8)
    game = compile_game(make_game(regions_from=0, threshold=0.0, region_weight=1.0, ignore_class=0))
    logits = np.zeros((*half.shape, K), np.float32)
    logits[..., 0] = 9.0  # predicted everywhere, and never taught
    taught = float(game.compute_loss(IMAGES, half, logits))
    game.region_weight = 0.0
    assert taught == float(game.compute_loss(IMAGES, half, logits))


def test_wrong_arguments_are_named():
    with pytest.raises(
        ValueError, match=r"`threshold` must be a number of at least 0 and below 1. Received: threshold=1."
    ):
        make_game(threshold=1)
    with pytest.raises(
        ValueError, match=r"`region_weight` must be a number of at least 0. Received: region_weight=-1."
    ):
        make_game(region_weight=-1)
    with pytest.raises(ValueError, match=r"`weight` must be a number above 0. Received: weight=0."):
        make_game(weight=0)
    with pytest.raises(ValueError, match=r"`ignore_class` must be an id"):
        make_game(ignore_class=None)
    with pytest.raises(ValueError, match=r'`objective` must be "non_saturating" or "minimax".*objective=\'hinge\''):
        make_game(objective="hinge")
    with pytest.raises(ValueError, match=r"must give a map of logits \(B, h, w, 1\).*Use FullyConvolutional."):
        SemiSupervisedGame(segmentor(), LargeFOV(K, width=1 / 32))
