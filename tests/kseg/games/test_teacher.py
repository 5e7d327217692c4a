"""Self-training: what the teacher labels, what the segmentor sees, how the teacher follows; alone and inside the games."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import DomainGame, SegmentationGame, SelfTraining, SemiSupervisedGame, Teacher
from kseg.games.teacher import rectangles, strong_view
from kseg.losses import CrossEntropy
from kseg.metrics import ConfusionMatrix
from kseg.models.discriminators import FullyConvolutional
from tests.kseg.games.replicas_case import K, discriminator, segmentor
from tests.kseg.games.small_game import IDS, IMAGES, RATE, assert_equal, compile_game, moved, weights_of

UNLABELLED = np.array([False, True, False, True, True, False, False, True])
HALF = np.where(UNLABELLED[:, None, None], 255, np.where(IDS == 255, 0, IDS)).astype(np.uint8)


class Certain(keras.layers.Layer):
    """Logits whose softmax gives the brightest channel's class 0.8 where it is above 128, and 0.4 elsewhere."""

    def call(self, x):
        top = keras.ops.max(x, axis=-1, keepdims=True)
        share = keras.ops.where(top > 128, 0.8, 0.4)
        chosen = keras.ops.one_hot(keras.ops.argmax(x, axis=-1), 3, dtype="float32")
        return keras.ops.log(chosen * share + (1 - chosen) * (1 - share) / 2)


def certain():
    image = keras.Input((None, None, 3))
    return keras.Model(image, Certain()(image))


def looked(step=0, **settings):
    return Teacher(**settings).look(certain(), IMAGES, HALF, tf.constant(step, tf.int64))


def test_confident_pixels_of_images_without_a_label_map_get_the_teachers_class():
    seen = looked(threshold=0.5, cut_mix=False, weight=3.0)
    bright = IMAGES.max(-1) > 128
    pseudo = np.where(bright, IMAGES.argmax(-1), 255)
    np.testing.assert_array_equal(seen.ids, np.where(UNLABELLED[:, None, None], pseudo, HALF))
    np.testing.assert_allclose(seen.confident, bright.mean((1, 2)) * UNLABELLED, rtol=1e-6)
    np.testing.assert_allclose(seen.weights, np.where(UNLABELLED, 3 * bright.mean((1, 2)), 1), rtol=1e-6)
    assert (looked(threshold=0.9, cut_mix=False).ids.numpy()[UNLABELLED] == 255).all()
    np.testing.assert_array_equal(looked(start=1).weights, ~UNLABELLED)  # before its start, the true labels alone
    assert (looked(start=1, step=1, threshold=0.5).weights.numpy()[UNLABELLED] > 0).all()


def test_images_with_a_label_map_are_shown_as_they_are_and_others_in_a_view_that_depends_on_the_step():
    first, again, other = (looked(step, cut_mix=False).images.numpy() for step in (4, 4, 5))
    assert_equal(first[~UNLABELLED], IMAGES[~UNLABELLED])
    assert_equal(first, again)
    for changed in (np.abs(first - IMAGES), np.abs(first - other)):
        assert (changed[UNLABELLED].mean(axis=(1, 2, 3)) > 1).all()


def test_a_rectangle_shows_the_next_image_with_its_labels_true_or_not():
    plain, mixed = looked(cut_mix=False, threshold=0.5), looked(threshold=0.5)
    inside = (mixed.images.numpy() != plain.images.numpy()).any(-1)
    assert not inside[~UNLABELLED].any()
    share = inside[UNLABELLED].mean(axis=(1, 2))
    assert (share > 0.02).all() and (share < 0.8).all()
    for whole, part in ((plain.images, mixed.images), (plain.ids, mixed.ids)):
        following = np.roll(whole, -1, axis=0)
        np.testing.assert_array_equal(part.numpy()[inside], following[inside])
        np.testing.assert_array_equal(part.numpy()[~inside], whole.numpy()[~inside])
    labelled = (mixed.ids.numpy() != 255).mean((1, 2))
    np.testing.assert_allclose(mixed.weights.numpy()[UNLABELLED], labelled[UNLABELLED], rtol=1e-6)


def test_views_by_hand():
    draws = np.full((4, 1), 0.5, np.float32)  # in the middle of each range nothing changes
    np.testing.assert_allclose(strong_view(IMAGES[:1], draws), IMAGES[:1], rtol=1e-5)
    brightest = np.array([[1], [0.5], [0.5], [0.5]], np.float32)
    np.testing.assert_allclose(strong_view(IMAGES[:1], brightest), IMAGES[:1] + 40, rtol=1e-5)
    # Half of 8 rows and of 4 columns, as far down and to the left as they go.
    inside = rectangles((8, 4), np.array([[0.5], [0.5], [1.0], [0.0]], np.float32)).numpy()[0]
    expected = np.zeros((8, 4), bool)
    expected[4:, :2] = True
    np.testing.assert_array_equal(inside, expected)


def test_the_teacher_is_the_segmentor_first_and_then_follows():
    teacher, network = Teacher(decay=0.75), segmentor(True)
    copy = teacher.copy_of(network)
    assert not copy.trainable_variables
    start = weights_of(network)
    assert_equal(weights_of(copy), start)
    for step, decay in ((0, 0.0), (1, 0.5), (2, 2 / 3), (3, 0.75), (9, 0.75)):
        before = weights_of(copy)
        for weight in network.weights:
            weight.assign_add(tf.ones_like(weight))
        teacher.follow(copy, network, tf.constant(step, tf.int64))
        expected = [decay * old + (1 - decay) * new for old, new in zip(before, weights_of(network), strict=True)]
        assert_equal(weights_of(copy), expected, atol=1e-6)


def alone(metric=None, **settings):
    keras.utils.set_random_seed(3)
    model = SelfTraining(segmentor(True), Teacher(threshold=0.34, **settings))
    model.compile(keras.optimizers.SGD(RATE), loss=CrossEntropy(255), metrics=[metric or ConfusionMatrix(K)])
    return model


def test_without_pseudo_labels_a_segmentor_trains_bit_for_bit_as_alone():
    model, plain = alone(weight=0.0), alone().segmentor
    plain.compile(keras.optimizers.SGD(RATE), loss=CrossEntropy(255), metrics=[ConfusionMatrix(K)])
    settings = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    labelled = np.where(IDS == 255, 0, IDS).astype(np.uint8)  # of every image
    ours, theirs = (one.fit(IMAGES, labelled, **settings).history for one in (model, plain))
    assert_equal(weights_of(model.segmentor), weights_of(plain))
    assert ours["loss"] == theirs["loss"] and ours["mean_iou"] == theirs["mean_iou"]


def test_pseudo_labels_teach_the_segmentor_and_the_true_ones_are_scored():
    metric = ConfusionMatrix(K)
    model, without = alone(metric), alone(weight=0.0)
    settings = {"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0}
    logs, expected = (one.fit(IMAGES, HALF, **settings).history for one in (model, without))
    assert moved(weights_of(model.segmentor), weights_of(without.segmentor))
    assert logs["loss"][0] > expected["loss"][0] and 0 < logs["confident_share"][0] <= 1
    assert metric.matrix().sum() == (HALF != 255).sum()
    assert_equal(model.predict(IMAGES, verbose=0), model.segmentor.predict(IMAGES, verbose=0))


def test_weights_of_images_stand_in_one_column_or_none_and_those_of_pixels_are_refused():
    weights, ends = np.linspace(0, 2, len(IMAGES), dtype=np.float32), []
    for given in (weights, weights[:, None]):
        model = alone()
        logs = model.fit(IMAGES, HALF, sample_weight=given, batch_size=8, shuffle=False, verbose=0).history
        ends.append((logs, weights_of(model)))
    assert ends[0][0] == ends[1][0]
    assert_equal(ends[0][1], ends[1][1])
    with pytest.raises(ValueError, match=r"`sample_weight` must hold one number for each image.*\(8, 12, 12\)"):
        alone().fit(IMAGES, HALF, sample_weight=np.ones(HALF.shape), batch_size=8, verbose=0)


def hung(**settings):
    return SemiSupervisedGame(segmentor(), FullyConvolutional(K, base_filters=2), weight=0.7, **settings)


def adapted(**settings):
    return DomainGame(segmentor(), FullyConvolutional(K, base_filters=2), weight=0.7, **settings)


def plain_game(**settings):
    return SegmentationGame(segmentor(), discriminator(), weight=0.7, **settings)


@pytest.mark.parametrize("make", [alone, hung, adapted, plain_game])
def test_training_resumes_from_a_file_as_if_never_stopped(make, tmp_path):
    keras.utils.set_random_seed(3)
    model = alone() if make is alone else compile_game(make(teacher=Teacher(threshold=0.34)))

    def fit(model):
        return model.fit(IMAGES, HALF, batch_size=8, shuffle=False, verbose=0).history

    assert 0 < fit(model)["confident_share"][0] <= 1
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.teacher.get_config() == model.teacher.get_config()
    for _ in range(2):
        assert fit(again) == fit(model)
    assert_equal(weights_of(again), weights_of(model))
    assert moved(weights_of(model.teacher_network), weights_of(model.segmentor))


def test_the_discriminator_does_not_learn_from_images_without_a_label_map():
    after = []
    for images in (IMAGES, np.where(UNLABELLED[:, None, None, None], 255 - IMAGES, IMAGES)):
        keras.utils.set_random_seed(3)
        game = compile_game(plain_game(teacher=Teacher(threshold=0.34)))
        game.fit(images, HALF, batch_size=8, shuffle=False, verbose=0)
        after.append(game)
    assert_equal(weights_of(after[0].discriminator), weights_of(after[1].discriminator))
    assert moved(weights_of(after[0].segmentor), weights_of(after[1].segmentor))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"`decay` must be a number of at least 0 and below 1. Received: decay=1."):
        Teacher(decay=1)
    with pytest.raises(ValueError, match=r"`threshold` must be a number above 0 and at most 1. Received: threshold=0."):
        Teacher(threshold=0)
    with pytest.raises(ValueError, match=r"`weight` must be a number of at least 0. Received: weight=-1."):
        Teacher(weight=-1)
    with pytest.raises(ValueError, match=r"`start` must be an integer of at least 0. Received: start=-1."):
        Teacher(start=-1)
    for settings in ({"decay": "a"}, {"threshold": None}, {"start": 1.0}, {"cut_mix": "no"}, {"seed": None}):
        with pytest.raises(ValueError, match=rf"`{next(iter(settings))}` must be "):
            Teacher(**settings)
    for make in (SelfTraining, plain_game):
        with pytest.raises(ValueError, match="`ignore_class` must be an id: it marks images without a label map"):
            given = {"segmentor": segmentor()} if make is SelfTraining else {}
            make(**given, teacher=Teacher(), ignore_class=None)
    coarse = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(K, 1, strides=2)])
    with pytest.raises(ValueError, match=r"with a `teacher` must label every pixel.*\(8, 6, 6, 3\)"):
        Teacher().look(coarse, IMAGES, HALF, tf.constant(0, tf.int64))


def apart_in_a_game(network, teacher, apart):
    return SegmentationGame(network, discriminator(), teacher=teacher, apart=apart)


@pytest.mark.parametrize("make", [SelfTraining, apart_in_a_game])
def test_apart_each_half_is_normalised_by_itself(make):
    model = make(segmentor(True), Teacher(), apart=True)
    compile_game(model, rate=0.0) if make is apart_in_a_game else model.compile(
        keras.optimizers.SGD(0.0), CrossEntropy()
    )
    assert model.get_config()["apart"]
    alone = segmentor(True)
    alone.set_weights(model.segmentor.get_weights())
    seen = model.teacher.look(model.teacher_network, IMAGES, HALF, model.step)
    model.fit(IMAGES, HALF, batch_size=len(IMAGES), shuffle=False, verbose=0)
    for half in np.split(seen.images, 2):
        alone(half, training=True)
    assert_equal(weights_of(model.segmentor), weights_of(alone), atol=1e-5)
