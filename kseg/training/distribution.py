"""Where a training runs: one device, all devices of this machine in step, or those of several machines.

`strategy(name)` gives the `tf.distribute` strategy in whose scope networks are built and compiled. Names that are not known are
refused, and several machines without a list of them. TensorFlow, because `tf.distribute` is its own.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import functools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402 - after the check, whose message is clearer than what would follow

STRATEGIES = ("one", "mirrored", "multiworker", "auto")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy of that name.

    Args:
        name: "one": a single device, TensorFlow's choice; "mirrored": a copy of the networks on each GPU, or where there is no
            GPU on each logical CPU device, every batch split among them; "multiworker": the same over the machines that
            `TF_CONFIG` lists, where each runs the same program, with its own index in `TF_CONFIG`; "auto": mirrored where
            there is more than one such device, else one.

    Returns:
        A strategy; its `scope()` goes around building and compiling. Make that of several machines before anything else is
        computed; a process has one of these. Batches are the whole batches of all machines: every machine reads the same
        data and takes its part.

    Raises:
        ValueError: there is no such name, or `TF_CONFIG` lists no workers.

    Example:
        >>> with strategy("auto").scope():
        ...     model = kseg.UNet(21)
        ...     model.compile("adam", kseg.losses.CrossEntropy(ignore_class=255))
    """
    if name not in STRATEGIES:
        raise ValueError(f"A strategy must be one of {', '.join(STRATEGIES)}. Received: name={name!r}.")
    if name == "multiworker":
        if not json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker"):
            raise ValueError(
                "TF_CONFIG must list the machines of a multiworker training. "
                f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')}. Set it on each of two to, for example, "
                '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}.'
            )
        return _machines()
    devices = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    if name == "one" or (name == "auto" and len(devices) == 1):
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)


@functools.cache
def _machines() -> tf.distribute.Strategy:
    return tf.distribute.MultiWorkerMirroredStrategy()


def several_machines(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Whether `strategy`, or the one in whose scope this is asked, spans several machines."""
    return isinstance(strategy or tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def replicated() -> bool:
    """Whether the strategy in whose scope this is asked copies networks to devices or machines."""
    return isinstance(
        tf.distribute.get_strategy(), tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy
    )


def keeps(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes what is kept: of several machines only the chief."""
    return strategy.extended.should_checkpoint


def everywhere(strategy: tf.distribute.Strategy, value: float) -> list[float]:
    """`value` as each replica's process has it, by replica. All processes must ask at the same point of their work."""
    each = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.float64))
    return np.asarray(strategy.gather(each, axis=0)).tolist()


class Replicated(keras.Model):
    """A network by itself, ready for `fit` on several devices or machines, which fails for a plain `keras.Model` (Keras 3.15).

    To build what is built already Keras would add up the parts of the first batch, which differ in size where its images do not
    divide by the devices, and no machine has all of them; and it would reduce logs over an axis that scalars do not have. The
    layers are those of the network that it was made of, so training it trains that network.

    Example:
        >>> with strategy("mirrored").scope():
        ...     segmentor = kseg.UNet(21)
        ...     model = Replicated(segmentor.input, segmentor.output)
        ...     model.compile("adam", kseg.losses.CrossEntropy(ignore_class=255))
    """

    def compile(self, *args, **kwargs):
        """As `keras.Model.compile`; makes the optimizer's variables, too."""
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing is left to build."""

    def train_step(self, data):
        """Keras's, whose logs get an axis between machines."""
        return with_axis(super().train_step(data))

    def test_step(self, data):
        """Keras's, whose logs get an axis between machines."""
        return with_axis(super().test_step(data))


def with_axis(logs):
    """`logs`, between machines with an axis of length 1: Keras 3.15 reduces them over one there."""
    return keras.tree.map_structure(lambda value: value[None], logs) if several_machines() else logs
