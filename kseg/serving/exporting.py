"""`kseg.export`: a segmentor as a SavedModel that needs nothing but TensorFlow: no kseg, no Keras, no custom object.

    serving_default  image (B, H, W, C) uint8                 -> label_map (B, H, W) uint8, confidence (B, H, W) float32
    serve_bytes      image_bytes (B,) JPEG or PNG, any sizes  -> label_map_bytes (B,) PNG, each of its image's size,
                                                                 status (B,) int32, 0 or why not, and message (B,)
    probabilities    image (B, H, W, C) uint8                 -> probabilities (B, H, W, K) float32
    tiles            image (B, H, W, C) uint8                 -> label_map (B, H, W) uint8, confidence (B, H, W) float32
    overlay          image_bytes (B,)                         -> overlay_bytes (B,) JPEG, the classes' colours over the image,
                                                                 status and message
    from_examples    examples (B,) serialized tf.Example      -> as serve_bytes; their feature `image` holds the bytes
    network          image (B, h, w, C) float32               -> probabilities (B, h, w, K) float32

All but `network` bring an image to its working size, and return predictions at the image's own size; they share one graph
(`kseg.serving.graph`), which the evaluator measures too. The working size is a box that all images are fitted into
(`image_size`), or each image's own size times a factor (`image_scale`), in which case large images are labelled tile by tile.
`network` is the bare network with its views, for images that were resized and padded before: what XLA and other runtimes take.
`tiles` is optional: it always cuts the image into tiles, so a large image keeps its detail and memory stays bounded
(`kseg.serving.tiles_in_graph`).

`dtype` may also be uint16 or float32, for images of any number of channels; their values are normalised inside by constants from
the training data. `serve_bytes` then takes PNG of exactly these channels and bits, and is left out with `from_examples` where
no PNG holds them: above 4 channels, and for float32. `overlay` shows 8-bit grey and RGB alone.

A request has a bound, `max_pixels`, and so have the class scores that it needs at once, `score_memory`: with the defaults and 21
classes a process stays below 2 GB (`kseg.serving.limits`). An image that cannot be labelled leaves its batch alone.

TensorFlow Serving's gRPC limits messages to 4 MB by default: `probabilities` exceeds that from 224 x 224 pixels and 21 classes
on, label maps and PNG hardly ever do. Refused: networks that are not functional, take more than one input, lack a logit for each
class or return another size than the image's. TensorFlow only, because a SavedModel is a TensorFlow graph.
"""

from __future__ import annotations

import json
import numbers
import operator
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence

from kseg._backend import require_tensorflow

require_tensorflow(__name__)

import keras  # noqa: E402  (only after the backend is known)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from kseg._checks import check_logits  # noqa: E402
from kseg.data.levels import check_normalization  # noqa: E402
from kseg.inference.averaging import dihedral_views  # noqa: E402
from kseg.inference.checks import check_images  # noqa: E402
from kseg.labels import LabelMap  # noqa: E402
from kseg.serving import formats as other_runtimes  # noqa: E402
from kseg.serving import manifest, statuses  # noqa: E402
from kseg.serving.folding import fold_batch_normalization  # noqa: E402
from kseg.serving.graph import ServedModel, cast_to_float32  # noqa: E402
from kseg.serving.statuses import check_limits  # noqa: E402

LEAST_SCALE = 0.01
"""Smallest factor on the sides of images."""

FORMAT_ENTRIES = {*other_runtimes.FORMATS, other_runtimes.RECORD}
SAVED_MODEL_ENTRIES = {"saved_model.pb", "variables", "assets", "assets.extra", "fingerprint.pb"} | FORMAT_ENTRIES
"""What may lie in a folder that an export overwrites; a killed export leaves some of it, or temporary names of it."""


def export(
    model: keras.Model,
    path,
    *,
    labels: LabelMap,
    image_size: tuple[int, int] | None = None,
    image_scale: float | None = None,
    image_range: int | None = None,
    dtype: str = "uint8",
    normalization: Mapping | None = None,
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    tiles: bool = False,
    crf: bool | Mapping | None = None,
    max_pixels: int = statuses.MAX_PIXELS,
    score_memory: float = statuses.SCORE_MEMORY,
    strict: bool = False,
    pretrained: Mapping | None = None,
    trained_on: Sequence[str] = manifest.TRAIN,
    formats: Sequence[str] = (),
    calibration: Sequence[np.ndarray] | None = None,
    validation: Sequence[np.ndarray] | None = None,
) -> dict | None:
    """Writes a SavedModel with the signatures serving_default, probabilities, network and, for images that a PNG holds, more.

    Class names and colours are stored in `assets/labels.json`, the other arguments in `assets/export.json`. Directories get mode
    0755 and files 0644, so a server that runs as another user can read them. An earlier export at `path` is overwritten.

    Args:
        model: functional segmentor from an image (B, H, W, C), levels in [0, 255], to logits (B, H, W, K).
        path: directory to write: a new one, an empty one, or an earlier export.
        labels: the K classes.
        image_size: (height, width) that images are fitted into before the network sees them, in pixels. Give it or `image_scale`.
        image_scale: factor from 0.01 to 1 on the sides of each image instead, for images of unlike sizes. They are padded to
            multiples of 32 pixels and labelled one by one; those of more than 2^20 pixels then by blended tiles of 512 x 512,
            in bounded memory.
        image_range: sample of encoded 16-bit images that becomes 255, the largest one of the training data; None: 65535.
            Images of 1 or 3 channels and dtype uint8 alone are scaled.
        dtype: of the images that the export takes: "uint8", "uint16" or "float32".
        normalization: how numbers that are not uint8 become levels: "mean" and "deviation" of each channel in the training data;
            see `kseg.data.levels`.
        flips: of "horizontal" and "vertical": the flipped image is predicted too, and the probabilities are averaged.
        rotations: multiples of 90 degrees, likewise. Each combination of flip and rotation costs one more forward pass.
        tiles: whether to add the signature "tiles", which cuts images of any size into tiles of `image_size` at their own scale;
            with `image_scale` into the tiles of large images, at that scale.
        crf: `kseg.DenseCRF` that refines the probabilities at the image's own size, or those of each tile: True for its
            default arguments; a dict of arguments, such as `settings` in the file that `python -m pipeline.tune_crf` writes;
            None or False for no refinement.
        max_pixels: of an image, and of a batch together, above which every signature refuses; each image counts as at least as
            many as `image_size` has. Sizes are read from the file's header, before anything is decoded.
        score_memory: GiB that class scores of many pixels may take. It bounds what cannot be computed band by band: the pixels of
            the signature probabilities, of an image that DenseCRF refines, and the width of one that "tiles" cuts.
        strict: whether a bad image fails the whole request of `serve_bytes`, which then returns `label_map_bytes` alone;
            otherwise it gets an empty string and a `status`.
        pretrained: JSON values to record about the weights that training began with, such as their licence; changes nothing
            else.
        trained_on: names of the splits that the network learned from, to record as well.
        formats: of "onnx", "openvino", "litert" and "litert_int8": the network for these runtimes too, each in a folder of that
            name beside the SavedModel, with a module that labels pictures without TensorFlow; see `kseg.serving.formats`. They
            need the extra `runtimes`.
        calibration: images (H, W, C), of the export's dtype, by which litert_int8 chooses its ranges: some from training.
        validation: images (H, W, C) on which the label maps of the formats are compared with those of `model`.

    Returns:
        With `formats`, what `formats.json` holds: for each of them "agreement", the share of pixels of `validation` that have the
        class that `model` gives them, "images", "bytes" and "packages"; else None.

    Raises:
        TypeError: an argument is of the wrong type, or DenseCRF has no such argument.
        ModuleNotFoundError: a package of a format is missing.
        ValueError: the model's channels, classes or sizes do not fit, or another argument does not; or the network cannot be
            converted to a format, or its label maps there, but those of litert_int8, agree on less than 99.5 % of the pixels.
        FileExistsError: `path` is a file, or a folder with other contents.

    Example:
        >>> labels = kseg.LabelMap(("ground", "car"), ((90, 90, 90), (220, 60, 50)), (0, 1))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kseg.export(kseg.UNet(2, filters=(4, 8)), folder, labels=labels, image_size=(48, 64))
        ...     predict = tf.saved_model.load(folder).signatures["serving_default"]
        >>> predict(image=tf.zeros((1, 96, 128, 3), tf.uint8))["label_map"].shape
        TensorShape([1, 96, 128])
    """
    # Check everything before work: tracing takes seconds to minutes.
    scale = _working_scale(image_size, image_scale)
    _check_image_range(image_range)
    dihedral_views(flips, rotations)  # refuses unknown ones
    _check_labels(labels)
    _check_model(model, labels.num_classes, scale, rotations)
    _check_dtype(dtype)
    check_normalization(normalization, model.inputs[0].shape[-1], dtype)
    crf = _crf_parameters(crf)
    limits = {"max_pixels": max_pixels, "score_memory": score_memory}
    check_limits(scale, labels.num_classes, crf=crf is not None, **limits)
    formats = other_runtimes.check_formats(formats, calibration, validation, crf)
    path = _check_path(path)
    # Build the graph.
    kind = {"dtype": dtype, "normalization": normalization and dict(normalization)}
    served = ServedModel(
        fold_batch_normalization(model),
        scale,
        flips,
        rotations,
        crf,
        image_range,
        **kind,
        strict=bool(strict),
        **limits,
    )
    rotations = [int(rotation) for rotation in rotations]
    with tempfile.TemporaryDirectory() as scratch:
        # Convert it first: what other runtimes answer may be refused.
        report = None
        if formats:
            settings = {
                "image_size": scale if isinstance(scale, tuple) else None,
                "image_scale": None if isinstance(scale, tuple) else scale,
                "image_range": image_range,
                "channels": model.inputs[0].shape[-1],
                **kind,
                "max_pixels": int(max_pixels),
                "network_pixels": statuses.NETWORK_PIXELS,
                "names": labels.names,
                "colours": labels.palette().tolist(),
            }
            reference = ServedModel(cast_to_float32(model), scale, flips, rotations, **kind, **limits)
            report = other_runtimes.write_formats(
                pathlib.Path(scratch), formats, served, reference, settings, calibration, validation
            )
        # Write it with its assets, readable by others.
        text = manifest.manifest_json(
            image_size=scale if isinstance(scale, tuple) else None,
            image_scale=None if isinstance(scale, tuple) else scale,
            image_range=image_range,
            **kind,
            flips=flips,
            rotations=rotations,
            tiles=bool(tiles),
            crf=served.crf_parameters(),
            strict=bool(strict),
            pretrained=None if pretrained is None else dict(pretrained),
            trained_on=trained_on,
            **limits,
        )
        served.labels = _asset(scratch, "labels.json", labels.to_json())
        served.manifest = _asset(scratch, manifest.FILE_NAME, text)
        tf.saved_model.save(served, str(path), signatures=served.signatures(tiles, labels.palette()))
        for name in FORMAT_ENTRIES:  # those of an earlier export are another network's
            shutil.rmtree(path / name) if (path / name).is_dir() else (path / name).unlink(missing_ok=True)
        for name in formats:
            shutil.copytree(pathlib.Path(scratch, name), path / name)
        if report:
            (path / other_runtimes.RECORD).write_text(json.dumps(report, indent=1), encoding="utf-8")
    for entry in (path, *path.rglob("*")):
        entry.chmod(0o755 if entry.is_dir() else 0o644)
    return report


def predict_label_maps(
    model: keras.Model,
    working_scale: tuple[int, int] | float,
    images: np.ndarray,
    *,
    flips: Sequence[str] = (),
    rotations: Sequence[int] = (0,),
    crf: bool | Mapping | None = None,
    normalization: Mapping | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the signature serving_default of an export of `model` returns, computed without exporting it.

    Args:
        model: functional segmentor from an image (B, H, W, C) to logits (B, H, W, K).
        working_scale: (height, width) that images are fitted into, in pixels, or a factor on their own sides.
        images: (B, H, W, C), uint8, or another dtype that `export` takes.
        flips: as in `export`.
        rotations: as in `export`.
        crf: as in `export`.
        normalization: as in `export`.

    Returns:
        label_map (B, H, W), uint8, and confidence (B, H, W), float32: the probability of that class.

    Raises:
        ValueError: `images` or `working_scale` do not fit.
    """
    boxed = isinstance(working_scale, tuple | list)
    scale = _working_scale(working_scale, None) if boxed else _working_scale(None, working_scale)
    channels = model.inputs[0].shape[-1]
    dtype = "uint8" if normalization is None else np.dtype(images.dtype).name
    _check_dtype(dtype)
    check_normalization(normalization, channels, dtype)
    levels = normalization is None
    check_images(images, "images", "predict_label_maps", channels=channels, dtype=dtype, levels=levels)
    kind = {"dtype": dtype, "normalization": normalization}
    served = ServedModel(cast_to_float32(model), scale, flips, rotations, _crf_parameters(crf), **kind)
    if not len(images):
        return np.zeros(images.shape[:3], np.uint8), np.zeros(images.shape[:3], np.float32)
    outputs = served.label_map(tf.constant(images))
    return outputs["label_map"].numpy(), outputs["confidence"].numpy()


def _check_dtype(dtype):
    if dtype not in ("uint8", "uint16", "float32"):
        raise ValueError(f"`dtype` must be one of uint8, uint16, float32. Received: dtype={dtype!r}.")


def _check_image_range(image_range):
    if image_range is not None and not (type(image_range) is int and 1 <= image_range <= 65535):
        raise ValueError(
            f"`image_range` must be a whole number in 1..65535, or None. Received: image_range={image_range!r}."
        )


def _asset(folder, name: str, text: str):
    """A text file that is copied into the SavedModel."""
    file = pathlib.Path(folder) / name
    file.write_text(text, encoding="utf-8")
    return tf.saved_model.Asset(str(file))


def _crf_parameters(crf: bool | Mapping | None) -> dict | None:
    """The arguments of DenseCRF that `crf` stands for; None: no refinement.

    Raises:
        TypeError: `crf` is neither a mapping nor a bool nor None.
        ValueError: it sets what the export itself decides.
    """
    if crf is None or isinstance(crf, bool):
        return {} if crf else None
    if not isinstance(crf, Mapping):
        raise TypeError(
            f"`crf` must be True, a dict of arguments of kseg.DenseCRF, or None. Received: crf={crf!r}. "
            "Read a file of pipeline.tune_crf with json.load and give its `settings`."
        )
    decided = sorted({"from_logits", "activation"} & set(crf))
    if decided:
        raise ValueError(
            f"`crf` must not set {' or '.join(decided)}. Received: crf={dict(crf)}. Leave it out: exports refine probabilities."
        )
    return dict(crf)


def _working_scale(image_size, image_scale) -> tuple[int, int] | float:
    """(height, width) as Python ints, or a factor.

    Raises:
        ValueError: both are given, or none, or it is anything else.
    """
    if image_scale is not None:
        if image_size is not None:
            raise ValueError(
                f"`image_size` and `image_scale` exclude each other. Received: image_size={image_size!r}, "
                f"image_scale={image_scale!r}. Leave one out."
            )
        number = isinstance(image_scale, numbers.Real) and not isinstance(image_scale, bool)
        if not number or not LEAST_SCALE <= image_scale <= 1:
            raise ValueError(
                f"`image_scale` must be a number from {LEAST_SCALE:g} to 1. Received: image_scale={image_scale!r}. "
                "1.0 shows images at their own size."
            )
        return float(image_scale)
    try:
        height, width = (operator.index(side) for side in image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            "`image_size` must be (height, width), two whole numbers of pixels above 0. "
            f"Received: image_size={image_size!r}. Write image_size=(180, 240), for example."
        )
    return height, width


def _check_labels(labels):
    if not isinstance(labels, LabelMap):
        raise TypeError(
            f"`labels` must be a kseg.LabelMap. Received: labels={labels!r}. "
            "Build one of names, colours and mask values, or read a table with kseg.LabelMap.from_csv."
        )


def _check_model(model, num_classes: int, working_scale: tuple[int, int] | float, rotations: Sequence[int]):
    """Refuses a model that cannot be exported.

    Raises:
        TypeError: it is not functional.
        ValueError: its channels, classes or sizes do not fit, or it gives probabilities.
    """
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise TypeError(
            f"`model` must be a functional keras.Model. Received: model={model!r}. For a game, export its `segmentor`."
        )
    check_logits("model", model)
    where = f"[model {model.name}]"
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or not shapes[0][-1]:
        raise ValueError(
            f"`model` must take one image (B, H, W, C) with a known C. Received: inputs of shapes {shapes} {where}."
        )
    _, height, width, channels = shapes[0]
    image_size = working_scale
    if not isinstance(working_scale, tuple):
        image_size = statuses.TILE
        if height or width:
            raise ValueError(
                f"`image_scale` must be of a model for images of any size. Received: a model for ({height}, {width}) {where}. "
                f"Build the network with input_shape=(None, None, {channels}), or give image_size=({height}, {width})."
            )
    if height not in (None, image_size[0]) or width not in (None, image_size[1]):
        raise ValueError(
            f"`image_size` must be the input size of the model. Received: image_size={image_size} of a model for "
            f"({height}, {width}) {where}. Build the network with input_shape=(None, None, {channels}) for any size."
        )
    if any(rotation % 180 for rotation in rotations) and image_size[0] != image_size[1] and (height or width):
        raise ValueError(
            f"`rotations` must be of 0 and 180 for a model of one size that is not square. Received: rotations={rotations!r} "
            f"{where}. Build the network with input_shape=(None, None, {channels}) for any size."
        )
    output_shape = model.compute_output_shape((1, *image_size, channels))
    if not isinstance(output_shape, tuple) or len(output_shape) != 4:
        raise ValueError(
            f"`model` must return logits (B, H, W, K). Received: outputs of shape {output_shape} {where}. "
            "Convert a classifier of windows with kseg.convolutionalize."
        )
    if output_shape[-1] != num_classes:
        raise ValueError(
            f"`model` must return a logit for each of the {num_classes} classes of `labels`. Received: {output_shape[-1]} logits "
            f"{where}."
        )
    if output_shape[1:3] != image_size:
        raise ValueError(
            f"`model` must return logits of the image's own size. Received: logits {output_shape[1:3]} of an image {image_size} "
            f"{where}. Build the network with padding='same'."
        )


def _check_path(path) -> pathlib.Path:
    """The path, when nothing but an earlier export would be overwritten; every file under it gets new permissions.

    Raises:
        TypeError: it is no path.
        FileExistsError: it is a file, or a folder with other contents.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"`path` must be the path of a folder. Received: path={path!r}.")
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise FileExistsError(
            f"`path` must be a folder. Received: path={str(path)!r}, which is a file. Name another path."
        )
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    others = [name for name in names if name.partition(".tmp")[0] not in SAVED_MODEL_ENTRIES]
    if others:
        raise FileExistsError(
            "`path` must be a new folder, an empty one, or an earlier export. "
            f"Received: path={str(path)!r}, a folder with {sorted(others)[0]!r} in it. Name a folder inside it."
        )
    return path
