"""Views of an image are mapped back before they are averaged, and ensembles average what `average` names."""

import itertools

import keras
import numpy as np
import pytest

import kseg
from kseg.inference import SavedModel, average_views, ensemble
from kseg.labels import LabelMap

IMAGES = np.random.default_rng(0).uniform(0, 4, (2, 6, 9, 3)).astype(np.float32)
EVERY_VIEW = {"flips": ("horizontal", "vertical"), "rotations": (0, 90, 180, 270)}


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_views_change_nothing_for_a_model_of_single_pixels():
    for average in ("probabilities", "logits"):
        seen = average_views(lambda images: 2 * images, average=average, **EVERY_VIEW)(IMAGES)
        np.testing.assert_allclose(softmax(seen), softmax(2 * IMAGES), atol=1e-6)


def test_each_of_the_eight_views_of_a_square_is_predicted_once():
    views = []

    def corner(images):
        views.append(images[0, ..., 0])
        return images

    average_views(corner, flips=("vertical", "horizontal"), rotations=(0, 90, 180, 270, 360, -90))(IMAGES)
    assert len(views) == 8
    whole = IMAGES[0, ..., 0]
    expected = [np.rot90(image, k) for image in (whole, whole[:, ::-1]) for k in range(4)]
    assert all(any(np.array_equal(view, other) for view in views) for other in expected)


@pytest.mark.parametrize(("settings", "number"), [({}, 1), ({"flips": ["horizontal"]}, 2), ({"rotations": (90,)}, 1)])
def test_only_the_named_views_are_predicted(settings, number):
    calls = []
    average_views(lambda images: calls.append(0) or images, **settings)(IMAGES)
    assert len(calls) == number


def test_averaging_a_flip_makes_a_network_equivariant_to_it():
    keras.utils.set_random_seed(0)
    network = kseg.UNet(3, filters=(4, 8))
    images = 255 * IMAGES[:, :, :8] / 4
    both = average_views(network, flips=["horizontal"])
    mirrored = both(images[:, :, ::-1])[:, :, ::-1]
    np.testing.assert_allclose(both(images), mirrored, atol=1e-4)
    assert np.abs(network.predict_on_batch(images) - both(images)).max() > 1e-2


def test_means_of_probabilities_and_of_logits_equal_those_by_hand():
    sure, unsure = np.log([[0.9, 0.1]]), np.log([[0.2, 0.8]])
    models = [lambda images, row=row: np.broadcast_to(row, (*images.shape[:3], 2)) for row in (sure, unsure)]
    mean = softmax(ensemble(models)(IMAGES))[0, 0, 0]
    np.testing.assert_allclose(mean, [0.55, 0.45], atol=1e-6)
    geometric = softmax(ensemble(models, average="logits")(IMAGES))[0, 0, 0]
    expected = np.sqrt([0.9 * 0.2, 0.1 * 0.8])
    np.testing.assert_allclose(geometric, expected / expected.sum(), atol=1e-6)


def test_a_class_of_probability_0_has_a_finite_logit():
    models = [lambda images: np.where(images > 2, 1e4, -1e4)] * 2
    assert np.isfinite(ensemble(models)(IMAGES)).all()


def test_predictions_at_other_scales_are_resized_back():
    sizes = []

    def smooth(images):
        sizes.append(images.shape[1:3])
        return images

    ramp = np.broadcast_to(np.arange(40.0)[:, None, None], (1, 40, 30, 1)).astype(np.float32)
    predicted = average_views(smooth, scales=(0.5, 1, 2), average="logits")(np.repeat(ramp, 2, -1))
    assert sizes == [(20, 15), (40, 30), (80, 60)]
    np.testing.assert_allclose(predicted[0, 4:-4, :, 0], ramp[0, 4:-4, :, 0], atol=0.01)


def test_views_go_through_tiles_and_tiles_through_views():
    image = np.random.default_rng(1).uniform(0, 4, (50, 40, 2)).astype(np.float32)
    settings = {"tile": 16, "overlap": 8, "stride": 8}
    double = lambda images: 2 * images  # noqa: E731
    inside = kseg.predict_tiles(average_views(double, **EVERY_VIEW), image, **settings)
    tiles = lambda images: np.stack([kseg.predict_tiles(double, one, **settings) for one in images])  # noqa: E731
    outside = average_views(tiles, **EVERY_VIEW)(image[None])[0]
    for predicted in (inside, outside):
        np.testing.assert_allclose(softmax(predicted), softmax(2 * image), atol=1e-5)


def test_an_ensemble_of_exports_equals_that_of_their_networks(tmp_path):
    labels, networks = LabelMap(("a", "b"), ((0, 0, 0), (9, 9, 9)), (0, 1)), []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(kseg.UNet(2, filters=(4, 4)))
        kseg.export(networks[-1], tmp_path / str(seed), labels=labels, image_size=(16, 24))
    images = np.random.default_rng(0).integers(0, 255, (1, 16, 24, 3), np.uint8)
    together = ensemble([SavedModel(tmp_path / str(seed)) for seed in (1, 2)])
    exported = together(images)
    np.testing.assert_allclose(softmax(exported), softmax(ensemble(networks)(images)), atol=1e-5)
    np.testing.assert_allclose(exported, together(images + 0.3), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flips": ["diagonal"]}, r"`flips` must be a list of horizontal, vertical\. Received: flips=\['diagonal'\]"),
        ({"flips": "horizontal"}, r"Received: flips='horizontal'"),
        ({"rotations": (45,)}, r"`rotations` must be a list of multiples of 90 degrees.* Received: rotations=\(45,\)"),
        ({"rotations": ()}, r"Received: rotations=\(\)"),
        ({"scales": (0, 1)}, r"`scales` must be a list of factors above 0\. Received: scales=\(0, 1\)"),
        ({"rotations": 90}, r"Received: rotations=90"),
        ({"rotations": ["90"]}, r"Received: rotations=\['90'\]"),
        ({"flips": None}, r"Received: flips=None"),
        ({"scales": 2.0}, r"Received: scales=2\.0"),
        ({"average": "votes"}, r"`average` must be one of probabilities, logits\. Received: average='votes'"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        average_views(lambda images: images, **settings)


def test_a_softmax_is_not_taken_of_probabilities():
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Softmax(name="ending")(image), name="soft")
    message = "must give logits. Received: soft, which ends with probabilities .layer ending."
    calls = [
        lambda: average_views(network),
        lambda: ensemble([network]),
        lambda: kseg.inference.refine_with_crf(network),
        lambda: kseg.predict_tiles(network, np.zeros((8, 8, 3)), output_mode="probabilities"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()
    average_views(network, average="logits")
    kseg.inference.refine_with_crf(network, from_logits=False)


def test_models_of_different_classes_no_models_and_a_bare_model_are_refused():
    with pytest.raises(ValueError, match=r"`models` must hold at least one model"):
        ensemble([])
    with pytest.raises(TypeError, match=r"`models` must be a list of models\. .*Write ensemble\(\[model\]\)"):
        ensemble(lambda images: images)
    with pytest.raises(
        TypeError, match=r"`models\[1\]` must be a Keras model or a callable\. .*Load a file with keras"
    ):
        ensemble([lambda images: images, "unet.keras"])
    unlike = [lambda images, k=k: images[..., :k] for k in (2, 3)]
    with pytest.raises(ValueError, match=r"Received: logits of shapes \(6, 9, 2\) and \(6, 9, 3\)"):
        ensemble(unlike)(IMAGES)


def test_every_combination_of_views_is_mapped_back():
    for flips, rotation in itertools.product([(), ("horizontal",), ("vertical",)], (0, 90, 180, 270)):
        seen = average_views(lambda images: images, flips=flips, rotations=(rotation,), average="logits")(IMAGES)
        np.testing.assert_allclose(seen, IMAGES, atol=1e-6)
