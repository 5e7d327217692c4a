"""The networks of --model and trainer.discriminator: narrow by default, or the papers' own."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest

import kseg
from kseg.encoders import names
from pipeline import networks
from pipeline.settings.trainer import DISCRIMINATORS, MODELS, Trainer
from tests.conftest import ROOT

PAPERS = {  # weights for 21 classes and RGB, moving averages included
    "unet": 31_033_045,
    "fcn8s": 134_489_759,
    "fcn16s": 134_815_994,
    "fcn32s": 136_152_917,
    "pspnet": 65_708_501 + 110_848,
}
PAPERS_DISCRIMINATORS = {  # first filters, classes, weights that learn, pixels seen at once; where the papers' see the label map
    # alone, ours sees the image's 3 channels, too, here in place of 3 classes
    "two_branch": (64, 8, 1_667_265, 34),
    "large_fov": (96, 21 - 3, 2_346_561, 34),
    "large_fov_light": (96, 21 - 3, 869_185, 34),
    "small_fov": (96, 21 - 3, 1_572_289, 18),
    "small_fov_light": (96, 21 - 3, 490_177, 18),
    "patch_gan": (64, 3, 2_769_601, 70),
    "fully_convolutional": (64, 21 - 3, 2_783_169, 94),
}


def test_names_are_those_of_the_modules():
    assert set(MODELS) == {
        "unet", "fcn8s", "fcn16s", "fcn32s", "segnet", "segnet_basic", "deeplabv3", "deeplabv3plus", "pspnet", "dilated",
        "patch_classifier",
    }  # fmt: skip
    assert set(DISCRIMINATORS) == PAPERS_DISCRIMINATORS.keys()


def test_names_are_known_without_keras():
    code = "import sys, pipeline.settings.trainer\nprint({'keras', 'numpy', 'pipeline.networks'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.fixture(autouse=True)
def no_encoder_by_name(monkeypatch):
    """Refuses encoders by name, whose modules the trainer's recipe leaves out: see `pipeline.settings.trainer.choices`."""
    monkeypatch.setattr(names, "ENCODERS", {})


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


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_is_the_papers_at_the_papers_width(name, symbolic):
    filters, classes, parameters, extent = PAPERS_DISCRIMINATORS[name]
    model = networks.discriminator(Trainer(discriminator=name, discriminator_filters=filters), classes, 3)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == parameters
    assert kseg.receptive_field(model, "score").extent == extent


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_is_as_wide_as_the_settings_say(name):
    model = networks.discriminator(Trainer(discriminator=name, discriminator_filters=12), 5, 3)
    first = {"two_branch": "label_map_conv", "patch_gan": "conv1", "fully_convolutional": "conv1"}
    assert model.get_layer(first.get(name, "stage1_conv1")).filters == 12


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize(("encoding", "seen"), [("basic", 5), ("scaling", 5), ("product", 15)])
def test_every_discriminator_takes_every_encoding(name, encoding, seen):
    model = networks.discriminator(Trainer(discriminator=name, encoding=encoding), 5, 3)
    image = keras.ops.zeros((2, 16, 16, 3))
    verdict = model([image, keras.ops.zeros((2, 16, 16, seen))])
    assert verdict.shape[0] == 2 and verdict.shape[-1] == 1


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_takes_spectral_normalization(name):
    model = networks.discriminator(Trainer(discriminator=name, spectral_normalization=True), 5, 3)
    assert any(isinstance(layer, keras.layers.SpectralNormalization) for layer in model.layers)
