"""Labels pictures with the model beside this file: python label.py PHOTO.jpg LABELS.png

It needs numpy, Pillow and the runtime of the model (onnxruntime, openvino or ai-edge-litert), and neither kseg nor TensorFlow. A
picture is turned upright by its EXIF, resized and padded as the network was trained, and labelled; the class of each pixel is
decided at the picture's own size. LABELS.png holds class ids; its palette shows the colours of the classes. From Python:

    labeller = Labeller("FOLDER")
    label_map = labeller(read_image("PHOTO.jpg", labeller.settings))

`model.json` beside it says what the model takes. kseg.export writes these files. This one is a part of kseg, too, which compares
its answers with those of the Keras model.
"""

from __future__ import annotations

import json
import math
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps

MULTIPLE = 32
"""Pixels: images that keep their own sizes are padded to multiples of it."""

BAND_PIXELS = 2**18
"""Pixels whose probabilities exist at the picture's own size at a time."""

MEAN, DEVIATION = 128.0, 64.0
"""Levels of the mean and of one standard deviation of numbers that are not uint8."""


class Labeller:
    """A model and what belongs before and behind it.

    Args:
        folder: with the model and `model.json`.

    Raises:
        OSError: a file is missing.
        ImportError: the runtime is missing.
    """

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.run = START[self.settings["runtime"]](folder / self.settings["model"])

    def __call__(self, image):
        """Labels an image.

        Args:
            image: (H, W, C), of the model's dtype.

        Returns:
            Class ids (H, W), uint8.

        Raises:
            ValueError: it is too large or of another kind.
        """
        check_image(image, self.settings)
        seen, (height, width) = prepare(image, self.settings)
        scores = self.run(seen[np.newaxis])[0]
        if self.settings["output"] == "logits":
            scores = softmax(scores)
        return most_probable(scores[:height, :width], image.shape[:2])


def check_image(image, settings):
    """Refuses an image that the model does not take.

    Args:
        image: array.
        settings: of `model.json`.

    Raises:
        ValueError: its kind is another one, or it has too many pixels.
    """
    kind = f"{settings['dtype']} (H, W, {settings['channels']})"
    if (
        image.ndim != 3
        or image.shape[2] != settings["channels"]
        or image.dtype.name != settings["dtype"]
        or not image.size
    ):
        raise ValueError(f"`image` must be {kind}. Received: {image.dtype} {image.shape}.")
    check_size(*image.shape[:2], settings["max_pixels"])
    if not np.isfinite(image).all():
        raise ValueError("`image` must be finite, without NaN and infinity.")
    height, width = working_size(*image.shape[:2], settings)
    if settings["image_scale"] and height * width > settings["network_pixels"]:
        raise ValueError(
            f"An image must have at most {settings['network_pixels']:,} pixels at its working size. Received: {height}x{width}. "
            "Cut it, or ask the SavedModel, which labels it by tiles."
        )


def check_size(height, width, max_pixels):
    """Refuses an image of too many pixels.

    Raises:
        ValueError: it has more than `max_pixels`.
    """
    if height * width > max_pixels:
        raise ValueError(
            f"An image must have at most {max_pixels:,} pixels. Received: {height}x{width}. Scale it down."
        )


def read_image(path, settings):
    """Reads a picture, upright, or an array of numpy's (.npy).

    Args:
        path: of the file.
        settings: of `model.json`.

    Returns:
        (H, W, C), of the model's dtype.

    Raises:
        OSError: the file is missing or damaged.
        ValueError: it is no picture that the model takes, or too large.
    """
    if str(path).endswith(".npy"):
        return np.load(path, allow_pickle=False)
    channels = settings["channels"]
    if settings["dtype"] != "uint8" or channels not in (1, 3):
        raise ValueError(
            f"An image of {channels} channels of {settings['dtype']} must be an array in a .npy file. Received: {path}."
        )
    with Image.open(path) as picture:
        check_size(picture.height, picture.width, settings["max_pixels"])
        if (
            settings["image_range"]
            and picture.format == "PNG"
            and not picture.mode.startswith("I")
            and has_16_bits(path)
        ):
            raise ValueError(
                f"A PNG of 16 bits must be grey. Received: mode {picture.mode} [{path}]. Ask the SavedModel."
            )
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16 bits
            most = settings["image_range"] or 65535
            samples = np.asarray(picture).astype(np.int64)
            grey = np.minimum((samples * 510 + most) // (2 * most), 255).astype(np.uint8)
            return np.repeat(grey[..., np.newaxis], channels, axis=2)
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def has_16_bits(path):
    """Whether a PNG has 16 bits a sample, of which Pillow reads 8 in colour."""
    with open(path, "rb") as file:
        return file.read(25)[24:] == b"\x10"


def prepare(image, settings):
    """An image as the network sees it.

    Args:
        image: (H, W, C).
        settings: of `model.json`.

    Returns:
        Levels (h, w, C), float32, and the (height, width) of the image in them: zeros are below and on the right of it.
    """
    size = working_size(*image.shape[:2], settings)
    if size != image.shape[:2]:
        integer = image.dtype.kind == "u"
        resized = resize(image, size)
        image = np.clip(np.floor(resized + 0.5), 0, np.iinfo(image.dtype).max) if integer else resized
    levels = image.astype(np.float32)
    if settings["normalization"]:
        mean, deviation = (np.float32(settings["normalization"][name]) for name in ("mean", "deviation"))
        levels = MEAN + DEVIATION * ((levels - mean) / deviation)
    if settings["image_size"]:
        height, width = settings["image_size"]
    else:
        height, width = (side + -side % MULTIPLE for side in size)
    return np.pad(levels, [(0, height - size[0]), (0, width - size[1]), (0, 0)]), size


def working_size(height, width, settings):
    """(height, width) at which the network sees an image, in whole numbers, rounded half up."""
    if settings["image_size"]:
        most_high, most_wide = settings["image_size"]
        if most_high * width <= most_wide * height:
            return most_high, max(1, (2 * width * most_high + height) // (2 * height))
        return max(1, (2 * height * most_wide + width) // (2 * width)), most_wide
    numerator = max(1, round(settings["image_scale"] * 2**20))
    return tuple(max(1, (2 * side * numerator + 2**20) // 2**21) for side in (height, width))


def resize(values, size):
    """Resizes by an antialiased triangle filter, rows first, as TensorFlow's ScaleAndTranslate does, to the same bits.

    A grey level that rounding changes would move the maxima that SegNet pools, and with them its label map.

    Args:
        values: (H, W, C), any real type.
        size: (height, width).

    Returns:
        (height, width, C), float32.
    """
    rows = filtered(values, taps(values.shape[0], size[0]), axis=0)
    return filtered(rows, taps(values.shape[1], size[1]), axis=1)


def taps(available, size):
    """Which elements make each element of a resized axis, and by what weights.

    Args:
        available: elements of the axis.
        size: elements wanted.

    Returns:
        Indices and weights, both (n, size); weights of what lies outside are 0, and those of an element add up to 1.
    """
    step = np.float32(1) / (np.float32(size) / np.float32(available))
    reach = max(step, np.float32(1))
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * step
    first = np.ceil(centres - reach - np.float32(0.5)).astype(np.int64)
    indices = first + np.arange(2 * math.ceil(reach) + 1)[:, np.newaxis]
    distances = np.abs(indices.astype(np.float32) + np.float32(0.5) - centres)
    weights = np.maximum(1 - distances * (1 / reach), 0)
    weights[(indices < 0) | (indices >= available)] = 0
    return np.clip(indices, 0, available - 1), weights * (1 / sum(weights))


def filtered(values, of_axis, axis):
    """The weighted sums of the elements of an axis; to the same size they are the elements themselves."""
    indices, weights = of_axis
    if indices.shape[1] == values.shape[axis]:
        return values.astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = -1
    total = 0
    for index, weight in zip(indices, weights, strict=True):
        if weight.any():
            total = total + weight.reshape(shape) * np.take(values, index, axis=axis).astype(np.float32)
    return total


def most_probable(probabilities, size):
    """The class of each pixel, from probabilities of another size, band by band.

    Args:
        probabilities: (h, w, K), float32.
        size: (height, width) of the result.

    Returns:
        Class ids, uint8.
    """
    down, across = taps(probabilities.shape[0], size[0]), taps(probabilities.shape[1], size[1])
    label_map = np.empty(size, np.uint8)
    step = max(1, BAND_PIXELS // size[1])
    same = size[0] == probabilities.shape[0]
    for top in range(0, size[0], step):
        part = slice(top, top + step)
        if same:
            band = probabilities[part]
        else:
            needed = slice(down[0][:, part].min(), down[0][:, part].max() + 1)
            indices = down[0][:, part] - needed.start
            band = weighted(probabilities[needed], indices, down[1][:, part])
        label_map[part] = filtered(band, across, axis=1).argmax(axis=-1)
    return label_map


def weighted(rows, indices, weights):
    """Weighted sums of rows (h, w, K) by indices and weights (n, H): (H, w, K)."""
    total = 0
    for index, weight in zip(indices, weights, strict=True):
        if weight.any():
            total = total + weight[:, np.newaxis, np.newaxis] * rows[index]
    return total


def softmax(logits):
    """Logits (..., K) to probabilities."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


# One function a runtime: from the file of a model to a function from levels (1, h, w, C) to scores (1, h, w, K).


def start_onnx(file):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda levels: session.run(None, {"image": levels})[0]


def start_openvino(file):
    import openvino

    # By default some processors would compute in bfloat16.
    model = openvino.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda levels: next(iter(model(levels).values()))


def start_litert(file):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(levels):
        if tuple(interpreter.get_input_details()[0]["shape"]) != levels.shape:
            interpreter.resize_tensor_input(taken["index"], levels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], levels)
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])

    return run


START = {"onnx": start_onnx, "openvino": start_openvino, "litert": start_litert}


def main(arguments):
    """Labels one picture.

    Args:
        arguments: the picture's file, and that of the label map to write.
    """
    if len(arguments) != 2:
        raise SystemExit("usage: python label.py IMAGE LABELS.png")
    try:
        labeller = Labeller(pathlib.Path(__file__).resolve().parent)
        label_map = labeller(read_image(arguments[0], labeller.settings))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise SystemExit(str(error)) from None
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"The runtime of the model must be installed. Received: {error}. Install it with pip."
        ) from None
    picture = Image.fromarray(label_map)
    picture.putpalette([level for colour in labeller.settings["colours"] for level in colour])
    picture.save(arguments[1], "PNG")


if __name__ == "__main__":
    main(sys.argv[1:])
