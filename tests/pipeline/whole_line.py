"""Runs the whole line as users do, in its own process group, on 32 generated streets, and compares what it leaves.

python -m pipeline.run ... --root FOLDER/runs --push-to FOLDER/models
"""

import functools
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import zipfile

from pipeline.engine.contents import MANIFEST
from pipeline.engine.store import MADE_FROM
from pipeline.line import components_of
from pipeline.publishing.entries import CARD
from pipeline.settings.config import Config
from tests.conftest import ROOT

COMPONENTS = components_of(Config())
SMALL = {
    "example_gen.streets_train": "20",
    "example_gen.streets_validation": "6",
    "example_gen.streets_test": "6",
    "example_gen.streets_size": "32,48",
    "transform.image_size": "48x32",
    "trainer.epochs": "2",
    "trainer.batch_size": "4",
    "trainer.filters": "4,8",
    "trainer.discriminator": "small_fov_light",
    "trainer.discriminator_filters": "4",
    "trainer.precision": "float32",
    "trainer.weight_decay": "0",
    "trainer.checkpoint_seconds": "0",
    "evaluator.min_gain": "-1",
    "infra_validator.samples": "1",
}
"""Settings of a run that takes seconds: several shards, the game, a checkpoint after every step."""


MEASURED = {  # keys that say when, where or how fast
    "infra.json": ("seconds_per_image", "peak_bytes", "hardware"),
    "training.json": ("started", "finished", "seconds", "hardware", "logs"),
}
MEASURED_ROWS = ("| trained |", "| on |", "| time per image", "| peak memory", "| measured on |")
"""Beginnings of the lines of a model card that say so."""


def command(folder: pathlib.Path, *more: str) -> list[str]:
    """The command line of a small run below `folder`; with one thread of Beam, unless `more` ends with options of Beam."""
    places = ["--name", "small", "--push-to", str(folder / "models"), "--seed", "7"]
    places += [] if "--root" in more else ["--root", str(folder / "runs")]
    beam = [] if "--" in more else ["--", "--direct_num_workers=1"]
    return [sys.executable, "-m", "pipeline.run", *places, *(f"--set={k}={v}" for k, v in SMALL.items()), *more, *beam]


def start(folder: pathlib.Path, *more: str, **variables: str) -> subprocess.Popen:
    """Starts a small run on one CPU, in its own process group; it receives Ctrl-C even if the tests run in the background.

    `variables` enter its environment.
    """
    folder.mkdir(exist_ok=True)
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "COLUMNS": "200"} | variables
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    restore_sigint = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command(folder, *more), cwd=ROOT, env=environment, start_new_session=True, preexec_fn=restore_sigint, **output
    )


def finish(folder: pathlib.Path, *more: str, status: int = 0) -> str:
    """Runs to the end; returns the output."""
    process = start(folder, *more)
    output, _ = process.communicate()
    assert process.returncode == status, f"status {process.returncode}\n{output}"
    return output


def kill(folder: pathlib.Path, component: str, seconds: float, *more: str) -> bool:
    """Starts a run and sends SIGKILL to its group `seconds` after `component` began; whether it was still running."""
    process = start(folder, *more)
    scratch = folder / "runs" / ".scratch" / component
    while process.poll() is None and not any(path.is_dir() for path in scratch.glob("*")):
        time.sleep(0.01)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def contents(folder: pathlib.Path) -> dict[str, str]:
    """Digest of each published file, by component and name.

    All bytes count, except what tells when, where or how fast: dates and addresses of Python objects in a `.keras` archive, the
    random UUID in a SavedModel's fingerprint.pb and names in its graph, the keys of `MEASURED` and the rows of `MEASURED_ROWS`,
    TensorBoard's logs, a pusher's absolute target, and the digests of all these.
    """
    found = {}
    for name in COMPONENTS:
        for path in sorted((folder / "runs" / name).glob("*/**/*")):
            inside = path.relative_to(folder / "runs" / name)
            if path.is_dir() or inside.parts[1] == "logs" or path.name in ("fingerprint.pb", MANIFEST, MADE_FROM):
                continue
            if name == "pusher":
                inside = inside.relative_to(inside.parts[0])
                if path.name == "recipe.json":
                    continue
            found[f"{name}/{inside}"] = hashlib.sha256(_comparable_bytes(path, folder)).hexdigest()[:12]
    for path in sorted((folder / "models").glob("*/[0-9]*/**/*")):
        if path.is_file() and path.name not in ("fingerprint.pb", MANIFEST):
            found[str(path.relative_to(folder))] = hashlib.sha256(_comparable_bytes(path, folder)).hexdigest()[:12]
    return found


def _comparable_bytes(path: pathlib.Path, folder: pathlib.Path) -> bytes:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            data = b"".join(archive.read(name) for name in ("config.json", "model.weights.h5"))
        return re.sub(rb'"shared_object_id": \d+', b"", data)
    if path.name == "saved_model.pb":
        return _graph(path.read_bytes())
    data = path.read_bytes().replace(bytes(folder), b"FOLDER")
    if path.name in MEASURED:
        kept = {key: value for key, value in json.loads(data).items() if key not in MEASURED[path.name]}
        return json.dumps(kept).encode()
    if path.name == CARD:
        return "\n".join(line for line in data.decode().splitlines() if not line.startswith(MEASURED_ROWS)).encode()
    return data


def _graph(data: bytes) -> bytes:
    """Every operation of a SavedModel with its constants, types and shapes, without names, which depend on earlier traces."""
    from tensorflow.core.protobuf import saved_model_pb2

    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    kinds = ("type", "i", "f", "b", "shape", "tensor")

    def describe(node):
        values = {name: value for name, value in node.attr.items() if value.WhichOneof("value") in kinds}
        return f"{node.op} {[(name, values[name].SerializeToString(deterministic=True)) for name in sorted(values)]}"

    return "\n".join(sorted(map(describe, nodes))).encode()
