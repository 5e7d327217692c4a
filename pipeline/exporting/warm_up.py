"""Warm-up requests of a SavedModel: one real image for each signature, computed by TensorFlow Serving before a version is served.

The first request of a signature plans its computation, which takes longer than the request. TensorFlow Serving reads
`assets.extra/tf_serving_warmup_requests`, a TFRecord file of `PredictionLog`; it takes a version whose requests fail for one that
does not load. TensorFlow.
"""

from __future__ import annotations

import math
import pathlib

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from kseg.labels import LabelMap
from kseg.pairs.channels import TENSOR, encode_as_png
from kseg.pairs.image_files import decode_image, encode_image
from kseg.serving.manifest import WARM_UP_REQUESTS, read_manifest
from kseg.serving.statuses import TILE, image_pixels, score_pixels
from pipeline.examples import prepared

SPLITS = ("validation", "train", "test")
"""Where the image is taken from: the first that exists."""

SIDE = 32
"""The sides of an image that goes to the network itself are multiples of it."""


def write_requests(saved_model: pathlib.Path, pairs: pathlib.Path):
    """Adds a request for each signature to a SavedModel.

    Args:
        saved_model: folder of the export.
        pairs: prepared data set, of which the first image is sent.

    Raises:
        ValueError: a signature has an input that no image of the data can be.
    """
    image_bytes = _within_limits(_first_image(pairs), saved_model)
    size = read_manifest(saved_model)["image_size"]
    place = saved_model / WARM_UP_REQUESTS
    place.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(place)) as file:
        for name, definition in sorted(read_signatures(saved_model).items()):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(_request(name, definition, image_bytes, size))
            file.write(log.SerializeToString(deterministic=True))
    for path in (place.parent, place):
        path.chmod(0o755 if path.is_dir() else 0o644)


def read_requests(saved_model: pathlib.Path) -> list[tuple[str, dict[str, bytes]]]:
    """The warm-up requests of a SavedModel: names of signatures and their inputs, serialized TensorProto by name.

    Raises:
        ValueError: a request cannot be read.
    """
    place, found = saved_model / WARM_UP_REQUESTS, []
    if not place.is_file():
        return []
    try:
        for record in tf.data.TFRecordDataset(str(place)).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {key: value.SerializeToString() for key, value in request.inputs.items()}
            found.append((request.model_spec.signature_name, inputs))
    except (tf.errors.DataLossError, message.DecodeError) as error:
        raise ValueError(
            f"Warm-up requests must be records of PredictionLog. Received: {str(error).splitlines()[0]} [{place}]. Export again."
        ) from None
    return found


def read_signatures(saved_model: pathlib.Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures of a SavedModel by name, read from its file without loading it."""
    file = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    found = file.meta_graphs[0].signature_def
    return {name: found[name] for name in found if not name.startswith("__")}


def _first_image(pairs: pathlib.Path) -> bytes:
    """An image as it is stored."""
    shards = prepared.shard_paths(pairs)
    paths = next(shards[split] for split in SPLITS if split in shards)
    return prepared.from_record(next(record for path in paths for record in prepared.read_records(path)))[1]


def _within_limits(image_bytes: bytes, saved_model: pathlib.Path) -> bytes:
    """The upper left part of an image that keeps its own size, if every signature is to answer it."""
    manifest, num_classes = read_manifest(saved_model), LabelMap.load(saved_model / "assets").num_classes
    if manifest["image_size"]:  # images are stored as they are fitted into it, which all signatures answer
        return image_bytes
    limits = manifest["max_pixels"], manifest["score_memory"]
    side = min(
        *TILE,
        math.isqrt(image_pixels(num_classes, manifest["crf"] is not None, *limits)),
        math.isqrt(score_pixels("probabilities", num_classes, manifest["score_memory"])),
        score_pixels("tiles", num_classes, manifest["score_memory"]) // TILE[0],
    )
    side = side // SIDE * SIDE or side  # which the network is asked about without padding
    image = decode_image(image_bytes)
    return encode_image(image[:side, :side]) if max(image.shape[:2]) > side else image_bytes


def _request(
    name: str, definition: meta_graph_pb2.SignatureDef, image_bytes: bytes, size: list[int] | None
) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = name
    for key, spec in definition.inputs.items():
        if spec.dtype == tf.string.as_datatype_enum:
            value = tf.constant([_as_text(key, image_bytes)])
        else:
            image = decode_image(image_bytes)
            value = _as_levels(image, size) if name == "network" else image
            value = value[np.newaxis]
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return request


def _as_text(key: str, image_bytes: bytes) -> bytes:
    """The image as the bytes that an input takes.

    Raises:
        ValueError: it takes something else.
    """
    if image_bytes.startswith(TENSOR):
        image_bytes = encode_as_png(decode_image(image_bytes))
    if key == "image_bytes":
        return image_bytes
    if key == "examples":
        example = tf.train.Example()
        example.features.feature["image"].bytes_list.value.append(image_bytes)
        return example.SerializeToString()
    raise ValueError(f"An input of strings must be image_bytes or examples. Received: {key!r}.")


def _as_levels(image: np.ndarray, size: list[int] | None) -> np.ndarray:
    """The image (H, W, C) as the network itself takes it: float32, padded to its size, or to multiples of SIDE."""
    height, width = size or (side if side < SIDE else side + -side % SIDE for side in image.shape[:2])
    padding = (0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)
    return np.pad(image, padding).astype(np.float32)
