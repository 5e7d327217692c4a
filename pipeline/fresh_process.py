"""What infra_validator runs in a process of its own: `python -I fresh_process.py SAVED_MODEL REQUESTS ANSWERS`.

It stands for a server that has TensorFlow and nothing of ours: any import of kseg or pipeline is refused from the first line
on, however they are installed. It loads the SavedModel, sends each file of the folder REQUESTS (an encoded image) through
`serve_bytes`, and writes to the folder ANSWERS one PNG a request and `answers.json`: the signatures, seconds per image, and
the first-party modules that were found imported at the end. TensorFlow and the standard library only.
"""

import importlib.abc
import json
import pathlib
import sys
import time

FIRST_PARTY = ("kseg", "pipeline")


class Refuse(importlib.abc.MetaPathFinder):
    """Stands before every other finder, so that an editable install or a .pth file cannot answer either."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in FIRST_PARTY:
            raise ModuleNotFoundError(f"{fullname} is refused in the process that stands for a server.", name=fullname)


def imported() -> list[str]:
    """Names of first-party modules that are loaded in this process."""
    return sorted(name for name in sys.modules if name.partition(".")[0] in FIRST_PARTY)


def main(saved_model: str, requests: str, answers: str):
    """Loads, asks, writes; any exception ends the process with its traceback."""
    found = imported()  # what a .pth file imported before this line
    sys.meta_path.insert(0, Refuse())

    import tensorflow as tf

    model = tf.saved_model.load(saved_model)
    serve, seconds = model.signatures["serve_bytes"], []
    for request in sorted(pathlib.Path(requests).iterdir()):
        image_bytes = tf.constant([request.read_bytes()])
        serve(image_bytes=image_bytes)  # the first call of a shape also plans the computation
        start = time.perf_counter()
        (label_map_bytes,) = serve(image_bytes=image_bytes)["label_map_bytes"].numpy()
        seconds.append(time.perf_counter() - start)
        pathlib.Path(answers, f"{request.name}.png").write_bytes(label_map_bytes)
    result = {
        "signatures": {name: describe(signature) for name, signature in model.signatures.items()},
        "seconds_per_image": sum(seconds) / len(seconds),
        "first_party": sorted({*found, *imported()}),
    }
    pathlib.Path(answers, "answers.json").write_text(json.dumps(result))


def describe(signature) -> dict:
    """Inputs and outputs of a signature: {"inputs": {name: [dtype, shape]}, "outputs": ...}."""
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    return {
        kind: {name: [spec.dtype.name, spec.shape.as_list()] for name, spec in sorted(specs.items())}
        for kind, specs in (("inputs", inputs), ("outputs", outputs))
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
