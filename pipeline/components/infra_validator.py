"""infra_validator: checks that the exported SavedModel works without kseg, and predicts what the Keras model predicts.

A fresh `python -I` starts in an empty folder outside the checkout and runs `pipeline/publishing/fresh_process.py`, in which
every import of kseg or pipeline fails: neither the working directory, nor PYTHONPATH, nor an installed kseg can help. It loads
the SavedModel as TensorFlow Serving does, asks its warm-up requests, one for each signature, describes the signatures and sends
stored images through `serve_bytes`, or where no PNG holds them through `serving_default`, at last one of the largest size that
the export allows: the peak memory is that of the worst request. This process compares the signatures with the expected ones,
the label maps with the sizes of their images, the classes and the predictions of `model.keras`, and time and memory with their
limits. If the export's manifest names DenseCRF, the Keras model's predictions are refined with the same parameters first. A
model that fails is not an error: the verdict gives the reasons. TensorFlow, since the Keras model predicts in this process.
"""

from __future__ import annotations

import io
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import kseg.layers  # noqa: F401  (`model.keras` is made of them, so their code belongs to the recipe)
from kseg.labels import LabelMap
from kseg.pairs.channels import TENSOR, PixelKind, png_file
from kseg.pairs.image_files import decode_image
from kseg.serving import exporting as serving
from kseg.serving.manifest import read_manifest, working_scale
from kseg.serving.statuses import MAX_PIXELS, MAX_SIDE, SCORE_MEMORY, image_pixels, takes_bytes, takes_overlays
from pipeline.engine import hardware, progress
from pipeline.engine.files import read_json, write_json
from pipeline.examples import prepared
from pipeline.exporting.warm_up import read_requests
from pipeline.publishing import fresh_process, server_process
from pipeline.settings.infra_validator import InfraValidator

TILED_PIXELS = 2**24
"""Pixels of the largest image that is tried where images keep their own sizes: more tiles take time, not memory."""

AGREEMENT = 0.999
"""Share of pixels on which both must agree: where two classes tie within rounding, other kernels may decide differently, and
DenseCRF may assign a pixel on the border of two simplices of its lattice to either (docs/refinement.md)."""


def infra_validator(
    out: pathlib.Path,
    config: InfraValidator,
    *,
    model: pathlib.Path,
    export: pathlib.Path,
    examples: pathlib.Path,
    transform: pathlib.Path,
):
    """Writes `out/infra.json`: blessed, reasons, signatures, seconds_per_image, peak_bytes, agreement (share of pixels),
    and the "hardware" that was measured.

    `peak_bytes` is the peak memory of the process that answered stored images and one of `largest_pixels`: the largest allowed,
    or, where images keep their own sizes, at most `TILED_PIXELS`.

    Args:
        out: folder to write below.
        config: number of stored images to send, and the limits.
        model: artifact of the trainer, with the Keras model.
        export: artifact of the exporter.
        examples: artifact of example_gen, the source of the images.
        transform: artifact of transform, whose plan holds the training size.
    """
    images = _stored_images(examples, config.samples)
    progress.set_total(len(images))
    result = {"blessed": False, "reasons": [], "signatures": {}, "agreement": None}
    manifest, num_classes = read_manifest(export / "saved_model"), LabelMap.load(examples).num_classes
    plan = read_json(transform / "plan.json")
    kind = PixelKind.recorded(plan)
    largest = _largest_size(manifest, num_classes)
    result |= {"seconds_per_image": None, "peak_bytes": None, "largest_pixels": largest[0] * largest[1]}
    result |= {"hardware": hardware.describe()}
    # Predict where kseg does not exist.
    try:
        warm_up = read_requests(export / "saved_model")
        served, label_maps = predict_in_fresh_process(export / "saved_model", images, largest, kind, warm_up)
    except ValueError as error:
        result["reasons"] = [str(error)]
    except server_process.FAILURES as error:
        result["reasons"] = [
            "The SavedModel must load and answer in a fresh process without kseg. "
            f"Received: {server_process.describe_failure(error)}."
        ]
    else:
        # Predict with the Keras model, and compare.
        segmentor = keras.saving.load_model(model / "model.keras", compile=False)
        agreement = _agreement(segmentor, working_scale(plan), manifest, images, label_maps)
        expected = expected_signatures(
            segmentor.input_shape[-1],
            num_classes,
            tiles=manifest["tiles"],
            strict=manifest["strict"],
            dtype=kind.dtype,
            network_size=segmentor.input_shape[1:3],
        )
        sent = f"{len(images)} images", f"an image of {largest[1]}x{largest[0]}, the largest tried"
        reasons = [
            *_wrong_signatures(served["signatures"], expected),
            *_wrong_label_maps(images, label_maps, num_classes),
            *exceeded_limits(config, served["seconds_per_image"], served["peak_bytes"], *sent),
        ]
        if served["first_party"]:
            reasons.append(
                f"The SavedModel must load without kseg and pipeline. Received: imported {', '.join(served['first_party'])}."
            )
        if agreement < AGREEMENT:
            reasons.append(
                f"The SavedModel's label maps must agree with the Keras model's on {AGREEMENT:.1%} of the pixels. "
                f"Received: agreement={agreement:.4f} ({len(images)} images)."
            )
        reasons += _without_warm_up(served["signatures"], warm_up)
        result |= {"blessed": not reasons, "reasons": reasons, "agreement": agreement}
        result |= {name: served[name] for name in ("signatures", "seconds_per_image", "peak_bytes")}
    write_json(out / "infra.json", result)


def _largest_size(manifest: dict, num_classes: int) -> tuple[int, int]:
    """(height, width) of the largest image that is tried, nearly square; by default limits if an export states none."""
    limits = {"max_pixels": MAX_PIXELS, "score_memory": SCORE_MEMORY}
    limits = {name: manifest[name] or default for name, default in limits.items()}
    pixels = image_pixels(num_classes, manifest["crf"] is not None, **limits)
    if manifest["image_scale"]:
        pixels = min(pixels, TILED_PIXELS)
    height = min(math.isqrt(pixels), MAX_SIDE)
    return height, min(pixels // height, MAX_SIDE)


def expected_signatures(
    channels: int,
    num_classes: int,
    tiles: bool = False,
    strict: bool = False,
    dtype: str = "uint8",
    network_size: tuple[int | None, int | None] = (None, None),
) -> dict:
    """The signatures of an export, `tiles` included if it was exported with it, as `fresh_process.describe` writes them.

    Args:
        channels: C.
        num_classes: K.
        tiles: as in `kseg.export`.
        strict: as in `kseg.export`.
        dtype: of the images.
        network_size: (height, width) that the network is built for, in pixels; None where any.
    """
    image = {"image": [dtype, [None, None, None, channels]]}
    outputs = {"label_map": ["uint8", [None, None, None]], "confidence": ["float32", [None, None, None]]}
    optional = {"tiles": {"inputs": image, "outputs": outputs}} if tiles else {}
    statuses = {} if strict else {"status": ["int32", [None]], "message": ["string", [None]]}
    if takes_bytes(channels, dtype):
        answers = {"label_map_bytes": ["string", [None]], **statuses}
        optional["serve_bytes"] = {"inputs": {"image_bytes": ["string", [None]]}, "outputs": answers}
        optional["from_examples"] = {"inputs": {"examples": ["string", [None]]}, "outputs": answers}
    if takes_overlays(channels, dtype):
        optional["overlay"] = {
            "inputs": {"image_bytes": ["string", [None]]},
            "outputs": {"overlay_bytes": ["string", [None]], **statuses},
        }
    return optional | {
        "serving_default": {"inputs": image, "outputs": outputs},
        "probabilities": {
            "inputs": image,
            "outputs": {"probabilities": ["float32", [None, None, None, num_classes]]},
        },
        "network": {
            "inputs": {"image": ["float32", [None, *network_size, channels]]},
            "outputs": {"probabilities": ["float32", [None, *network_size, num_classes]]},
        },
    }


def _wrong_signatures(found: dict, expected: dict) -> list[str]:
    return [
        f"Signature {name!r} must be {json.dumps(signature)}. Received: {json.dumps(found.get(name))}."
        for name, signature in expected.items()
        if found.get(name) != signature
    ]


def _wrong_label_maps(images: list[bytes], label_maps: list[np.ndarray], num_classes: int) -> list[str]:
    """Messages about the first label map of a wrong size and the first with an id that is no class."""
    sizes, ids = [], []
    for number, (image_bytes, label_map) in enumerate(zip(images, label_maps, strict=True), start=1):
        shape = decode_image(image_bytes).shape[:2]
        if label_map.shape != shape:
            sizes.append(
                "A label map must have its image's height and width. "
                f"Received: {label_map.shape} for {shape} [image {number} of {len(images)}]."
            )
        outside = label_map[label_map >= num_classes]
        if outside.size:
            ids.append(
                f"Ids of a label map must lie in 0..{num_classes - 1}. Received: ids {np.unique(outside)[:8].tolist()} at "
                f"{outside.size} pixels [image {number} of {len(images)}]."
            )
    return sizes[:1] + ids[:1]


def exceeded_limits(
    config: InfraValidator, seconds_per_image: float, peak_bytes: int, images: str, largest: str
) -> list[str]:
    """One message for each limit that the served model exceeds.

    Args:
        config: the limits.
        seconds_per_image: mean.
        peak_bytes: peak memory of the serving process.
        images: what was sent for the time, for the message.
        largest: what was sent for the memory.
    """
    reasons = []
    if config.max_latency is not None and seconds_per_image > config.max_latency:
        reasons.append(
            f"An image must be answered within {config.max_latency:g} s. "
            f"Received: {seconds_per_image:.3g} s on average ({images}). "
            "Choose a smaller network or transform.image_size, or raise infra_validator.max_latency."
        )
    if config.max_memory is not None and peak_bytes > config.max_memory * 2**30:
        reasons.append(
            f"Serving must stay within {config.max_memory:g} GiB. Received: a peak of {peak_bytes / 2**30:.2f} GiB ({largest}). "
            "Lower exporter.max_pixels, choose a smaller network or transform.image_size, or raise infra_validator.max_memory."
        )
    return reasons


def _stored_images(examples: pathlib.Path, count: int) -> list[bytes]:
    """The first `count` images, as stored, of the first split that exists of test, validation and train."""
    shards = prepared.shard_paths(examples)
    split = next(name for name in ("test", "validation", "train") if name in shards)
    records = tf.data.TFRecordDataset([str(path) for path in shards[split]]).take(count)
    return [prepared.from_record(record.numpy())[1] for record in records]


def _without_warm_up(signatures: dict, warm_up: list[tuple]) -> list[str]:
    """A reason against an export of which a signature has no warm-up request."""
    missing = sorted(set(signatures) - {name for name, _ in warm_up})
    if not missing:
        return []
    return [f"Each signature must have a warm-up request. Received: none for {', '.join(missing)}. Export again."]


def predict_in_fresh_process(
    saved_model: pathlib.Path,
    images: list[bytes],
    largest: tuple[int, int],
    kind: PixelKind,
    warm_up: Sequence[tuple[str, Mapping[str, bytes]]] = (),
) -> tuple[dict, list[np.ndarray]]:
    """Predicts in a process without kseg.

    Args:
        saved_model: folder of the export.
        images: encoded, as stored.
        largest: (height, width) of the largest image that is allowed.
        kind: of the images.
        warm_up: requests that are asked first, as `pipeline.exporting.warm_up.read_requests` returns them.

    Returns:
        What `fresh_process` reports (signatures, seconds per image, peak of memory, first-party modules), and the label maps
        (H, W), uint8.

    Raises:
        subprocess.CalledProcessError: the process failed.
        subprocess.TimeoutExpired: the process hung.
    """
    black = _black_jpeg(*largest, kind.channels) if kind.is_plain else _black_png(*largest, kind)
    requests = [image_bytes.removeprefix(TENSOR) for image_bytes in images]
    report, answers = server_process.serve(saved_model, requests, (black, (1, *largest, kind.channels)), warm_up)
    return report, [_decode_answer(answer) for answer in answers]


def _decode_answer(answer: bytes) -> np.ndarray:
    stream = io.BytesIO(answer)
    return np.load(stream) if answer.startswith(fresh_process.NUMPY) else np.array(Image.open(stream))


def _black_jpeg(height: int, width: int, channels: int) -> bytes:
    """The JPEG that costs most memory: progressive, colours at full resolution, and decoded twice, being of one colour."""
    stream = io.BytesIO()
    picture = Image.new("L" if channels == 1 else "RGB", (width, height))
    picture.save(stream, "JPEG", progressive=True, subsampling=0)
    return stream.getvalue()


def _black_png(height: int, width: int, kind: PixelKind) -> bytes | None:
    """A PNG, made row by row; None where no PNG holds such images."""
    if not takes_bytes(kind.channels, kind.dtype):
        return None
    row = bytes(1 + width * kind.channels * np.dtype(kind.dtype).itemsize)
    return png_file((height, width), kind, (row for _ in range(height)))


def _decode_stored(image_bytes: bytes, kind: PixelKind) -> np.ndarray:
    """A stored image (H, W, C) as a model for images of this kind sees it: grey and RGB become each other."""
    if not kind.is_plain:
        return decode_image(image_bytes)
    return np.atleast_3d(Image.open(io.BytesIO(image_bytes)).convert("L" if kind.channels == 1 else "RGB"))


def _agreement(
    segmentor: keras.Model,
    scale: tuple[int, int] | float,
    manifest: dict,
    images: list[bytes],
    label_maps: list[np.ndarray],
) -> float:
    """Share of pixels on which the Keras model, with the export's options, predicts the same; a wrong size agrees nowhere."""
    kind = PixelKind(segmentor.input_shape[-1], manifest["dtype"])
    options = {name: manifest[name] for name in ("flips", "rotations", "crf", "normalization")}
    same = pixels = 0
    for image_bytes, served in zip(images, label_maps, strict=True):
        image = _decode_stored(image_bytes, kind)
        expected = serving.predict_label_maps(segmentor, scale, image[np.newaxis], **options)[0][0]
        same += int(np.sum(served == expected)) if served.shape == expected.shape else 0
        pixels += expected.size
        progress.advance()
    return same / pixels
