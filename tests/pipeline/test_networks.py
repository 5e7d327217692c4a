"""The networks behind --model: narrow by default, the papers' own on request."""

import keras
import numpy as np
import pytest

from pipeline import networks
from pipeline.config import DISCRIMINATORS, MODELS, Trainer, chosen_modules

PAPERS = {  # weights for 21 classes and RGB, moving averages included
    "unet": 31_033_045,
    "fcn8s": 134_489_759,
    "fcn16s": 134_815_994,
    "fcn32s": 136_152_917,
    "pspnet": 65_708_501 + 110_848,
}


def test_every_name_has_a_network_and_a_module():
    assert [*networks.SEGMENTORS] == [*MODELS] and [*networks.DISCRIMINATORS] == [*DISCRIMINATORS]
    assert chosen_modules(Trainer(model="segnet")) == ["kseg.models.segnet"]


@pytest.mark.parametrize("name", MODELS)
def test_narrow_networks_label_every_pixel_of_any_size(name):
    model = networks.segmentor(Trainer(model=name), 5, 1)
    assert model(np.zeros((1, 19, 37, 1), "float32")).shape == (1, 19, 37, 5)
    assert model.count_params() < 10e6


@pytest.mark.parametrize("name", MODELS)
def test_paper_is_the_network_of_the_paper(name, symbolic):
    model = networks.segmentor(Trainer(model=name, width="paper"), 21, 3)
    narrow = networks.segmentor(Trainer(model=name), 21, 3)
    assert model.count_params() > narrow.count_params()
    assert model.count_params() == PAPERS.get(name, model.count_params())


def test_another_width_is_refused():
    with pytest.raises(ValueError, match=r'`width` must be "narrow" or "paper". Received: trainer.width=wide.'):
        networks.segmentor(Trainer(width="wide"), 5, 3)


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize(("encoding", "seen"), [("basic", 5), ("scaling", 5), ("product", 15)])
def test_every_discriminator_judges_pairs_in_every_encoding(name, encoding, seen):
    model = networks.discriminator(Trainer(discriminator=name, encoding=encoding), 5, 3)
    image = keras.ops.zeros((2, 16, 16, 3))
    verdict = model([image, keras.ops.zeros((2, 16, 16, seen))])
    assert verdict.shape[0] == 2 and verdict.shape[-1] == 1


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_can_be_normalised_by_its_spectrum(name):
    model = networks.discriminator(Trainer(discriminator=name, spectral_normalization=True), 5, 3)
    assert any(isinstance(layer, keras.layers.SpectralNormalization) for layer in model.layers)
