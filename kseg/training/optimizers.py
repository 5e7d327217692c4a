"""Optimizers with smaller steps for some layers, such as a pretrained encoder under a new head. `keras` only."""

from __future__ import annotations

import warnings

import keras
from keras import ops

from kseg._checks import check_integer, check_number


class _LayerRates:
    """Scales the learning rate of a variable by the factor of the longest matching prefix of its path, 0 while it is frozen."""

    def __init__(self, *args, rates=None, frozen_steps=0, **kwargs):
        super().__init__(*args, **kwargs)
        if not isinstance(rates, dict | None):
            raise ValueError(f"`rates` must be a dictionary of factors by prefix of a path. Received: rates={rates!r}.")
        self.rates = dict(rates or {})
        for prefix, factor in self.rates.items():
            check_number(f"rates[{prefix!r}]", factor, minimum=0)
        check_integer("frozen_steps", frozen_steps, minimum=0)
        self.frozen_steps = int(frozen_steps)
        if frozen_steps and not self.rates:
            raise ValueError(
                f"`rates` must name the layers that `frozen_steps` freezes. Received: frozen_steps={frozen_steps}, rates={rates}."
            )

    def build(self, variables):
        super().build(variables)
        paths = [variable.path for variable in variables]
        unknown = [prefix for prefix in self.rates if not any(path.startswith(prefix) for path in paths)]
        if unknown and paths:
            warnings.warn(
                f"`rates` has no effect for {unknown[0]!r}, with which no path of a trainable variable begins, "
                f"{paths[0]!r} to {paths[-1]!r}.",
                stacklevel=2,
            )
        self._factors = [self._factor(variable.path) for variable in variables]

    def _factor(self, path: str) -> float | None:
        """The factor of a variable; None where `rates` does not name it."""
        matching = [prefix for prefix in self.rates if path.startswith(prefix)]
        return self.rates[max(matching, key=len)] if matching else None

    def _apply_weight_decay(self, variables):
        """Nothing: `update_step` applies it, at the variable's own rate."""

    def update_step(self, gradient, variable, learning_rate):
        # by index, as in Keras's guide: TensorFlow's variables do not know their layer
        factor = self._factors[self._get_variable_index(variable)]
        if factor is not None:
            learning_rate = learning_rate * factor
            if self.frozen_steps:
                learning_rate = ops.where(self.iterations < self.frozen_steps, 0.0, learning_rate)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            decay, rate = (ops.cast(value, variable.dtype) for value in (self.weight_decay, learning_rate))
            self.assign_sub(variable, variable * decay * rate)
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return super().get_config() | {"rates": self.rates, "frozen_steps": self.frozen_steps}


@keras.saving.register_keras_serializable(package="kseg")
class SGD(_LayerRates, keras.optimizers.SGD):
    """Keras's SGD with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class Adam(_LayerRates, keras.optimizers.Adam):
    """Keras's Adam with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class AdamW(_LayerRates, keras.optimizers.AdamW):
    """Keras's AdamW with a factor of the learning rate per layer.

    A variable at rate 0 keeps its bits, while its moments are gathered: it starts with steps of the right length when it thaws.
    Batch statistics are no variables of an optimizer; they move with every batch.

    Args:
        *args, **kwargs: of Keras's optimizer.
        rates: factor of the learning rate, weight decay included, by prefix of a variable's path, `<layer>/kernel` for example;
            the longest matching prefix counts, and variables without a match have factor 1.
        frozen_steps: first steps of the optimizer in which the variables that `rates` matches do not move.

    Raises:
        ValueError: a factor or `frozen_steps` is negative, or `frozen_steps` comes without `rates`.

    Warns:
        UserWarning: when the optimizer is built, a prefix matches no trainable variable.

    Example:
        >>> optimizer = kseg.optimizers.AdamW(1e-3, rates={"block": 0.1})  # VGG16's layers begin with "block"
        >>> network = kseg.FCN8s(3, encoder="resnet50", width=0.1)
        >>> rates = {weight.path: 0.5 for weight in kseg.encoders.names.trunk_weights(network)}
        >>> optimizer = kseg.optimizers.AdamW(1e-3, rates=rates, frozen_steps=100)
    """
