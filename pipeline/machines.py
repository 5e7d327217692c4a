"""Training on several machines: which of them this one is, and the subprocess in which it trains.

TensorFlow connects to the other machines before it computes anything, and while it waits neither Ctrl-C nor a timeout reaches
Python. So training runs in a subprocess; this process waits for its messages and reports a machine that is lost or never came.
The addresses of machines enter no recipe. Refuses a `TF_CONFIG` that does not list them. Standard library only; the subprocess
imports TensorFlow.
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
CONNECTED, DONE, LOST, REFUSED, FAILED = "connected", "done", "lost", "refused", "failed"
"""Messages of the subprocess; all but the first two come with a text."""
CONNECTION_ERRORS = ("UnavailableError", "DeadlineExceededError", "AbortedError", "CancelledError")
"""TensorFlow's errors where another machine does not answer."""
RESTART = "Start the same command on all of them again: training resumes from its last checkpoint."


class MachineLost(console.CommandError):
    """Another machine is lost or never came."""

    exit_status = 4


@dataclasses.dataclass(frozen=True)
class Machine:
    """This machine among those that train together."""

    name: str  # "worker 1"
    is_chief: bool  # it alone keeps results, evaluates and pushes
    addresses: dict[str, str]  # of all machines, by name


def this_machine(tf_config: str | None = None) -> Machine:
    """Reads which machine this is from `TF_CONFIG`.

    Args:
        tf_config: JSON; None: the environment variable.

    Raises:
        ValueError: it does not list at least two machines, or not this one.
    """
    tf_config = os.environ.get("TF_CONFIG") if tf_config is None else tf_config
    try:
        config = json.loads(tf_config or "{}")
        addresses = {
            f"{kind} {index}": address
            for kind in ("chief", "worker")
            for index, address in enumerate(config["cluster"].get(kind, []))
        }
        name = f"{config['task']['type']} {config['task']['index']}"
        valid = all(re.fullmatch(r"\S+:\d+", address) for address in addresses.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        addresses, name, valid = {}, None, False
    if not valid or len(addresses) < 2 or name not in addresses:
        raise ValueError(
            "TF_CONFIG must list at least two machines, the same on each, and say which of them this one is. "
            f"Received: TF_CONFIG={tf_config}. Set it on the first of two to, for example, {EXAMPLE}."
        )
    return Machine(name, name == next(iter(addresses)), addresses)


def in_subprocess(component, timeout: float):
    """`component`, which trains with the strategy "multiworker", in a subprocess on each machine.

    Args:
        component: function `(out, config, **inputs)`, one of `pipeline.line.COMPONENTS`.
        timeout: seconds to wait for the other machines.

    Returns:
        A function of the same name and arguments. It raises MachineLost where another machine is lost or does not come, and
        ValueError where the component refuses its inputs.
    """

    @functools.wraps(component)
    def supervised(out, config, **inputs):
        machine, context = this_machine(), multiprocessing.get_context("spawn")
        with console.native_output_dropped():  # the tracker would warn of a killed process, and then clean up after it
            multiprocessing.resource_tracker.ensure_running()
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_train, args=(sender, component.__name__, out, config, inputs), daemon=True)
        with progress.paused():
            process.start()
            sender.close()
            progress.print_message(f"{machine.name} waits for the other machines")
            try:
                _await(CONNECTED, receiver, process, timeout)
                _await(DONE, receiver, process, None)
            finally:
                process.kill()  # it would wait for the other machines to end
                process.join()
        if not machine.is_chief:
            progress.print_message(
                f"{machine.name} has taken part; {next(iter(machine.addresses))} keeps the model and continues"
            )

    return supervised


def _await(expected, receiver, process, timeout):
    """Waits for the message `expected`; raises what the subprocess reports instead."""
    if not receiver.poll(timeout):
        raise MachineLost(_describe_missing(timeout))
    try:
        message, text = receiver.recv()
    except EOFError:
        process.join()
        message, text = LOST, f"its training ended with status {process.exitcode}"
    if message == LOST:
        raise MachineLost(
            f"All machines must stay until training ends. Received: {this_machine().name}: {text}. {RESTART}"
        )
    if message == REFUSED:
        raise ValueError(text)
    if message != expected:
        raise RuntimeError(f"training failed\n{text}")


def _describe_missing(timeout) -> str:
    machine = this_machine()
    others = [name for name in machine.addresses if name != machine.name]
    missing = [name for name in others if not _listens(machine.addresses[name])] or others
    places = ", ".join(f"{name} [{machine.addresses[name]}]" for name in missing)
    return (
        f"All machines must be started. Received: {machine.name} waited {timeout:.0f} s for {places}. "
        "Start the same command on all of them, with the same code, data and settings, each with its own TF_CONFIG; "
        "--set wait_for_machines=SECONDS says how long one waits."
    )


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _train(sender, name, out, config, inputs):
    """The subprocess: connects to the other machines, trains, and reports how that ended."""
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # a lost machine is reported once, by the parent
    try:
        with console.imports():
            from kseg.training import distribution

            distribution.tf.config.list_physical_devices()
        distribution.strategy("multiworker")
        sender.send((CONNECTED, ""))
        with progress.inherited(name):
            loading.component(name)(out, config, **inputs)
        sys.stdout.flush()
        sender.send((DONE, ""))
    except Exception as error:
        sender.send(_classify(error))


def _end_with_parent():
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a machine is lost when its command is


def _classify(error: Exception) -> tuple[str, str]:
    """The message to send for the error that ended training, and its text."""
    aborted = re.search(r"Collective ops is aborted by: (.*)", str(error))
    if aborted or type(error).__name__ in CONNECTION_ERRORS:
        machine = this_machine()
        named = {f"{kind} {index}" for kind, index in re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", str(error))}
        others = sorted(named & set(machine.addresses) - {machine.name}) or ["another machine"]
        return LOST, f"no answer from {' and '.join(others)}"
    text = console.user_message(error)
    return (REFUSED, text) if text else (FAILED, "".join(traceback.format_exception(error)))
