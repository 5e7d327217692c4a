"""Signatures that the server adds to those of an export, where TensorFlow's graph has no operation for them.

    palette    image_bytes -> PNG whose palette holds the colours of the classes, so that any viewer shows them
    localize   image_bytes -> the same PNG, the share of each class, and boxes of its connected regions: classify, locate and
               segment in one answer
    confidence image_bytes -> PNG of the probability of each pixel's class, 0 to 255

The first two are computed from the label maps of `serve_bytes`; a refused image has the status and message that it has there. The
third decodes files as ingestion does, which `serve_bytes` does in the graph, and asks `serving_default`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import measure

from kseg.labels import LabelMap
from kseg.pairs.errors import PairError
from kseg.pairs.image_files import decode_image, prepare_image
from kseg.serving import statuses
from pipeline.server.errors import Code, RequestError, invalid
from pipeline.server.signatures import STRING, Arrays, Signature, TensorSpec

SOURCE, PIXELS = "serve_bytes", "serving_default"
MAX_REGIONS = 100
"""Regions of an image that `localize` lists, the largest first; it counts all."""

_HEADER_END, _COLOUR_TYPE = 33, 25
"""Bytes of a PNG up to the end of its header; place of the colour type in it."""


def additional_signatures(
    signatures: Mapping[str, Signature], labels: LabelMap | None, manifest: Mapping
) -> dict[str, Signature]:
    """The signatures `palette`, `localize` and `confidence`, unless the model has them, or lacks `serve_bytes` or its classes.

    Args:
        signatures: of the SavedModel.
        labels: its K classes.
        manifest: what it says about itself, see `kseg.serving.manifest`.
    """
    source = signatures.get(SOURCE)
    if source is None or labels is None or "label_map_bytes" not in source.outputs:
        return {}
    k = labels.num_classes
    located = {
        "class_names": TensorSpec("class_names", STRING, (None, k)),
        "class_shares": TensorSpec("class_shares", np.dtype(np.float32), (None, k)),
        "num_regions": TensorSpec("num_regions", np.dtype(np.int32), (None,)),
        "region_classes": TensorSpec("region_classes", np.dtype(np.int32), (None, None)),
        "region_areas": TensorSpec("region_areas", np.dtype(np.int32), (None, None)),
        "region_boxes": TensorSpec("region_boxes", np.dtype(np.int32), (None, None, 4)),
    }
    made = (
        ("palette", source.outputs, lambda outputs: _with_palettes(outputs, labels)),
        ("localize", {**source.outputs, **located}, lambda outputs: _with_regions(outputs, labels)),
    )
    added = {
        name: Signature(name, source.inputs, outputs, source.compute, finish, source.batch, source.base)
        for name, outputs, finish in made
    }
    if "confidence" in getattr(signatures.get(PIXELS), "outputs", ()):
        added["confidence"] = _confidence(signatures[PIXELS], source, manifest)
    return {name: signature for name, signature in added.items() if name not in signatures}


def _confidence(pixels: Signature, source: Signature, manifest: Mapping) -> Signature:
    """The signature that answers encoded images by what `pixels` says about their pixels, one after the other."""
    refusals = {name: spec for name, spec in source.outputs.items() if name in ("status", "message")}
    outputs = {"confidence_bytes": TensorSpec("confidence_bytes", STRING, (None,)), **refusals}

    def compute(arrays: Arrays) -> Arrays:
        answers = [answer(data) for data in arrays["image_bytes"]]
        if not refusals and (refused := [message for _, status, message in answers if status != statuses.GOOD]):
            raise invalid(refused[0])
        found = dict(zip(("confidence_bytes", "status", "message"), zip(*answers, strict=True), strict=True))
        return {
            "confidence_bytes": np.array(found["confidence_bytes"], STRING),
            "status": np.array(found["status"], np.int32),
            "message": np.array([message.encode() for message in found["message"]], STRING),
        }

    def answer(data: bytes) -> tuple[bytes, int, str]:
        try:
            image = _read(data, pixels.inputs["image"], manifest)
            confidence = pixels.compute({"image": image[np.newaxis]})["confidence"][0]
        except PairError as error:
            known = error.name in statuses.NAMES
            return b"", statuses.NAMES.index(error.name) if known else statuses.UNSUPPORTED_FORMAT, error.what
        except RequestError as error:
            if error.code is not Code.INVALID:
                raise
            return b"", statuses.TOO_MANY_PIXELS, error.message
        return _encode(np.rint(255 * confidence).astype(np.uint8)), statuses.GOOD, ""

    def finish(arrays: Arrays) -> Arrays:
        return {name: arrays[name] for name in outputs}

    return Signature("confidence", source.inputs, outputs, compute, finish, source.batch, "confidence")


def _read(data: bytes, spec: TensorSpec, manifest: Mapping) -> np.ndarray:
    """The pixels (H, W, C) of an encoded image, as the model takes them.

    Raises:
        PairError: it is none, or too large.
    """
    limit = manifest["max_pixels"] or statuses.MAX_PIXELS
    stored, _, _ = prepare_image(data, spec.shape[-1], "", limit, manifest["image_range"], spec.dtype.name)
    return decode_image(stored)


def _encode(grey: np.ndarray) -> bytes:
    """A grey image (H, W), uint8, as PNG."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _with_palettes(outputs: Arrays, labels: LabelMap) -> Arrays:
    pngs = np.array([to_palette(png, labels) for png in outputs["label_map_bytes"]], STRING)
    return {**outputs, "label_map_bytes": pngs}


def to_palette(png: bytes, labels: LabelMap) -> bytes:
    """A grey PNG of class ids as a PNG with the classes' colours as palette: the same pixels, which are not encoded again.

    Args:
        png: 8-bit grey PNG of class ids, or nothing, which stays nothing.
        labels: the classes.
    """
    if not png:
        return png
    header = bytearray(png[:_HEADER_END])
    header[_COLOUR_TYPE] = 3
    header[-4:] = struct.pack(">I", zlib.crc32(header[12:-4]))
    colours = bytes(part for colour in labels.colours for part in colour)
    palette = b"PLTE" + colours
    return (
        bytes(header)
        + struct.pack(">I", len(colours))
        + palette
        + struct.pack(">I", zlib.crc32(palette))
        + png[_HEADER_END:]
    )


def _with_regions(outputs: Arrays, labels: LabelMap) -> Arrays:
    """Adds the regions; those that an image has fewer than another are filled with class -1 and zeros."""
    pngs = outputs["label_map_bytes"]
    found = [locate(_decode(png), labels.num_classes) for png in pngs]
    most = max((len(classes) for _, _, classes, _, _ in found), default=0)

    def filled(values, fill):
        rows = [np.concatenate([value, np.full((most - len(value), *value.shape[1:]), fill)]) for value in values]
        return np.array(rows, np.int32)

    shape = (len(pngs), most)
    return {
        **_with_palettes(outputs, labels),
        "class_names": np.array([[name.encode() for name in labels.names]] * len(pngs), STRING).reshape(len(pngs), -1),
        "class_shares": np.array([shares for shares, *_ in found], np.float32).reshape(len(pngs), labels.num_classes),
        "num_regions": np.array([number for _, number, *_ in found], np.int32),
        "region_classes": filled([classes for _, _, classes, _, _ in found], -1).reshape(shape),
        "region_areas": filled([areas for _, _, _, areas, _ in found], 0).reshape(shape),
        "region_boxes": filled([boxes for *_, boxes in found], 0).reshape(*shape, 4),
    }


def _decode(png: bytes) -> np.ndarray:
    """The label map (H, W) in a PNG that the model encoded; one without pixels of a refused image."""
    return np.asarray(Image.open(io.BytesIO(png))) if png else np.zeros((0, 0), np.uint8)


def locate(label_map: np.ndarray, num_classes: int) -> tuple[np.ndarray, int, np.ndarray, np.ndarray, np.ndarray]:
    """Class shares, and the largest connected regions, whose pixels touch at least at a corner.

    The regions are those of `kseg.regions.find_regions`; this counts a million of them in seconds, as noise has, and describes
    the largest only.

    Args:
        label_map: (H, W), uint8, class ids.
        num_classes: K.

    Returns:
        share of the pixels of each class (K,), in [0, 1]; number of regions; and of the R <= 100 largest, largest first, the
        class (R,), area in pixels (R,), and box (R, 4): top, left, height, width in pixels.

    Example:
        >>> _, number, classes, areas, boxes = locate(np.array([[0, 1, 0], [1, 0, 0]], np.uint8), 2)
        >>> number, classes.tolist(), areas.tolist(), boxes.tolist()
        (2, [0, 1], [4, 2], [[0, 0, 2, 3], [0, 0, 2, 2]])
    """
    if not label_map.size:
        return np.zeros(num_classes), 0, *(np.zeros(shape, np.int64) for shape in ((0,), (0,), (0, 4)))
    shares = np.bincount(label_map.ravel(), minlength=num_classes)[:num_classes] / label_map.size
    numbered, number = measure.label(label_map.astype(np.int16), background=-1, connectivity=2, return_num=True)
    areas = np.bincount(numbered.ravel())
    largest = np.argsort(-areas[1:], kind="stable")[:MAX_REGIONS] + 1
    rank = np.zeros(len(areas), np.int32)
    rank[largest] = np.arange(1, len(largest) + 1)
    ranked = rank[numbered]
    places = ndimage.find_objects(ranked)
    boxes = [
        (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start) for rows, columns in places
    ]
    classes = [int(label_map[place][ranked[place] == index][0]) for index, place in enumerate(places, start=1)]
    return shares, number, np.array(classes), areas[largest], np.array(boxes)
