"""Distribution of training: one device, all devices of this machine, or those of several machines.

`strategy(name)` returns the `tf.distribute` strategy in whose scope networks are built and compiled. Refused: unknown names,
and several machines without a list of them. TensorFlow, for `tf.distribute`.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import functools  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402 - after the check, whose message is clearer

STRATEGIES = ("one", "mirrored", "multiworker", "auto")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """Returns the strategy of that name.

    Args:
        name: one of
            "one": a single device, chosen by TensorFlow;
            "mirrored": a replica of the networks on each GPU, or without GPUs on each logical CPU device; batches are split;
            "multiworker": the same over the machines listed in `TF_CONFIG`, each of which runs the same program with its own
            index in `TF_CONFIG`;
            "auto": "mirrored" if there are several devices, else "one".

    Returns:
        A strategy; build and compile inside its `scope()`. Create "multiworker" before anything else is computed; a process has
        only one. Batches are global: every machine reads the same data and takes its part.

    Raises:
        ValueError: the name is unknown, or `TF_CONFIG` lists no workers.

    Example:
        >>> with kseg.strategy("one").scope():
        ...     model = kseg.UNet(2, filters=(4, 8))
        ...     model.compile("adam", kseg.losses.CrossEntropy())
    """
    if name not in STRATEGIES:
        raise ValueError(f"`name` must be one of {', '.join(STRATEGIES)}. Received: name={name!r}.")
    if name == "multiworker":
        if not json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {}).get("worker"):
            raise ValueError(
                "TF_CONFIG must list the machines of a multiworker strategy. "
                f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')}. Set it on each of two machines to, for example, "
                '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}.'
            )
        return _machines()
    if name == "one" or (name == "auto" and len(devices()) == 1):
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices())


def devices() -> list[str]:
    """Names of the devices of this machine on which "mirrored" trains: its GPUs, or its processor."""
    return [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]


@functools.cache
def _machines() -> tf.distribute.Strategy:
    return tf.distribute.MultiWorkerMirroredStrategy()


def several_machines(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Whether `strategy`, by default the one in scope, spans several machines."""
    return isinstance(strategy or tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def of_each_machine(strategy: tf.distribute.Strategy, open_batches):
    """Data for `fit`, of which each of several machines computes its part alone.

    Args:
        strategy: in which the network was compiled.
        open_batches: from a `tf.distribute.InputContext`, or None where there is one machine, to a data set, as with
            `lambda context: kseg.data.training_set(..., input_context=context)`.

    Returns:
        The data set of the one machine, or a `tf.distribute.DistributedDataset`.
    """
    if not several_machines(strategy):
        return open_batches(None)
    return strategy.distribute_datasets_from_function(open_batches)


def is_replicated() -> bool:
    """Whether the strategy in scope replicates networks over devices or machines."""
    return isinstance(
        tf.distribute.get_strategy(), tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy
    )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes files: of several machines only the chief does."""
    return strategy.extended.should_checkpoint


def gather_scalar(strategy: tf.distribute.Strategy, value: float) -> list[float]:
    """Gathers `value` from the process of each replica. All processes must call it at the same point."""
    each = strategy.experimental_distribute_values_from_function(lambda _: tf.constant([value], tf.float64))
    return np.asarray(strategy.gather(each, axis=0)).tolist()


def local_value(strategy: tf.distribute.Strategy, variable) -> np.ndarray:
    """The value of a variable in this process; of a sum over machines, this machine's part.

    To read the whole sum, all machines would have to ask at the same moment.
    """
    if several_machines(strategy) and variable.synchronization == "on_read":
        return sum(part.numpy() for part in strategy.experimental_local_results(variable.value))
    return keras.ops.convert_to_numpy(variable)


class Replicated(keras.Model):
    """A single network for `fit` on several devices or machines, where a plain `keras.Model` fails (Keras 3.15).

    Keras would build the model again from the replicas' parts of the first batch, whose sizes differ if the images do not
    divide evenly by the devices, and of which no machine has all; and it would reduce logs over an axis that scalars lack.
    The layers are shared with the original network, so training one trains the other.

    Example:
        >>> with kseg.strategy("one").scope():
        ...     segmentor = kseg.UNet(2, filters=(4, 8))
        ...     model = Replicated(segmentor.input, segmentor.output)
        ...     model.compile("adam", kseg.losses.CrossEntropy())
    """

    def compile(self, *args, **kwargs):
        """As `keras.Model.compile`; builds the optimizer as well."""
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Skips Keras's build: nothing is left to build."""

    def train_step(self, data):
        """As in Keras; logs get an axis between machines."""
        return add_axis(super().train_step(data))

    def test_step(self, data):
        """As in Keras; logs get an axis between machines."""
        return add_axis(super().test_step(data))


def add_axis(logs):
    """Adds an axis of length 1 to logs between machines, where Keras 3.15 reduces them over one."""
    return keras.tree.map_structure(lambda value: value[None], logs) if several_machines() else logs
