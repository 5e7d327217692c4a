"""Formulations of the game: values by hand, and steps against their formulas written out with a tape for each half."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kseg.games import Schedule, SegmentationGame
from kseg.games.formulations import FORMULATIONS, Shown
from kseg.games.step import can_share_backward_pass
from kseg.losses import CrossEntropy
from kseg.models.discriminators import PatchGAN, SmallFOV, TwoBranch, UNet
from tests.kseg.games.replicas_case import K, bets, discriminator, segmentor
from tests.kseg.games.small_game import (
    DISCRIMINATOR_RATE,
    IDS,
    IMAGES,
    RATE,
    assert_equal,
    compile_game,
    make_game,
    moved,
    train_one_step,
    weights_of,
)
from tests.kseg.games.test_step import IN_TURN, PICTURES, VALID, bce, game_in, shown

OTHERS = ("embedding", "segan", "gambler")


def spectral():
    return SmallFOV(K, input_shape=(None, None, 3), width=1 / 32, spectral_normalization=True)


def normalised_patches():
    return PatchGAN(K, base_filters=2, layers_between=1)


SMALL_FOV = ["stage1_conv1", "stage1_conv2", "stage2_conv1", "stage2_conv2", "stage3_conv1"]
CASES = {  # formulation, network, and the layers that it compares
    "embedding": ("embedding", discriminator, ["joint_conv"]),
    "embedding_in_batches": ("embedding", normalised_patches, ["conv2"]),
    "segan": ("segan", spectral, [f"{name}_spectral" for name in SMALL_FOV]),
    "segan_in_batches": ("segan", normalised_patches, ["conv1", "conv2"]),
    "gambler": ("gambler", bets, []),
    "gambler_with_skips": ("gambler", lambda: UNet(K, base_filters=2, levels=3), []),
}
USUAL = {"embedding": discriminator, "segan": spectral, "gambler": bets}


def pixels(logits):
    """Cross-entropy of each pixel, (B, H, W)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(np.where(IDS == 255, 0, IDS).astype(np.int32), logits)


def adversarial_loss(formulation, d, names, logits, side):
    """The formula, and the opponent's loss."""
    real, fake = shown(tf.nn.softmax(logits) * VALID, "basic", side)
    if formulation == "gambler":
        wagers = tf.sigmoid(d(fake, training=True)) + 0.02
        wagers = tf.repeat(tf.repeat(wagers, side, 1), side, 2)[..., 0] * VALID[..., 0]
        n = VALID.sum((1, 2, 3))
        w = n[:, None, None] * wagers / tf.maximum(tf.reduce_sum(wagers, [1, 2], keepdims=True), 1e-9)
        a = tf.reduce_mean(tf.reduce_sum(w * pixels(logits), [1, 2]) / np.maximum(n, 1))
        return a, -a
    deep = keras.Model(d.inputs, [d.get_layer(name).output for name in names] + [d.output])
    again = d.name != "small_fov"  # spectral normalisation alone moves the kernels once
    (*of_real, on_real), (*of_fake, on_fake) = deep(real, training=True), deep(fake, training=again)
    pairs = list(zip(of_real, of_fake, strict=True))
    if formulation == "segan":
        a = sum(tf.reduce_mean(tf.abs(one - other)) for one, other in pairs)
        return a, -a
    ((e_real, e_fake),) = pairs
    a = tf.reduce_mean((tf.stop_gradient(e_real) - e_fake) ** 2)
    return a, tf.reduce_mean(bce(on_real, 1.0)) + tf.reduce_mean(bce(on_fake, 0.0))


def written_out(again, case, weight, turn, side):
    """One step of SGD with a tape for each half, which begins at the first weights; the weights of both, and the losses."""
    formulation, _, names = CASES[case]
    game = again()
    s, d = game.segmentor, game.discriminator
    before = weights_of(s), weights_of(d)
    logits = s(PICTURES, training=True)
    with tf.GradientTape() as tape:
        _, d_loss = adversarial_loss(formulation, d, names, logits, side)
    for variable, gradient in zip(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables), strict=True):
        variable.assign_sub(DISCRIMINATOR_RATE * (0.0 if gradient is None else gradient))
    judge = weights_of(d)

    s.set_weights(before[0])
    d.set_weights(before[1])
    with tf.GradientTape() as tape:
        logits = s(PICTURES, training=True)
        task = tf.reduce_sum(pixels(logits) * VALID[..., 0], [1, 2]) / np.maximum(VALID.sum((1, 2, 3)), 1)
        a, _ = adversarial_loss(formulation, d, names, logits, side)
        loss = tf.reduce_mean(task) + weight * a
    for variable, gradient in zip(s.trainable_variables, tape.gradient(loss, s.trainable_variables), strict=True):
        variable.assign_sub(RATE * gradient)
    player = before[0] if turn == "discriminator" else weights_of(s)
    judge = judge if turn in ("both", "discriminator") else before[1]
    logs = {"loss": tf.reduce_mean(task), "adversarial_loss": a, "discriminator_loss": d_loss}
    return player, judge, {n: float(v) for n, v in logs.items()}


def game_of(case, **settings):
    formulation, network, _ = CASES[case]
    return make_game(judge=network, formulation=formulation, **settings)


@pytest.mark.parametrize("turn", ["both", "player", "discriminator"])
@pytest.mark.parametrize("case", CASES)
def test_a_step_equals_the_formula_written_out_and_leaves_who_does_not_learn_bit_for_bit(case, turn):
    side = 2 if case in ("gambler", "segan") else 1

    def again():
        return game_of(case, weight=3.0, schedule=IN_TURN[turn], label_stride=side)

    game = compile_game(again(), run_eagerly=True)
    game.step.assign(int(turn == "player"))
    before = weights_of(game.segmentor), weights_of(game.discriminator)
    player, judge, expected = written_out(again, case, 3.0, turn, side)
    plain, _, _ = written_out(again, case, 0.0, turn, side)
    assert turn == "discriminator" or max(abs(a - b).max() for a, b in zip(player, plain, strict=True)) > 1e-4
    logs = train_one_step(game)
    assert_equal(weights_of(game.segmentor), player, atol=1e-5)
    assert_equal(weights_of(game.discriminator), judge, atol=1e-5)
    assert {name: logs[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert ("discriminator_accuracy" in logs) == case.startswith("embedding")
    if turn == "player":
        assert_equal(weights_of(game.discriminator), before[1])
    if turn == "discriminator":
        assert_equal(weights_of(game.segmentor), before[0])


@pytest.mark.parametrize("case", ["embedding", "segan_in_batches", "gambler"])
def test_in_float16_the_step_is_nearly_the_same(case):
    formulation, network, _ = CASES[case]
    after = []
    for precision in ("mixed_float16", "float32"):
        game = game_in(precision, judge=network, formulation=formulation, weight=3.0)
        before = weights_of(game.segmentor) + weights_of(game.discriminator)
        train_one_step(game)
        steps = map(np.subtract, weights_of(game.segmentor) + weights_of(game.discriminator), before)
        after.append(np.concatenate([np.ravel(step) for step in steps]))
        assert int(game.optimizer.iterations) == 1
    assert np.linalg.norm(after[0] - after[1]) < 0.05 * np.linalg.norm(after[1])


def test_a_zero_sum_game_takes_one_pass_with_any_network_and_the_embedding_loss_two():
    once = {case: can_share_backward_pass(compile_game(game_of(case))) for case in CASES}
    assert once == {case: not case.startswith("embedding") for case in CASES}


def by_hand(formulation, kernel):
    """A game whose opponent sees the map alone: a 1x1 convolution of `kernel`, and for the others its mean as a logit."""
    label_map = keras.Input((None, None, K), name="label_map")
    x = layers.Conv2D(1, 1, name="features")(label_map)
    if formulation != "gambler":
        x = layers.Dense(1, name="score")(layers.GlobalAveragePooling2D()(x))
    network = keras.Model(label_map, x)
    network.get_layer("features").set_weights([np.reshape(kernel, (1, 1, K, 1)), np.zeros(1)])
    return SegmentationGame(segmentor(), network, formulation=formulation)


def verdict(game, ids, logits):
    """The adversarial loss of (B, H, W) ids and (B, H, W, K) logits."""
    real, fake = game.discriminator_inputs(np.zeros((*np.shape(ids), 3), "float32"), np.array(ids), np.float32(logits))
    shown = Shown(real, fake, np.array(ids), np.float32(logits), (1.0, 1.0))
    return float(FORMULATIONS[game.formulation].judge(game, shown).adversarial_loss)


@pytest.mark.parametrize(
    ("formulation", "expected"), [("embedding", (16 + 1 + 25) / 9 / 4), ("segan", (4 + 1 + 5) / 3 / 4)]
)
def test_distances_of_features_by_hand(formulation, expected):
    # A prediction of thirds has the feature (1 + 2 + 4) / 3 = 7/3, and the true ones are 1, 2, 4; at the void pixel both are 0.
    game = by_hand(formulation, [1, 2, 4])
    assert verdict(game, [[[0, 1, 2, 255]]], np.zeros((1, 1, 4, K))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("formulation", ["embedding", "segan"])
def test_a_prediction_that_equals_the_truth_has_distance_0(formulation):
    ids = np.array([[[0, 1, 2, 255]]])
    assert verdict(by_hand(formulation, [1, 2, 4]), ids, 1000.0 * (ids[..., None] == np.arange(K))) == 0


@pytest.mark.parametrize("formulation", ["embedding", "segan"])
def test_so_it_has_from_the_first_step_on_where_spectral_normalisation_changes_the_kernels(formulation):
    game = make_game(judge=spectral, formulation=formulation)
    before = weights_of(game.discriminator)
    ids = np.where(IDS == 255, 255, 0)
    assert verdict(game, ids, 1000.0 * (ids[..., None] == np.arange(K))) == 0
    assert moved(weights_of(game.discriminator), before)


def test_bets_by_hand():
    # Two valid pixels of predictions (1/3, 1/3, 1/3) and (1/2, 1/4, 1/4), and losses log 3 and log 4: y is 0 and 1.
    logits = np.log([[[[1, 1, 1], [2, 1, 1], [5, 1, 1]]]])
    ids = [[[0, 1, 255]]]
    first, second = (1 / (1 + np.exp(-12 * p)) + 0.02 for p in (1 / 3, 1 / 2))
    expected = (first * np.log(3) + second * np.log(4)) / (first + second)
    assert verdict(by_hand("gambler", [12, 0, 0]), ids, logits) == pytest.approx(expected, rel=1e-5)
    equal = verdict(by_hand("gambler", [0, 0, 0]), ids, logits)  # a gambler that bets the same everywhere
    assert equal == pytest.approx(float(CrossEntropy()(np.array(ids), np.float32(logits))), rel=1e-5)
    assert verdict(by_hand("gambler", [12, 0, 0]), [[[255, 255, 255]]], logits) == 0


def test_bets_count_within_the_valid_pixels_of_each_image():
    game, draw = by_hand("gambler", [3, -2, 1]), np.random.default_rng(0)
    ids, logits = draw.integers(0, K, (2, 4, 6)), draw.normal(size=(2, 4, 6, K))
    half = ids.copy()
    half[0, :, 3:] = 255
    alone = [verdict(game, ids[:1, :, :3], logits[:1, :, :3]), verdict(game, ids[1:], logits[1:])]
    assert verdict(game, half, logits) == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("formulation", OTHERS)
def test_what_lies_under_void_pixels_changes_nothing(formulation):
    """Neither the loss nor a gradient, whatever is predicted there, and by whatever id it is void."""
    game = make_game(judge=USUAL[formulation], formulation=formulation)
    fixed = weights_of(game.discriminator)

    @tf.function(autograph=False)  # eagerly, an id that is none is refused
    def in_graph(ids, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            real, fake = game.discriminator_inputs(PICTURES, ids, logits)
            value = FORMULATIONS[formulation].judge(game, Shown(real, fake, ids, logits, (1.0, 1.0))).adversarial_loss
        return tape.gradient(value, logits), value

    def found(ids, logits):
        game.discriminator.set_weights(fixed)  # spectral normalisation moves some at each call
        return np.append(*in_graph(tf.constant(ids), tf.constant(logits, tf.float32)))

    logits, void = np.random.default_rng(0).normal(0, 2, (*IDS.shape, K)), IDS == 255
    expected = found(IDS, logits)
    assert np.isfinite(expected).all() and expected.any()
    np.testing.assert_array_equal(found(IDS, np.where(void[..., None], 9 - 5 * logits, logits)), expected)
    np.testing.assert_array_equal(found(np.where(void, np.uint8(77), IDS), logits), expected)


@pytest.mark.parametrize(
    "formulation", [pytest.param(name, marks=[pytest.mark.slow] * (name != "gambler")) for name in OTHERS]
)
def test_with_weight_0_the_segmentor_trains_bit_for_bit_as_alone(formulation):
    game = compile_game(make_game(True, USUAL[formulation], formulation=formulation, weight=0.0))
    before = weights_of(game.discriminator)
    alone = make_game(True).segmentor
    alone.compile(keras.optimizers.SGD(RATE), loss=CrossEntropy(ignore_class=255))
    for model in (game, alone):
        model.fit(IMAGES, IDS, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_equal(weights_of(game.segmentor), weights_of(alone))
    assert moved(weights_of(game.discriminator), before)  # it learned all the same


@pytest.mark.parametrize(
    "formulation", [pytest.param(name, marks=[pytest.mark.slow] * (name != "embedding")) for name in OTHERS]
)
def test_training_resumes_from_a_file_as_if_never_stopped(formulation, tmp_path):
    game = make_game(
        True, USUAL[formulation], formulation=formulation, weight=0.5, schedule=Schedule(ramp=4), label_stride=2
    )
    optimizers = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02, beta_1=0.5)
    game.compile(*optimizers, loss=CrossEntropy(ignore_class=255))
    train_one_step(game)
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    assert again.formulation == formulation
    for _ in range(2):
        assert train_one_step(again) == train_one_step(game)
    assert_equal(weights_of(again), weights_of(game))


def test_invalid_arguments_are_named():
    with pytest.raises(
        ValueError, match=r"`formulation` must be one of adversarial, embedding, segan, gambler.*='wgan'"
    ):
        make_game(formulation="wgan")
    with pytest.raises(ValueError, match=r"`objective` and `label_smoothing` must be left out.*objective='hinge'"):
        make_game(judge=bets, formulation="gambler", objective="hinge")
    with pytest.raises(ValueError, match=r"must be left out.*label_smoothing=0.1 with formulation='segan'"):
        make_game(judge=spectral, formulation="segan", label_smoothing=0.1)
    for network in (discriminator, normalised_patches):
        with pytest.raises(ValueError, match=r"must give a bet for each pixel.*Use kseg.discriminators.UNet"):
            make_game(judge=network, formulation="gambler")
    label_map = keras.Input((None, None, K))
    flat = keras.Model(label_map, layers.Conv2D(1, 1)(label_map), name="flat")
    with pytest.raises(ValueError, match=r"two or more layers with a kernel.*Received: flat with 1"):
        make_game(judge=lambda: flat, formulation="embedding")


def test_the_pipelines_discriminators_play_every_formulation():
    for formulation in ("embedding", "segan"):
        network = TwoBranch(K, width=1 / 32, spectral_normalization=formulation == "segan")
        game = compile_game(SegmentationGame(segmentor(), network, formulation=formulation))
        assert all(np.isfinite(value) for value in train_one_step(game).values())
