"""The game: its step against one written out, who moves whom, what the discriminator sees, files, and replicas."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.game import AdversarialGame, SegmentationGame
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.models.discriminators import FullyConvolutional, LargeFOV, PatchGAN, SmallFOV
from tests.kseg.replicas_case import K, discriminator, pairs, segmentor, train

IMAGES, IDS = pairs()
ROOT = pathlib.Path(__file__).resolve().parents[2]


def made(batch_normalization=False, **arguments) -> SegmentationGame:
    """A small game with weights drawn from one seed."""
    keras.utils.set_random_seed(3)
    return SegmentationGame(segmentor(batch_normalization), discriminator(batch_normalization), **arguments)


def compiled(game, learning_rate=0.2, discriminator_learning_rate=0.3) -> SegmentationGame:
    game.compile(
        keras.optimizers.SGD(learning_rate),
        keras.optimizers.SGD(discriminator_learning_rate),
        loss=CrossEntropy(ignore_class=255),
        metrics=[ConfusionMatrix(K)],
    )
    return game


def weights_of(network) -> list[np.ndarray]:
    return [weight.numpy() for weight in network.weights]


def one_step(game) -> dict[str, float]:
    """Trains on all pairs as one batch."""
    history = game.fit(IMAGES, IDS, batch_size=len(IMAGES), shuffle=False, verbose=0).history
    return {name: values[0] for name, values in history.items()}


def assert_equal(ours, theirs, atol=0.0):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("objective", ["non_saturating", "minimax"])
@pytest.mark.parametrize("batch_normalization", [False, True])
def test_a_step_equals_two_passes_written_out(objective, batch_normalization):
    game = compiled(made(batch_normalization, weight=0.7, objective=objective))
    again = made(batch_normalization, weight=0.7)
    s, d = again.segmentor, again.discriminator
    valid = (IDS != 255)[..., None].astype(np.float32)
    truth = tf.constant(IDS[..., None] == np.arange(K), tf.float32)
    images = tf.constant(IMAGES)

    # First pass: the discriminator, against a prediction that is a constant.
    prediction = tf.nn.softmax(s(images, training=True)) * valid
    with tf.GradientTape() as tape:
        real, fake = d([images, truth], training=True), d([images, prediction], training=True)
        d_loss = tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))
    for variable, gradient in zip(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables), strict=True):
        variable.assign_sub(0.3 * gradient)
    d_after = weights_of(d)

    # Second pass: the segmentor, forward once more, against the discriminator as it is now.
    with tf.GradientTape() as tape:
        logits = s(images, training=True)
        ids = np.where(IDS == 255, 0, IDS).astype(np.int32)
        pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits) * valid[..., 0]
        task = tf.reduce_mean(tf.reduce_sum(pixels, [1, 2]) / np.maximum(valid.sum((1, 2, 3)), 1))
        judged = d([images, tf.nn.softmax(logits) * valid], training=True)
        adversarial = tf.nn.softplus(-judged) if objective == "non_saturating" else -tf.nn.softplus(judged)
        adversarial = tf.reduce_mean(adversarial)
        loss = task + 0.7 * adversarial
    for variable, gradient in zip(s.trainable_variables, tape.gradient(loss, s.trainable_variables), strict=True):
        variable.assign_sub(0.2 * gradient)

    logs = one_step(game)
    ours = [variable.numpy() for variable in game.segmentor.trainable_variables]
    assert_equal(ours, [variable.numpy() for variable in s.trainable_variables], atol=1e-5)
    assert_equal(weights_of(game.discriminator), d_after, atol=1e-5)  # moving statistics are those of its own half
    assert logs["loss"] == pytest.approx(float(task), abs=1e-5)
    assert logs["adversarial_loss"] == pytest.approx(float(adversarial), abs=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(float(d_loss), abs=1e-5)
    right = np.concatenate([real.numpy() > 0, fake.numpy() <= 0]).mean()
    assert logs["discriminator_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("still", ["segmentor", "discriminator"])
def test_neither_half_moves_the_other_network(still):
    """One optimizer's steps have length 0: whatever then moves that network came from the other half."""
    rates = {"segmentor": (0.0, 0.3), "discriminator": (0.2, 0.0)}[still]
    game = compiled(made(weight=5.0), *rates)
    other = {"segmentor": game.discriminator, "discriminator": game.segmentor}[still]
    before, other_before = weights_of(getattr(game, still)), weights_of(other)
    one_step(game)
    assert_equal(weights_of(getattr(game, still)), before)
    assert all((after != start).any() for after, start in zip(weights_of(other), other_before, strict=True))


def test_the_segmentors_half_leaves_the_discriminators_moving_statistics_alone():
    game = made(batch_normalization=True)
    before = weights_of(game.discriminator)
    _, _, fake = game.play(IMAGES, IDS)
    game._adversarial(fake)
    assert_equal(weights_of(game.discriminator), before)


def test_with_weight_0_the_segmentor_trains_bit_for_bit_as_it_would_alone():
    game = compiled(made(batch_normalization=True, weight=0.0))
    alone = made(batch_normalization=True).segmentor
    alone.compile(keras.optimizers.SGD(0.2), CrossEntropy(ignore_class=255), metrics=[ConfusionMatrix(K)])
    judge_before = weights_of(game.discriminator)
    settings = {"batch_size": 4, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (IMAGES, IDS)}
    ours, theirs = game.fit(IMAGES, IDS, **settings).history, alone.fit(IMAGES, IDS, **settings).history
    assert_equal(weights_of(game.segmentor), weights_of(alone))
    assert {name: ours[name] for name in theirs} == theirs
    assert (weights_of(game.discriminator)[0] != judge_before[0]).any()  # it goes on learning to judge


def test_void_pixels_change_nothing_that_the_discriminator_sees():
    game = made()
    void = IDS == 255
    assert 0 < void.mean() < 1
    bias = game.segmentor.get_layer("logits").bias
    _, (image, truth), (image_again, prediction) = game.play(IMAGES, IDS)
    assert (truth.numpy()[void] == 0).all() and (prediction.numpy()[void] == 0).all()
    np.testing.assert_allclose(truth.numpy()[~void].sum(axis=-1), 1)
    np.testing.assert_allclose(prediction.numpy()[~void].sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(image, image_again)

    bias.assign_add([9.0, -9.0, 0.0])  # another prediction everywhere
    _, _, (_, other) = game.play(IMAGES, IDS)
    assert (other.numpy()[~void] != prediction.numpy()[~void]).any()
    np.testing.assert_array_equal(other.numpy()[void], prediction.numpy()[void])


def test_where_every_pixel_has_a_class_nothing_is_masked():
    ids = np.where(IDS == 255, 0, IDS)
    _, (_, truth), (_, prediction) = made(ignore_class=None).play(IMAGES, ids[..., None])
    np.testing.assert_array_equal(truth, np.eye(K)[ids])
    np.testing.assert_allclose(prediction.numpy().sum(axis=-1), 1, rtol=1e-5)


def test_label_stride_averages_what_is_not_void_over_squares():
    images = np.arange(2 * 3 * 3, dtype=np.float32).reshape(1, 2, 3, 3)
    ids = np.array([[[0, 1, 2], [0, 255, 2]]])
    _, (image, truth), (_, prediction) = made(label_stride=2).play(images, ids)
    np.testing.assert_allclose(image[0, 0, 0], images[0, :2, :2].mean(axis=(0, 1)))
    np.testing.assert_allclose(image[0, 0, 1], images[0, :2, 2].mean(axis=0))
    np.testing.assert_allclose(truth, [[[[0.5, 0.25, 0], [0, 0, 1]]]])
    np.testing.assert_allclose(prediction.numpy().sum(axis=-1), [[[0.75, 1]]], rtol=1e-5)


def test_penalties_enter_the_half_of_their_own_network():
    plain, game = compiled(made()), compiled(made())
    game.segmentor.layers[-1].kernel.regularizer = lambda kernel: keras.ops.convert_to_tensor(10.0)
    game.discriminator.layers[-1].kernel.regularizer = lambda kernel: keras.ops.convert_to_tensor(20.0)
    expected, logs = one_step(plain), one_step(game)
    assert logs["loss"] == pytest.approx(expected["loss"] + 10)
    assert logs["discriminator_loss"] == pytest.approx(expected["discriminator_loss"] + 20)
    assert logs["adversarial_loss"] == pytest.approx(expected["adversarial_loss"])


def test_fit_logs_the_game_and_evaluate_and_predict_the_segmentor():
    game = compiled(made())
    own = {"discriminator_loss", "adversarial_loss", "discriminator_accuracy"}
    history = game.fit(IMAGES, IDS, batch_size=4, epochs=2, validation_data=(IMAGES, IDS), verbose=0).history
    assert set(history) == own | {"loss", "mean_iou", "val_loss", "val_mean_iou"}
    assert all(np.isfinite(values).all() for values in history.values())

    evaluated = game.evaluate(IMAGES, IDS, batch_size=3, return_dict=True, verbose=0)
    assert set(evaluated) == {"loss", "mean_iou"}
    assert evaluated == pytest.approx({name: history[f"val_{name}"][-1] for name in evaluated})
    expected = game.segmentor(IMAGES, training=False)
    np.testing.assert_allclose(game.predict(IMAGES, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(evaluated["loss"], CrossEntropy(ignore_class=255)(IDS, expected), rtol=1e-5)


@pytest.mark.parametrize("kind", ["game.keras", "game.weights.h5"])
def test_training_goes_on_from_a_file_as_if_it_had_not_stopped(kind, tmp_path):
    def adam():
        game = made(batch_normalization=True, weight=0.3, objective="minimax", label_stride=2)
        optimizers = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02, beta_1=0.5)
        game.compile(*optimizers, loss=CrossEntropy(255, class_weights=[1, 2, 3]), metrics=[ConfusionMatrix(K)])
        return game

    game = adam()
    one_step(game)
    if kind == "game.keras":
        game.save(tmp_path / kind)
        again = keras.saving.load_model(tmp_path / kind)
        names = ("weight", "objective", "ignore_class", "label_stride", "name")
        assert [getattr(again, name) for name in names] == [getattr(game, name) for name in names]
    else:
        game.save_weights(tmp_path / kind)
        again = adam()
        again.load_weights(tmp_path / kind)
    for _ in range(2):
        assert one_step(again) == one_step(game)
    assert_equal(weights_of(again), weights_of(game))
    assert int(again.discriminator_optimizer.iterations) == 3


def test_each_optimizer_is_built_on_its_own_network():
    game = made()
    game.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), loss=CrossEntropy(ignore_class=255))
    one_step(game)
    own = {"optimizer": game.segmentor, "discriminator_optimizer": game.discriminator}
    for name, network in own.items():
        assert len(getattr(game, name).variables) == 2 + 2 * len(network.trainable_variables)


def test_float16_scales_the_losses_of_both_halves():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        game = compiled(made(weight=0.5))
    finally:
        keras.config.set_dtype_policy("float32")
    in_float32 = compiled(made(weight=0.5))
    in_float32.set_weights(weights_of(game))
    logs, expected = one_step(game), one_step(in_float32)
    assert isinstance(game.discriminator_optimizer, keras.optimizers.LossScaleOptimizer)
    assert int(game.optimizer.iterations) == int(game.discriminator_optimizer.iterations) == 1
    assert_equal(weights_of(game), weights_of(in_float32), atol=2e-2)
    assert {name: logs[name] for name in ("loss", "discriminator_loss")} == pytest.approx(
        {name: expected[name] for name in ("loss", "discriminator_loss")}, rel=1e-2
    )


@pytest.mark.parametrize("batch_normalization, tolerance", [(False, 1e-5), (True, 2e-4)])
def test_two_replicas_equal_one(batch_normalization, tolerance, tmp_path):
    command = [sys.executable, ROOT / "tests" / "kseg" / "replicas_case.py", "mirrored", str(int(batch_normalization))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, tmp_path / "two.npz"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two, one = dict(np.load(tmp_path / "two.npz")), train("one", batch_normalization)
    assert (int(two.pop("replicas")), int(one.pop("replicas"))) == (2, 1)
    assert two.keys() == one.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=0, atol=tolerance, err_msg=name)


def test_the_game_is_abstract():
    game = AdversarialGame(segmentor(), discriminator(), weight=0.1)
    with pytest.raises(NotImplementedError, match=r"AdversarialGame must override `play`\."):
        game.play(IMAGES, IDS)


@pytest.mark.parametrize(
    ("encoding", "channels", "network", "input_shape"),
    [
        ("basic", K, LargeFOV, None),
        ("product", 3 * K, SmallFOV, None),
        ("scaling", K, PatchGAN, (None, None, 3)),
        ("scaling", K, FullyConvolutional, None),
    ],
)
def test_every_encoding_and_discriminator_plays(encoding, channels, network, input_shape):
    narrow = {"width": 1 / 32} if network in (LargeFOV, SmallFOV) else {"filters": 2}
    game = compiled(
        SegmentationGame(segmentor(), network(channels, input_shape=input_shape, **narrow), encoding=encoding)
    )
    before = weights_of(game.segmentor), weights_of(game.discriminator)
    logs = one_step(game)
    assert all(np.isfinite(value) for value in logs.values())
    for network_before, network_after in zip(before, (game.segmentor, game.discriminator), strict=True):
        assert any((old != new).any() for old, new in zip(network_before, weights_of(network_after), strict=True))


@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_void_pixels_are_zero_in_what_is_real_and_what_is_fake(encoding):
    channels = 3 * K if encoding == "product" else K
    game = SegmentationGame(segmentor(), LargeFOV(channels, width=1 / 32), encoding=encoding)
    _, real, fake = game.play(tf.constant(IMAGES), tf.constant(IDS))
    assert not real.numpy()[IDS == 255].any() and not fake.numpy()[IDS == 255].any()
    assert real.numpy()[IDS != 255].any(axis=-1).all()


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`objective` must be one of non_saturating, minimax. .*objective='hinge'"):
        made(objective="hinge")
    with pytest.raises(ValueError, match=r"`weight` must be at least 0. Received: weight=-1"):
        made(weight=-1)
    with pytest.raises(ValueError, match=r"`label_stride` must be a whole number of at least 1"):
        made(label_stride=0)
    image, label_map = keras.Input((None, None, 3)), keras.Input((None, None, K + 1))
    joined = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([image, label_map]))
    with pytest.raises(ValueError, match=r"one logit for each judgement.*output_shape=\(None, 2\)"):
        SegmentationGame(segmentor(), keras.Model([image, label_map], keras.layers.Dense(2)(joined)))
    with pytest.raises(ValueError, match=r"`encoding` must be one of basic, product, scaling. .*encoding='onehot'"):
        made(encoding="onehot")
    with pytest.raises(ValueError, match=r"label map \(B, H, W, 3\)\].*Received: inputs of shape .*None, 4\)"):
        SegmentationGame(segmentor(), keras.Model([image, label_map], keras.layers.Dense(1)(joined)))
    sgd = keras.optimizers.SGD()
    with pytest.raises(ValueError, match=r"`discriminator_optimizer` must be an optimizer of its own"):
        made().compile(sgd, sgd)
