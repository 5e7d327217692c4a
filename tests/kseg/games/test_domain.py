"""The game between domains: its step against the formula written out, and who sees what."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import DomainGame, Schedule
from kseg.models.discriminators import DomainClasses, FullyConvolutional, LargeFOV
from kseg.models.unet import UNet
from tests.kseg.games.replicas_case import K, discriminator, segmentor
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

TARGET = np.array([False, True, False, True, True, False, False, True])
SIDE_BY_SIDE = np.where(TARGET[:, None, None], 255, np.where(IDS == 255, 0, IDS)).astype(np.uint8)
PICTURES = tf.constant(IMAGES)


def make_game(judge=None, **settings):
    keras.utils.set_random_seed(3)
    network = segmentor()
    judge = judge() if judge else FullyConvolutional(K, base_filters=2)
    return DomainGame(network, judge, name="game", **{"weight": 3.0} | settings)


def fit(game, images=IMAGES, ids=SIDE_BY_SIDE):
    history = game.fit(images, ids, batch_size=len(images), shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


@pytest.mark.parametrize("judge", [None, lambda: LargeFOV(K, width=1 / 32)])
@pytest.mark.parametrize("maps", ["softmax", "entropy"])
def test_a_step_equals_the_papers_written_out(maps, judge):
    def again():
        return make_game(judge, maps=maps)

    game, learning = compile_game(again(), run_eagerly=True), again()
    s, d = learning.segmentor, learning.discriminator

    def seen(logits):
        p = tf.nn.softmax(logits)
        return -p * tf.math.log(p) / np.log(K) if maps == "entropy" else p

    def bce(logits, label):
        each = tf.nn.sigmoid_cross_entropy_with_logits(label * tf.ones_like(logits), logits)
        return tf.reduce_mean(tf.reshape(each, (len(IMAGES), -1)), axis=1)

    with tf.GradientTape() as tape:
        verdict = d(seen(s(PICTURES)))
        d_loss = tf.reduce_mean(tf.where(TARGET, bce(verdict, 0.0), bce(verdict, 1.0)))
    d_gradients = tape.gradient(d_loss, d.trainable_variables)
    with tf.GradientTape() as tape:
        logits = s(PICTURES)
        pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(
            np.where(SIDE_BY_SIDE == 255, 0, SIDE_BY_SIDE).astype(int), logits
        )
        task = tf.reduce_mean(tf.where(TARGET, 0.0, tf.reduce_mean(pixels, [1, 2])))
        adversarial = tf.reduce_mean(tf.where(TARGET, bce(d(seen(logits)), 1.0), 0.0))
        loss = task + 3.0 * adversarial
    gradients = tape.gradient(loss, s.trainable_variables)
    for rate, network, steps in ((RATE, s, gradients), (DISCRIMINATOR_RATE, d, d_gradients)):
        for variable, gradient in zip(network.trainable_variables, steps, strict=True):
            variable.assign_sub(rate * gradient)
    right = np.where(TARGET[:, None], np.reshape(verdict <= 0, (8, -1)), np.reshape(verdict > 0, (8, -1))).mean()

    logs = fit(game)
    assert_equal(weights_of(game.segmentor), weights_of(s), atol=1e-5)
    assert_equal(weights_of(game.discriminator), weights_of(d), atol=1e-5)
    expected = {"loss": task, "adversarial_loss": adversarial, "discriminator_loss": d_loss}
    assert {name: logs[name] for name in expected} == pytest.approx(
        {n: float(v) for n, v in expected.items()}, abs=1e-5
    )
    assert logs["discriminator_accuracy"] == pytest.approx(right, abs=1e-6)


def by_class():
    return DomainClasses(K, 6, base_filters=4)


def test_a_step_on_features_by_class_equals_the_paper_written_out():
    game, learning = (make_game(by_class, features="down1_conv") for _ in range(2))
    compile_game(game, run_eagerly=True)
    s, d = learning.segmentor, learning.discriminator
    deep = keras.Model(s.input, [s.output, s.get_layer("down1_conv").output])

    def cross_entropy(verdict, soft, first, second):
        labels = tf.concat([first * soft, second * soft], -1)
        return tf.reduce_mean(-tf.reduce_sum(labels * tf.nn.log_softmax(verdict), -1), axis=[1, 2])  # (B,)

    logits, features = deep(PICTURES)
    soft = tf.minimum(tf.nn.softmax(logits / 1.8), 0.9)
    with tf.GradientTape() as tape:
        verdict = d(features)
        of_both = tf.where(TARGET, cross_entropy(verdict, soft, 0, 1), cross_entropy(verdict, soft, 1, 0))
        d_loss = tf.reduce_mean(of_both) / 2
    d_gradients = tape.gradient(d_loss, d.trainable_variables)
    with tf.GradientTape() as tape:
        logits, features = deep(PICTURES)
        ids = np.where(SIDE_BY_SIDE == 255, 0, SIDE_BY_SIDE).astype(int)
        pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)
        task = tf.reduce_mean(tf.where(TARGET, 0.0, tf.reduce_mean(pixels, [1, 2])))
        adversarial = tf.reduce_mean(tf.where(TARGET, cross_entropy(d(features), soft, 1, 0), 0.0))
        loss = task + 3.0 * adversarial
    gradients = tape.gradient(loss, s.trainable_variables)
    for rate, network, steps in ((RATE, s, gradients), (DISCRIMINATOR_RATE, d, d_gradients)):
        for variable, gradient in zip(network.trainable_variables, steps, strict=True):
            variable.assign_sub(rate * gradient)

    logs = fit(game)
    assert_equal(weights_of(game.segmentor), weights_of(s), atol=1e-5)
    assert_equal(weights_of(game.discriminator), weights_of(d), atol=1e-5)
    assert logs["adversarial_loss"] == pytest.approx(float(adversarial), abs=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(float(d_loss), abs=1e-5)
    assert 0 < logs["adversarial_share"] < 1 and 0 <= logs["discriminator_accuracy"] <= 1


def test_in_half_precision_features_are_judged_during_a_ramp():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        game = compile_game(make_game(by_class, features="down1_conv", schedule=Schedule(ramp=4)), run_eagerly=True)
    finally:
        keras.config.set_dtype_policy("float32")
    game.step.assign(2)
    logs = fit(game)
    assert all(np.isfinite(value) for value in logs.values()) and logs["adversarial_share"] > 0


def test_coarse_features_are_judged_by_the_mean_of_their_pixels_and_resume_from_a_file(tmp_path):
    keras.utils.set_random_seed(3)
    network = UNet(K, filters=(4, 6))
    judge = DomainClasses(K, 6, base_filters=4)
    game = compile_game(DomainGame(network, judge, features="bottom_relu2"))
    assert np.isfinite(fit(game)["loss"])
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    assert fit(again) == fit(game)
    assert_equal(weights_of(again), weights_of(game))


def test_the_discriminator_learns_from_both_and_the_segmentor_is_taught_by_source_labels_alone():
    games = []
    for images in (IMAGES, np.where(TARGET[:, None, None, None], 255 - IMAGES, IMAGES)):
        game = compile_game(make_game(weight=0.0))
        fit(game, images)
        games.append(game)
    assert_equal(weights_of(games[0].segmentor), weights_of(games[1].segmentor))
    assert moved(weights_of(games[0].discriminator), weights_of(games[1].discriminator))


@pytest.mark.parametrize("schedule", [Schedule(pretrain_discriminator=9), Schedule(alternate_every=1)])
def test_who_does_not_learn_stays_bit_for_bit(schedule):
    game = compile_game(make_game(schedule=schedule), run_eagerly=True)
    game.step.assign(1)
    before = weights_of(game.segmentor), weights_of(game.discriminator)
    fit(game)
    fixed = 0 if schedule.pretrain_discriminator else 1
    assert_equal(weights_of((game.segmentor, game.discriminator)[fixed]), before[fixed])
    assert moved(weights_of((game.segmentor, game.discriminator)[1 - fixed]), before[1 - fixed])


def test_entropy_maps_by_hand():
    game = make_game(maps="entropy")
    game.segmentor.get_layer("logits").set_weights([np.zeros((1, 1, 6, K)), np.log([0.5, 0.25, 0.25])])
    _, _, maps = game.play(PICTURES, SIDE_BY_SIDE)
    expected = np.array([0.5 * np.log(2), 0.25 * np.log(4), 0.25 * np.log(4)]) / np.log(3)
    np.testing.assert_allclose(maps, np.broadcast_to(expected, maps.shape), rtol=1e-5)


def test_a_single_class_has_no_entropy():
    one = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1, 1)])
    _, _, maps = DomainGame(one, FullyConvolutional(1, base_filters=2), maps="entropy").play(PICTURES, None)
    np.testing.assert_array_equal(maps, 0)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`maps` must be one of softmax, entropy. Received: maps='logits'"):
        make_game(maps="logits")
    with pytest.raises(ValueError, match=r"`ignore_class` must be an id"):
        make_game(ignore_class=None)
    with pytest.raises(ValueError, match=r"`features` must name a layer.*features=None, .*6\)"):
        make_game(by_class)
    for given in ({"objective": "least_squares"}, {"label_smoothing": 0.1}):
        with pytest.raises(ValueError, match=r"must be left out on features.*with features='down1_conv'"):
            make_game(by_class, features="down1_conv", **given)
    for name, value in (("formulation", "gambler"), ("encoding", "product"), ("apart", False)):
        with pytest.raises(ValueError, match=rf"`{name}` must be left out between domains.*Received: {name}={value!r}"):
            make_game(**{name: value})
    with pytest.raises(ValueError, match=r"`features` must name a layer.*features='down1_conv'"):
        make_game(features="down1_conv")
    with pytest.raises(
        ValueError, match=r"as many channels as the features have.*None, 6\), features of shape .*, 3\)"
    ):
        make_game(by_class, features="logits")
    with pytest.raises(ValueError, match=r"or on features one for each class of each domain, \(B, h, w, 6\)"):
        make_game(lambda: LargeFOV(K, width=1 / 32, logits=2))
    with pytest.raises(ValueError, match=r"must take the maps alone.*Received: 2 inputs"):
        make_game(discriminator)


def test_each_domain_is_normalised_by_itself():
    keras.utils.set_random_seed(3)
    game = DomainGame(segmentor(batch_normalization=True), FullyConvolutional(K, base_filters=2))
    alone = segmentor(batch_normalization=True)
    alone.set_weights(game.segmentor.get_weights())
    other = PICTURES + 90.0  # a brighter target
    logits, _, _ = game.play(tf.concat([PICTURES, other], 0), None)
    for half, images in zip(np.split(logits, 2), (PICTURES, other), strict=True):
        np.testing.assert_allclose(half, alone(images, training=True), atol=1e-5)
    assert_equal(weights_of(game.segmentor), weights_of(alone), atol=1e-5)  # moving statistics follow both


def test_a_batch_of_one_image_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="must hold images of both kinds"):
        make_game().play(PICTURES[:1], None)
