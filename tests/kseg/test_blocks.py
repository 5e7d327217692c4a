"""What networks share: batch normalisation on every backend, widths, activations."""

import keras
import pytest

from kseg import blocks


def test_batch_norm_is_synchronized_only_on_tensorflow(monkeypatch):
    assert blocks.batch_norm("norm").synchronized == (keras.backend.backend() == "tensorflow")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert not blocks.batch_norm("norm").synchronized


def test_a_width_scales_channels_and_leaves_at_least_one():
    assert [blocks.scale_channels(64, width) for width in (1, 0.5, 1 / 48, 1e-3, 2)] == [64, 32, 1, 1, 128]
    with pytest.raises(ValueError, match=r"`width` must be a number above 0. Received: width=0"):
        blocks.scale_channels(64, 0)
