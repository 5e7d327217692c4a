"""Receptive fields agree with the gradients of single output pixels with respect to the image."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import kseg
from kseg.layers import (
    BedOfNails2D,
    CropToMatch,
    DilatedMaxPooling2D,
    Interpolation2D,
    MaxPoolingWithIndices2D,
    MaxUnpooling2D,
    ResizeToMatch,
)


class AveragePoolingWithIndices(layers.AveragePooling2D):
    """What `MaxPoolingWithIndices2D` reads, with a gradient for every pixel of a window."""

    def call(self, values):
        return super().call(values), super().call(values)

    def compute_output_spec(self, values):
        return [keras.KerasTensor(self.compute_output_shape(values.shape)) for _ in range(2)]


class RepeatedUnpooling(Interpolation2D):
    """What `MaxUnpooling2D` may read: its position is known only when it runs."""

    def __init__(self, factor, **kwargs):
        super().__init__(factor, "nearest", **kwargs)

    def call(self, inputs):
        return super().call(inputs[0])

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(input_shape[0])


def twin(model: keras.Model, layer: str | None = None) -> keras.Model:
    """The same graph with one channel a layer, positive constant kernels, and averages for maxima: no gradient cancels."""

    def linear(original):
        settings = original.get_config()
        if isinstance(original, layers.MaxPooling2D):
            return layers.AveragePooling2D.from_config(settings)
        if isinstance(original, DilatedMaxPooling2D):
            return layers.DepthwiseConv2D(original.pool_size, dilation_rate=original.dilation_rate, name=original.name)
        if isinstance(original, MaxPoolingWithIndices2D):
            return AveragePoolingWithIndices(original.pool_size, padding="same", name=original.name)
        if isinstance(original, MaxUnpooling2D):
            return RepeatedUnpooling(original.pool_size[0], name=original.name)
        settings.update({key: 1 for key in ("filters", "groups") if key in settings})
        return type(original).from_config(settings)

    copy = keras.models.clone_model(model, clone_function=linear)
    for weight in copy.trainable_weights + copy.non_trainable_weights:
        if "kernel" in weight.name:
            weight.assign(np.full(weight.shape, 1 / math.prod(weight.shape[:2])))
    return keras.Model(copy.inputs, copy.get_layer(layer).output if layer else copy.output)


def measured(model: keras.Model, size: tuple[int, int], axis: int, period: int) -> dict:
    """Extent, stride, offset and margin along `axis`, from gradients of `period` + 1 pixels in the middle of the output."""
    import tensorflow as tf

    shapes = [(1, *size, tensor.shape[-1]) for tensor in model.inputs]
    images = [tf.Variable(np.full(shape, 255.0, np.float32)) for shape in shapes]
    with tf.GradientTape(persistent=True) as tape:
        output = model(images if len(images) > 1 else images[0])
        line = output[0, :, output.shape[2] // 2] if axis == 0 else output[0, output.shape[1] // 2]
        start = (line.shape[0] - period) // 2 // period * period
        pixels = [tf.reduce_sum(line[i]) for i in range(start, start + period + 1)]
    spans = []
    for pixel in pixels:
        gradients = [g for g in tape.gradient(pixel, images) if g is not None]
        seen = np.flatnonzero(sum(np.abs(g).sum(axis=(0, 2 - axis, 3)) > 0 for g in gradients))
        assert seen[0] > 0 and seen[-1] < size[axis] - 1, "the image is too small to tell"
        spans.append((int(seen[0]), int(seen[-1])))
    stride = (spans[-1][0] - spans[0][0]) / period
    own = [(math.floor(i * stride), math.ceil((i + 1) * stride) - 1) for i in range(start, start + period + 1)]
    return {
        "extent": max(last - first + 1 for first, last in spans),
        "stride": stride,
        "offset": min(first - (start + i) * stride for i, (first, _) in enumerate(spans)),
        "margin": max(0, *(max(o[0] - s[0], s[1] - o[1]) for o, s in zip(own, spans, strict=True))),
    }


def single(*stack):
    """A model of one chain of layers on a grey image."""
    image = x = keras.Input((None, None, 1))
    for layer in stack:
        x = layer(x)
    return keras.Model(image, x)


CHAINS = {
    "3x3": lambda: [layers.Conv2D(1, 3, padding="same")],
    "3x3 of stride 2": lambda: [layers.Conv2D(1, 3, strides=2, padding="same")],
    "5x5 of stride 2, unpadded": lambda: [layers.Conv2D(1, 5, strides=2)],
    "4x4 of stride 2, padded, twice": lambda: [
        layers.ZeroPadding2D(1),
        layers.Conv2D(1, 4, strides=2),
        layers.ZeroPadding2D(((2, 0), (1, 1))),
        layers.Conv2D(1, 4, strides=2),
    ],
    "dilation 3": lambda: [layers.Conv2D(1, 3, dilation_rate=3, padding="same")],
    "pooling 3 by 2": lambda: [layers.AveragePooling2D(3, 2, padding="same"), layers.Conv2D(1, 3, padding="same")],
    "depthwise after pooling": lambda: [layers.AveragePooling2D(2), layers.DepthwiseConv2D(5, padding="same")],
    "separable": lambda: [layers.SeparableConv2D(1, 3, padding="same"), layers.ReLU()],
    "rows and columns": lambda: [layers.Conv2D(1, (1, 7), strides=(2, 1), padding="same")],
    "transposed 2 by 2": lambda: [layers.AveragePooling2D(4), layers.Conv2DTranspose(1, 2, strides=2)],
    "transposed 4 by 2": lambda: [layers.AveragePooling2D(2), layers.Conv2DTranspose(1, 4, strides=2, padding="same")],
    "transposed 4 by 2, unpadded": lambda: [layers.AveragePooling2D(2), layers.Conv2DTranspose(1, 4, strides=2)],
    "transposed 5 by 3": lambda: [layers.AveragePooling2D(3), layers.Conv2DTranspose(1, 5, strides=3, padding="same")],
    "transposed 3 by 2 of the image": lambda: [layers.Conv2DTranspose(1, 3, strides=2, padding="same")],
    "nearest": lambda: [layers.AveragePooling2D(4), layers.UpSampling2D(2), layers.Conv2D(1, 3, padding="same")],
    "bilinear 2": lambda: [layers.AveragePooling2D(4), layers.UpSampling2D(2, interpolation="bilinear")],
    "bilinear 3": lambda: [layers.AveragePooling2D(3), layers.UpSampling2D(3, interpolation="bilinear")],
    "bicubic 2": lambda: [layers.AveragePooling2D(2), layers.UpSampling2D(2, interpolation="bicubic")],
    "bicubic 3": lambda: [layers.AveragePooling2D(3), layers.UpSampling2D(3, interpolation="bicubic")],
    "interpolated 3": lambda: [layers.AveragePooling2D(3), Interpolation2D(3, "bilinear")],
    "interpolated 2 by cubics": lambda: [layers.AveragePooling2D(2), Interpolation2D(2, "bicubic")],
    "bed of nails": lambda: [layers.AveragePooling2D(4), BedOfNails2D((4, 2)), layers.Conv2D(1, 5, padding="same")],
    "cropping": lambda: [layers.Cropping2D(((3, 1), (0, 2))), layers.Conv2D(1, 3)],
}


@pytest.mark.parametrize("chain", CHAINS)
def test_each_kind_of_layer_reads_where_its_gradient_is_not_zero(chain):
    model = single(*CHAINS[chain]())
    field = kseg.receptive_field(model)
    for axis in (0, 1):
        for name, value in measured(twin(model), (240, 240), axis, period=12).items():
            answer = getattr(field, name)
            assert value == (answer[axis] if isinstance(answer, tuple) else answer), (name, axis)


def encoder_model(name, **settings):
    """Makes a model of an encoder's last feature."""

    def build():
        image = keras.Input((None, None, 3))
        return keras.Model(image, getattr(kseg.encoders, name)(image, **settings)[-1])

    return build


MULTI_GRID = encoder_model("resnet50", width=1 / 64, output_stride=16, multi_grid=(1, 2, 4))
NETWORKS = {  # network, layer, period of the output, extent, stride; the image is one pixel wide where the network admits that
    "unet": (lambda: kseg.UNet(2, filters=(2, 2, 2)), None, 4, 44, 1),
    "fcn32s": (lambda: kseg.FCN32s(2, width=1 / 64), None, 32, 404 + 32, 1),
    "fcn16s": (lambda: kseg.FCN16s(2, width=1 / 64), None, 32, 404 + 64, 1),
    "fcn8s": (lambda: kseg.FCN8s(2, width=1 / 64), None, 32, 404 + 64, 1),
    "fcn8s at fc7": (lambda: kseg.FCN8s(2, width=1 / 64), "score_fc7", 1, 404, 32),
    "fcn8s with margin": (lambda: kseg.FCN8s(2, width=1 / 64, padding=100), None, 32, 404 + 64, 1),
    "fcn32s with margin": (lambda: kseg.FCN32s(2, width=1 / 64, padding=100), None, 32, 404 + 32, 1),
    "dilated front end": (lambda: kseg.DilatedFrontEnd(2, width=0.02), "final", 1, 380, 8),
    "dilated, basic context": (lambda: kseg.DilatedFrontEnd(2, context="basic", width=0.02), None, 8, 916, 1),
    "unet with unpooling": (lambda: kseg.UNet(2, filters=(2, 2, 2), upsampling="max_unpooling"), None, 4, 44, 1),
    "segnet": (lambda: kseg.SegNet(2, width=1 / 64), None, 32, 404, 1),
    "segnet basic": (lambda: kseg.SegNetBasic(2, width=1 / 64), None, 16, 202, 1),
    "resnet50": (encoder_model("resnet50", width=1 / 64), None, 1, 483, 32),
    "resnet50 of output stride 8": (encoder_model("resnet50", width=1 / 64, output_stride=8), None, 1, 483, 8),
    "resnet50 with multi-grid": (MULTI_GRID, None, 1, 739, 16),
    "full resolution": (lambda: kseg.FullResolutionFCN(2, depth=4, width=1 / 32), None, 1, 9, 1),
    "two branches": (lambda: kseg.discriminators.TwoBranch(2, width=1 / 16), "score", 1, 34, 4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_fields_of_networks_agree_with_their_gradients(name):
    build, layer, period, extent, stride = NETWORKS[name]
    model = build()
    field = kseg.receptive_field(model, layer)
    assert (field.extent, field.stride) == (extent, stride)
    length = 32 * math.ceil((extent + 2 * period + 128) / 32)
    assert vars(field) == measured(twin(model, layer), (length, 1), 0, period)


@pytest.mark.parametrize(("border", "shape"), [("reflect", (90, 90)), ("zeros", (90, 100))])
def test_a_converted_patch_classifier_sees_its_window(border, shape):
    model = kseg.convolutionalize(
        kseg.PatchClassifier(2, window=18, kernel_sizes=(3, 3), filters=(2, 2)), border=border
    )
    field = kseg.receptive_field(model)
    assert (field.extent, field.offset) == (18, -9)
    for axis in (0, 1):
        assert vars(field) == measured(twin(model), shape, axis, 1)


def test_the_receptive_field_of_the_unpadded_unet_agrees_with_its_gradients():
    model = kseg.UNet(2, filters=(2, 2, 2), padding="valid")
    field = kseg.receptive_field(model)
    assert vars(field) == measured(twin(model), (156, 44), 0, 4)
    assert field.extent == 44 and field.stride == 1
    assert kseg.receptive_field(kseg.UNet(2, input_shape=(572, 572, 1), filters=(1,) * 5, padding="valid")).stride == 1


@pytest.mark.parametrize(("name", "extent"), [("alexnet", 195), ("vgg16", 212), ("resnet50", 483), ("resnet101", 1027)])
def test_encoders_have_the_receptive_fields_of_araujo_et_al(name, extent):
    field = kseg.receptive_field(encoder_model(name, width=1 / 64)())
    assert (field.extent, field.stride) == (extent, 32)


@pytest.mark.parametrize(
    ("name", "extent"), [("mobilenet_v2", 491), ("mobilenet_v3_small", math.inf), ("efficientnet_v2_b0", math.inf)]
)
def test_encoders_of_keras_applications_are_followed_and_squeezing_reads_the_whole_image(name, extent):
    field = kseg.receptive_field(encoder_model(name)())
    assert (field.extent, field.stride) == (extent, 32)


def test_branches_of_deeplab_see_farther_by_their_rates_and_its_image_level_everything(symbolic):
    network = kseg.DeepLabV3(3, depth=50)
    encoder_extent = 483 + 2 * 16 * (2 + 4 + 8 - 6)  # the dilations of the last three units, which were 2 each
    for i, rate in enumerate((6, 12, 18), start=1):
        assert kseg.receptive_field(network, f"aspp_atrous{i}_relu").extent == encoder_extent + 2 * 16 * rate
    assert kseg.receptive_field(network, "aspp_point_relu").extent == encoder_extent
    everywhere = kseg.receptive_field(network, "aspp_image_everywhere")
    assert (everywhere.extent, everywhere.stride) == (math.inf, 16)
    assert kseg.receptive_field(network).extent == math.inf


def test_a_map_resized_to_another_reads_its_neighbours():
    image = keras.Input((None, None, 1))
    coarse = layers.AveragePooling2D(8)(image)
    fine = layers.AveragePooling2D(2, name="fine")(image)
    model = keras.Model(image, ResizeToMatch()([coarse, fine]))
    field = kseg.receptive_field(model)
    assert (field.extent, field.stride) == (16, 2)
    assert vars(field) == measured(model, (96, 8), 0, 4)


def test_global_pooling_sees_the_whole_image():
    everywhere = kseg.receptive_field(kseg.discriminators.TwoBranch(2, width=1 / 16))
    assert everywhere.extent == everywhere.stride == everywhere.margin == math.inf and everywhere.offset == -math.inf
    image = keras.Input((None, None, 3))
    gate = layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(image))
    gated = kseg.receptive_field(keras.Model(image, layers.Conv2D(1, 3, 2)(layers.Multiply()([image, gate]))))
    assert (gated.extent, gated.stride) == (math.inf, 2)


def test_a_branch_that_reads_no_pixel_is_ignored():
    image = keras.Input((None, None, 1))
    far = layers.Conv2D(1, 9, padding="same", name="far")(image)
    near = CropToMatch()([layers.ZeroPadding2D(((0, 4), (0, 4)))(image), far])
    assert kseg.receptive_field(keras.Model(image, near)).extent == 1  # of the reference only the size counts


def test_a_layer_used_twice_is_followed_through_both_uses():
    image = keras.Input((None, None, 1))
    shared = layers.Conv2D(1, 3, padding="same", name="shared")
    model = keras.Model(image, layers.Add(name="sum")([shared(shared(image)), image]))
    assert kseg.receptive_field(model).extent == 5
    assert kseg.receptive_field(model, "shared").extent == 3


def test_arithmetic_on_maps_is_followed_at_each_position():
    image = keras.Input((None, None, 1))
    x = layers.Normalization(mean=0.5, variance=2.0)(image)
    sigmoid = layers.ReLU(6.0)(layers.Conv2D(1, 3, padding="same")(x) + 3.0) * (1 / 6)
    assert kseg.receptive_field(keras.Model(image, sigmoid * x - x / 2)).extent == 3
    with pytest.raises(ValueError, match="of type Mean"):
        kseg.receptive_field(keras.Model(image, keras.ops.mean(image, axis=1)))


def test_spectral_normalisation_reads_what_its_layer_reads():
    discriminator = single(*(layers.SpectralNormalization(layers.Conv2D(1, 4, 2, padding="same")) for _ in range(5)))
    assert kseg.receptive_field(discriminator).extent == 94


def test_sequential_models_are_followed():
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3), layers.Conv2D(1, 3)])
    assert kseg.receptive_field(model).extent == 5


def test_an_unknown_layer_is_named():
    model = single(layers.Conv2D(1, 3), layers.GaussianNoise(1.0, name="stage_noise"))
    with pytest.raises(
        ValueError, match=r"must know every layer.*layer 'stage_noise' of type GaussianNoise\. Name an earlier layer"
    ):
        kseg.receptive_field(model)
    assert kseg.receptive_field(model, model.layers[1].name).extent == 3
    rows = keras.Input((None, None, 1))
    with pytest.raises(ValueError, match="layer 'stack' of type Concatenate"):
        kseg.receptive_field(keras.Model(rows, layers.Concatenate(axis=1, name="stack")([rows, rows])))


def test_what_is_no_graph_of_one_output_is_refused():
    image = keras.Input((None, None, 1), name="image")
    two = keras.Model(image, [layers.ReLU(name="one")(image), image], name="two")
    with pytest.raises(ValueError, match=r"`layer` must be named.*2 outputs and layer=None\. Name one of image, one"):
        kseg.receptive_field(two)
    with pytest.raises(ValueError, match=r"`layer` must be one of image, one\. Received: layer='three'"):
        kseg.receptive_field(two, "three")
    with pytest.raises(ValueError, match=r"`model` must be a functional keras\.Model"):
        kseg.receptive_field(layers.Conv2D(1, 3))
