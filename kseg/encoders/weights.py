"""Weights of an encoder from a file or from ImageNet, layer by layer, by name. `keras` and h5py; only "imagenet" downloads."""

from __future__ import annotations

import difflib
import io
import pathlib
import zipfile

import keras
import numpy as np

from kseg._extras import extra


def fill(encoder: keras.Model, weights, donor=None) -> None:
    """Loads the weights of each layer of the encoder by the layer's name.

    The first convolution of a file for RGB is adapted to any other number of channels C: each gets the mean over the three, times
    3 / C. So a grey image gives what the same image in RGB gives, except for the normalisation.

    Args:
        encoder: functional model with layers named as in the file.
        weights: "imagenet"; the path of a `.weights.h5`, `.keras` or (as keras.applications offers them) `.h5` file; or arrays
            by layer name, in Keras's order.
        donor: constructor of the network of keras.applications, for "imagenet"; downloads what is not in Keras's cache.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: there are no ImageNet weights for this encoder; or the file lacks a layer or has it in another shape.
    """
    if isinstance(weights, dict):
        named, weights = weights, "the weights by layer name"
    else:
        named = _imagenet(donor) if weights == "imagenet" else read(weights)
    first = True
    for layer in encoder.layers:
        if not layer.weights:
            continue
        if layer.name not in named:
            nearest = difflib.get_close_matches(layer.name, named, n=1) or sorted(named)[:1]
            raise ValueError(
                f"The file must hold every layer of the encoder by name. Received: {weights}, which lacks {layer.name!r}; "
                f"nearest is {', '.join(nearest)}. Give the weights of the same network, built in the same way."
            )
        values = named[layer.name]
        if first:
            values = _adapt(values, layer.weights[0].shape)
            first = False
        shapes = [tuple(value.shape) for value in values], [tuple(weight.shape) for weight in layer.weights]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"A layer's weights must have the same shapes in the file. Received: {weights}, whose {layer.name!r} has "
                f"{shapes[0]} instead of {shapes[1]}. Build the encoder at width 1, as the file's network was."
            )
        layer.set_weights(values)


def read(path) -> dict[str, list[np.ndarray]]:
    """The weights in a file by layer name, in Keras's order: kernel and bias; gamma, beta, moving mean and variance.

    Args:
        path: `.weights.h5`, `.keras`, or `.h5` as Keras 2 wrote them and keras.applications offers them.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: Keras did not write it.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`weights` must be a file. Received: weights={path}. Save a network's with `model.save_weights`, give "
            'weights="imagenet" to download them, or fetch a "notop" file from the page of keras.applications.'
        )
    source = path
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read("model.weights.h5"))
    with extra("encoders"):
        import h5py
    try:
        with h5py.File(source) as file:
            return _legacy(file) or _current(file)
    except OSError as error:
        raise ValueError(f"`weights` must be a file of Keras's. Received: weights={path} ({error}).") from error


def _legacy(file) -> dict[str, list[np.ndarray]]:
    """Keras 2: one group per layer, with the order of its weights in an attribute."""
    group = file.get("model_weights", file)
    names = group.attrs.get("layer_names", [])
    layers = {_text(name): group[_text(name)] for name in names}
    return {
        name: [np.array(layer[_text(key)]) for key in layer.attrs["weight_names"]] for name, layer in layers.items()
    }


def _current(file) -> dict[str, list[np.ndarray]]:
    """Keras 3: groups `vars` that hold 0, 1, ... and the layer's name."""
    named = {}

    def visit(path, group):
        if path.rpartition("/")[2] == "vars" and "name" in group.attrs and len(group):
            named[_text(group.attrs["name"])] = [np.array(group[str(index)]) for index in range(len(group))]

    file.visititems(visit)
    return named


def _text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _imagenet(donor) -> dict[str, list[np.ndarray]]:
    if donor is None:
        raise ValueError(
            'There are no ImageNet weights for this encoder in keras.applications. Received: weights="imagenet". Give a file.'
        )
    return {layer.name: layer.get_weights() for layer in donor(weights="imagenet", include_top=False).layers}


def _adapt(values, shape) -> list[np.ndarray]:
    """The first convolution's weights for `shape[2]` channels instead of three."""
    kernel, *rest = values
    if kernel.ndim != 4 or kernel.shape[2] != 3 or shape[2] == 3:
        return values
    mean = kernel.mean(axis=2, keepdims=True)
    return [np.repeat(mean * 3 / shape[2], shape[2], axis=2), *rest]
