"""Sentences of Kirillov et al. 2019 (arXiv:1901.02446) and Lin et al. 2017 (arXiv:1612.03144), and of `LightFPN`."""

import functools

import keras
import numpy as np
import pytest

import kseg

RESNET50 = 23_508_032 + 26_560  # He et al. 2016, and the biases that keras.applications has before batch normalisation
LATERALS = (256 + 512 + 1024 + 2048) * 256 + 4 * 256
OUTPUTS = 4 * (9 * 256 * 256 + 256)
BRANCHES = (
    4 * 9 * 256 * 128 + (1 + 2) * 9 * 128 * 128 + (1 + 1 + 2 + 3) * 2 * 128
)  # convolutions; gamma and beta of 7 norms


def trainable(model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.fixture(scope="module")
def fpn():
    return kseg.FPN(21, depth=50)


def test_parameters_are_those_of_the_parts(fpn):
    assert trainable(fpn) == RESNET50 + LATERALS + OUTPUTS + BRANCHES + 128 * 21 + 21 == 28_505_493


def test_a_level_has_as_many_doublings_as_it_lies_above_stride_4(fpn):
    names = {layer.name for layer in fpn.layers}
    for stride, convolutions, doublings in ((4, 1, 0), (8, 1, 1), (16, 2, 2), (32, 3, 3)):
        assert sum(name.startswith(f"branch{stride}_") and name.endswith("_conv") for name in names) == convolutions
        assert sum(name.startswith(f"branch{stride}_") and name.endswith("_up") for name in names) == doublings


def test_channels_are_256_in_the_pyramid_and_128_in_the_branch_in_32_groups(fpn):
    for stride in (4, 8, 16, 32):
        assert fpn.get_layer(f"pyramid{stride}_conv").filters == 256
        assert fpn.get_layer(f"branch{stride}_1_conv").filters == 128
        assert fpn.get_layer(f"branch{stride}_1_norm").groups == 32


def test_a_level_is_its_lateral_plus_the_nearest_neighbours_of_the_coarser_one(fpn):
    names = ("lateral16", "lateral32", "pyramid16_add")
    parts = keras.Model(fpn.input, [fpn.get_layer(name).output for name in names])
    fine, coarse, level = parts(np.random.default_rng(0).uniform(0, 255, (1, 33, 64, 3)).astype("float32"))
    assert fine.shape[1:3] == (3, 4) and coarse.shape[1:3] == (2, 2)
    enlarged = np.repeat(np.repeat(coarse, 2, axis=1), 2, axis=2)[:, :3]
    np.testing.assert_allclose(level, fine + enlarged, rtol=1e-5, atol=1e-5)


def test_a_narrow_branch_is_normalised_in_groups_that_divide_it():
    assert kseg.FPN(3, depth=50, width=1 / 32).get_layer("branch4_1_norm").groups == 4
    assert kseg.FPN(3, depth=50, width=0.3).get_layer("branch4_1_norm").groups == 2  # 38 channels


def test_an_encoder_without_a_stride_of_the_pyramid_is_refused():
    with pytest.raises(ValueError, match=r"strides \(4, 8, 16, 32\). Received: features of strides \[2, 4, 8, 16\]"):
        kseg.FPN(3, encoder=functools.partial(kseg.encoders.efficientnet_lite0, output_stride=16))


def test_the_light_pyramid_scores_at_stride_2_and_sees_the_whole_image(symbolic):
    network = kseg.LightFPN(11, input_shape=(360, 480, 3))
    assert network.get_layer("score").output.shape == (None, 180, 240, 11)
    assert kseg.receptive_field(network).extent == float("inf")


def test_the_light_pyramid_has_3_5_million_parameters_of_which_the_trunk_has_3(symbolic):
    assert kseg.LightFPN(11).count_params() == 3_481_739


def test_light_filters_must_be_one_for_each_feature():
    with pytest.raises(ValueError, match=r"one number for each feature of `encoder`.*filters=\(8, 8\)"):
        kseg.LightFPN(3, filters=(8, 8))
