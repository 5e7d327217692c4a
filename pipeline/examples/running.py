"""Runs a Beam pipeline, and says in one sentence what was wrong with its workers or its service.

Beam 2.77 starts worker processes (`--direct_running_mode=multi_processing`) and waits for their answers without looking whether
they are still there: a process that the system kills, mostly for want of memory, would leave a run that never ends. Here it ends.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    SubprocessSdkWorkerHandler,
)

from pipeline.examples.runner_options import RUNNER

SENTENCE = "workers.check:"
"""Stands before a sentence for the user in the error of a worker, which runners wrap in text of their own."""

_DIED = (
    "Workers must stay alive until their work is done. Received: a process that ended before. Run again; if it happens again, "
    "memory may be short, and fewer workers (--direct_num_workers) need less."
)
_SECONDS_BETWEEN_LOOKS = 0.5


def is_elsewhere(options: PipelineOptions) -> bool:
    """Whether workers are other processes than this one."""
    threads = options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    return not (options.view_as(StandardOptions).runner == RUNNER and threads)


@contextlib.contextmanager
def started(pipeline: beam.Pipeline, options: PipelineOptions):
    """Starts a pipeline, whose result the block waits for.

    Raises:
        ValueError: workers or the runner's service are not as they must be.
    """
    SubprocessSdkWorkerHandler.start_worker = _start_and_watch
    result = None
    try:
        result = pipeline.run()
        yield result
    except Exception as error:
        if is_elsewhere(options) and (sentence := _explain(error, options)):
            raise ValueError(sentence) from error
        raise
    finally:
        if client := getattr(result, "client", None):  # that of Dask's runner, which would stay connected
            client.close()


def _explain(error: BaseException, options: PipelineOptions) -> str | None:
    """The sentence in an error of a runner, or in what caused it; None if there is none."""
    text = f"{type(error).__name__}: {error}"
    if found := re.search(rf"{re.escape(SENTENCE)} (.+?\.)(?=\s*(?:\\n|\n|\[while running|['\"]|$))", text):
        return found.group(1)
    if re.search(r"SDK worker disconnected|KilledWorker", text):  # Prism, Dask
        return _DIED
    if missing := re.search(r"No module named '?([\w.]+)", text):
        return (
            f"Workers must have kseg and its packages. Received: no module {missing.group(1)} in a worker. Where they run, "
            "install this checkout's wheel (`pip wheel --no-deps .`) with the extra pipeline, or pass --setup_file=./setup.py."
        )
    service = _service(options)
    if service and _has_no_answer(error):
        return (
            f"The runner's service must answer. Received: {type(error).__name__} [{service}]. Start it, and give the address at "
            "which it listens."
        )
    cause = error.__cause__ or error.__context__
    return _explain(cause, options) if cause else None


def _service(options: PipelineOptions) -> str | None:
    """The address of the service that was asked for, as the option that names it."""
    endpoint, dask = options.view_as(PortableOptions).job_endpoint, options.get_all_options().get("address")
    if endpoint and endpoint != "embed":
        return f"--job_endpoint={endpoint}"
    return f"--dask_client_address={dask}" if dask else None


def _has_no_answer(error: BaseException) -> bool:
    import grpc

    unavailable = isinstance(error, grpc.RpcError) and error.code() == grpc.StatusCode.UNAVAILABLE
    return unavailable or isinstance(error, (grpc.FutureTimeoutError, ConnectionError, TimeoutError))


_start = SubprocessSdkWorkerHandler.start_worker


def _start_and_watch(handler):
    _start(handler)
    threading.Thread(target=_watch, args=(handler,), daemon=True).start()


def _watch(handler):
    """Answers for a worker process once it has ended, until nobody asks it any more."""
    handler.worker_thread.join()
    connection = handler.control_conn
    while connection._state != BeamFnControlServicer.DONE_STATE:
        for name, future in list(connection._futures_by_id.items()):
            if not future.is_done():
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=f"{SENTENCE} {_DIED}"))
        time.sleep(_SECONDS_BETWEEN_LOOKS)
