"""Strategies by name; what two devices compute is shown in test_game."""

import pytest
import tensorflow as tf

from kseg.training.distribution import strategy


def test_one_device_is_tensorflows_own_default():
    assert not tf.distribute.has_strategy()
    with strategy("one").scope():
        assert not tf.distribute.has_strategy()


def test_auto_mirrors_only_where_there_is_more_than_one_device():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert isinstance(strategy("auto"), tf.distribute.MirroredStrategy) == (len(devices) > 1)


def test_mirrored_has_a_replica_for_each_device():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    assert strategy("mirrored").num_replicas_in_sync == len(devices)


def test_an_unknown_strategy_names_the_known_ones():
    with pytest.raises(ValueError, match=r"must be one of one, mirrored, multiworker, auto. Received: name='all'"):
        strategy("all")


@pytest.mark.parametrize("listed", [None, "", '{"task": {"type": "worker", "index": 0}}'])
def test_several_machines_must_be_listed(listed, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if listed is not None:
        monkeypatch.setenv("TF_CONFIG", listed)
    with pytest.raises(
        ValueError, match=r"TF_CONFIG must list the machines.*Set it on each of two machines to, for example, "
    ):
        strategy("multiworker")
