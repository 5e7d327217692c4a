"""Measures the rates of the model, each in a process of its own, and keeps every point as a line of JSON."""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks import json_lines, large_folders, pipeline, training_input
from pipeline.engine import hardware

COMPONENTS = ("example_gen", "statistics_gen", "transform")
BITS = 10
"""In which near duplicates may differ."""

ALL_COMPARED = 8_000
"""Images of which all pairs are compared: what one comparison costs."""


def measure(file: pathlib.Path, folder: pathlib.Path, size: str, pairs: list[int], many: int) -> None:
    """Measures everything and replaces the file.

    Args:
        file: of the points.
        folder: where generated pairs are kept.
        size: HEIGHTxWIDTH of the images.
        pairs: numbers of pairs, ascending: all but the last give the rates, the last is what they must reproduce.
        many: names to list, and hashes to compare.
    """
    rows = list(_points(folder, size, pairs, many))
    file.unlink(missing_ok=True)
    for row in rows:
        json_lines.append(file, row)


def _points(folder, size, pairs, many):
    """Yields every point as it is measured."""

    def shown(what, about, *arguments, **found):
        row = {"what": what} | about | (found or _in_process(what, *arguments))
        print(json.dumps(row), flush=True)
        return row

    about = {"processor": hardware.processor(), "size": size, "day": time.strftime("%Y-%m-%d"), "pairs": pairs}
    yield shown("network", about, size)
    for number, workers in [*((number, 1) for number in pairs), (pairs[-1], 2)]:
        data = pipeline.generate(folder / f"{size}-{number}", number, size)
        about = {"pairs": number, "workers": workers}
        with tempfile.TemporaryDirectory(dir=folder) as results:
            for what in COMPONENTS:
                yield shown(what, about, str(data), results, workers)
    yield shown("digests", {}, folder / f"{size}-{pairs[-1]}")
    for what, numbers in (("names", (many // 4, many)), ("near_duplicates", (ALL_COMPARED, many))):
        for number in numbers:
            yield shown(what, {"number": number}, number)
    for machines in (1, 2, 4):
        found = training_input.run(folder, pairs[-1], size, machines, machines - 1)
        yield shown("training_input", {"machines": machines}, **found)


def _in_process(what: str, *arguments) -> dict:
    command = [sys.executable, "-m", "benchmarks.scale_model.measuring", what, *map(str, arguments)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(answer.splitlines()[-1])


def component(what: str, data: str, results: str, workers: str) -> dict:
    """Runs a component of `benchmarks.pipeline` with worker processes.

    Returns:
        {"seconds": by the clock, "worker": CPU seconds of all workers, "source" and "written": bytes on disk}.
    """
    out = pathlib.Path(results, what)
    out.mkdir()
    start, worker = time.monotonic(), _cpu_of_children()
    options = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    getattr(pipeline, what)(pathlib.Path(data), out, options)
    seconds = time.monotonic() - start
    return {
        "seconds": seconds,
        "worker": _cpu_of_children() - worker,
        "source": _bytes(data),
        "written": _bytes(out),
    }


def network(size: str) -> dict:
    """A U-Net of the paper's width: parameters, and multiply-adds of one image."""
    import kseg
    from kseg.complexity import multiply_adds

    model = kseg.UNet(19)
    return {"parameters": model.count_params(), "multiply_adds": multiply_adds(model, tuple(map(int, size.split("x"))))}


def names(number: str) -> dict:
    """Lists pairs as example_gen does: CPU seconds, and bytes of memory that they take."""
    from pipeline.examples.sources.opening import open_source
    from pipeline.settings.example_gen import ExampleGen

    with tempfile.TemporaryDirectory() as folder:
        root, before = large_folders.write_pairs(pathlib.Path(folder, "many"), int(number)), hardware.peak_memory()
        (root / "pairs.csv").unlink()
        (root / "classes.csv").write_text(pipeline.CLASSES)
        used = time.process_time()
        opened = open_source(root, ExampleGen(), None)
        listed = list(opened.elements.stream())
        return {"cpu": time.process_time() - used, "memory": hardware.peak_memory() - before, "listed": len(listed)}


def digests(folder: str) -> dict:
    """Reads all files once, as a first look at data does: CPU seconds and bytes."""
    from pipeline.engine.file_digests import FileDigests
    from pipeline.examples.sources.fingerprints import source_artifact
    from pipeline.settings.example_gen import ExampleGen

    with tempfile.TemporaryDirectory() as runs:
        used = time.process_time()
        source_artifact(folder, ExampleGen(), FileDigests(runs))
        cpu = time.process_time() - used
    return {"cpu": cpu, "bytes": _bytes(folder)}


def near_duplicates(number: str) -> dict:
    """Searches random hashes: CPU seconds and bytes of memory."""
    from pipeline.validation import image_hashes

    generator = np.random.default_rng(0)
    table = image_hashes.ImageTable(
        {"split": "train", "key": f"{place:09}", "pixels": f"{place}", "labels": "", "hash": generator.bytes(16).hex()}
        for place in range(int(number))
    )
    before, used = hardware.peak_memory(), time.process_time()
    found = image_hashes.near_duplicates(table, BITS)
    return {"cpu": time.process_time() - used, "memory": hardware.peak_memory() - before, "found": len(found)}


def _bytes(folder) -> int:
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def _cpu_of_children() -> float:
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    if given.what in COMPONENTS:
        print(json.dumps(component(given.what, *given.arguments)))
    else:
        print(json.dumps(globals()[given.what](*given.arguments)))
