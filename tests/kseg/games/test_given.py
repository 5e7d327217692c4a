"""What a script may get wrong about `compile` and `fit` of a game or of self-training is named in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import GAN, SegmentationGame, SelfTraining, Teacher
from kseg.losses import CrossEntropy
from tests.kseg.games.replicas_case import discriminator, segmentor
from tests.kseg.games.small_game import IDS, IMAGES, assert_equal, compile_game, make_game, train_one_step, weights_of


def make_self_training():
    return SelfTraining(segmentor())


MODELS = {"game": (make_game, ("sgd", "sgd")), "self-training": (make_self_training, ("sgd",))}


@pytest.fixture(scope="module", params=MODELS)
def compiled(request):
    make, optimizers = MODELS[request.param]
    model = make()
    model.compile(*optimizers, loss=CrossEntropy(), run_eagerly=True)
    return model


@pytest.mark.parametrize("ending", ["softmax", "sigmoid", "Softmax", "nested"])
def test_a_segmentor_that_gives_probabilities_is_refused(ending):
    image = keras.Input((None, None, 3))
    last = keras.layers.Softmax() if ending in ("Softmax", "nested") else keras.layers.Conv2D(3, 1, activation=ending)
    network = keras.Model(image, last(segmentor()(image)), name="ending")
    if ending == "nested":
        network = keras.Sequential([image, network], name="ending")
    for make in (lambda: SegmentationGame(network, discriminator()), lambda: SelfTraining(network)):
        with pytest.raises(ValueError, match=r"`segmentor` must give logits. Received: ending, .*activation=None"):
            make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"segmentor": segmentor},
            "`segmentor` must be a functional keras.Model with one output. .*Call the function that makes it",
        ),
        ({"teacher": Teacher}, "`teacher` must be a kseg.Teacher or None. Received: teacher=<class"),
        ({"ignore_class": 2.5}, "`ignore_class` must be an integer id or None. Received: ignore_class=2.5"),
        ({"apart": "no"}, "`apart` must be True or False. Received: apart='no'"),
        (
            {"discriminator": "patch_gan"},
            "`discriminator` must be a functional keras.Model .*discriminator='patch_gan'",
        ),
        ({"schedule": 5}, "`schedule` must be a kseg.Schedule or None. Received: schedule=5"),
    ],
)
@pytest.mark.parametrize("model", [SelfTraining, SegmentationGame])
def test_arguments_of_a_wrong_kind_are_named(model, arguments, message):
    if model is SelfTraining and {"discriminator", "schedule"} & set(arguments):
        return
    networks = {"segmentor": segmentor(), **({} if model is SelfTraining else {"discriminator": discriminator()})}
    with pytest.raises(ValueError, match=message):
        model(**networks | arguments)


def test_an_image_of_other_channels_is_refused():
    with pytest.raises(
        ValueError, match=r"must take \[image \(B, H, W, 1\), label map .*None, 3\), \(None, None, None, 3\)"
    ):
        SegmentationGame(segmentor(channels=1), discriminator())


def test_a_gan_has_no_task():
    def network(name, side, units):
        return keras.Sequential([keras.Input((side,)), keras.layers.Dense(units, name="dense")], name=name)

    with pytest.raises(ValueError, match=r"`weight` must be left out of a GAN.*weight=2"):
        GAN(network("generator", 4, 2), network("judge", 2, 1), weight=2)
    gan = GAN(network("generator", 4, 2), network("judge", 2, 1))
    with pytest.raises(ValueError, match=r"`loss` must be left out of a GAN.*loss='mse'"):
        gan.compile("sgd", "sgd", loss="mse")
    gan.compile("sgd", "sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="`sample_weight` must be None: a GAN"):
        gan.fit(np.zeros((2, 2)), np.zeros(2), sample_weight=np.ones(2), verbose=0)


def test_a_discriminator_may_be_sequential():
    judge = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3), keras.layers.Conv2D(1, 3)])
    game = compile_game(SegmentationGame(segmentor(), judge, formulation="embedding"), run_eagerly=True)
    assert np.isfinite(train_one_step(game)["adversarial_loss"])


def test_a_game_is_saved_before_it_is_compiled(tmp_path):
    game = make_game()
    game.save(tmp_path / "game.keras")
    again = keras.saving.load_model(tmp_path / "game.keras")
    assert not again.compiled
    assert_equal(weights_of(again), weights_of(game))


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy(),
        [keras.losses.sparse_categorical_crossentropy],
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_a_loss_of_probabilities_is_refused(loss, model):
    make, optimizers = MODELS[model]
    with pytest.raises(ValueError, match=r"`loss` must take logits. Received: loss=.*with from_logits=False"):
        make().compile(*optimizers, loss=loss)


@pytest.mark.parametrize("model", MODELS)
def test_losses_of_logits_are_taken_by_position(model):
    make, optimizers = MODELS[model]
    of_pixels = [keras.losses.SparseCategoricalCrossentropy(from_logits=True)] if model == "game" else []
    for loss in (CrossEntropy(), *of_pixels):
        made = make()
        made.compile(*optimizers, loss)
        assert made.loss is loss


@pytest.mark.parametrize("model", MODELS)
def test_a_teacher_refuses_a_loss_whose_values_are_of_pixels_but_none_of_images(model):
    """Images of as many columns as a batch holds images trained on such a loss with each other's weights."""
    _, optimizers = MODELS[model]
    made = SelfTraining(segmentor()) if model == "self-training" else make_game(teacher=Teacher())
    for loss in (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        lambda ids, logits: keras.ops.mean(logits),
    ):
        with pytest.raises(ValueError, match=r"`loss` must give one value for each image, \(B,\), since a `teacher`"):
            made.compile(*optimizers, loss=loss)
    made.compile(*optimizers, loss=lambda ids, logits: keras.ops.mean(logits, axis=(1, 2, 3)))


@pytest.mark.parametrize(
    ("optimizers", "named"),
    [
        ((), "`optimizer` must be an optimizer.*Received: optimizer=None"),
        (("sgd",), "`discriminator_optimizer` must be .*Received: discriminator_optimizer=None"),
        (
            ("sgd", CrossEntropy()),
            "`discriminator_optimizer` must be .*Received: discriminator_optimizer=<.*CrossEntropy",
        ),
        ((keras.optimizers.SGD, keras.optimizers.SGD), "`optimizer` must be an optimizer.*Received: optimizer=<class"),
        (("adamm", "sgd"), "`optimizer` must be an optimizer.*Received: optimizer='adamm'"),
    ],
)
def test_a_forgotten_or_misspelt_optimizer_is_named(optimizers, named):
    with pytest.raises(ValueError, match=named):
        make_game().compile(*optimizers, **{} if len(optimizers) > 1 else {"loss": CrossEntropy()})


def test_weights_of_classes_are_refused(compiled):
    for call in (compiled.fit, compiled.train_on_batch):
        with pytest.raises(ValueError, match=r"`class_weight` must be None.*class_weight=\{0: 1.0\}.*class_weights="):
            call(IMAGES, IDS, class_weight={0: 1.0})


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (None, r"`y` must be one tensor of label maps .*Received: 0 tensors"),
        ((IDS, IDS), r"`y` must be one tensor of label maps .*Received: 2 tensors"),
        (np.eye(3, dtype="float32")[IDS % 3], r"`y` must hold class ids .*y.shape=\(8, 12, 12, 3\).*argmax"),
        (IDS[:, 0], r"`y` must hold class ids .*y.shape=\(8, 12\)"),
    ],
)
def test_label_maps_that_hold_no_ids_are_refused(compiled, ids, message):
    batches = tf.data.Dataset.from_tensors((IMAGES,) if ids is None else (IMAGES, ids))
    for call in (compiled.fit, compiled.evaluate):
        with pytest.raises(ValueError, match=message):
            call(batches, verbose=0)


def test_images_come_alone_or_in_a_list_or_by_name(compiled):
    scores = [
        compiled.evaluate(x, y, verbose=0) for x, y in ((IMAGES, IDS), ([IMAGES], [IDS]), ({"image": IMAGES}, IDS))
    ]
    assert scores[0] == scores[1] == scores[2]
    compiled.train_on_batch({"image": IMAGES}, IDS)


def test_what_is_exported_is_the_segmentor(compiled, tmp_path):
    compiled.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(exported.serve(IMAGES), compiled.segmentor.predict(IMAGES, verbose=0), atol=1e-5)
