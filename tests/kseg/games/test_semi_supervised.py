"""The semi-supervised game: which image counts where, and which regions join."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import Schedule, SegmentationGame, SemiSupervisedGame
from kseg.models.discriminators import FullyConvolutional, LargeFOV
from tests.kseg.games.replicas_case import K, segmentor
from tests.kseg.games.small_game import DISCRIMINATOR_RATE, IDS, IMAGES, RATE, assert_equal, compiled, moved, weights_of

UNLABELLED = np.array([False, True, False, True, True, False, False, True])
HALF = np.where(UNLABELLED[:, None, None], 255, IDS).astype(np.uint8)


def made(kind=SemiSupervisedGame, **settings):
    keras.utils.set_random_seed(3)
    settings = {"weight": 0.7} | settings
    return kind(segmentor(), FullyConvolutional(K, base_filters=2), name="game", **settings)


def stepped(game, images=IMAGES, ids=HALF):
    """One step of all images; returns the logs."""
    game = compiled(game, run_eagerly=True)
    history = game.fit(images, ids, batch_size=len(images), shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def test_a_step_equals_the_paper_written_out():
    settings = {"weight": 0.7, "unlabelled_weight": 0.3, "region_weight": 0.4, "threshold": 0.5, "regions_from": 0}
    game, again = made(**settings), made(**settings)
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
        heard = np.where(UNLABELLED, 0.3, 0.7).astype(np.float32)
        loss = task + 0.4 * regions + tf.reduce_mean(bce(verdict, 1.0) * heard)
    assert 0 < confident[UNLABELLED].mean() < 1
    gradients = tape.gradient(loss, s.trainable_variables)
    for rate, network, steps in ((RATE, s, gradients), (DISCRIMINATOR_RATE, d, d_gradients)):
        for variable, gradient in zip(network.trainable_variables, steps, strict=True):
            variable.assign_sub(rate * gradient)

    logs = stepped(game)
    assert_equal(weights_of(game.segmentor), weights_of(s), atol=1e-5)
    assert_equal(weights_of(game.discriminator), weights_of(d), atol=1e-5)
    assert logs["confident_share"] == pytest.approx(confident[UNLABELLED].mean())
    assert logs["loss"] == pytest.approx(float(task + 0.4 * regions), abs=1e-5)


def test_where_every_image_is_labelled_it_is_the_game_of_segmentation():
    images, ids = IMAGES[:6], np.where(IDS == 255, 0, IDS)[:6]
    game, other = made(regions_from=0), made(SegmentationGame)
    logs, expected = stepped(game, images, ids), stepped(other, images, ids)
    assert_equal(weights_of(game), weights_of(other), atol=1e-7)
    assert {name: logs[name] for name in expected} == pytest.approx(expected)


def test_the_discriminator_learns_from_labelled_images_alone():
    game, other = made(), made()
    images = np.where(UNLABELLED[:, None, None, None], 255 - IMAGES, IMAGES)
    logs, other_logs = stepped(game), stepped(other, images)
    assert_equal(weights_of(game.discriminator), weights_of(other.discriminator))
    assert logs["discriminator_accuracy"] == other_logs["discriminator_accuracy"]
    assert moved(weights_of(game.segmentor), weights_of(other.segmentor))


def test_no_region_joins_before_its_time_or_below_the_threshold():
    never = made(region_weight=0.0)
    stepped(never)
    for settings in ({"regions_from": 1}, {"regions_from": 0, "threshold": 0.999}):
        game = made(region_weight=50.0, **settings)
        stepped(game)
        assert_equal(weights_of(game.segmentor), weights_of(never.segmentor))
    at_once = made(region_weight=50.0, regions_from=0, threshold=0.0)
    assert stepped(at_once)["confident_share"] == 1
    assert moved(weights_of(at_once.segmentor), weights_of(never.segmentor))


def test_pretraining_does_not_count_towards_the_time_of_regions():
    schedule = Schedule(pretrain_player=1)
    games = [made(region_weight=weight, regions_from=0, threshold=0.0, schedule=schedule) for weight in (50.0, 0.0)]
    for game in games:
        stepped(game)
    assert_equal(weights_of(games[0].segmentor), weights_of(games[1].segmentor))
    for game in games:
        stepped(game)
    assert moved(weights_of(games[0].segmentor), weights_of(games[1].segmentor))


def test_coarse_verdicts_cover_their_squares_and_a_file_gives_back_the_game(tmp_path):
    game = made(label_stride=5, regions_from=0, threshold=0.3, unlabelled_weight=0.2)
    assert all(np.isfinite(value) for value in stepped(game).values())
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    names = ("unlabelled_weight", "region_weight", "threshold", "regions_from", "label_stride")
    assert [getattr(again, name) for name in names] == [getattr(game, name) for name in names]
    for one in (game, again):
        one.fit(IMAGES, HALF, batch_size=4, shuffle=False, verbose=0)
    assert_equal(weights_of(again), weights_of(game))


def sure_of(row, column):
    """A judge of 3 x 3 squares that takes one of them for real, whatever it is shown, and the others not."""
    logits = np.full((3, 3), -4.0)
    logits[row, column] = 4.0
    label_map = keras.Input((3, 3, K))
    bias = keras.initializers.Constant(logits.ravel())
    x = keras.layers.Dense(9, kernel_initializer="zeros", bias_initializer=bias)(keras.layers.Flatten()(label_map))
    return keras.Model(label_map, keras.layers.Reshape((3, 3, 1))(x))


@pytest.mark.parametrize(("row", "column", "pixels"), [(0, 0, 16), (1, 0, 20), (0, 2, 12), (2, 1, 15), (2, 2, 9)])
def test_the_pixels_of_a_confident_square_join_and_no_others(row, column, pixels):
    game = compiled(
        SemiSupervisedGame(segmentor(), sure_of(row, column), label_stride=5, region_weight=1.0, regions_from=0)
    )
    logits = game.segmentor(IMAGES)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        judged = game.shown(IMAGES, HALF, logits)[1][:, row, column, 0]
        loss = game.compute_loss(tf.constant(IMAGES), tf.constant(HALF), logits)
    seen, joined = ((tape.gradient(of, logits).numpy() != 0).any(axis=-1)[UNLABELLED] for of in (judged, loss))
    expected = np.zeros_like(joined)
    parts = slice(0, 4), slice(4, 9), slice(9, 12)  # of 12 pixels
    expected[:, parts[row], parts[column]] = True
    np.testing.assert_array_equal(joined, expected)
    np.testing.assert_array_equal(seen, expected)  # and it is those that the discriminator judged
    assert float(game._own_metrics["confident_share"].result()) == pytest.approx(pixels / 144)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`threshold` must lie in \[0, 1\). Received: threshold=1."):
        made(threshold=1)
    with pytest.raises(ValueError, match=r"`region_weight` must be at least 0. Received: region_weight=-1."):
        made(region_weight=-1)
    with pytest.raises(ValueError, match=r"`weight` must be more than 0. Received: weight=0."):
        made(weight=0)
    with pytest.raises(ValueError, match=r"`ignore_class` must be an id"):
        made(ignore_class=None)
    with pytest.raises(ValueError, match=r'`objective` must be "non_saturating" or "minimax".*objective=\'hinge\''):
        made(objective="hinge")
    with pytest.raises(ValueError, match=r"must give a map of logits \(B, h, w, 1\).*Take FullyConvolutional."):
        SemiSupervisedGame(segmentor(), LargeFOV(K, width=1 / 32))
