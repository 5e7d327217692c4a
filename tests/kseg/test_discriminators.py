"""The two-branch discriminator has the published counts and sees both of its inputs."""

import keras
import numpy as np
import pytest

import kseg


def test_parameters_of_8_classes_are_the_published_ones():
    assert kseg.discriminators.TwoBranch(8).count_params() == 1_667_265
    assert kseg.discriminators.TwoBranch(8, logits=2).count_params() == 1_671_874


def test_the_verdict_depends_on_the_image_and_on_the_label_map():
    keras.utils.set_random_seed(0)
    network = kseg.discriminators.TwoBranch(4, branch_filters=4)
    draw = np.random.default_rng(0)
    image, other_image = draw.uniform(0, 255, (2, 1, 21, 17, 3))
    label_map, other_label_map = np.eye(4)[draw.integers(0, 4, (2, 1, 21, 17))]
    verdict = network([image, label_map])
    assert verdict.shape == (1, 1)
    assert not np.allclose(verdict, network([other_image, label_map]))
    assert not np.allclose(verdict, network([image, other_label_map]))


def test_a_width_that_has_no_quarter_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        kseg.discriminators.TwoBranch(4, branch_filters=6)
