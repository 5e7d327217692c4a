"""The segmentation game: what the discriminator sees, logs, files, and refused arguments."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import Schedule, SegmentationGame
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.models.discriminators import FullyConvolutional, LargeFOV, PatchGAN, SmallFOV
from tests.kseg.games.replicas_case import K, discriminator, segmentor
from tests.kseg.games.small_game import IDS, IMAGES, assert_equal, compile_game, make_game, train_one_step, weights_of


def test_void_pixels_change_nothing_that_the_discriminator_sees():
    game = make_game()
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
    _, (_, truth), (_, prediction) = make_game(ignore_class=None).play(IMAGES, ids[..., None])
    np.testing.assert_array_equal(truth, np.eye(K)[ids])
    np.testing.assert_allclose(prediction.numpy().sum(axis=-1), 1, rtol=1e-5)


def test_label_stride_averages_what_is_not_void_over_squares():
    images = np.arange(2 * 3 * 3, dtype=np.float32).reshape(1, 2, 3, 3)
    ids = np.array([[[0, 1, 2], [0, 255, 2]]])
    _, (image, truth), (_, prediction) = make_game(label_stride=2).play(images, ids)
    np.testing.assert_allclose(image[0, 0, 0], images[0, :2, :2].mean(axis=(0, 1)))
    np.testing.assert_allclose(image[0, 0, 1], images[0, :2, 2].mean(axis=0))
    np.testing.assert_allclose(truth, [[[[0.5, 0.25, 0], [0, 0, 1]]]])
    np.testing.assert_allclose(prediction.numpy().sum(axis=-1), [[[0.75, 1]]], rtol=1e-5)


def test_fit_logs_the_game_and_evaluate_and_predict_the_segmentor():
    game = compile_game(make_game())
    own = {"discriminator_loss", "adversarial_loss", "discriminator_accuracy", "gradient_norm",
           "discriminator_gradient_norm", "adversarial_share"}  # fmt: skip
    history = game.fit(IMAGES, IDS, batch_size=4, epochs=2, validation_data=(IMAGES, IDS), verbose=0).history
    assert set(history) == own | {"loss", "mean_iou", "val_loss", "val_mean_iou"}
    assert all(np.isfinite(values).all() for values in history.values())

    evaluated = game.evaluate(IMAGES, IDS, batch_size=3, return_dict=True, verbose=0)
    assert set(evaluated) == {"loss", "mean_iou"} == set(game.test_on_batch(IMAGES, IDS, return_dict=True))
    assert evaluated == pytest.approx({name: history[f"val_{name}"][-1] for name in evaluated})
    expected = game.segmentor(IMAGES, training=False)
    np.testing.assert_allclose(game.predict(IMAGES, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(evaluated["loss"], CrossEntropy(ignore_class=255)(IDS, expected), rtol=1e-5)


@pytest.mark.parametrize("kind", ["game.keras", pytest.param("game.weights.h5", marks=pytest.mark.slow)])
def test_training_resumes_from_a_file_as_if_never_stopped(kind, tmp_path):
    def adam():
        settings = {"objective": "hinge", "label_stride": 2, "encoding": "scaling"}
        schedule = Schedule(pretrain_player=1, alternate_every=1, ramp=5)
        game = make_game(batch_normalization=True, weight=0.3, schedule=schedule, **settings)
        optimizers = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.02, beta_1=0.5)
        game.compile(*optimizers, loss=CrossEntropy(255, class_weights=[1, 2, 3]), metrics=[ConfusionMatrix(K)])
        return game

    game = adam()
    train_one_step(game)
    if kind == "game.keras":
        game.save(tmp_path / kind)
        again = keras.saving.load_model(tmp_path / kind)
        names = ("weight", "objective", "label_smoothing", "encoding", "ignore_class", "label_stride", "name")
        assert [getattr(again, name) for name in names] == [getattr(game, name) for name in names]
        assert again.schedule.get_config() == game.schedule.get_config()
    else:
        game.save_weights(tmp_path / kind)
        again = adam()
        again.load_weights(tmp_path / kind)
    for _ in range(3):
        assert train_one_step(again) == train_one_step(game)
    assert_equal(weights_of(again), weights_of(game))
    # The player alone, and then the discriminator, the player and the discriminator.
    assert (int(again.step), int(again.optimizer.iterations), int(again.discriminator_optimizer.iterations)) == (
        4,
        2,
        2,
    )


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
    narrow = {"width": 1 / 32} if network in (LargeFOV, SmallFOV) else {"base_filters": 2}
    game = compile_game(
        SegmentationGame(segmentor(), network(channels, input_shape=input_shape, **narrow), encoding=encoding)
    )
    before = weights_of(game.segmentor), weights_of(game.discriminator)
    logs = train_one_step(game)
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


def squares(maps, side):
    """Means over squares of maps of 12 x 12 pixels, the outer ones of which are smaller; (B, h, w, M)."""
    edges = {1: range(13), 2: range(0, 13, 2), 5: [0, 4, 9, 12]}[side]
    parts = [slice(*pair) for pair in itertools.pairwise(edges)]
    return np.array([[maps[:, i, j].mean(axis=(1, 2)) for j in parts] for i in parts]).transpose(2, 0, 1, 3)


def game_and_logits(encoding, side):
    """A game, and logits of no network."""
    judge = discriminator(maps=3 * K if encoding == "product" else K)
    game = make_game(judge=lambda: judge, encoding=encoding, label_stride=side)
    return game, np.random.default_rng(0).normal(0, 2, (*IDS.shape, K)).astype(np.float32)


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_predictions_at_void_pixels_are_invisible(encoding, side):
    game, logits = game_and_logits(encoding, side)
    void = (IDS == 255)[..., None]
    before, elsewhere, at_void = (
        [np.array(one) for one in keras.tree.flatten(game.discriminator_inputs(IMAGES, IDS, ops))]
        for ops in (logits, np.where(void, logits, -logits), np.where(void, -9 * logits, logits))
    )
    assert_equal(at_void, before)
    assert (elsewhere[-1] != before[-1]).any()


@pytest.mark.parametrize("side", [1, 2, 5])
@pytest.mark.parametrize("encoding", ["basic", "scaling"])
def test_each_square_of_both_maps_sums_to_its_share_of_labelled_pixels(encoding, side):
    game, logits = game_and_logits(encoding, side)
    (image, real), (_, fake) = game.discriminator_inputs(IMAGES, IDS, logits)
    share = squares((IDS != 255)[..., None], side)[..., 0]
    assert share.min() == 0 and share.max() == 1
    for maps in (real, fake):
        np.testing.assert_allclose(maps.numpy().sum(axis=-1), share, atol=1e-6)
    np.testing.assert_allclose(image, squares(IMAGES, side), rtol=1e-5)


def test_wrong_arguments_are_named():
    with pytest.raises(
        ValueError,
        match=r"`objective` must be one of non_saturating, minimax, least_squares, hinge. .*objective='wgan'",
    ):
        make_game(objective="wgan")
    with pytest.raises(
        ValueError, match=r"`label_smoothing` must be a number of at least 0 and below 1. Received: label_smoothing=1"
    ):
        make_game(label_smoothing=1)
    with pytest.raises(
        ValueError, match=r"0 with the hinge objective, which has no labels.*label_smoothing=0.1, objective='hinge'"
    ):
        make_game(label_smoothing=0.1, objective="hinge")
    for weight in (-1, "0.1", None):
        with pytest.raises(ValueError, match=f"`weight` must be a number of at least 0. Received: weight={weight!r}"):
            make_game(weight=weight)
    with pytest.raises(ValueError, match=r"`label_stride` must be an integer of at least 1"):
        make_game(label_stride=0)
    image, label_map = keras.Input((None, None, 3)), keras.Input((None, None, K + 1))
    joined = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([image, label_map]))
    with pytest.raises(ValueError, match=r"one logit per judgement.*output_shape=\(None, 2\)"):
        SegmentationGame(segmentor(), keras.Model([image, label_map], keras.layers.Dense(2)(joined)))
    with pytest.raises(ValueError, match=r"`encoding` must be one of basic, product, scaling. .*encoding='onehot'"):
        make_game(encoding="onehot")
    with pytest.raises(ValueError, match=r"label map \(B, H, W, 3\)\].*Received: inputs of shape .*None, 4\)"):
        SegmentationGame(segmentor(), keras.Model([image, label_map], keras.layers.Dense(1)(joined)))
    sgd = keras.optimizers.SGD()
    with pytest.raises(ValueError, match=r"`discriminator_optimizer` must not be the same object as `optimizer`"):
        make_game().compile(sgd, sgd)
    with pytest.raises(ValueError, match=r"`steps_per_execution` must be 1: .*Received: steps_per_execution=4"):
        make_game().compile("sgd", "sgd", steps_per_execution=4)


@pytest.mark.parametrize("ignore_class", [255, None])
@pytest.mark.parametrize("encoding", ["basic", "product", "scaling"])
def test_ids_outside_the_classes_are_void_for_the_discriminator(encoding, ignore_class):
    ids = np.where(IDS == 255, 0, IDS)
    ids[:, 3, 4], ids[:, 5, 6] = 37, 254
    _, logits = game_and_logits(encoding, 1)
    game = make_game(
        judge=lambda: discriminator(maps=3 * K if encoding == "product" else K),
        encoding=encoding,
        ignore_class=ignore_class,
    )
    (_, real), (_, fake) = game.discriminator_inputs(IMAGES, ids, logits)
    invalid = ids >= K
    assert not real.numpy()[invalid].any() and not fake.numpy()[invalid].any()
    assert real.numpy()[~invalid].any(axis=-1).all() and fake.numpy()[~invalid].any(axis=-1).all()


def test_a_game_with_invalid_ids_learns_what_it_would_with_void_there():
    wrong, void = IDS.copy(), IDS.copy()
    wrong[2, :3, 4], void[2, :3, 4] = 37, 255
    games = [compile_game(make_game(batch_normalization=True)) for _ in range(2)]
    for game, ids in zip(games, (wrong, void), strict=True):
        game.fit(IMAGES, ids, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_equal(weights_of(games[0]), weights_of(games[1]))
    assert all(np.isfinite(weight).all() for weight in weights_of(games[0]))
