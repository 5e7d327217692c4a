"""What tensorflow-addons offered for segmentation, compared with its replacements here, and scores with scikit-learn's.

See write_vectors.py.
"""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest
import skimage.measure
from scipy import ndimage

from kseg.layers import MaxPoolingWithIndices2D, MaxUnpooling2D
from kseg.losses import Focal
from kseg.metrics import confusion_matrix
from kseg.metrics import scores as scores_of


@pytest.fixture(scope="module")
def vectors():
    """Returns the stored answers of one operation, by name."""
    stored = np.load(pathlib.Path(__file__).with_name("vectors.npz"))

    def of(operation):
        return {key.removeprefix(f"{operation}_"): stored[key] for key in stored if key.startswith(f"{operation}_")}

    return of


@pytest.mark.parametrize("window", [(2, 2), (3, 4)])
def test_values_are_unpooled_to_the_same_positions(vectors, window):
    answers = vectors("max_unpooling")
    of_window = {name: answers["{}x{}_{}".format(*window, name)] for name in ("maxima", "values", "unpooled")}
    maxima, indices = MaxPoolingWithIndices2D(window)(answers["image"])
    np.testing.assert_array_equal(maxima, of_window["maxima"])
    np.testing.assert_array_equal(MaxUnpooling2D(window)([of_window["values"], indices]), of_window["unpooled"])


def test_focal_of_two_classes_with_logits_0_and_z_is_the_sigmoid_focal_loss_of_z(vectors):
    answers = vectors("focal")
    ids = answers["labels"][:, None, None]  # 64 images of one pixel
    logits = np.stack([np.zeros_like(answers["logits"]), answers["logits"]], axis=-1)[:, None, None]
    for (alpha, gamma), expected in zip(answers["settings"], answers["losses"], strict=True):
        loss = Focal(class_weights=[1 - alpha, alpha], gamma=float(gamma), reduction=None)
        np.testing.assert_allclose(loss(ids, logits), expected, rtol=1e-4, atol=1e-7)


def test_components_are_those_that_scikit_image_and_scipy_label(vectors):
    answers = vectors("components")
    for label_map, of_values, of_mask in zip(
        *(answers[n] for n in ("label_maps", "of_values", "of_masks")), strict=True
    ):
        np.testing.assert_array_equal(skimage.measure.label(label_map, connectivity=1), of_values)
        np.testing.assert_array_equal(ndimage.label(label_map)[0], of_mask)


def test_distances_are_those_of_scipy(vectors):
    answers = vectors("distance")
    assert answers["transform"].max() > 3
    np.testing.assert_allclose(ndimage.distance_transform_edt(answers["mask"]), answers["transform"], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("conv", keras.layers.Conv2D(5, 3, use_bias=False)), ("dense", keras.layers.Dense(6, use_bias=False))],
)
def test_spectral_normalisation_is_that_of_keras(vectors, name, layer):
    answers = vectors(f"spectral_{name}")
    normalised = keras.layers.SpectralNormalization(layer, power_iterations=2)
    normalised.build(answers["inputs"].shape)
    layer.kernel.assign(answers["kernel"])
    normalised.vector_u.assign(answers["u"])
    for expected in answers["outputs"]:
        np.testing.assert_allclose(normalised(answers["inputs"], training=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.kernel, answers["kernel_after"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(normalised.vector_u, answers["u_after"], rtol=1e-4, atol=1e-6)


def test_tensorflow_addons_stays_out_of_the_projects_own_environment():
    root = pathlib.Path(__file__).parents[2]
    for file in ("requirements.lock", "setup.py", "tests/backends/requirements.txt"):
        assert "addons" not in (root / file).read_text()
    assert not importlib.util.find_spec("tensorflow_addons")


@pytest.mark.parametrize("number", range(5))
def test_scores_are_those_of_scikit_learn(vectors, number):
    answers = {name: answer[number] for name, answer in vectors("scores").items()}
    matrix = confusion_matrix(answers["truth"], answers["said"], 9)
    np.testing.assert_array_equal(matrix, answers["matrix"])
    result = scores_of(matrix)
    for name in ("precision", "recall", "dice"):
        np.testing.assert_allclose(np.array(result[name], float), answers[name], rtol=0, atol=1e-9)  # None becomes NaN
    np.testing.assert_allclose([value or 0 for value in result["iou"]], answers["iou"], rtol=0, atol=1e-9)
    assert result["iou"][8] is None
    occurring = matrix.sum(axis=1)
    assert result["mean_iou"] == pytest.approx(answers["iou"][:8].mean(), abs=1e-9)
    assert result["mean_accuracy"] == pytest.approx(answers["recall"][:7].mean(), abs=1e-9)
    assert result["pixel_accuracy"] == pytest.approx(answers["pixel_accuracy"], abs=1e-9)
    assert result["frequency_weighted_iou"] == pytest.approx(np.average(answers["iou"], weights=occurring), abs=1e-9)
