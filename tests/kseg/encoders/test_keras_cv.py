"""keras-cv's encoders provide the features of networks."""

import functools

import keras
import numpy as np
import pytest

import kseg
from kseg import encoders
from kseg.encoders.keras_cv import encoder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18_v2", "csp_darknet_tiny"])
def test_there_is_one_feature_per_stride_and_a_network_uses_them(name):
    image = keras.Input((None, None, 3), name="image")
    features = encoder(name, image)
    assert encoders.strides(image, features) == [2, 4, 8, 16, 32][-len(features) :]
    model = kseg.PSPNet(3, width=1 / 16, encoder=functools.partial(encoder, name))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 37, 51, 3)).astype("float32")
    assert model(pixels).shape == (1, 37, 51, 3)


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match=r"`name` must be one of resnet18_v2, .*. Received: name='resnet'"):
        encoder("resnet", keras.Input((None, None, 3)))
