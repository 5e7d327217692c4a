"""The networks of --model and trainer.discriminator: narrow by default, or the papers' own."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest

import kseg
from kseg.encoders import features, names
from pipeline import networks
from pipeline.settings import encoders
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
    "unet": (64, 11, 3_880_257, 49),
}


def test_names_are_those_of_the_modules():
    assert set(MODELS) == {
        "unet", "fcn8s", "fcn16s", "fcn32s", "segnet", "segnet_basic", "deeplabv3", "deeplabv3plus", "pspnet", "dilated",
        "patch_classifier", "fpn", "light_fpn",
    }  # fmt: skip
    assert set(DISCRIMINATORS) == PAPERS_DISCRIMINATORS.keys()


def test_names_are_known_without_keras():
    code = "import sys, pipeline.settings.trainer\nprint({'keras', 'numpy', 'pipeline.networks'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"


@pytest.fixture(autouse=True)
def only_encoders_of_the_recipe(monkeypatch):
    """Refuses encoders by name, but those of networks that always have one; `pipeline.settings.trainer.choices` lists these."""
    monkeypatch.setattr(names, "ENCODERS", {name: names.ENCODERS[name] for name in encoders.DEFAULT.values()})


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
    first = {"two_branch": "label_map_conv", "patch_gan": "conv1", "fully_convolutional": "conv1", "unet": "down1_conv"}
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


@pytest.mark.parametrize("model", encoders.NEEDS)
def test_narrow_networks_have_a_narrow_trunk_until_it_gets_weights(model, tmp_path, symbolic, monkeypatch):
    monkeypatch.setattr(names, "ENCODERS", {"resnet50": "kseg.encoders.resnet"})
    given = []
    monkeypatch.setattr(features, "fill", lambda encoder, weights, donor: given.append(weights))
    trainer = Trainer(model=model, encoder="resnet50")
    for weights, channels in ((None, 16), (tmp_path / "weights.h5", 64)):
        network = networks.segmentor(trainer, 5, 3, weights=weights)
        assert network.get_layer("conv1_conv").filters == channels
    assert given == [tmp_path / "weights.h5"]


def test_a_narrow_network_loads_weights_without_batch_normalization(tmp_path, monkeypatch):
    monkeypatch.setattr(names, "ENCODERS", {"vgg16": "kseg.encoders.vgg"})
    image = keras.Input((None, None, 3))
    donor = keras.Model(image, kseg.encoders.vgg16(image))
    donor.save_weights(tmp_path / "vgg16.weights.h5")
    for model in ("unet", "fcn32s"):
        config = Trainer(model=model, encoder="vgg16", weights=str(tmp_path / "vgg16.weights.h5"))
        network = networks.segmentor(config, 5, 1)
        kernel = donor.get_layer("block1_conv1").kernel.numpy().sum(axis=2, keepdims=True)
        np.testing.assert_allclose(network.get_layer("block1_conv1").kernel, kernel, rtol=1e-5, atol=1e-6)
        assert "block1_norm1" not in [layer.name for layer in network.layers]
