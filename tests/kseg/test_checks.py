"""Wrong arguments of constructors are refused in our words, before Keras meets them."""

import functools
import inspect

import keras
import numpy as np
import pytest

import kseg
from kseg import discriminators, encoders, generators, layers
from kseg._checks import check_choice, check_number
from kseg.models.dilated import IdentityByClass

PATCHES = {"window": 18, "kernel_sizes": (3, 3), "filters": (4, 4), "dense_units": (8,)}
CONSTRUCTORS = {
    "UNet": functools.partial(kseg.UNet, filters=(2, 3)),
    "FCN32s": functools.partial(kseg.FCN32s, width=1 / 64),
    "FCN16s": functools.partial(kseg.FCN16s, width=1 / 64),
    "FCN8s": functools.partial(kseg.FCN8s, width=1 / 64),
    "SegNet": functools.partial(kseg.SegNet, width=1 / 64),
    "SegNetBasic": functools.partial(kseg.SegNetBasic, width=1 / 64),
    "FullResolutionFCN": functools.partial(kseg.FullResolutionFCN, width=1 / 64),
    "DeepLabV3": functools.partial(kseg.DeepLabV3, width=1 / 64),
    "DeepLabV3Plus": functools.partial(kseg.DeepLabV3Plus, width=1 / 64),
    "PSPNet": functools.partial(kseg.PSPNet, width=1 / 64),
    "FPN": functools.partial(kseg.FPN, width=1 / 64),
    "LightFPN": functools.partial(kseg.LightFPN, filters=(2, 2, 3, 3, 4)),
    "DilatedFrontEnd": functools.partial(kseg.DilatedFrontEnd, width=1 / 64),
    "PatchClassifier": functools.partial(kseg.PatchClassifier, **PATCHES),
    "TwoBranch": functools.partial(discriminators.TwoBranch, width=1 / 64),
    "LargeFOV": functools.partial(discriminators.LargeFOV, width=1 / 64),
    "SmallFOV": functools.partial(discriminators.SmallFOV, width=1 / 64),
    "PatchGAN": functools.partial(discriminators.PatchGAN, base_filters=2),
    "FullyConvolutional": functools.partial(discriminators.FullyConvolutional, base_filters=2),
    "discriminators.DCGAN": functools.partial(discriminators.DCGAN, base_filters=2),
    "generators.DCGAN": functools.partial(generators.DCGAN, base_filters=2),
}
WRONG = {  # argument -> values that are refused wherever a constructor has it
    "activation": ["softmx", "relu", 1],
    "base_filters": [0, 2.5, "8", (8,)],
    "batch_normalization": ["yes", 1],
    "bins": [6, (), (0, 1)],
    "channels": [0, "3", 1.0],
    "context": ["basik", "parallell", True],
    "depth": [0, "50", 50.5, True],
    "dropout": [1.0, -0.1, "0.5", True],
    "encoder": ["resnet5", 50, ["resnet50"]],
    "fc_filters": [0, 1.5],
    "filters": [16, (), (16, 0), (16, -4), (16, 2.5), "16"],
    "input_shape": [(3,), (None, None), (32, 32, None), (32, 0, 3), 32, "RGB"],
    "kernel_sizes": [3, (0, 3)],
    "layers_between": [0, 1.5],
    "light": ["yes"],
    "logits": [0, "1"],
    "multi_grid": [2, (1, 2), (0, 1, 2)],
    "noise": [0, "100"],
    "output_stride": [12, 32, "16"],
    "padding": ["full", "Same", 50, True],
    "size": [0, 31.5, "32"],
    "spectral_normalization": ["no"],
    "upsampling": ["bilinaer", "cubic", None],
    "upsampling_trainable": ["no"],
    "width": [0, -1, "0.5", True, float("nan"), float("inf")],
}
CASES = [
    (name, argument, value)
    for name, constructor in CONSTRUCTORS.items()
    for argument in WRONG
    if argument in list(inspect.signature(constructor).parameters)[1:]
    for value in WRONG[argument]
]


@pytest.mark.parametrize(("name", "argument", "value"), CASES)
def test_a_constructor_refuses_a_wrong_argument_by_name(name, argument, value):
    with pytest.raises(ValueError, match=rf"^`{argument}` must .*Received: {argument}="):
        CONSTRUCTORS[name](3, **{argument: value})


@pytest.mark.parametrize("name", CONSTRUCTORS)
@pytest.mark.parametrize("value", ["3", 0, -1, True, 2.5, None, [3]])
def test_the_number_of_classes_is_a_positive_integer(name, value):
    with pytest.raises(ValueError, match=r"^`(num_classes|channels)` must be an integer of at least 1\. Received: "):
        CONSTRUCTORS[name](value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LocalResponseNormalization("5"), "`size` must be an integer"),
        (lambda: layers.ImagePooling2D(2.0), "`bins` must be an integer"),
        (lambda: layers.MinimumSize(None), "`size` must be an integer"),
        (lambda: layers.Interpolation2D("2"), "`factor` must be an integer"),
        (lambda: layers.DilatedMaxPooling2D((2, 0)), "`pool_size` must be one or two integers"),
        (lambda: layers.DilatedMaxPooling2D(2, 1.5), "`dilation_rate` must be one or two integers"),
        (lambda: layers.ReflectionPadding2D((1, 2, 3)), "`padding` must be"),
        (lambda: layers.ReflectionPadding2D("1"), "`padding` must be"),
        (lambda: layers.MaxUnpooling2D(True), "`pool_size` must be one or two integers"),
        (lambda: layers.Upsampling("nearest", 2.5), "`factor` must be an integer"),
        (lambda: layers.Upsampling("neerest", 2), 'Did you mean "nearest"?'),
        (lambda: IdentityByClass(0), "`num_classes` must be an integer"),
    ],
)
def test_layers_refuse_wrong_arguments(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize("encoder", [encoders.vgg16, encoders.vgg16_dilated, encoders.resnet50, encoders.alexnet])
@pytest.mark.parametrize("width", [0, "1", True])
def test_encoders_refuse_wrong_widths(encoder, width):
    with pytest.raises(ValueError, match="`width` must be a number above 0"):
        encoder(keras.Input((None, None, 3)), width=width)


def test_a_similar_choice_is_suggested_and_all_are_listed():
    with pytest.raises(
        ValueError, match=r'^`mode` must be "one", "two" or "three"\. Received: mode=\'tow\'\. Did you mean "two"\?$'
    ):
        check_choice("mode", "tow", ("one", "two", "three"))
    with pytest.raises(ValueError, match=r"^`mode` must be None or 8\. Received: mode=8\.0\.$"):
        check_choice("mode", 8.0, (None, 8))


def test_numbers_of_numpy_are_numbers():
    check_number("width", np.float32(0.5), above=0)
    check_choice("depth", np.int64(50), (50, 101))
    assert kseg.UNet(np.int64(3), filters=(np.int64(2), 3)).output_shape == (None, None, None, 3)


def test_filters_that_are_an_integer_get_a_cure():
    with pytest.raises(ValueError, match=r"Received: filters=16\. Write filters=\(16,\) for one stage\.$"):
        kseg.UNet(3, filters=16)
