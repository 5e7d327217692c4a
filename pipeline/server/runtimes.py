"""Which runtime computes the network of a version: TensorFlow, or ONNX Runtime or OpenVINO where the export holds their formats.

The others compute the network alone; what lies before and behind it stays the graph of the export, traced anew around them, so
signatures, limits, statuses and messages are the same. TensorFlow; Keras and a runtime are imported where one is tried.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from kseg._extras import extra
from kseg.labels import LabelMap
from kseg.serving import label
from kseg.serving.manifest import LEAST_AGREEMENT, WARM_UP_REQUESTS, working_scale
from pipeline.server.data_plane import DEFAULT_SIGNATURE
from pipeline.server.signatures import Arrays, Signature
from pipeline.server.tensorflow_functions import computed_by, first_line

TENSORFLOW, AUTO = "tensorflow", "auto"
NETWORK = "network"

ROUNDS, SECONDS = 7, 6.0
"""Requests by which each runtime is timed: at most so many, and no further ones after so long."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """What computes the network of a version.

    Attributes:
        name: "tensorflow", "onnx", "openvino" or "openvino_bfloat16".
        milliseconds: median time of a request of one image, by name; empty where there was no choice.
        agreement: share of pixels whose class is TensorFlow's, by name; None: there is no real image to ask about.
        reasons: why another one was not taken, by name.
    """

    name: str = TENSORFLOW
    milliseconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    agreement: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def figures(self) -> dict:
        """What was measured, as JSON takes it."""
        return {name: dict(getattr(self, name)) for name in ("milliseconds", "agreement", "reasons")}

    def __str__(self):
        """The choice and its figures, for the log."""
        figures = [f"{name} {time:.1f} ms" for name, time in self.milliseconds.items()]
        figures += [f"{name} agrees on {share:.2%}" for name, share in self.agreement.items() if share is not None]
        figures += [f"not {name}: {reason}" for name, reason in self.reasons.items()]
        return f"{self.name} ({'; '.join(figures)})" if figures else self.name


# One function a runtime: from the file of a model to a thread-safe function of images that returns probabilities.


def _start_onnx(file: pathlib.Path) -> Callable:
    with extra("runtimes"):
        import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # TensorFlow's threads need the processor
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})[0]


def _start_openvino(file: pathlib.Path, precision: str) -> Callable:
    with extra("runtimes"):
        import openvino

    # By default some processors would compute in bfloat16.
    model = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": precision})
    idle = collections.deque()  # a request of OpenVINO serves one thread at a time

    def run(images):
        try:
            request = idle.pop()
        except IndexError:
            request = model.create_infer_request()
        probabilities = next(iter(request.infer(images).values()))
        idle.append(request)
        return probabilities

    return run


RUNTIMES = {
    "onnx": ("onnx/model.onnx", _start_onnx),
    "openvino": ("openvino/model.xml", functools.partial(_start_openvino, precision="f32")),
    "openvino_bfloat16": ("openvino/model.xml", functools.partial(_start_openvino, precision="bf16")),
}
"""File in an export, and function that starts it, by the name of the backend."""

FLOAT32 = ("openvino", "onnx")
"""Those that `auto` tries."""


def choose(
    place: pathlib.Path, wanted: str, signatures: Mapping[str, Signature], labels: LabelMap | None, manifest: Mapping
) -> tuple[dict[str, Signature], Backend]:
    """The signatures of a version as the wanted runtime answers them, or the fastest one.

    Args:
        place: folder of the version.
        wanted: name of a backend, or "auto".
        signatures: of the SavedModel.
        labels: its classes.
        manifest: what it says about itself.

    Returns:
        The signatures, of which those stay with TensorFlow that kseg did not write, and what computes them.

    Raises:
        ValueError: the wanted runtime does not start, or its label map is another one.
    """
    names = FLOAT32 if wanted == AUTO else (wanted,)
    held = [name for name in names if name != TENSORFLOW and (place / RUNTIMES[name][0]).is_file()]
    if wanted == TENSORFLOW:
        return dict(signatures), Backend()
    known = labels is not None and manifest["crf"] is None and {NETWORK, DEFAULT_SIGNATURE} <= set(signatures)
    if not (held and known):
        return dict(signatures), Backend(reasons=dict.fromkeys(names, "the version does not hold its format"))
    real = _real_image(place)
    asked = _images(real, signatures[DEFAULT_SIGNATURE], manifest)
    candidates, agreement, reasons = {TENSORFLOW: dict(signatures)}, {}, {}
    for name in held:
        try:
            answering = _answered_by(name, place, signatures, labels, manifest)
            agreement[name] = _agreement(answering, signatures, real)
        except Exception as error:  # of any type: every runtime has its own
            reasons[name] = first_line(str(error))
            continue
        if agreement[name] is None and name not in FLOAT32:
            reasons[name] = "there is no warm-up request, whose image tells whether its label maps are TensorFlow's"
        elif agreement[name] is not None and agreement[name] < LEAST_AGREEMENT:
            reasons[name] = (
                f"its label map agrees with TensorFlow's on {agreement[name]:.2%}, less than {LEAST_AGREEMENT:.1%}"
            )
        else:
            candidates[name] = answering
    if wanted != AUTO:
        if wanted in reasons:
            raise ValueError(
                f"--backend {wanted} must answer as TensorFlow does. Received: {reasons[wanted]}. Ask for auto."
            )
        return candidates[wanted], Backend(wanted, {}, agreement)
    milliseconds = _times({name: found[DEFAULT_SIGNATURE] for name, found in candidates.items()}, asked)
    fastest = min(milliseconds, key=milliseconds.get)
    return candidates[fastest], Backend(fastest, milliseconds, agreement, reasons)


def _answered_by(name: str, place, signatures, labels: LabelMap, manifest: Mapping) -> dict[str, Signature]:
    """The signatures with the network computed by another runtime."""
    from kseg.serving.graph import ServedModel
    from kseg.serving.runtime_in_graph import RuntimeNetwork

    file, start = RUNTIMES[name]
    network = RuntimeNetwork(
        start(place / file),
        [_tensor_spec(signatures[NETWORK].inputs["image"])],
        [_tensor_spec(signatures[NETWORK].outputs["probabilities"])],
        name,
    )
    options = {
        key: manifest[key] for key in ("image_range", "dtype", "normalization", "max_pixels", "score_memory", "strict")
    }
    served = ServedModel(network, working_scale(manifest), **options)
    functions = served.signatures(manifest["tiles"], labels.palette())
    return {
        key: dataclasses.replace(
            signature, compute=computed_by(functions[key], signature.inputs, owner=(served, network))
        )
        if key in functions
        else signature
        for key, signature in signatures.items()
    }


def _tensor_spec(spec) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, tf.as_dtype(spec.dtype), spec.name)


def _real_image(place: pathlib.Path) -> np.ndarray | None:
    """The image (1, H, W, C) of the warm-up request for `serving_default`; None where there is none."""
    if not (place / WARM_UP_REQUESTS).is_file():
        return None
    for record in tf.data.TFRecordDataset(str(place / WARM_UP_REQUESTS)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        if request.model_spec.signature_name == DEFAULT_SIGNATURE and "image" in request.inputs:
            return tf.make_ndarray(request.inputs["image"])
    return None


def _images(real: np.ndarray | None, signature: Signature, manifest: Mapping) -> np.ndarray:
    """One image (1, H, W, C) at the working size, the real one where there is one."""
    image = signature.inputs["image"]
    if real is None:
        size = manifest["image_size"] or (label.MULTIPLE * 8,) * 2
        return np.full((1, *size, image.shape[-1]), 128, image.dtype)
    if not manifest["image_size"]:
        return real
    size = label.working_size(*real.shape[1:3], manifest)
    return np.rint(label.resize(real[0], size))[np.newaxis].astype(image.dtype)


def _agreement(answering, signatures, real: np.ndarray | None) -> float | None:
    """Share of the pixels of the real image that have the class that TensorFlow gives them."""
    if real is None:
        return None
    expected, found = (each[DEFAULT_SIGNATURE].compute({"image": real}) for each in (signatures, answering))
    return float(np.mean(expected["label_map"] == found["label_map"]))


def _times(candidates: Mapping[str, Signature], image: np.ndarray) -> dict[str, float]:
    """Median milliseconds of a request for one image, by name, interleaved."""
    inputs: Arrays = {"image": image}
    for signature in candidates.values():
        signature.compute(inputs)
    seconds, end = {name: [] for name in candidates}, time.monotonic() + SECONDS
    for _ in range(ROUNDS):
        for name, signature in candidates.items():
            before = time.perf_counter()
            signature.compute(inputs)
            seconds[name].append(time.perf_counter() - before)
        if time.monotonic() > end:
            break
    return {name: round(1000 * statistics.median(times), 2) for name, times in seconds.items()}
