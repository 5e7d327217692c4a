"""Where a training runs: one device, or all devices of this machine in step.

`strategy(name)` gives the `tf.distribute` strategy in whose scope networks are built and compiled. Names that are not known are
refused. TensorFlow, because `tf.distribute` is its own.
"""

from __future__ import annotations

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import tensorflow as tf  # noqa: E402 - after the check, whose message is clearer than what would follow

STRATEGIES = ("one", "mirrored", "auto")


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy of that name.

    Args:
        name: "one": a single device, TensorFlow's choice; "mirrored": a copy of the networks on each GPU, or where there is no
            GPU on each logical CPU device, every batch split among them; "auto": mirrored where there is more than one such
            device, else one.

    Returns:
        A strategy; its `scope()` goes around building and compiling.

    Raises:
        ValueError: there is no such name.

    Example:
        >>> with strategy("auto").scope():
        ...     model = kseg.UNet(21)
        ...     model.compile("adam", kseg.losses.CrossEntropy(ignore_class=255))
    """
    if name not in STRATEGIES:
        raise ValueError(f"A strategy must be one of {', '.join(STRATEGIES)}. Received: name={name!r}.")
    devices = [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]
    if name == "one" or (name == "auto" and len(devices) == 1):
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)
