"""The script that `server_process.py` runs in a fresh process: `python -I fresh_process.py SAVED_MODEL REQUESTS ANSWERS SHAPE`.

It stands for a server that has TensorFlow and nothing of ours: every import of kseg or pipeline is refused, however they are
installed. It loads the SavedModel as TensorFlow Serving does, the graph with the tag "serve" into a session without Python
objects, sends each file of the folder REQUESTS through `serve_bytes`, if it is an encoded image, or `serving_default`, if it is
an array of numpy's (H, W, C), and writes to the folder ANSWERS one PNG or array per request and `answers.json`: the signatures,
seconds per image (None without requests), the peak memory of the process in bytes, and the first-party modules that are
imported at the end. First it asks what the file WARM_UP among the requests holds, a list in JSON of signatures and their inputs
(TensorProto in base64), as TensorFlow Serving asks the warm-up requests of a version. The file LARGEST among the requests, if it
is there, is the largest that the model allows; SHAPE, such as 1x7071x7071x3 or nothing, is that of the largest image for
`serving_default`. None of these counts for the seconds; all do for the memory. A request that is refused ends the process.
TensorFlow, its numpy and the standard library only.
"""

import base64
import gc
import importlib.abc
import io
import json
import pathlib
import resource
import sys
import time

FIRST_PARTY = ("kseg", "pipeline")
LARGEST = "largest"
WARM_UP = "warm_up.json"
NUMPY = b"\x93NUMPY"  # first bytes of an array


class Refuse(importlib.abc.MetaPathFinder):
    """Precedes every other finder, so that an editable install or a .pth file cannot provide a module either."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in FIRST_PARTY:
            raise ModuleNotFoundError(f"{fullname} is refused in the process that stands for a server.", name=fullname)


def imported() -> list[str]:
    """Names of the first-party modules that this process has imported."""
    return sorted(name for name in sys.modules if name.partition(".")[0] in FIRST_PARTY)


def main(saved_model: str, requests: str, answers: str, shape: str):
    """Loads, predicts, writes; any exception ends the process with its traceback."""
    found = imported()  # what a .pth file imported before this line
    sys.meta_path.insert(0, Refuse())

    gc.disable()  # collecting garbage among modules takes as long as importing them
    import numpy as np
    import tensorflow.compat.v1 as tf

    gc.freeze()
    gc.enable()
    with tf.Session(graph=tf.Graph()) as session:
        signatures = tf.saved_model.load(session, [tf.saved_model.tag_constants.SERVING], saved_model).signature_def
        described = {name: describe(signatures[name]) for name in sorted(signatures) if not name.startswith("__")}
        warm_up = pathlib.Path(requests, WARM_UP)
        for name, inputs in json.loads(warm_up.read_text()) if warm_up.exists() else ():
            answer(session, signatures[name], {key: tensor(encoded) for key, encoded in inputs.items()})
        seconds = []
        for request in sorted(path for path in pathlib.Path(requests).iterdir() if path.name not in (LARGEST, WARM_UP)):
            data, name, signature = request.read_bytes(), "label_map_bytes", signatures.get("serve_bytes")
            feed = {"image_bytes": [data]}
            if data.startswith(NUMPY):
                name, signature = "label_map", signatures["serving_default"]
                feed = {"image": np.load(io.BytesIO(data), allow_pickle=False)[np.newaxis]}
            answer(session, signature, feed)  # the first call of a shape also plans the computation
            start = time.perf_counter()
            label_map = answer(session, signature, feed)[name][0]
            seconds.append(time.perf_counter() - start)
            if name == "label_map":
                np.save(pathlib.Path(answers, f"{request.name}.npy"), label_map)
            else:
                pathlib.Path(answers, f"{request.name}.png").write_bytes(label_map)
        largest = pathlib.Path(requests, LARGEST)
        if largest.exists():
            answer(session, signatures["serve_bytes"], {"image_bytes": [largest.read_bytes()]})
        if shape and "serving_default" in signatures:
            dtype = tf.as_dtype(signatures["serving_default"].inputs["image"].dtype)
            image = np.zeros(tuple(map(int, shape.split("x"))), dtype.as_numpy_dtype)
            answer(session, signatures["serving_default"], {"image": image})
    result = {
        "signatures": described,
        "seconds_per_image": sum(seconds) / len(seconds) if seconds else None,
        "peak_bytes": peak_bytes(),
        "first_party": sorted({*found, *imported()}),
    }
    pathlib.Path(answers, "answers.json").write_text(json.dumps(result))


def answer(session, signature, feed: dict) -> dict:
    """The outputs of a signature by name.

    Raises:
        ValueError: the model refuses an image.
    """
    outputs = {name: spec.name for name, spec in signature.outputs.items()}
    found = session.run(outputs, {signature.inputs[name].name: value for name, value in feed.items()})
    refused = [message.decode() for message in found.get("message", ()) if message]
    if refused:
        raise ValueError(refused[0])
    return found


def tensor(encoded: str):
    """The array of a TensorProto in base64."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    return tf.make_ndarray(tensor_pb2.TensorProto.FromString(base64.b64decode(encoded)))


def describe(signature) -> dict:
    """Inputs and outputs of a SignatureDef: {"inputs": {name: [dtype, shape]}, "outputs": ...}; sizes that vary are None."""
    import tensorflow as tf

    def shape(spec):
        if spec.tensor_shape.unknown_rank:
            return None
        return [None if side.size < 0 else side.size for side in spec.tensor_shape.dim]

    return {
        kind: {name: [tf.as_dtype(spec.dtype).name, shape(spec)] for name, spec in sorted(specs.items())}
        for kind, specs in (("inputs", signature.inputs), ("outputs", signature.outputs))
    }


def peak_bytes() -> int:
    """`hardware.peak_memory`, which may not be imported here."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
