"""What the data of a training cost each of several machines: CPU time to read, decode and augment, and the bytes that it reads.

    python -m benchmarks.training_input --folder pairs --pairs 600 --size 360x480 --machines 1 2 4

The pairs are generated once, below `--folder`, and kept. One machine after another is measured, each in a process of its own, in
a whole pass over a split four times as large as the memory for it. docs/several_machines.md has the figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

from benchmarks.pipeline import example_gen, generate

BATCH_SIZE = 16


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="where the generated pairs are kept")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--size", default="360x480", help="HEIGHTxWIDTH of the images")
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--one", nargs=3, metavar=("PREPARED", "MACHINES", "INDEX"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        prepared, machines, index = arguments.one
        return print(json.dumps(measure(prepared, arguments.size, int(machines), int(index))))
    print(f"{'machines':>8}{'this one':>10}{'ms of CPU an image':>20}{'of one':>8}{'MiB read':>10}", flush=True)
    alone = None
    for machines in arguments.machines:
        for index in range(machines):
            found = run(arguments.folder, arguments.pairs, arguments.size, machines, index)
            alone = alone or found["cpu"] / found["images"]
            cost = found["cpu"] / found["images"]
            row = f"{machines:8}{index:10}{1000 * cost:20.2f}{cost / alone:8.2f}{found['bytes'] / 2**20:10.0f}"
            print(row, flush=True)


def run(folder: pathlib.Path, pairs: int, size: str, machines: int, index: int) -> dict:
    """Measures one of the machines in a process of its own; see `measure`."""
    data = generate(folder / f"{size}-{pairs}", pairs, size)
    prepared = folder / f"{size}-{pairs}-prepared"
    if not (prepared / "dataset_info.json").exists():
        prepared.mkdir()
        example_gen(data, prepared, [])
    command = [sys.executable, "-m", "benchmarks.training_input", "--folder", str(folder), "--size", size]
    command += ["--one", str(prepared), str(machines), str(index)]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=hidden).stdout
    return json.loads(answer.splitlines()[-1])


def measure(prepared, size: str, machines: int, index: int) -> dict:
    """Takes the batches of one of several machines for a pass, after one that fills buffers.

    Returns:
        {"images": those of all machines, "cpu": seconds of this process, "seconds": by the clock, "bytes": that it read}.
    """
    import tensorflow as tf

    from kseg.data import batches

    stored, _ = batches.read_encoded_pairs(prepared, "train")
    count, (height, width) = int(stored.cardinality()), map(int, size.split("x"))
    batches.CACHE_BYTES = count // 4 * height * width * 4  # RGB and label map
    machine = tf.distribute.InputContext(machines, index, machines)
    drawn = batches.training_set(prepared, size=(height, width), batch_size=BATCH_SIZE, input_context=machine)
    steps, taken = count // BATCH_SIZE, iter(drawn)
    for _ in itertools.islice(taken, steps):
        pass
    start, used, read = time.monotonic(), time.process_time(), _bytes_read()
    for _ in itertools.islice(taken, steps):
        pass
    seconds, cpu, read = time.monotonic() - start, time.process_time() - used, _bytes_read() - read
    return {"images": steps * BATCH_SIZE, "cpu": cpu, "seconds": seconds, "bytes": read}


def _bytes_read() -> int:
    """By this process, from the cache of the system or not; Linux."""
    lines = pathlib.Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


if __name__ == "__main__":
    main()
