"""Beam's runners that can be started here, and what the components that work through Beam leave on each of them."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from kseg.labels import LabelMap
from kseg.pairs.image_files import decode_image
from pipeline import predict
from pipeline.components.evaluator import evaluator
from pipeline.components.example_gen import example_gen
from pipeline.components.statistics_gen import statistics_gen
from pipeline.components.transform import FitShard, transform
from pipeline.engine import progress
from pipeline.examples.prepared import from_record, read_records, shard_paths
from pipeline.settings.evaluator import Evaluator
from pipeline.settings.example_gen import ExampleGen
from pipeline.settings.statistics_gen import StatisticsGen
from pipeline.settings.transform import Transform

STREETS = ExampleGen(streets_train=160, streets_validation=20, streets_test=20, streets_size=(24, 32))
PRISM = "github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0"


def digests(folder: pathlib.Path, beam_options: list[str], model: pathlib.Path | None = None) -> dict[str, str]:
    """Runs the components on 200 small streets; returns the SHA-256 of every file that they leave.

    Args:
        folder: to write to.
        beam_options: Beam's command line.
        model: what `train_model` left, for the evaluator and `pipeline.predict`; None: these do not run.
    """
    prepare(folder, beam_options)
    if model:
        (folder / "evaluator").mkdir()
        artifacts = {"examples": folder / "example_gen", "statistics": folder / "statistics_gen"}
        artifacts |= {"transform": folder / "transform", "export": model}
        evaluator(folder / "evaluator", Evaluator(), **artifacts, beam_options=beam_options)
        arguments = {"model": model / "saved_model", "input": model / "pictures", "output": folder / "predict"}
        named = [text for name, place in arguments.items() for text in (f"--{name}", str(place))]
        assert predict.main([*named, "--", *beam_options]) == 0
    return file_digests(folder)


def prepare(folder: pathlib.Path, beam_options: list[str], source="streets", settings: ExampleGen = STREETS):
    """Runs example_gen, statistics_gen and transform, each below `folder`."""
    examples, statistics, fitted = (folder / name for name in ("example_gen", "statistics_gen", "transform"))
    for path in (examples, statistics, fitted):
        path.mkdir(parents=True)
    example_gen(examples, settings, source=source, beam_options=beam_options)
    statistics_gen(statistics, StatisticsGen(), examples=examples, beam_options=beam_options)
    fit(folder, fitted, beam_options)


def fit(prepared: pathlib.Path, out: pathlib.Path, beam_options: list[str]):
    """Runs transform alone, on what `prepare` left."""
    inputs = {name: prepared / f"{name}_gen" for name in ("example", "statistics")}
    settings = Transform(image_size=(16, 24))
    transform(out, settings, examples=inputs["example"], statistics=inputs["statistics"], beam_options=beam_options)


def file_digests(folder: pathlib.Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def train_model(prepared: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Trains a small network on what `prepare` left, and exports it; returns a folder like the exporter's, with pictures."""
    import keras

    import kseg

    labels = LabelMap.load(prepared / "transform")
    pairs = [
        from_record(record) for path in shard_paths(prepared / "transform")["train"] for record in read_records(path)
    ]
    images, label_maps = (np.stack([decode_image(pair[side]) for pair in pairs]) for side in (1, 2))
    keras.utils.set_random_seed(1)
    model = kseg.UNet(labels.num_classes, filters=(4, 8))
    model.compile("adam", loss=kseg.losses.CrossEntropy())
    model.fit(images.astype(np.float32), label_maps[..., 0], epochs=3, batch_size=16, verbose=0)
    kseg.export(model, folder / "saved_model", labels=labels, image_size=(16, 24))
    for number, (_, image_bytes, _) in enumerate(pairs[:20]):
        picture = folder / "pictures" / "ab"[number % 2] / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(image_bytes)
    return folder


def slowly(part):
    """Work of two seconds on a part, which counts as two elements."""
    for _ in range(2):
        time.sleep(1)
        progress.advance()
    yield part


class DyingFitShard(FitShard):
    """Kills its process by SIGKILL at the second pair that it fits, unless one was killed before."""

    def fit(self, record):
        if getattr(self, "_fitted", 0) == 1 and not (killed := self._out.with_name("killed")).exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self._fitted = getattr(self, "_fitted", 0) + 1
        return super().fit(record)


@contextlib.contextmanager
def job_service(folder: pathlib.Path):
    """Starts Beam's own job service in Python; yields its address."""
    port = folder / "port"
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main"]
    command += ["--port", "0", "--port_file", str(port), "--staging_dir", str(folder / "staging")]
    with _started(command, folder / "job_service.txt"):
        yield f"localhost:{_read_when_there(port)}"


@contextlib.contextmanager
def prism(folder: pathlib.Path):
    """Starts Prism; yields its address."""
    port = _free_port()
    command = [str(prism_binary()), f"--job_port={port}", "--web_port=0", "--serve_http=false"]
    log = folder / "prism.txt"
    with _started(command, log):
        _wait_until_listening(port, log)
        yield f"localhost:{port}"


@contextlib.contextmanager
def worker_pool(
    folder: pathlib.Path,
    code: pathlib.Path | None,
    python: pathlib.Path = pathlib.Path(sys.executable),
    prefix: tuple[str, ...] = (),
):
    """Starts Beam's worker pool, whose workers begin in `folder`; yields its address.

    Args:
        folder: also of the log.
        code: folder in which workers find kseg; None: there is none besides what is installed.
        python: interpreter of the workers.
        prefix: command that the pool's command is given to.
    """
    port = _free_port()
    paths = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | paths
    if code:
        environment["PYTHONPATH"] = str(code)
    command = [*prefix, str(python), "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    log = folder / "pool.txt"
    with _started(command, log, cwd=folder, env=environment):
        _wait_until_listening(port, log)
        yield f"localhost:{port}"


def external(job: str, pool: str) -> list[str]:
    """The options for a job service and a pool of workers at these addresses."""
    return [
        *("--runner=PortableRunner", f"--job_endpoint={job}"),
        *("--environment_type=EXTERNAL", f"--environment_config={pool}"),
    ]


@contextlib.contextmanager
def dask(folder: pathlib.Path, code: pathlib.Path):
    """Starts Dask's scheduler and two workers, processes that begin in `folder` and find kseg in `code`; yields the address."""
    file, log = folder / "scheduler.json", folder / "dask.txt"
    options = {"cwd": folder, "env": os.environ | {"PYTHONPATH": str(code)}}
    dask = [sys.executable, "-m", "dask"]
    with contextlib.ExitStack() as stack:
        scheduler = [*dask, "scheduler", "--host=localhost", "--port=0", "--no-dashboard", f"--scheduler-file={file}"]
        stack.enter_context(_started(scheduler, log, **options))
        address = json.loads(_read_when_there(file))["address"]
        for number in range(2):
            worker = [
                *dask,
                "worker",
                address,
                "--no-dashboard",
                "--nthreads=1",
                f"--local-directory={folder / str(number)}",
            ]
            stack.enter_context(_started(worker, folder / f"worker-{number}.txt", **options))
        yield address


def prism_binary() -> pathlib.Path:
    """Prism, built once by Go; a test is skipped where there is no Go, and fails there if KSEG_REQUIRE_PRISM is 1."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "kseg-tests"
    binary = cache / PRISM.rpartition("@")[2] / "prism"
    required = os.environ.get("KSEG_REQUIRE_PRISM") == "1"
    if not binary.is_file():
        go = shutil.which("go")
        if not go:
            (pytest.fail if required else pytest.skip)("Prism is built by Go, which is not installed.")
        try:
            subprocess.run([go, "install", PRISM], env=os.environ | {"GOBIN": str(binary.parent)}, check=True)
        except subprocess.CalledProcessError:
            (pytest.fail if required else pytest.skip)("Go cannot build Prism, as it says above.")
    return binary


@contextlib.contextmanager
def _started(command, log: pathlib.Path, **options):
    with open(log, "wb") as file, subprocess.Popen(command, stdout=file, stderr=file, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


def _wait_until_listening(port: int, log: pathlib.Path):
    end = time.monotonic() + 60
    while not _listens(port):
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def _read_when_there(path: pathlib.Path) -> str:
    end = time.monotonic() + 60
    while not (path.is_file() and path.read_text().strip()):
        assert time.monotonic() < end, f"nothing wrote {path}"
        time.sleep(0.1)
    return path.read_text().strip()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False
