"""`kseg serve` under load, over gRPC with encoded pictures: CPU, versions that are swapped, memory."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import numpy as np

from benchmarks.serving.models import encode

CLIENTS = (1, 4, 16)
MIXED = (64, 1280)  # shortest and longest width of the pictures of "memory", pixels
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


class Subprocess:
    """A process of ours that is asked or served; ended on leaving the block."""

    def __init__(self, *arguments: str, **options):
        command = [sys.executable, "-m", *map(str, arguments)]
        self.process = subprocess.Popen(command, text=True, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(120)


class Bare(Subprocess):
    """A loop over `serve_bytes` of a SavedModel, without any server."""

    def __init__(self, place: pathlib.Path, folder: pathlib.Path):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__("benchmarks.serving", "--bare", place, "--pictures", folder, **pipes)
        self._ask(0)

    def _ask(self, seconds: float) -> list:
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def turn(self, seconds: float) -> tuple[float, list[float]]:
        """CPU seconds, and the seconds of each call, of a turn."""
        before = cpu_seconds(self.process.pid)
        taken = self._ask(seconds)
        return cpu_seconds(self.process.pid) - before, taken


def loop_bare(place: str, folder: pathlib.Path):
    """The process of `Bare`: for each line of its input, calls for so many seconds and prints what each took."""
    import tensorflow as tf

    label = tf.saved_model.load(place).signatures["serve_bytes"]
    pictures = [tf.constant([path.read_bytes()]) for path in sorted(folder.glob("*.jpg"))]
    for _ in range(3):
        label(image_bytes=pictures[0])["label_map_bytes"].numpy()
    for line in sys.stdin:
        end, taken = time.monotonic() + float(line), []
        while (start := time.monotonic()) < end:
            label(image_bytes=pictures[len(taken) % len(pictures)])["label_map_bytes"].numpy()
            taken.append(time.monotonic() - start)
        print(json.dumps(taken), flush=True)


class Served(Subprocess):
    """`kseg serve` of a model, and clients of it.

    Attributes:
        lost: what went wrong with a request, and how often.
    """

    def __init__(self, model: pathlib.Path):
        options = ("--port", "0", "--grpc-port", "0", "--poll", "0.2", "--name", "model", "--backend", "tensorflow")
        super().__init__("pipeline.serve", model, *options, stderr=subprocess.PIPE)
        for line in self.process.stderr:
            if found := re.search(r"over gRPC, (\S+)", line):
                break
        else:
            raise RuntimeError(f"A server must start. Received: status {self.process.wait()} [{model}].")
        self.address, self.lost = found[1], collections.Counter()
        self._lines = threading.Thread(target=self.process.stderr.read, daemon=True)
        self._lines.start()

    @contextlib.contextmanager
    def client(self):
        """A function of an encoded picture that returns the version that answered, and its PNG."""
        import grpc
        from open_inference.grpc import protocol, service

        with grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = service.GRPCInferenceServiceStub(channel)

            def ask(picture: bytes) -> tuple[int, bytes]:
                raw = len(picture).to_bytes(4, "little") + picture
                request = protocol.ModelInferRequest(model_name="model", raw_input_contents=[raw])
                request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
                request.outputs.add(name="label_map_bytes")
                request.parameters["signature"].string_param = "serve_bytes"
                answer = stub.ModelInfer(request, timeout=60)
                return int(answer.model_version), answer.raw_output_contents[0][4:]

            yield ask

    def load(
        self, clients: int, picture_of, *, seconds: float = np.inf, requests: float = np.inf, check=lambda *_: None
    ):
        """Lets clients ask one picture after the other; returns the seconds that each request took.

        Args:
            clients: how many ask at the same time.
            picture_of: function of the number of a request that returns its encoded picture.
            seconds: for which they ask.
            requests: that they send together at most.
            check: function of the number of a request, the version that answered and its PNG; raises where they are wrong.
        """
        end, taken, lock, numbers = time.monotonic() + seconds, [], threading.Lock(), iter(range(10**9))

        def work():
            with self.client() as ask:
                while time.monotonic() < end:
                    with lock:
                        number = next(numbers)
                    if number >= requests:
                        return
                    start = time.monotonic()
                    try:
                        answer = ask(picture_of(number))
                        taken.append(time.monotonic() - start)
                        check(number, *answer)
                    except Exception as error:  # whatever it is, the request is lost
                        self.lost[f"{type(error).__name__}: {error}"[:200]] += 1

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return taken

    def turn(self, clients: int, pictures: list[bytes], seconds: float) -> tuple[float, list[float]]:
        """CPU seconds of the server, and the seconds of each request, of a turn."""
        before = cpu_seconds(self.process.pid)
        taken = self.load(clients, lambda number: pictures[number % len(pictures)], seconds=seconds)
        return cpu_seconds(self.process.pid) - before, taken


def compare_cpu(served: Served, bare: Bare, pictures: list[bytes], seconds: float, turn: float):
    """Prints the table "cpu"."""
    turns = {"bare loop": bare.turn}
    for clients in CLIENTS:
        turns[f"{clients} client{'s' * (clients > 1)}"] = lambda length, n=clients: served.turn(n, pictures, length)
    for run in turns.values():
        run(min(turn, 2.0))  # a warm-up
    cpu, taken = dict.fromkeys(turns, 0.0), {name: [] for name in turns}
    for _ in range(max(1, round(seconds / turn))):
        for name, run in turns.items():
            used, times = run(turn)
            cpu[name] += used
            taken[name] += times
    each = {name: cpu[name] / len(taken[name]) for name in turns}
    print("|  | requests | requests/s | p50 | p99 | CPU a request | of the bare loop |\n|" + " --- |" * 7)
    for name, times in taken.items():
        p50, p99 = np.percentile(times, (50, 99)) * 1000
        rate = len(times) / (turn * max(1, round(seconds / turn)))
        print(
            f"| {name} | {len(times):,} | {rate:.1f} | {p50:.1f} ms | {p99:.1f} ms | {1000 * each[name]:.1f} ms | "
            f"{each[name] / each['bare loop']:.3f} |"
        )
    print(f"requests lost: {tell(served.lost)}\n")


def swap_versions(versions: list[pathlib.Path], pictures: list[bytes], folder: pathlib.Path, seconds: float):
    """Prints the table "versions": clients of a model whose newest version is pushed and rolled back again and again."""
    import tensorflow as tf

    place = folder / "swapped"
    shutil.copytree(versions[0], place / "1")
    expected = {}
    for number, version in enumerate(versions, start=1):
        label = tf.saved_model.load(str(version)).signatures["serve_bytes"]
        for index, picture in enumerate(pictures):
            expected[number, index] = label(image_bytes=tf.constant([picture]))["label_map_bytes"][0].numpy()
    answered, swaps, done = collections.Counter(), 0, threading.Event()

    def check(number, version, png):
        known = 2 if version % 2 == 0 else 1  # even numbers are copies of the second version
        assert png == expected[known, number % len(pictures)], f"version {version} must give its own label map"
        answered[version] += 1

    def answers(number):
        """Whether this version answered 20 requests more before the end."""
        before = answered[number]
        while answered[number] < before + 20:
            if done.wait(0.1):
                return False
        return True

    def swap():
        nonlocal swaps
        number = 2
        while answers(1):
            shutil.copytree(versions[1], place / ".scratch")
            (place / ".scratch").rename(place / str(number))
            if not answers(number):
                return
            (place / str(number)).rename(place / f"rolled_back-{number}")
            number, swaps = number + 2, swaps + 1

    with Served(place) as served:
        swapper = threading.Thread(target=swap)
        swapper.start()
        taken = served.load(4, lambda number: pictures[number % len(pictures)], seconds=seconds, check=check)
        done.set()
        swapper.join()
    differ = any(expected[1, index] != expected[2, index] for index in range(len(pictures)))
    print("| pushed and rolled back | requests | by version 1 | by others | p99 | lost or wrong |\n|" + " --- |" * 6)
    p99 = 1000 * np.percentile(taken, 99)
    others = sum(answered.values()) - answered[1]
    print(f"| {swaps} | {len(taken):,} | {answered[1]:,} | {others:,} | {p99:.1f} ms | {tell(served.lost)} |")
    print("" if differ else "The two versions answer alike, so a mixture of them would not be seen.\n")


def watch_memory(served: Served, image: np.ndarray, requests: int):
    """Prints the table "memory": resident memory over requests of pictures of mixed sizes."""
    rng = np.random.default_rng(0)
    widths = np.exp(rng.uniform(*np.log(MIXED), 64)).astype(int)
    pictures = [encode(image, (max(16, int(width * rng.uniform(0.5, 1.5))), int(width))) for width in widths]
    seen = []

    def check(number, *_):
        if number % 20 == 0:
            seen.append((number, resident_bytes(served.process.pid)))

    taken = served.load(4, lambda number: pictures[number % len(pictures)], requests=requests, check=check)
    counted = np.array([memory for number, memory in sorted(seen) if number >= requests / 10]) / 2**20
    quarters = [float(np.mean(part)) for part in np.array_split(counted, 4)]
    print("| requests | first quarter | second | third | last | last : first | most | lost |\n|" + " --- |" * 8)
    shown = " | ".join(f"{quarter:,.0f} MiB" for quarter in quarters)
    ratio = quarters[-1] / quarters[0]
    print(f"| {len(taken):,} | {shown} | {ratio:.3f} | {counted.max():,.0f} MiB | {tell(served.lost)} |\n")


def tell(lost: collections.Counter) -> str:
    """Requests that were lost, and why."""
    return f"{sum(lost.values())}" + "".join(f" [{count}: {reason}]" for reason, count in lost.most_common(3))
