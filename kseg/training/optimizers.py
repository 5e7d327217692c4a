"""Optimizers with smaller steps for some layers, such as a pretrained encoder under a new head. `keras` only."""

from __future__ import annotations

import keras


class _LayerRates:
    """Scales the learning rate of a variable by the factor of the longest matching prefix of its layer's name."""

    def __init__(self, *args, rates=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.rates = dict(rates or {})
        if any(factor < 0 for factor in self.rates.values()):
            raise ValueError(f"`rates` must hold factors of at least 0. Received: rates={rates}.")

    def build(self, variables):
        super().build(variables)
        self._factors = [self._factor(variable.path) for variable in variables]

    def _factor(self, path: str) -> float:
        matching = [prefix for prefix in self.rates if path.startswith(prefix)]
        return self.rates[max(matching, key=len)] if matching else 1.0

    def update_step(self, gradient, variable, learning_rate):
        # by index, as in Keras's guide: TensorFlow's variables do not know their layer
        super().update_step(gradient, variable, learning_rate * self._factors[self._get_variable_index(variable)])

    def get_config(self):
        return super().get_config() | {"rates": self.rates}


@keras.saving.register_keras_serializable(package="kseg")
class SGD(_LayerRates, keras.optimizers.SGD):
    """Keras's SGD with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class Adam(_LayerRates, keras.optimizers.Adam):
    """Keras's Adam with `rates`: see `AdamW`."""


@keras.saving.register_keras_serializable(package="kseg")
class AdamW(_LayerRates, keras.optimizers.AdamW):
    """Keras's AdamW with a factor of the learning rate per layer.

    Args:
        *args, **kwargs: of Keras's optimizer.
        rates: factor of the learning rate by prefix of the layer's name; the longest matching prefix counts, and layers without
            a match have factor 1. Weight decay is not scaled.

    Raises:
        ValueError: a factor is negative.

    Example:
        >>> optimizer = kseg.optimizers.AdamW(1e-3, rates={"block": 0.1})  # VGG16's layers begin with "block"
    """
