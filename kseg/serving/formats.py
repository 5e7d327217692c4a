"""The network of an export in the formats of other runtimes: ONNX, OpenVINO and LiteRT. TensorFlow, and the extra `runtimes`.

Each format is a folder beside the SavedModel, which TensorFlow Serving does not look into:

    onnx/         model.onnx     of any number of images                      onnxruntime
    openvino/     model.xml      of any number of images, float32 weights     openvino
    litert/       model.tflite   of one image                                 ai-edge-litert
    litert_int8/  model.tflite   of one image, 8-bit weights and maps         ai-edge-litert

and in each `model.json`, what the model takes, and `label.py` (`kseg.serving.label`), which labels pictures without kseg and
TensorFlow. The label maps of the format, by that module, are compared with those of the Keras model; `formats.json` holds the
share of pixels on which they agree. The network takes levels, float32, and returns probabilities; that of litert_int8 without
further views returns logits, of which 256 steps tell the classes better apart. Sizes are those of `image_size`, or any multiples
of 32.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import numpy as np  # noqa: E402  (only after the backend is known)
import tensorflow as tf  # noqa: E402

from kseg._extras import extra  # noqa: E402
from kseg._suggestions import did_you_mean  # noqa: E402
from kseg.serving import label  # noqa: E402
from kseg.serving.manifest import LEAST_AGREEMENT  # noqa: E402

FORMATS = {
    "onnx": ("onnx", "model.onnx", ("tf2onnx", "onnx", "onnxruntime")),
    "openvino": ("openvino", "model.xml", ("openvino",)),
    "litert": ("litert", "model.tflite", ("tensorflow", "ai-edge-litert")),
    "litert_int8": ("litert", "model.tflite", ("tensorflow", "ai-edge-litert")),
}
"""Runtime, file of the model, and packages that convert and run it, by the name of the format."""

RECORD = "formats.json"
TOLD_ONLY = ("litert_int8",)
"""Formats that change predictions on purpose: their agreement is recorded, not required."""

OPSET = 18
"""Version of ONNX's operators."""


def check_formats(formats: Sequence[str], calibration, validation, crf) -> tuple[str, ...]:
    """The formats, each once.

    Args:
        formats: names.
        calibration: images, or None.
        validation: images, or None.
        crf: arguments of a DenseCRF, or None.

    Raises:
        ValueError: a name is unknown, images are missing, or there is a DenseCRF, which runs in TensorFlow alone.
        ModuleNotFoundError: a package is missing.
    """
    formats = (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))
    for name in formats:
        if name not in FORMATS:
            raise ValueError(
                f"`formats` must be of {', '.join(FORMATS)}. Received: {name!r}.{did_you_mean(str(name), FORMATS)}"
            )
    if not formats:
        return ()
    if crf is not None:
        raise ValueError(
            f"`formats` must be of an export without DenseCRF. Received: formats={formats} and crf. "
            "Leave one out: DenseCRF runs in TensorFlow alone."
        )
    if not validation:
        raise ValueError(
            f"`validation` must hold images for formats={formats}: their label maps are compared. Received: none. "
            "Give some that the network was not trained on."
        )
    if "litert_int8" in formats and not calibration:
        raise ValueError(
            "`calibration` must hold images for litert_int8. Received: none. Give a hundred that the network was trained on."
        )
    for name in formats:
        PACKAGES[FORMATS[name][0]]()
    return formats


def write_formats(
    folder: pathlib.Path,
    formats: Sequence[str],
    served,
    reference,
    settings: dict,
    calibration: Sequence[np.ndarray] | None,
    validation: Sequence[np.ndarray],
) -> dict:
    """Writes the folders of formats, and compares their label maps.

    Args:
        folder: to write below.
        formats: their names.
        served: the `kseg.serving.graph.ServedModel` to convert.
        reference: that of the Keras model as it is, whose label maps count.
        settings: of `model.json`, for all of them.
        calibration: images (H, W, C) by which ranges of 8 bits are chosen.
        validation: images (H, W, C) whose label maps are compared.

    Returns:
        For each format "agreement", the share of pixels, "images", "bytes" of the model, and "packages" with their versions.

    Raises:
        ValueError: an image does not fit, the network cannot be converted, or label maps agree on less than LEAST_AGREEMENT.
    """
    validation, calibration = (
        [_cut(image, settings) for image in images or ()] for images in (validation, calibration)
    )
    for image in (*validation, *calibration):
        label.check_image(image, settings)
    expected = [reference.label_map(tf.constant(image[np.newaxis]))["label_map"][0].numpy() for image in validation]
    report = {}
    for name in formats:
        runtime, file, packages = FORMATS[name]
        place = folder / name
        place.mkdir()
        logits = name == "litert_int8" and served.has_one_view
        about = {"runtime": runtime, "model": file, "output": "logits" if logits else "probabilities"}
        (place / "model.json").write_text(json.dumps(settings | about, indent=1), encoding="utf-8")
        shutil.copy(label.__file__, place / "label.py")
        try:
            WRITE[name](place / file, served, settings, logits, calibration)
            labeller = label.Labeller(place)
            found = [labeller(image) for image in validation]
        except Exception as error:  # of any type: every converter and runtime has its own
            raise ValueError(
                f"`formats` must be those that the network can be converted to. Received: {name}: "
                f"{_first_line(error)} [model {served.network_name}]. Leave {name} out."
            ) from error
        pixels = sum(image.size for image in found)
        agreement = sum(int((a == b).sum()) for a, b in zip(found, expected, strict=True)) / pixels
        if agreement < LEAST_AGREEMENT and name not in TOLD_ONLY:
            raise ValueError(
                f"The label maps of {name} must agree with the Keras model's on {LEAST_AGREEMENT:.1%} of the pixels. Received: "
                f"agreement={agreement:.4f} ({len(found)} images) [model {served.network_name}]. Leave {name} out."
            )
        report[name] = {
            "agreement": agreement,
            "images": len(found),
            "bytes": sum(part.stat().st_size for part in place.glob("model.*") if part.suffix != ".json"),
            "packages": {package: importlib.metadata.version(package) for package in packages},
        }
    return report


def _cut(image, settings):
    """An image, or the upper left corner that a network for images of unlike sizes sees at once."""
    image = np.asarray(image)
    most = int(settings["network_pixels"] ** 0.5 / settings["image_scale"]) if settings["image_scale"] else None
    return image[:most, :most]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {(lines or ['no message'])[0][:200]}"


def _shape(number, settings):
    """Of the images that a network takes at once."""
    return number, *(settings["image_size"] or (None, None)), settings["channels"]


def _onnx_packages():
    with extra("runtimes"):
        import onnx
        import onnxruntime  # noqa: F401
        import tf2onnx
    return onnx, tf2onnx


def _openvino_package():
    with extra("runtimes"):
        import openvino
    return openvino


def _litert_package():
    with extra("runtimes"):
        from ai_edge_litert import interpreter
    return interpreter


PACKAGES = {"onnx": _onnx_packages, "openvino": _openvino_package, "litert": _litert_package}
"""Imports of what each runtime needs."""


def _write_onnx(file, served, settings, logits, calibration):
    onnx, tf2onnx = _onnx_packages()
    function = served.bare_network(_shape(None, settings), logits)
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    onnx.save(model, str(file))


def _write_openvino(file, served, settings, logits, calibration):
    openvino = _openvino_package()
    model = openvino.convert_model(served.bare_network(_shape(None, settings), logits))
    openvino.save_model(model, str(file), compress_to_fp16=False)


def _write_litert(file, served, settings, logits, calibration):
    file.write_bytes(_litert_converter(served, settings, logits).convert())


def _write_litert_int8(file, served, settings, logits, calibration):
    converter = _litert_converter(served, settings, logits)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [label.prepare(image, settings)[0][np.newaxis]] for image in calibration
    )
    file.write_bytes(converter.convert())


def _litert_converter(served, settings, logits):
    function = served.bare_network(_shape(1, settings), logits).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], served)


WRITE: dict[str, Callable] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "litert": _write_litert,
    "litert_int8": _write_litert_int8,
}
