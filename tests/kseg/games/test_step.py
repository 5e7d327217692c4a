"""The step of a game: against one written out with a tape for each half, for every objective, turn and kind of discriminator."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import AdversarialGame, Schedule
from kseg.games.step import can_share_backward_pass
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.models.discriminators import FullyConvolutional, PatchGAN, SmallFOV
from tests.kseg.games.replicas_case import K, discriminator, segmentor
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


def squares(maps, side):
    """Means over squares of `side` pixels, which divides both sides of the maps."""
    batch, height, width, channels = maps.shape
    return tf.reduce_mean(tf.reshape(maps, (batch, height // side, side, width // side, side, channels)), axis=[2, 4])


def shown(prediction, encoding, side):
    """What the judge sees of images, truth and prediction: two lists, as real and as fake."""
    real, fake = TRUTH, prediction
    if encoding == "product":
        real, fake = (tf.concat([maps * PICTURES[..., i, None] / 255 for i in range(3)], -1) for maps in (real, fake))
    elif encoding == "scaling":
        of_truth = tf.reduce_sum(TRUTH * tf.stop_gradient(prediction), -1, keepdims=True)
        most = tf.maximum(0.9, of_truth)
        real = (TRUTH * most + (1 - TRUTH) * tf.stop_gradient(prediction) * (1 - most) / (1 - of_truth)) * VALID
    image, real, fake = (squares(maps, side) for maps in (PICTURES, real, fake))
    return [image, real], [image, fake]


def two_passes(again, objective, weight, smoothing=0.0, turn="both", encoding="basic", side=1):
    """One step of SGD with a tape for each half; every half begins at the first weights, so neither can touch the other's.

    `again` makes the game anew. Returns the weights of both networks after the step, and the losses.
    """
    of_real, of_fake, of_player = OBJECTIVES[objective]
    game = again()
    s, d = game.segmentor, game.discriminator
    before = weights_of(s), weights_of(d)

    prediction = tf.nn.softmax(s(PICTURES, training=True)) * VALID
    with tf.GradientTape() as tape:
        real, fake = (d(pair, training=True) for pair in shown(prediction, encoding, side))
        d_loss = tf.reduce_mean(of_real(real, 1 - smoothing)) + tf.reduce_mean(of_fake(fake)) + sum(d.losses)
    for variable, gradient in zip(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables), strict=True):
        variable.assign_sub(DISCRIMINATOR_RATE * gradient)
    judge = weights_of(d)

    s.set_weights(before[0])
    d.set_weights(before[1])
    with tf.GradientTape() as tape:
        logits = s(PICTURES, training=True)
        ids = np.where(IDS == 255, 0, IDS).astype(np.int32)
        pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits) * VALID[..., 0]
        task = tf.reduce_mean(tf.reduce_sum(pixels, [1, 2]) / np.maximum(VALID.sum((1, 2, 3)), 1))
        as_real, as_fake = shown(tf.nn.softmax(logits) * VALID, encoding, side)
        d(as_real, training=True)  # some networks remember what they saw first
        adversarial = tf.reduce_mean(of_player(d(as_fake, training=True)))
        loss = task if turn == "player_alone" else task + weight * adversarial
    for variable, gradient in zip(s.trainable_variables, tape.gradient(loss, s.trainable_variables), strict=True):
        variable.assign_sub(RATE * gradient)

    player = before[0] if turn == "discriminator" else weights_of(s)
    judge = judge if turn in ("both", "discriminator") else before[1]
    boundary = 0.5 if objective == "least_squares" else 0.0
    right = np.concatenate([np.ravel(real > boundary), np.ravel(fake <= boundary)]).mean()
    losses = {"loss": task, "adversarial_loss": adversarial, "discriminator_loss": d_loss}
    logs = {name: float(value) for name, value in losses.items()} | {"discriminator_accuracy": right}
    return player, judge, logs


def patches(batch_normalization=False):
    """Logits for a map of patches."""
    return PatchGAN(K, base_filters=2, layers_between=1, batch_normalization=batch_normalization)


def spectral():
    return SmallFOV(K, input_shape=(None, None, 3), width=1 / 32, spectral_normalization=True)


def with_layer(layer):
    """The small judge with one more layer below its score."""
    network = discriminator()
    score = network.get_layer("score")
    return keras.Model(network.inputs, score(layer(score.input)))


def penalised():
    return with_layer(keras.layers.ActivityRegularization(l2=2.0))


def game_in(precision, **arguments):
    """A small game whose layers compute in `precision`."""
    keras.config.set_dtype_policy(precision)
    try:
        return compile_game(make_game(**arguments), run_eagerly=True)
    finally:
        keras.config.set_dtype_policy("float32")


def nested(network):
    return keras.Model(network.inputs, network(network.inputs))


JUDGES = {
    "one_pass": discriminator,
    "batch_normalization": lambda: discriminator(batch_normalization=True),
    "map_of_logits": patches,
    "spectral_normalization": spectral,
    "activity_penalty": penalised,
}


def check(judge, objective, turn, *, weight=0.7, schedule=None, step=None, share=1.0, run=None, **settings):
    """One step of the game is the written-out one, whose verdict weighs `share` of the weight."""
    schedule = schedule or IN_TURN[turn]

    def again():
        return make_game(judge=JUDGES[judge], weight=weight, objective=objective, schedule=schedule, **settings)

    game = compile_game(again(), **(run or {"run_eagerly": True}))  # tracing is what takes long
    game.step.assign(int(turn == "player") if step is None else step)
    seen = (
        settings.get("label_smoothing", 0.0),
        turn,
        settings.get("encoding", "basic"),
        settings.get("label_stride", 1),
    )
    player, judge_after, expected = two_passes(again, objective, weight * share, *seen)
    logs = train_one_step(game)
    assert_equal(weights_of(game.segmentor), player, atol=1e-5)
    assert_equal(weights_of(game.discriminator), judge_after, atol=1e-5)
    if turn == "player_alone":
        assert set(logs) == {"loss", "mean_iou"}
    else:
        assert {name: logs[name] for name in expected} == pytest.approx(expected, abs=1e-5, rel=1e-6)
    return player


def adversarial_part(judge, objective, turn="both", **settings):
    """How far the verdict alone moves the segmentor's weights in one step, as the written-out step has it."""

    def after(weight):
        def again():
            return make_game(judge=JUDGES[judge], weight=weight, objective=objective, **settings)

        return two_passes(again, objective, weight, 0.0, turn)[0]

    return max(np.abs(one - other).max() for one, other in zip(after(0.7), after(0.0), strict=True))


@pytest.mark.parametrize(
    ("judge", "objective"),
    [
        *[("one_pass", objective) for objective in OBJECTIVES],
        *[(judge, objective) for judge in JUDGES if judge != "one_pass" for objective in ("non_saturating", "hinge")],
    ],
)
def test_a_step_equals_two_passes_written_out(judge, objective):
    check(judge, objective, "both", batch_normalization=judge == "batch_normalization")


@pytest.mark.parametrize(
    ("judge", "once"),
    [
        (discriminator, True),
        (lambda: with_layer(keras.layers.LayerNormalization()), True),
        (penalised, True),  # whose gradients are taken apart
        *[(JUDGES[name], False) for name in ("batch_normalization", "map_of_logits", "spectral_normalization")],
        (lambda: nested(discriminator(batch_normalization=True)), False),
        (lambda: with_layer(keras.layers.Dropout(0.1)), False),
    ],
)
def test_one_pass_is_taken_where_nothing_but_an_images_own_logit_depends_on_it(judge, once):
    assert can_share_backward_pass(compile_game(make_game(judge=judge))) == once


@pytest.mark.parametrize(("precision", "once"), [("mixed_float16", False), ("mixed_bfloat16", True)])
def test_one_pass_is_not_taken_where_losses_are_scaled(precision, once):
    assert can_share_backward_pass(game_in(precision)) == once


TURNED = [
    *[("one_pass", objective, turn) for objective in OBJECTIVES for turn in ("player", "discriminator")],
    ("one_pass", "non_saturating", "player_alone"),
    *[
        (judge, "non_saturating", turn)
        for judge in ("batch_normalization", "spectral_normalization")
        for turn in ("player", "discriminator", "player_alone")
    ],
]


@pytest.mark.parametrize(("judge", "objective", "turn"), TURNED)
def test_a_step_of_one_network_equals_that_half_written_out_and_leaves_the_other_bit_for_bit(judge, objective, turn):
    check(judge, objective, turn, batch_normalization=judge == "batch_normalization")
    game = compile_game(make_game(True, JUDGES[judge], objective=objective, schedule=IN_TURN[turn]), run_eagerly=True)
    game.step.assign(int(turn == "player"))
    fixed = game.segmentor if turn == "discriminator" else game.discriminator
    before = weights_of(fixed)
    train_one_step(game)
    assert_equal(weights_of(fixed), before)


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("turn", ["both", "player"])
@pytest.mark.parametrize("judge", ["one_pass", "batch_normalization"])
def test_during_the_ramp_the_adversarial_loss_has_its_share_of_the_weight(judge, turn, step):
    schedule = Schedule(ramp=4, alternate_every=int(turn == "player"))
    check(judge, "non_saturating", turn, weight=2.8, schedule=schedule, step=step, share=step / 4)


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("objective", ["non_saturating", "hinge"])
@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_the_adversarial_gradient_passes_through_every_encoding_and_label_stride(
    encoding, objective, side, monkeypatch
):
    monkeypatch.setitem(JUDGES, "encoded", lambda: discriminator(maps=3 * K if encoding == "product" else K))
    check("encoded", objective, "both", weight=7.0, encoding=encoding, label_stride=side)


@pytest.mark.parametrize("objective", ["non_saturating", "minimax", "least_squares"])
@pytest.mark.parametrize("judge", ["one_pass", "map_of_logits"])
def test_label_smoothing_lowers_the_label_of_the_real_alone(judge, objective):
    check(judge, objective, "both", label_smoothing=0.1)


def certain(logit):
    """The small judge, its logits near `logit`; for 0, that of what the segmentor makes of the first image is 0 exactly."""

    def judge():
        game = make_game()
        network, bias = game.discriminator, game.discriminator.get_layer("score").bias
        bias.assign([logit])
        if logit == 0:
            bias.assign(-network(game.play(PICTURES, IDS)[2])[0])
            assert network(game.play(PICTURES, IDS)[2])[0] == 0
        return network

    return judge


@pytest.mark.parametrize(
    ("objective", "logit", "slope"),
    [
        ("non_saturating", -200.0, True),
        ("non_saturating", 200.0, False),
        ("minimax", -200.0, False),
        ("minimax", 200.0, True),
        ("least_squares", 0.0, True),
        ("hinge", -200.0, True),
        ("hinge", 200.0, True),
    ],
)
def test_one_pass_serves_both_halves_if_an_image_has_no_gradient_in_one_of_them(objective, logit, slope, monkeypatch):
    monkeypatch.setitem(JUDGES, "certain", certain(logit))
    moves = adversarial_part("certain", objective)
    assert moves > 1e-3 if slope else moves == 0
    check("certain", objective, "both")


def test_compiled_by_xla_the_step_is_the_same():
    run = {"run_eagerly": False, "jit_compile": True}
    assert compile_game(make_game(), **run).jit_compile is True  # False once deterministic operations were enabled
    check("one_pass", "non_saturating", "both", run=run)
    check("batch_normalization", "minimax", "both", batch_normalization=True, run=run)


@pytest.mark.parametrize("turn", IN_TURN)
def test_as_a_graph_the_step_is_the_same(turn):
    check("one_pass", "non_saturating", turn, run={"run_eagerly": False})


@pytest.mark.parametrize("judge", ["one_pass", "batch_normalization", "map_of_logits"])
@pytest.mark.parametrize("fixed", ["segmentor", "discriminator"])
def test_neither_half_moves_the_other_network(fixed, judge):
    """One optimizer's steps have length 0: whatever then moves that network's parameters came from the other half."""
    rates = {"segmentor": (0.0, 0.3), "discriminator": (0.2, 0.0)}[fixed]
    game = compile_game(make_game(judge=JUDGES[judge], weight=5.0), *rates, run_eagerly=True)
    network = getattr(game, fixed)
    other = game.discriminator if fixed == "segmentor" else game.segmentor
    before, other_before = [v.numpy() for v in network.trainable_variables], weights_of(other)
    train_one_step(game)
    assert_equal([v.numpy() for v in network.trainable_variables], before)
    assert moved(other_before, weights_of(other))


def penalise(network, where):
    """Makes every kernel cost something, and what the layer `where` gives."""
    regularizer = keras.regularizers.L2(1e-4)
    network.get_layer(where).activity_regularizer = regularizer
    for variable in network.trainable_variables:
        if variable.name == "kernel":
            variable.regularizer = regularizer


@pytest.mark.parametrize(
    ("batch_normalization", "penalised"),
    [
        (False, None),
        (True, None),
        (True, "down1_conv"),
        (False, "logits"),
        pytest.param(False, "down1_conv", marks=pytest.mark.slow),
        pytest.param(True, "logits", marks=pytest.mark.slow),
    ],
)
def test_with_weight_0_the_segmentor_trains_bit_for_bit_as_it_would_alone(batch_normalization, penalised):
    game, alone = make_game(batch_normalization, weight=0.0), make_game(batch_normalization).segmentor
    if penalised:
        penalise(game.segmentor, penalised)
        penalise(alone, penalised)
    compile_game(game)
    alone.compile(keras.optimizers.SGD(RATE), CrossEntropy(ignore_class=255), metrics=[ConfusionMatrix(K)])
    judge_before = weights_of(game.discriminator)
    settings = {"batch_size": 3, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (IMAGES, IDS)}
    ours, theirs = game.fit(IMAGES, IDS, **settings).history, alone.fit(IMAGES, IDS, **settings).history
    assert_equal(weights_of(game.segmentor), weights_of(alone), atol=1e-6 if penalised else 0)
    for name in theirs:
        assert ours[name] == (pytest.approx(theirs[name], rel=1e-5) if penalised else theirs[name])
    assert moved(judge_before, weights_of(game.discriminator))  # it goes on learning to judge


def test_penalties_enter_the_half_of_their_own_network():
    plain, game = compile_game(make_game(), run_eagerly=True), compile_game(make_game(), run_eagerly=True)
    regularizer = keras.regularizers.L2(0.5)
    for network in (game.segmentor, game.discriminator):
        network.layers[-1].kernel.regularizer = regularizer
    kernels = [network.layers[-1].kernel.numpy() for network in (game.segmentor, game.discriminator)]
    expected, logs = train_one_step(plain), train_one_step(game)
    for name, kernel in zip(("loss", "discriminator_loss"), kernels, strict=True):
        assert logs[name] == pytest.approx(expected[name] + 0.5 * (kernel**2).sum(), rel=1e-5)
    assert logs["adversarial_loss"] == pytest.approx(expected["adversarial_loss"])
    for name, rate, kernel in zip(("segmentor", "discriminator"), (RATE, DISCRIMINATOR_RATE), kernels, strict=True):
        after, without = (getattr(one, name).layers[-1].kernel.numpy() for one in (game, plain))
        np.testing.assert_allclose(without - after, rate * 2 * 0.5 * kernel, atol=1e-5)


def test_the_logs_hold_both_gradient_norms_and_the_adversarial_share():
    game, again = compile_game(make_game(weight=0.7), run_eagerly=True), make_game(weight=0.7)
    before = {name: weights_of(getattr(again, name)) for name in ("segmentor", "discriminator")}
    logs = train_one_step(game)
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
    game = make_game()
    game.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), loss=CrossEntropy(ignore_class=255))
    train_one_step(game)
    own = {"optimizer": game.segmentor, "discriminator_optimizer": game.discriminator}
    for name, network in own.items():
        assert len(getattr(game, name).variables) == 2 + 2 * len(network.trainable_variables)


def flat_steps(game):
    """The step that each network took, as one vector without biases; and the logs."""
    networks = {"player": game.segmentor, "judge": game.discriminator}
    # TensorFlow's CPU adds up a bias's gradient in bfloat16, of whose 8 bits few are then right.
    weights = {name: [v for v in one.trainable_variables if v.name != "bias"] for name, one in networks.items()}
    before = {name: [value.numpy() for value in values] for name, values in weights.items()}
    logs = train_one_step(game)
    steps = {name: map(np.subtract, values, before[name]) for name, values in weights.items()}
    return {name: np.concatenate([np.ravel(step) for step in values]) for name, values in steps.items()}, logs


def off(one, other):
    """How far a vector lies from another, as a share of the other's length."""
    return np.linalg.norm(one - other) / np.linalg.norm(other)


@pytest.mark.parametrize(
    ("precision", "step", "verdict", "log", "judge"),
    [
        *[
            ("mixed_float16", 0.02, 0.05, 0.002, judge)
            for judge in ("one_pass", "batch_normalization", "map_of_logits")
        ],
        ("mixed_bfloat16", 0.1, 0.2, 0.15, "one_pass"),
    ],
)
def test_in_half_precision_both_steps_and_the_adversarial_part_are_nearly_the_same(
    precision, step, verdict, log, judge
):
    steps, logs = {}, {}
    for kind in (precision, "float32"):
        for weight in (4.0, 0.0):
            game = game_in(kind, judge=JUDGES[judge], weight=weight)
            steps[kind, weight], logs[kind, weight] = flat_steps(game)
            for optimizer in (game.optimizer, game.discriminator_optimizer):
                assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == (kind == "mixed_float16")
                assert int(optimizer.iterations) == 1
    for network in ("player", "judge"):
        assert off(steps[precision, 4.0][network], steps["float32", 4.0][network]) < step
    of_verdict = [steps[kind, 4.0]["player"] - steps[kind, 0.0]["player"] for kind in (precision, "float32")]
    assert off(*of_verdict) < verdict
    names = ("loss", "discriminator_loss", "gradient_norm", "discriminator_gradient_norm", "adversarial_share")
    in_half, expected = ({name: logs[kind, 4.0][name] for name in names} for kind in (precision, "float32"))
    assert in_half == pytest.approx(expected, rel=log)


def test_weights_in_half_precision_train():
    logs = train_one_step(game_in("bfloat16", weight=4.0))
    assert all(np.isfinite(value) for value in logs.values()) and logs["discriminator_gradient_norm"] > 0


def test_a_map_of_logits_for_each_pixel_plays():
    game = compile_game(make_game(judge=lambda: FullyConvolutional(K, base_filters=2)), run_eagerly=True)
    assert all(np.isfinite(value) for value in train_one_step(game).values())
