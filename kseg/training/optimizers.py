"""Optimizers whose steps are smaller for some layers, as for a pretrained trunk under a new head. `keras` only."""

from __future__ import annotations

import keras


class _Rates:
    """Multiplies the learning rate of a variable by the factor of the longest prefix of its layer's name."""

    def __init__(self, *args, rates=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.rates = dict(rates or {})
        if any(factor < 0 for factor in self.rates.values()):
            raise ValueError(f"`rates` must hold factors of at least 0. Received: rates={rates}.")

    def build(self, variables):
        super().build(variables)
        self._factors = [self._factor(variable.path) for variable in variables]

    def _factor(self, path: str) -> float:
        fitting = [prefix for prefix in self.rates if path.startswith(prefix)]
        return self.rates[max(fitting, key=len)] if fitting else 1.0

    def update_step(self, gradient, variable, learning_rate):
        # by index, as in Keras's guide to optimizers: TensorFlow's variables do not know their layer
        super().update_step(gradient, variable, learning_rate * self._factors[self._get_variable_index(variable)])

    def get_config(self):
        return super().get_config() | {"rates": self.rates}


@keras.saving.register_keras_serializable(package="kseg")
class SGD(_Rates, keras.optimizers.SGD):
    """Keras's SGD with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class Adam(_Rates, keras.optimizers.Adam):
    """Keras's Adam with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class AdamW(_Rates, keras.optimizers.AdamW):
    """Keras's AdamW with a fraction of the learning rate for the layers that are named.

    Args:
        *args, **kwargs: of Keras's optimizer.
        rates: factor of the learning rate by prefix of the layer's name; the longest prefix that fits counts, and layers that
            none fits have factor 1. Weight decay is not scaled.

    Raises:
        ValueError: a factor is negative.

    Example:
        >>> model.compile(kseg.optimizers.AdamW(1e-3, rates={"block": 0.1}))  # VGG16's layers begin with "block"
    """
