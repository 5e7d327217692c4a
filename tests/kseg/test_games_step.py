"""The step of a game: against one written out with a tape for each half, for every objective, turn and kind of discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import AdversarialGame, Schedule
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.models.discriminators import FullyConvolutional, PatchGAN, SmallFOV
from tests.kseg.replicas_case import K, discriminator, segmentor
from tests.kseg.small_game import (
    DISCRIMINATOR_RATE,
    IDS,
    IMAGES,
    RATE,
    assert_equal,
    compiled,
    made,
    moved,
    one_step,
    weights_of,
)

PICTURES = tf.constant(IMAGES)
VALID = (IDS != 255)[..., None].astype(np.float32)
TRUTH = tf.constant(IDS[..., None] == np.arange(K), tf.float32)
IN_TURN = {
    "both": Schedule(),
    "player": Schedule(alternate_every=1),  # at its second step
    "discriminator": Schedule(pretrain_discriminator=9),
    "player_alone": Schedule(pretrain_player=9),
}


def bce(logits, label):
    return tf.nn.sigmoid_cross_entropy_with_logits(label * tf.ones_like(logits), logits)


OBJECTIVES = {  # written as the papers do: of real, with its label; of fake; the player's
    "non_saturating": (bce, lambda f: bce(f, 0.0), lambda f: bce(f, 1.0)),
    "minimax": (bce, lambda f: bce(f, 0.0), lambda f: -bce(f, 0.0)),
    "least_squares": (lambda f, label: (f - label) ** 2 / 2, lambda f: f**2 / 2, lambda f: (f - 1) ** 2 / 2),
    "hinge": (lambda f, label: tf.maximum(0.0, 1 - f), lambda f: tf.maximum(0.0, 1 + f), lambda f: -f),
}


def written_out(again, objective, weight, smoothing=0.0, turn="both"):
    """One step of SGD with a tape for each half; every half has networks of its own, so neither can touch the other's.

    `again` makes the game anew. Returns the weights of both networks after the step, and the losses.
    """
    of_real, of_fake, of_player = OBJECTIVES[objective]
    learning, judging = again(), again()

    s, d = judging.segmentor, judging.discriminator
    prediction = tf.nn.softmax(s(PICTURES, training=True)) * VALID
    with tf.GradientTape() as tape:
        real, fake = d([PICTURES, TRUTH], training=True), d([PICTURES, prediction], training=True)
        d_loss = tf.reduce_mean(of_real(real, 1 - smoothing)) + tf.reduce_mean(of_fake(fake))
    for variable, gradient in zip(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables), strict=True):
        variable.assign_sub(DISCRIMINATOR_RATE * gradient)

    s, d = learning.segmentor, learning.discriminator
    with tf.GradientTape() as tape:
        logits = s(PICTURES, training=True)
        ids = np.where(IDS == 255, 0, IDS).astype(np.int32)
        pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits) * VALID[..., 0]
        task = tf.reduce_mean(tf.reduce_sum(pixels, [1, 2]) / np.maximum(VALID.sum((1, 2, 3)), 1))
        d([PICTURES, TRUTH], training=True)  # some networks remember what they saw first
        adversarial = tf.reduce_mean(of_player(d([PICTURES, tf.nn.softmax(logits) * VALID], training=True)))
        loss = task if turn == "player_alone" else task + weight * adversarial
    for variable, gradient in zip(s.trainable_variables, tape.gradient(loss, s.trainable_variables), strict=True):
        variable.assign_sub(RATE * gradient)

    untouched = again()
    player = untouched if turn == "discriminator" else learning
    judge = judging if turn in ("both", "discriminator") else untouched
    boundary = 0.5 if objective == "least_squares" else 0.0
    right = np.concatenate([np.ravel(real > boundary), np.ravel(fake <= boundary)]).mean()
    losses = {"loss": task, "adversarial_loss": adversarial, "discriminator_loss": d_loss}
    logs = {name: float(value) for name, value in losses.items()} | {"discriminator_accuracy": right}
    return weights_of(player.segmentor), weights_of(judge.discriminator), logs


def patches(batch_normalization=False):
    """Logits for a map of patches."""
    return PatchGAN(K, filters=2, layers_between=1, batch_normalization=batch_normalization)


def spectral():
    return SmallFOV(K, input_shape=(None, None, 3), width=1 / 32, spectral_normalization=True)


JUDGES = {
    "one_pass": discriminator,
    "batch_normalization": lambda: discriminator(batch_normalization=True),
    "map_of_logits": patches,
    "spectral_normalization": spectral,
}


def check(judge, objective, turn, weight=0.7, label_smoothing=0.0, batch_normalization=False, **settings):
    def again():
        return made(batch_normalization, JUDGES[judge], weight=weight, objective=objective, schedule=IN_TURN[turn],
                    label_smoothing=label_smoothing)  # fmt: skip

    game = compiled(again(), **{"run_eagerly": True} | settings)  # tracing is what takes long
    if turn == "player":
        game.step.assign(1)
    player, judge_after, expected = written_out(again, objective, weight, label_smoothing, turn)
    logs = one_step(game)
    assert_equal(weights_of(game.segmentor), player, atol=1e-5)
    assert_equal(weights_of(game.discriminator), judge_after, atol=1e-5)
    if turn == "player_alone":
        assert set(logs) == {"loss", "mean_iou"}
    else:
        assert {name: logs[name] for name in expected} == pytest.approx(expected, abs=1e-5, rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("judge", JUDGES)
def test_a_step_equals_two_passes_written_out(judge, objective):
    check(judge, objective, "both", batch_normalization=judge == "batch_normalization")


@pytest.mark.parametrize("turn", ["player", "discriminator", "player_alone"])
@pytest.mark.parametrize("judge", ["one_pass", "batch_normalization", "spectral_normalization"])
def test_a_step_of_one_network_equals_that_half_written_out_and_leaves_the_other_bit_for_bit(judge, turn):
    check(judge, "non_saturating", turn, batch_normalization=judge == "batch_normalization")
    schedule = IN_TURN[turn]
    game = compiled(made(True, JUDGES[judge], schedule=schedule), run_eagerly=True)
    game.step.assign(int(turn == "player"))
    still = game.segmentor if turn == "discriminator" else game.discriminator
    before = weights_of(still)
    one_step(game)
    assert_equal(weights_of(still), before)


@pytest.mark.parametrize("objective", ["non_saturating", "minimax", "least_squares"])
@pytest.mark.parametrize("judge", ["one_pass", "map_of_logits"])
def test_label_smoothing_lowers_the_label_of_what_is_real_alone(judge, objective):
    check(judge, objective, "both", label_smoothing=0.1)


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_pass_serves_both_halves_where_an_image_has_no_weight_in_one_of_them(objective, logit, monkeypatch):
    def certain():
        network = discriminator()
        network.layers[-1].bias.assign([logit])
        network.layers[-1].kernel.assign(network.layers[-1].kernel * 1e-4)
        return network

    monkeypatch.setitem(JUDGES, "certain", certain)
    check("certain", objective, "both", weight=0.01)


def test_compiled_by_xla_the_step_is_the_same():
    settings = {"run_eagerly": False, "jit_compile": True}
    check("one_pass", "non_saturating", "both", **settings)
    check("batch_normalization", "minimax", "both", batch_normalization=True, **settings)


@pytest.mark.parametrize("turn", IN_TURN)
def test_as_a_graph_the_step_is_the_same(turn):
    check("one_pass", "non_saturating", turn, run_eagerly=False)


@pytest.mark.parametrize("judge", ["one_pass", "batch_normalization", "map_of_logits"])
@pytest.mark.parametrize("still", ["segmentor", "discriminator"])
def test_neither_half_moves_the_other_network(still, judge):
    """One optimizer's steps have length 0: whatever then moves that network's parameters came from the other half."""
    rates = {"segmentor": (0.0, 0.3), "discriminator": (0.2, 0.0)}[still]
    game = compiled(made(judge=JUDGES[judge], weight=5.0), *rates, run_eagerly=True)
    network = getattr(game, still)
    other = game.discriminator if still == "segmentor" else game.segmentor
    before, other_before = [v.numpy() for v in network.trainable_variables], weights_of(other)
    one_step(game)
    assert_equal([v.numpy() for v in network.trainable_variables], before)
    assert moved(other_before, weights_of(other))


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_with_weight_0_the_segmentor_trains_bit_for_bit_as_it_would_alone(batch_normalization):
    game = compiled(made(batch_normalization, weight=0.0))
    alone = made(batch_normalization).segmentor
    alone.compile(keras.optimizers.SGD(RATE), CrossEntropy(ignore_class=255), metrics=[ConfusionMatrix(K)])
    judge_before = weights_of(game.discriminator)
    settings = {"batch_size": 3, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (IMAGES, IDS)}
    ours, theirs = game.fit(IMAGES, IDS, **settings).history, alone.fit(IMAGES, IDS, **settings).history
    assert_equal(weights_of(game.segmentor), weights_of(alone))
    assert {name: ours[name] for name in theirs} == theirs
    assert moved(judge_before, weights_of(game.discriminator))  # it goes on learning to judge


def test_penalties_enter_the_half_of_their_own_network():
    plain, game = compiled(made(), run_eagerly=True), compiled(made(), run_eagerly=True)
    regularizer = keras.regularizers.L2(0.5)
    for network in (game.segmentor, game.discriminator):
        network.layers[-1].kernel.regularizer = regularizer
    kernels = [network.layers[-1].kernel.numpy() for network in (game.segmentor, game.discriminator)]
    expected, logs = one_step(plain), one_step(game)
    for name, kernel in zip(("loss", "discriminator_loss"), kernels, strict=True):
        assert logs[name] == pytest.approx(expected[name] + 0.5 * (kernel**2).sum(), rel=1e-5)
    assert logs["adversarial_loss"] == pytest.approx(expected["adversarial_loss"])
    for name, rate, kernel in zip(("segmentor", "discriminator"), (RATE, DISCRIMINATOR_RATE), kernels, strict=True):
        after, without = (getattr(one, name).layers[-1].kernel.numpy() for one in (game, plain))
        np.testing.assert_allclose(without - after, rate * 2 * 0.5 * kernel, atol=1e-5)


def test_the_logs_hold_both_gradient_norms_and_the_share_of_the_verdict():
    game, again = compiled(made(weight=0.7), run_eagerly=True), made(weight=0.7)
    before = {name: weights_of(getattr(again, name)) for name in ("segmentor", "discriminator")}
    logs = one_step(game)
    for name, rate, log in (("segmentor", RATE, "gradient_norm"), ("discriminator", DISCRIMINATOR_RATE,
                                                                  "discriminator_gradient_norm")):  # fmt: skip
        steps = [old - new for old, new in zip(before[name], weights_of(getattr(game, name)), strict=True)]
        assert logs[log] == pytest.approx(np.sqrt(sum((step**2).sum() for step in steps)) / rate, rel=1e-4)

    with tf.GradientTape(persistent=True) as tape:
        logits, _, fake = again.play(tf.constant(IMAGES), tf.constant(IDS))
        task = tf.reduce_mean(CrossEntropy(ignore_class=255).call(tf.constant(IDS), logits))
        verdict = 0.7 * tf.reduce_mean(tf.nn.softplus(-again.discriminator(fake)))
    task, verdict = (float(tf.norm(tape.gradient(loss, logits))) for loss in (task, verdict))
    assert logs["adversarial_share"] == pytest.approx(verdict / (task + verdict), rel=1e-4)


def test_the_game_is_abstract():
    game = AdversarialGame(segmentor(), discriminator(), weight=0.1)
    with pytest.raises(NotImplementedError, match=r"AdversarialGame must override `play`\."):
        game.play(IMAGES, IDS)


def test_each_optimizer_is_built_on_its_own_network():
    game = made()
    game.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), loss=CrossEntropy(ignore_class=255))
    one_step(game)
    own = {"optimizer": game.segmentor, "discriminator_optimizer": game.discriminator}
    for name, network in own.items():
        assert len(getattr(game, name).variables) == 2 + 2 * len(network.trainable_variables)


@pytest.mark.parametrize(("precision", "tolerance"), [("mixed_float16", 2e-2), ("mixed_bfloat16", 5e-2)])
@pytest.mark.parametrize("judge", ["one_pass", "batch_normalization"])
def test_in_half_precision_a_step_is_nearly_the_same(precision, tolerance, judge):
    keras.config.set_dtype_policy(precision)
    try:
        game = compiled(made(judge=JUDGES[judge], weight=0.5), run_eagerly=True)
    finally:
        keras.config.set_dtype_policy("float32")
    in_float32 = compiled(made(judge=JUDGES[judge], weight=0.5), run_eagerly=True)
    in_float32.set_weights(weights_of(game))
    logs, expected = one_step(game), one_step(in_float32)
    for optimizer in (game.optimizer, game.discriminator_optimizer):
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == (precision == "mixed_float16")
        assert int(optimizer.iterations) == 1
    assert_equal(weights_of(game), weights_of(in_float32), atol=tolerance)
    assert {name: logs[name] for name in ("loss", "discriminator_loss", "gradient_norm")} == pytest.approx(
        {name: expected[name] for name in ("loss", "discriminator_loss", "gradient_norm")}, rel=tolerance
    )


def test_a_map_of_logits_for_each_pixel_plays():
    game = compiled(made(judge=lambda: FullyConvolutional(K, filters=2)), run_eagerly=True)
    assert all(np.isfinite(value) for value in one_step(game).values())
