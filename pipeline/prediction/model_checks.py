"""What `pipeline.predict` and `pipeline.suggest` require of SavedModels, read from their files without loading them.

Refused: damaged files, missing signatures, and models to be averaged whose classes, channels or ranges of 16 bits differ.
TensorFlow's protocol buffers are imported when called.
"""

from __future__ import annotations

import pathlib

from kseg.serving.manifest import read_manifest
from pipeline.engine.files import read_json

SIGNATURES = ("probabilities", "serving_default")


def check_models(models: list[pathlib.Path]):
    """Refuses models that cannot label pictures together.

    Raises:
        ValueError: one is damaged or lacks a signature, or their channels or ranges of 16-bit images differ.
    """
    channels = {model: read_channels(model) for model in models}
    if len(set(channels.values())) > 1:
        listed = ", ".join(f"{number} [{model}]" for model, number in channels.items())
        raise ValueError(f"Models must take the same channels to be averaged. Received: {listed}.")
    dtypes = {model: read_manifest(model)["dtype"] for model in models}
    if len(set(dtypes.values())) > 1:
        listed = ", ".join(f"{dtype} [{model}]" for model, dtype in dtypes.items())
        raise ValueError(f"Models to be averaged must take images of one type. Received: {listed}.")
    ranges = {model: read_manifest(model)["image_range"] for model in models}
    if len(set(ranges.values())) > 1:
        listed = ", ".join(f"{number or 65535} [{model}]" for model, number in ranges.items())
        raise ValueError(
            f"Models to be averaged must scale 16-bit images alike. Received: image_range {listed}. "
            "Train them with the same example_gen.image_range."
        )


def check_classes(models: list[pathlib.Path]):
    """Refuses to average models whose classes differ.

    Raises:
        ValueError: they do.
    """
    names = [read_json(model / "assets" / "labels.json", keys=("names",))["names"] for model in models]
    other = next((number for number, found in enumerate(names) if found != names[0]), None)
    if other is not None:
        raise ValueError(
            f"Models must have the same classes to be averaged. Received: {', '.join(names[0])} [{models[0]}], "
            f"{', '.join(names[other])} [{models[other]}]."
        )


def read_channels(model: pathlib.Path) -> int:
    """Number of channels of the images that a SavedModel takes.

    Raises:
        ValueError: the model is damaged or lacks one of `SIGNATURES`.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    file = model / "saved_model.pb"
    try:
        graphs = SavedModel.FromString(file.read_bytes()).meta_graphs
    except DecodeError as error:
        raise ValueError(f"A SavedModel must be complete. Received: {file} [{error}]. Copy the model again.") from error
    signatures = {
        name: signature
        for graph in graphs
        for name, signature in graph.signature_def.items()
        if not name.startswith("__")
    }
    if not set(SIGNATURES) <= set(signatures):
        raise ValueError(
            f"`--model` must have the signatures {' and '.join(SIGNATURES)}. "
            f"Received: {', '.join(sorted(signatures)) or 'none'} [{model}]. Export it with kseg.export."
        )
    return signatures["probabilities"].inputs["image"].tensor_shape.dim[-1].size
