"""Exports as models: what is refused when one is loaded and when it predicts."""

import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.inference import SavedModel
from kseg.labels import LabelMap


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A pushed model: a folder with versions, of which 2 and 10 are exports."""
    folder = tmp_path_factory.mktemp("savedmodels") / "streets"
    keras.utils.set_random_seed(1)
    labels, network = LabelMap(("a", "b"), ((0, 0, 0), (9, 9, 9)), (0, 1)), kseg.UNet(2, filters=(4, 4))
    kseg.export(network, folder / "2", labels=labels, image_size=(16, 24))
    shutil.copytree(folder / "2", folder / "10")
    return folder


def test_a_saved_model_without_the_signature_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"must have the signature probabilities\. Received: \[\]"):
        SavedModel(tmp_path / "empty")


def test_a_folder_without_a_saved_model_is_refused_and_the_newest_version_in_it_named(pushed, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"with saved_model\.pb\. Received: path='.*streets'\. Name a version.*streets/10"
    ):
        SavedModel(pushed)
    with pytest.raises(FileNotFoundError, match=r"Received: path='.*nothing'\.$"):
        SavedModel(tmp_path / "nothing")


def test_images_of_the_wrong_axes_channels_or_dtype_are_refused_by_name(pushed):
    model, image = SavedModel(pushed / "2"), np.full((20, 30, 3), 200, np.uint8)
    assert model(image[np.newaxis]).shape == (1, 20, 30, 2) and model.label_map(image).shape == (20, 30)
    with pytest.raises(
        ValueError, match=r"`images` must have the axes \(B, H, W, C\).*\(20, 30, 3\).*image\[np.newaxis\]"
    ):
        model(image)
    with pytest.raises(ValueError, match=r"`image` must have the axes \(H, W, C\).*\(1, 20, 30, 3\).*images\[0\]"):
        model.label_map(image[np.newaxis])
    with pytest.raises(ValueError, match=r"`image` must have the model's 3 channels\. Received: .*\(20, 30, 1\)"):
        model.label_map(image[..., :1])
    with pytest.raises(TypeError, match=r"`images` must be an array .*type list.*np\.stack"):
        model([image])


def test_an_image_in_0_to_1_is_warned_of(pushed):
    with pytest.warns(UserWarning, match=r"must lie in \[0, 255\].*\[SavedModel\.label_map\]\. Multiply by 255"):
        SavedModel(pushed / "2").label_map(np.full((20, 30, 3), 0.7, np.float32))


def test_several_models_views_and_tiles_of_16_bits_pass_in_silence(tmp_path):
    keras.utils.set_random_seed(1)
    labels, network = LabelMap(("a", "b"), ((0, 0, 0), (9, 9, 9)), (0, 1)), kseg.UNet(2, filters=(4, 4))
    normalization = {"mean": [20_000.0] * 3, "deviation": [9000.0] * 3}
    kseg.export(network, tmp_path, labels=labels, image_size=(16, 24), dtype="uint16", normalization=normalization)
    model = SavedModel(tmp_path)
    image = np.random.default_rng(0).integers(0, 60_000, (20, 30, 3), np.uint16)
    both = kseg.inference.ensemble([model, model])
    views = kseg.inference.average_views(both, flips=["horizontal"])
    with warnings.catch_warnings(action="error"):
        logits = kseg.predict_tiles(views, image, tile=(16, 24), overlap=4, stride=1, margin=0)
    assert logits.shape == (20, 30, 2)
    with pytest.warns(UserWarning, match=r"Received: values from .*\[ensemble\]"):
        kseg.inference.ensemble([lambda images: images])(image[np.newaxis])
