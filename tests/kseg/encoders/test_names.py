"""Networks take encoders by name, with weights; an unknown name is refused with a suggestion."""

import functools

import keras
import numpy as np
import pytest

import kseg
from kseg.encoders.names import ENCODERS, encode, trunk_weights

LIGHT = ("alexnet", "vgg16", "vgg16_dilated", "resnet50", "mobilenet_v3_small", "efficientnet_lite0")


def test_every_encoder_has_a_name():
    functions = set(kseg.encoders.__all__) - {"ENCODERS", "VGG16_STAGES", "strides"}
    backbones = {*kseg.keras_cv.RESNETS, *kseg.keras_cv.DARKNETS}
    assert set(ENCODERS) == functions | backbones


@pytest.mark.parametrize("name", LIGHT)
def test_a_name_builds_what_the_function_builds(name, symbolic):
    image = keras.Input((64, 64, 3))
    named = keras.Model(image, encode(image, name))
    called = keras.Model(image, getattr(kseg.encoders, name)(image))
    assert [weight.path for weight in named.weights] == [weight.path for weight in called.weights]
    assert named.output_shape == called.output_shape


def test_a_named_encoder_takes_the_settings_of_the_network(symbolic):
    network = kseg.DeepLabV3(21, encoder="resnet50", width=0.25)
    assert network.get_layer("conv5_block3_3_conv").filters == 512
    assert network.get_layer("conv5_block1_2_conv").dilation_rate == (2, 2)  # output stride 16
    dilated = kseg.DilatedFrontEnd(21, encoder="resnet50", width=0.25)
    assert kseg.encoders.strides(dilated.input, [dilated.get_layer("conv5_block3_out").output]) == [8]
    assert kseg.FCN8s(3, encoder="vgg16", width=0.25, batch_normalization=True).get_layer("block1_norm1").axis == -1


@pytest.mark.parametrize(
    "make",
    [
        lambda: kseg.UNet(11, encoder="efficientnet_v2_b0", filters=(4,) * 5),
        lambda: kseg.PSPNet(3, encoder="mobilenet_v2", width=0.35),
        lambda: kseg.DeepLabV3Plus(3, encoder="resnet101", width=1 / 16, output_stride=8),
        lambda: kseg.FCN32s(3, encoder="efficientnet_lite1", width=1 / 16),
        lambda: kseg.FPN(3, encoder="mobilenet_v3_large", width=1 / 16),
        lambda: kseg.LightFPN(3, encoder="efficientnet_lite2"),
    ],
)
def test_networks_are_built_on_named_encoders(make, symbolic):
    assert make().output_shape[1:3] == (None, None)


def test_weights_are_passed_to_the_named_encoder(tmp_path):
    image = keras.Input((None, None, 3))
    donor = keras.Model(image, kseg.encoders.vgg16(image, width=1 / 16))
    donor.save_weights(tmp_path / "donor.weights.h5")
    kernel = donor.get_layer("block1_conv1").get_weights()[0]
    for network in (
        kseg.FCN8s(3, width=1 / 16, encoder="vgg16", weights=tmp_path / "donor.weights.h5"),
        kseg.FCN8s(3, width=1 / 16, weights=tmp_path / "donor.weights.h5"),
    ):
        assert (network.get_layer("block1_conv1").get_weights()[0] == kernel).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: kseg.UNet(3, encoder="resnet-50"),
            r'one of "alexnet", .*encoder=.resnet-50.\. Did you mean "resnet50"',
        ),
        (lambda: kseg.UNet(3, encoder=50), r"a name or a function.*encoder=50\. Names: alexnet, "),
        *[
            (
                lambda returned=returned: kseg.FPN(3, encoder=lambda image: returned),
                "`encoder` must return a list of maps ",
            )
            for returned in (None, [], keras.Input((8, 8, 3)), [keras.Input((8,))])
        ],
        (lambda: kseg.UNet(3, encoder="vgg16", weights=np.zeros(3)), '`weights` must be None, "imagenet" or a path'),
        (lambda: kseg.UNet(3, weights="imagenet"), "`weights` must be None without an `encoder`"),
        (
            lambda: kseg.PSPNet(3, encoder=functools.partial(kseg.encoders.resnet50), weights="imagenet"),
            r"`weights` must be None with an encoder that is a function.*functools\.partial",
        ),
        (lambda: kseg.DilatedFrontEnd(3, encoder="resnet50", padding=186), "`padding` must be .same. with encoder="),
        (lambda: kseg.DeepLabV3(3, encoder="mobilenet_v2"), "must end at `output_stride`"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


TRUNKS = {
    "unet": lambda **given: kseg.UNet(3, filters=(4,) * 5, batch_normalization=True, **given),
    "deeplab": lambda **given: kseg.DeepLabV3Plus(3, width=0.05, **given),
    "fcn": lambda **given: kseg.FCN8s(3, width=0.05, **given),
    "light_fpn": lambda **given: kseg.LightFPN(3, **given),
    "fpn": lambda **given: kseg.FPN(3, width=0.05, **given),
}


@pytest.mark.parametrize(
    ("network", "encoder"),
    [
        ("unet", "vgg16"),
        pytest.param("deeplab", "resnet50", marks=pytest.mark.slow),
        ("fcn", "mobilenet_v3_small"),
        pytest.param("light_fpn", "efficientnet_lite0", marks=pytest.mark.slow),
        ("fpn", "resnet18_v2"),
    ],
)
def test_the_weights_of_the_trunk_are_the_encoders_and_no_others(network, encoder, tmp_path):
    model = TRUNKS[network](encoder=encoder)
    image = keras.Input((None, None, 3))
    settings = (
        {"width": 0.05, "output_stride": 16} if network == "deeplab" else {"width": 0.05} if network == "fcn" else {}
    )
    alone = keras.Model(image, encode(image, encoder, batch_normalization=network == "unet", **settings))
    paths = [weight.path for weight in trunk_weights(model)]
    assert sorted(paths) == sorted(weight.path for weight in alone.trainable_weights)
    others = [weight.path for weight in model.trainable_weights if weight.path not in set(paths)]
    assert others and len(paths) + len(others) == len(model.trainable_weights)  # no path stands for two weights
    model.save(tmp_path / "model.keras")  # where an optimizer finds them by these paths
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [weight.path for weight in loaded.trainable_weights] == [weight.path for weight in model.trainable_weights]


def test_a_network_on_its_own_encoder_has_no_trunk_by_name(symbolic):
    with pytest.raises(ValueError, match=r"built with `encoder`. Received: fcn8s"):
        trunk_weights(kseg.FCN8s(3, width=0.05))


def test_an_encoder_that_is_a_function_is_a_trunk_too(symbolic):
    model = kseg.LightFPN(3, encoder=functools.partial(kseg.encoders.efficientnet_lite0, output_stride=32))
    assert len(trunk_weights(model)) == len(trunk_weights(kseg.LightFPN(3)))
