"""Several machines train one model: which of them this one is, and the process in which it takes part.

TensorFlow must meet the other machines before it computes anything, and while it waits for them it hears neither Ctrl-C nor the
clock. So training runs in a process of its own; this one only listens, and says in one message when a machine is gone or never
came. Where other machines are is no part of a recipe. Refused: a `TF_CONFIG` that does not say it. Standard library only; the
process of the training imports TensorFlow.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import json
import multiprocessing
import multiprocessing.resource_tracker
import os
import re
import signal
import socket
import sys
import traceback

from pipeline.engine import console, loading, progress

EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
AGAIN = "Start the same command on all of them again: training goes on from its last checkpoint."


class Lost(RuntimeError):
    """Another machine is gone, or never came; the message is for the user."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """This machine among those that train together."""

    name: str  # "worker 1"
    chief: bool  # it alone keeps results, evaluates and pushes
    addresses: dict[str, str]  # of all machines, by name


def here(listed: str | None = None) -> Machine:
    """What `TF_CONFIG` says of this machine.

    Args:
        listed: text of `TF_CONFIG`; None: as the environment has it.

    Raises:
        ValueError: it does not list at least two machines, or this one is none of them.
    """
    listed = os.environ.get("TF_CONFIG") if listed is None else listed
    try:
        config = json.loads(listed or "{}")
        addresses = {
            f"{kind} {index}": address
            for kind in ("chief", "worker")
            for index, address in enumerate(config["cluster"].get(kind, []))
        }
        name = f"{config['task']['type']} {config['task']['index']}"
        good = all(re.fullmatch(r"\S+:\d+", address) for address in addresses.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        addresses, name, good = {}, None, False
    if not good or len(addresses) < 2 or name not in addresses:
        raise ValueError(
            "TF_CONFIG must list at least two machines, the same on each, and say which of them this one is. "
            f"Received: TF_CONFIG={listed}. Set it on the first of two to, for example, {EXAMPLE}."
        )
    return Machine(name, name == next(iter(addresses)), addresses)


def in_subprocess(component, wait: float):
    """`component`, which trains by the strategy "multiworker", in a process of its own on each machine.

    Args:
        component: function `(out, config, **inputs)` by a name of `pipeline.line.COMPONENTS`.
        wait: seconds that the others may take to come.

    Returns:
        A function of the same name and arguments. It raises Lost where another machine is gone or does not come, and ValueError
        where the component refuses what it is given.
    """

    @functools.wraps(component)
    def watched(out, config, **inputs):
        apart = multiprocessing.get_context("spawn")
        with console.native_chatter_dropped():  # what it would say of a killed process, after which it clears up
            multiprocessing.resource_tracker.ensure_running()
        heard, said = apart.Pipe(duplex=False)
        process = apart.Process(target=_work, args=(said, component.__name__, out, config, inputs), daemon=True)
        with progress.handed_over():
            process.start()
            said.close()
            machine = here()
            progress.say(f"{machine.name} waits for the other machines")
            try:
                _expect("met", heard, process, wait)
                _expect("done", heard, process, None)
            finally:
                process.kill()  # of itself it would wait for the other machines to end
                process.join()
        if not machine.chief:
            progress.say(f"{machine.name} has taken part; {next(iter(machine.addresses))} keeps the model and goes on")

    return watched


def _expect(what, heard, process, seconds):
    """Waits for the word `what`; raises what is said instead."""
    if not heard.poll(seconds):
        machine = here()
        others = [name for name in machine.addresses if name != machine.name]
        missing = [name for name in others if not _listens(machine.addresses[name])] or others
        places = ", ".join(f"{name} [{machine.addresses[name]}]" for name in missing)
        raise Lost(
            f"All machines must be started. Received: {machine.name} waited {seconds:.0f} s for {places}. "
            "Start the same command on all of them, with the same code, data and settings, each with its own TF_CONFIG; "
            "--set wait_for_machines=SECONDS says how long one waits."
        )
    try:
        word, text = heard.recv()
    except EOFError:
        process.join()
        word, text = "lost", f"its training ended with status {process.exitcode}"
    if word == "lost":
        raise Lost(f"All machines must stay until training ends. Received: {here().name}: {text}. {AGAIN}")
    if word == "refused":
        raise ValueError(text)
    if word != what:
        raise RuntimeError(f"training failed\n{text}")


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _work(said, name, out, config, inputs):
    """What the process does: meets the others, trains, and says how that went."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's matter
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # that a machine is gone is said once
    try:
        with console.imports():
            from kseg.training import distribution as distribute

            distribute.tf.config.list_physical_devices()
        distribute.strategy("multiworker")
        said.send(("met", ""))
        with progress.continued(name):
            loading.component(name)(out, config, **inputs)
        sys.stdout.flush()
        said.send(("done", ""))
    except Exception as error:
        said.send(_word(error))


def _end_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a machine is gone when its command is


def _word(error: Exception) -> tuple[str, str]:
    """What became of training, from the error that ended it."""
    gone = re.search(r"Collective ops is aborted by: (.*)", str(error))
    if gone or type(error).__name__ in ("UnavailableError", "DeadlineExceededError", "AbortedError", "CancelledError"):
        machine = here()
        named = {f"{kind} {index}" for kind, index in re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", str(error))}
        others = sorted(named & set(machine.addresses) - {machine.name}) or ["another machine"]
        return "lost", f"no answer from {' and '.join(others)}"
    message = console.told(error)
    return ("refused", message) if message else ("failed", "".join(traceback.format_exception(error)))
