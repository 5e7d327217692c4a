"""What a script may get wrong about `compile` and `fit` of a game or of self-training is named in one sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.games import SegmentationGame, SelfTraining
from kseg.losses import CrossEntropy
from tests.kseg.games.replicas_case import discriminator, segmentor
from tests.kseg.games.small_game import IDS, IMAGES, make_game


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
    for loss in (CrossEntropy(), keras.losses.SparseCategoricalCrossentropy(from_logits=True)):
        made = make()
        made.compile(*optimizers, loss)
        assert made.loss is loss


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
