"""Heat maps: colours lie between those of the steps, the largest value is the brightest, and the scale shows them all."""

import numpy as np
import pytest

from kseg.plots import heat_map, heat_scale
from kseg.plots.heat_maps import COLOURS


def test_values_at_the_steps_have_their_colours_and_others_lie_between():
    drawn = np.asarray(heat_map(np.array([[0, 0.5, 1, 1.5, 2, 99], [0.25, 0, 0, 0, 0, 0]]), largest=2))
    assert [tuple(pixel) for pixel in drawn[0]] == [*COLOURS, COLOURS[-1]]
    assert tuple(drawn[1, 0]) == (44, 8, 57)  # half way: 43.5, 8, 57


def test_a_larger_value_is_never_darker():
    brightness = np.asarray(heat_map(np.linspace(0, 1, 80)[None], 1.0).convert("L")).astype(int)
    assert (np.diff(brightness) >= 0).all() and brightness[0, -1] > 200


def test_the_scale_has_the_width_asked_for_and_every_colour():
    scale = np.asarray(heat_scale(1.1, "nats", 400))
    assert scale.shape[1] == 400
    ramp = {tuple(pixel) for pixel in scale.reshape(-1, 3)}
    assert {COLOURS[0], COLOURS[-1]} <= ramp and len(ramp) > 100


@pytest.mark.parametrize("largest", [0, -1.0, float("nan")])
def test_a_scale_without_extent_is_refused(largest):
    with pytest.raises(ValueError, match=r"`largest` must be above 0\. Received: largest="):
        heat_map(np.zeros((2, 2)), largest)


def test_values_without_two_axes_are_refused():
    with pytest.raises(ValueError, match=r"must have the axes \(H, W\). Received: values of shape \(2, 2, 1\)"):
        heat_map(np.zeros((2, 2, 1)), 1.0)
