"""Batch normalisation as a part of the convolution before it, in the served network, which trains no further.

In use it multiplies and adds constants, as the convolution does: one pass over the map instead of three. Predictions stay the
same up to rounding. Any other batch normalisation, such as one behind a ReLU, stays what it is. Keras only.
"""

from __future__ import annotations

import keras
import numpy as np

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D)


def fold_batch_normalization(model: keras.Model) -> keras.Model:
    """A copy of a functional model in float32 whose convolutions do what the batch normalisation after them did.

    Args:
        model: functional, of any dtype policy; models inside it are copied, too.

    Returns:
        A model of the same layer names; those of batch normalisation that was folded are `keras.layers.Identity`.
    """
    normalization_of = _foldable(model)
    folded = {id(layer) for layer in normalization_of.values()}
    by_id = {id(layer): layer for layer in _layers(model)}
    copies = []

    def copied(layer):
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Layer):  # a function of keras.ops, which has no dtype of its own
            return type(layer).from_config(config)
        if id(layer) in folded:
            return keras.layers.Identity(name=layer.name, dtype="float32")
        if id(layer) in normalization_of:
            config |= {"use_bias": True}
        copies.append((id(layer), type(layer).from_config(config | {"dtype": "float32"})))
        return copies[-1][1]

    def call(layer, *args, **kwargs):  # Identity takes no mask
        return layer(*args) if isinstance(layer, keras.layers.Identity) else layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=copied, call_function=call, recursive=True)
    for number, layer in copies:
        original = by_id.get(number)
        if number in normalization_of:
            layer.set_weights(_folded_weights(original, normalization_of[number]))
        elif original is not None:
            layer.set_weights(original.get_weights())
    return copy


def _layers(model):
    """The layers of a model and of the models inside it, without these models themselves."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _foldable(model) -> dict:
    """Batch normalisation by the `id` of the linear convolution whose only reader it is, in a model and those inside it."""
    found = {}
    layers = {layer.name: layer for layer in model.layers}
    readers = _readers(model)
    for name, layer in layers.items():
        if isinstance(layer, keras.Model):
            found |= _foldable(layer)
        if type(layer) not in CONVOLUTIONS or layer.activation is not keras.activations.linear:
            continue
        if len(readers[name]) == 1 and isinstance(layers.get(readers[name][0]), keras.layers.BatchNormalization):
            found[id(layer)] = layers[readers[name][0]]
    calls = [id(normalization) for normalization in found.values()]  # one that follows two convolutions stays
    return {number: layer for number, layer in found.items() if calls.count(id(layer)) == 1}


def _readers(model) -> dict[str, list[str]]:
    """By the name of a layer the names of those that take its output, "" for the model's own output.

    Keras publishes a model's graph only in its configuration.
    """
    config = model.get_config()
    found = {entry["name"]: [] for entry in config["layers"]}
    for entry in config["layers"]:
        for source in _sources(entry["inbound_nodes"]):
            found[source].append(entry["name"])
    outputs = config["output_layers"]
    for output in outputs if isinstance(outputs[0], list) else [outputs]:
        found[output[0]].append("")
    return found


def _sources(calls) -> list[str]:
    """Names of the layers whose outputs are anywhere in serialised arguments."""
    if isinstance(calls, dict) and calls.get("class_name") == "__keras_tensor__":
        return [calls["config"]["keras_history"][0]]
    inner = calls.values() if isinstance(calls, dict) else calls if isinstance(calls, list | tuple) else ()
    return [source for value in inner for source in _sources(value)]


def _folded_weights(convolution, normalization) -> list[np.ndarray]:
    """Kernel and bias that do both."""
    kernel, *bias = (np.asarray(weights, np.float64) for weights in convolution.get_weights())
    values = {variable.name: np.asarray(variable, np.float64) for variable in normalization.weights}
    factor = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + normalization.epsilon)
    shift = (sum(bias) - values["moving_mean"]) * factor + values.get("beta", 0.0)
    if isinstance(convolution, keras.layers.Conv2DTranspose):  # (rows, columns, out, in)
        kernel = kernel * factor[:, np.newaxis]
    elif isinstance(convolution, keras.layers.DepthwiseConv2D):  # (rows, columns, in, each)
        kernel = kernel * factor.reshape(kernel.shape[2:])
    else:
        kernel = kernel * factor
    return [kernel.astype(np.float32), shift.astype(np.float32)]
