"""Loads saved models in a process that only just imported Keras and kseg, and trains each for one epoch. Run as a script:

    python -m tests.kseg.models.fresh "import keras, kseg" a.keras b.keras    # a.npz and b.npz say what on, see `answers`

Each model is loaded in a child, forked before TensorFlow starts a thread: classes that one model imports cannot help the next.
The child leaves its answers in `a.answers.npz`.
"""

import os
import pathlib
import subprocess
import sys
import traceback

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[3]
ORDERS = {
    "keras first": "import keras, kseg",
    "kseg first": "import kseg, keras",
    "tf.keras": "import kseg; import tensorflow as tf; keras = tf.keras",
}


def answers_in_fresh_processes(paths, order="keras first") -> dict[str, dict]:
    """What `answers` gives for each model, by the file's stem; fails where one does not load or train."""
    command = [sys.executable, "-m", "tests.kseg.models.fresh", ORDERS[order], *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return {path.stem: dict(np.load(path.with_suffix(".answers.npz"))) for path in map(pathlib.Path, paths)}


def answers(model, path: pathlib.Path) -> dict[str, np.ndarray]:
    """From `<path>.npz`: predictions of `given`; if there is `x`, the logs of one epoch on `x` and `y`, and predictions after."""
    arrays = np.load(path.with_suffix(".npz"))
    found = {"before": model.predict(arrays["given"], verbose=0)}
    if model.compiled and "x" in arrays:
        examples = [arrays[name] for name in ("x", "y") if name in arrays]
        logs = model.fit(*examples, batch_size=len(examples[0]), shuffle=False, verbose=0).history
        found |= {name: np.array(values) for name, values in logs.items()}
        found["after"] = model.predict(arrays["given"], verbose=0)
    return found


def load_and_answer(path: pathlib.Path, imports: str) -> None:
    names = {}
    exec(imports, names)
    np.savez(path.with_suffix(".answers.npz"), **answers(names["keras"].models.load_model(path), path))


def main(imports: str, *paths: str) -> int:
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    if "tf.keras" not in imports:
        exec(imports, {})
    else:
        import tensorflow  # noqa: F401 (without Keras, which it imports on first use)
    failed = 0
    for path in paths:
        child = os.fork()
        if not child:
            try:
                load_and_answer(pathlib.Path(path), imports)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        failed |= os.waitpid(child, 0)[1]
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
