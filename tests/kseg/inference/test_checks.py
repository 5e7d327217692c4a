"""Images are checked where they enter, once, however models are nested."""

import warnings

import numpy as np
import pytest

import kseg
from kseg.inference import average_views, ensemble, refine_with_crf
from kseg.inference.checks import check_images, values_checked

DRAW = np.random.default_rng(0)
IMAGE = DRAW.uniform(0, 255, (40, 48, 2)).astype(np.float32)
TILES = {"tile": 16, "overlap": 8, "stride": 8}


def identity(images):
    return images


class Classifier:
    """Returns the pixel in the middle of a window."""

    input_shape = (None, 3, 3, 2)

    def predict_on_batch(self, batch):
        return batch[:, 1, 1]


class Unpadded:
    """Returns all but a margin of one pixel."""

    input_shape = (None, None, None, 2)

    def compute_output_shape(self, shape):
        return (shape[0], shape[1] - 2, shape[2] - 2, shape[3])

    def predict_on_batch(self, batch):
        return batch[:, 1:-1, 1:-1]


PREDICTIONS = {
    "predict_tiles": lambda image: kseg.predict_tiles(identity, image, **TILES),
    "predict_windows": lambda image: kseg.predict_windows(Classifier(), image[None]),
    "predict_overlap_tile": lambda image: kseg.predict_overlap_tile(Unpadded(), image[None], tile=18),
    "average_views": lambda image: average_views(identity, flips=["horizontal"])(image[None]),
    "ensemble": lambda image: ensemble([identity, identity])(image[None]),
    "refine_with_crf": lambda image: refine_with_crf(identity, iterations=1)(image[None]),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_an_image_in_0_to_1_is_warned_of_once_where_the_function_is_called(name):
    with pytest.warns(UserWarning) as caught:
        PREDICTIONS[name](IMAGE / 255)
    (warning,) = caught
    assert f"[{name}]. Multiply by 255" in str(warning.message) and warning.filename == __file__


@pytest.mark.parametrize("name", PREDICTIONS)
def test_an_image_in_0_to_255_with_a_black_half_passes_in_silence(name):
    image = IMAGE.copy()
    image[:, :24] = 0.5  # tiles and windows of this half would look like images in [0, 1]
    with warnings.catch_warnings(action="error"):
        PREDICTIONS[name](image)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_nan_is_refused_before_the_network_runs(name):
    image = IMAGE.copy()
    image[7, 5, 1] = np.nan
    with pytest.raises(ValueError, match=rf"Images must be finite.*at 1 of 3840 values \[{name}\]"):
        PREDICTIONS[name](image)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_a_list_and_an_array_of_strings_are_refused(name):
    with pytest.raises(TypeError, match=r"must hold real numbers\. Received: images?\.dtype=<U1"):
        PREDICTIONS[name](np.full((40, 48, 2), "x"))


def test_nested_models_are_checked_once_with_the_name_of_the_outermost():
    nested = average_views(ensemble([identity, average_views(identity, flips=["vertical"])]), rotations=(0, 180))
    with pytest.warns(UserWarning) as caught:
        kseg.predict_tiles(nested, IMAGE / 255, **TILES)
    (warning,) = caught
    assert "[predict_tiles]" in str(warning.message)


def test_a_mapped_image_is_checked_band_by_band_and_nan_is_placed(tmp_path):
    image = np.memmap(tmp_path / "image", np.float32, "w+", shape=(1100, 8, 1))
    image[:] = 0.5
    with pytest.warns(UserWarning, match=r"from 0\.5 to 0\.5 \[here\]"):
        check_images(image, "image", "here", rank=3)
    image[1090] = 9
    with warnings.catch_warnings(action="error"):
        check_images(image, "image", "here", rank=3)
    image[1025, 3] = np.nan
    with pytest.raises(ValueError, match=r"at 1 of 608 values \[here, rows 1024 to 1099\]"):
        check_images(image, "image", "here", rank=3)


def test_values_are_checked_again_after_the_outermost_call_failed():
    with pytest.raises(ZeroDivisionError), values_checked():
        raise ZeroDivisionError
    with pytest.warns(UserWarning, match="Multiply by 255"):
        check_images(IMAGE[None] / 255, "images", "here")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            IMAGE[None],
            r"`image` must have the axes \(H, W, C\).*\(1, 40, 48, 2\).*Give one image at a time: images\[0\]",
        ),
        (IMAGE[..., 0], r"Received: image\.shape=\(40, 48\).*Add an axis for the channels"),
        (IMAGE[..., [0, 0, 0, 1]], r"must have the model's 3 channels\. Received: image\.shape=\(40, 48, 4\).*alpha"),
    ],
)
def test_wrong_axes_and_channels_are_refused_with_a_cure(image, message):
    network = kseg.UNet(2, filters=(4, 4))
    with pytest.raises(ValueError, match=message):
        kseg.predict_tiles(network, image)


@pytest.mark.parametrize("predict", [kseg.predict_tiles, average_views, refine_with_crf])
def test_a_path_is_no_model(predict):
    arguments = (IMAGE,) if predict is kseg.predict_tiles else ()
    with pytest.raises(
        TypeError, match=r"`model` must be a Keras model or a callable\. Received: model='unet\.keras'\. Load"
    ):
        predict("unet.keras", *arguments)


def test_overlap_tiles_need_a_functional_network():
    with pytest.raises(
        TypeError, match=r"`model` must be a functional Keras model.*kseg\.predict_tiles takes any callable"
    ):
        kseg.predict_overlap_tile(identity, IMAGE[None])
