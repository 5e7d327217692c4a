"""Windows are centred on their pixels, and are views of one padded image."""

import numpy as np
import pytest

import kseg
from kseg.inference import windows

COUNT = np.arange(1, 13).reshape(1, 3, 4, 1)


def test_an_odd_window_is_centred_and_mirrored_at_the_border():
    every = windows(COUNT, 3)
    assert every.shape == (1, 3, 4, 3, 3, 1)
    np.testing.assert_array_equal(every[0, 1, 1, :, :, 0], [[1, 2, 3], [5, 6, 7], [9, 10, 11]])
    np.testing.assert_array_equal(every[0, 0, 0, :, :, 0], [[6, 5, 6], [2, 1, 2], [6, 5, 6]])


def test_an_even_window_reaches_farther_to_the_top_and_the_left():
    every = windows(COUNT, 2, border="zeros")
    np.testing.assert_array_equal(every[0, 1, 1, :, :, 0], [[1, 2], [5, 6]])
    np.testing.assert_array_equal(every[0, 0, 0, :, :, 0], [[0, 0], [0, 1]])


def test_windows_are_a_view_of_one_padded_image():
    assert not windows(COUNT, 3).flags.owndata and not windows(COUNT, 3).flags.writeable


def test_a_mirror_image_is_mirrored_again_where_the_window_is_larger():
    np.testing.assert_array_equal(
        windows(np.arange(3).reshape(1, 1, 3, 1), 11)[0, 0, 1, 5, :, 0], [0, 1, 2, 1] * 2 + [0, 1, 2]
    )


@pytest.mark.parametrize("batch_size", [1, 5, 256])
def test_the_prediction_does_not_depend_on_the_batch_size(batch_size):
    class Middle:
        """Returns the value in the middle of a window."""

        input_shape = (None, 3, 3, 1)

        def predict_on_batch(self, batch):
            assert len(batch) <= batch_size
            return batch[:, 1, 1]

    logits = kseg.predict_windows(Middle(), COUNT, batch_size=batch_size)
    np.testing.assert_array_equal(logits, COUNT)
    assert logits.dtype == np.float32


def test_wrong_shapes_sizes_and_borders_are_refused():
    with pytest.raises(
        ValueError, match=r"`images` must have the axes \(B, H, W, C\) .*Received: images\.shape=\(3, 4\)"
    ):
        windows(np.zeros((3, 4)), 3)
    with pytest.raises(ValueError, match=r"`size` must be a whole number, at least 1\. Received: size=0"):
        windows(COUNT, 0)
    with pytest.raises(ValueError, match=r"`border` must be one of reflect, zeros\. Received: border='wrap'"):
        windows(COUNT, 3, border="wrap")


def test_a_network_for_whole_images_is_refused_as_a_classifier_of_windows():
    class Network:
        input_shape = (None, None, None, 1)

    with pytest.raises(TypeError, match=r"`classifier` must take square windows .*\(None, None, None, 1\)"):
        kseg.predict_windows(Network(), COUNT)
