"""Sentences of Chen et al. 2017 (arXiv:1706.05587) and of its authors' code about atrous convolution."""

import keras
import numpy as np
import pytest

import kseg
from kseg.blocks import aspp


def test_the_pyramid_of_2048_channels_has_the_authors_parameters(symbolic):
    features = keras.Input((None, None, 2048))
    model = keras.Model(features, aspp(features))
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert count == 15_535_104 and model.count_params() == 15_538_176


def test_the_classes_of_voc_take_5397_parameters(symbolic):
    assert kseg.DeepLabV3(21).get_layer("score").count_params() == 5_397


@pytest.mark.parametrize(("branch", "rate"), enumerate((6, 12, 18), start=1))
def test_each_branch_reaches_its_rate_and_nothing_between(branch, rate):
    features = keras.Input((None, None, 1))
    model = keras.Model(features, aspp(features, 1))
    convolution = model.get_layer(f"aspp_atrous{branch}_conv")
    convolution.kernel.assign(np.ones((3, 3, 1, 1)))
    impulse = np.zeros((1, 41, 41, 1), "float32")
    impulse[0, 20, 20] = 1
    answer = np.array(convolution(impulse))[0, :, :, 0]
    assert {*np.flatnonzero(answer.any(0)), *np.flatnonzero(answer.any(1))} == {20 - rate, 20, 20 + rate}


def test_rates_double_at_output_stride_8(symbolic):
    model = kseg.DeepLabV3(21, output_stride=8)
    rates = [model.get_layer(f"aspp_atrous{i}_conv").dilation_rate[0] for i in (1, 2, 3)]
    assert rates == [12, 24, 36]


@pytest.mark.parametrize(("output_stride", "block4", "block5"), [(16, [1] * 23, [2, 4, 8]), (8, [2] * 23, [4, 8, 16])])
def test_multi_grid_multiplies_the_unit_rates_of_the_last_stage(output_stride, block4, block5, symbolic):
    model = kseg.DeepLabV3(21, output_stride=output_stride)

    def rates(stage, units):
        return [model.get_layer(f"conv{stage}_block{i}_2_conv").dilation_rate[0] for i in range(1, units + 1)]

    assert (rates(4, 23), rates(5, 3)) == (block4, block5)


def test_the_cascade_doubles_its_rate_with_each_block(symbolic):
    model = kseg.DeepLabV3(21, context="cascade", multi_grid=(1, 2, 1))
    rates = [model.get_layer(f"conv{stage}_block1_2_conv").dilation_rate[0] for stage in (5, 6, 7, 8)]
    assert rates == [2, 4, 8, 16]


def test_the_image_level_feature_is_the_same_everywhere_and_knows_the_whole_image():
    keras.utils.set_random_seed(0)
    features = keras.Input((None, None, 4))
    model = keras.Model(features, aspp(features, 8))
    everywhere = keras.Model(features, model.get_layer("aspp_image_everywhere").output)
    x = np.random.default_rng(0).normal(size=(1, 5, 7, 4)).astype("float32")
    answer = np.array(everywhere(x))
    np.testing.assert_allclose(answer, np.broadcast_to(answer[:, :1, :1], answer.shape), rtol=1e-6)
    x[0, 4, 6] += 10
    assert not np.allclose(everywhere(x)[0, 0, 0], answer[0, 0, 0])


def test_the_decoder_works_at_stride_4_with_48_low_level_channels(symbolic):
    model = kseg.DeepLabV3Plus(21, input_shape=(512, 512, 3), depth=50)
    assert model.get_layer("decoder_low_relu").output.shape[1:] == (128, 128, 48)
    assert model.get_layer("decoder_join").output.shape[1:] == (128, 128, 256 + 48)
    assert model.output_shape == (None, 512, 512, 21)


def test_crops_of_513_give_33_positions_at_output_stride_16(symbolic):
    model = kseg.DeepLabV3(21, input_shape=(513, 513, 3))
    assert model.get_layer("aspp_join").output.shape[1:] == (33, 33, 1280)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"`output_stride` must be 8 or 16. Received: output_stride=12."):
        kseg.DeepLabV3(3, output_stride=12)
    with pytest.raises(ValueError, match=r"`depth` must be 50 or 101. Received: depth=18."):
        kseg.DeepLabV3(3, depth=18)
    with pytest.raises(ValueError, match=r'`context` must be "parallel" or "cascade"'):
        kseg.DeepLabV3(3, context="series")
    with pytest.raises(ValueError, match=r"`encoder` must end at `output_stride`"):
        kseg.DeepLabV3(3, width=0.05, encoder=lambda image: kseg.encoders.vgg16(image, width=0.05))
