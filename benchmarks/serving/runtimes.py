"""The bare network by each runtime, on the same weights: the table "runtimes"."""

from __future__ import annotations

import pathlib

import numpy as np

from benchmarks.serving.models import draw, drawn_network
from benchmarks.serving.turns import take_turns

SIZE = (176, 240)  # (height, width) of the network
CALIBRATION = 16  # images for 8 bits
FLOAT32 = ("tensorflow", "onnx", "openvino")
"""What `--backend auto` may choose."""


def compare_runtimes(folder: pathlib.Path, rounds: int):
    """Exports a narrow U-Net of drawn weights in every format, and prints the table.

    Args:
        folder: to write to.
        rounds: calls of each.
    """
    import kseg
    from kseg import streets
    from pipeline.server import saved_model

    network, images = drawn_network(), draw(CALIBRATION, SIZE)
    place, formats = folder / "runtimes", ("onnx", "openvino", "litert", "litert_int8")
    options = {"labels": streets.LABELS, "image_size": SIZE, "calibration": images, "validation": images[:2]}
    kseg.export(network, place, **options, formats=formats)
    asked = np.float32(images[:4])[:, np.newaxis]
    functions = network_functions(network, place, asked)
    expected = functions["tensorflow"](0)
    times = take_turns(functions, rounds)
    least = [min(times[name][kind] for name in FLOAT32) for kind in (0, 1)]
    print("| network by | CPU | of the least | wall | of the least | same class as TensorFlow |\n|" + " --- |" * 6)
    for name, (cpu, wall) in times.items():
        same = np.mean(functions[name](0).argmax(-1) == expected.argmax(-1))
        print(f"| {name} | {cpu:.1f} ms | {cpu / least[0]:.2f} | {wall:.1f} ms | {wall / least[1]:.2f} | {same:.2%} |")
    backend = saved_model.load(place, 1, backend="auto").backend
    ratios = " and ".join(f"{time / best:.2f}" for time, best in zip(times[backend.name], least, strict=True))
    print(
        f"\nThe least is that of {', '.join(FLOAT32)} in float32. `--backend auto` takes {backend}: {ratios} of it.\n"
    )


def network_functions(network, place: pathlib.Path, images: np.ndarray) -> dict:
    """Functions of the number of a call that return probabilities, or logits, (1, h, w, K).

    Args:
        network: the Keras model.
        place: its export, in every format.
        images: (N, 1, h, w, C), float32, that are asked about in turns.
    """
    import ai_edge_litert.interpreter
    import tensorflow as tf

    from kseg.serving.folding import fold_batch_normalization
    from pipeline.server.runtimes import RUNTIMES

    spec = tf.TensorSpec((None, *images.shape[2:]), tf.float32)

    def by_tensorflow(function):
        return lambda number: function(tf.constant(images[number % len(images)])).numpy()

    def by_array(function):
        return lambda number: function(images[number % len(images)])

    def by_litert(file):
        interpreter = ai_edge_litert.interpreter.Interpreter(str(file), num_threads=None)
        runner = interpreter.get_signature_runner() if interpreter.get_signature_list() else None
        if runner:
            return by_array(lambda image: next(iter(runner(image=image).values())))
        interpreter.allocate_tensors()
        (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run(image):
            interpreter.set_tensor(taken["index"], image)
            interpreter.invoke()
            return interpreter.get_tensor(given["index"])

        return by_array(run)

    loaded = tf.saved_model.load(str(place))
    folded = fold_batch_normalization(network)

    def probabilities(model, **options):
        return tf.function(
            lambda image: tf.nn.softmax(tf.cast(model(image, training=False), tf.float32)),
            input_signature=[spec],
            **options,
        )

    functions = {
        "tensorflow": by_tensorflow(lambda image: loaded.signatures["network"](image=image)["probabilities"]),
        "tensorflow, weights as constants": by_tensorflow(_frozen(probabilities(folded))),
        "tensorflow, XLA": by_tensorflow(probabilities(folded, jit_compile=True)),
        "tensorflow, bfloat16": by_tensorflow(probabilities(_in_bfloat16(folded))),
    }
    for name, (file, start) in RUNTIMES.items():
        functions[name] = by_array(start(place / file))
    eight_bits = _quantized_onnx(place / "onnx" / "model.onnx", images)
    functions["onnx, 8 bits"] = by_array(RUNTIMES["onnx"][1](eight_bits))
    functions["openvino, 8 bits"] = by_array(RUNTIMES["openvino"][1](eight_bits))
    functions["litert"] = by_litert(place / "litert" / "model.tflite")
    functions["litert, 8 bits"] = by_litert(place / "litert_int8" / "model.tflite")
    return functions


def _frozen(function):
    """A function whose variables are constants of its graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant = convert_variables_to_constants_v2(function.get_concrete_function())
    return lambda image: constant(image)[0]


def _in_bfloat16(model):
    """The model with bfloat16 between its layers, and the same weights."""
    import keras

    def copied(layer):
        return type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _quantized_onnx(file: pathlib.Path, images: np.ndarray) -> pathlib.Path:
    """The network with 8-bit weights, by channel, and 8-bit maps, whose ranges are those of the images."""
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            self._left = iter(images)

        def get_next(self):
            image = next(self._left, None)
            return None if image is None else {"image": image}

    target = file.with_name("model_8_bits.onnx")
    quantization.quantize_static(str(file), str(target), Images(), per_channel=True)
    return target
