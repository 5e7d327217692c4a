"""What the server says about itself: lines for people, or JSON for machines with a line for each request; and its metrics."""

from __future__ import annotations

import datetime
import json
import sys
import threading

import prometheus_client

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)
_TEXT = {
    "backend": "the network of version {version} is computed by {summary}",
    "version_served": "version {version} is served",
    "version_replaced": "version {version} is replaced, and finishes its requests",
    "version_dropped": "version {version} is out of memory",
    "version_refused": "version {version} is not served: {reason}",
    "watch_failed": "versions could not be looked at: {reason}",
    "fault": "a fault of the server: {reason}",
    "listening": "serving {name} at http://{rest} and, over gRPC, {grpc}",
    "stopping": "stopping: requests that were accepted are finished",
    "stopped": "stopped",
}


class Log:
    """Writes what happens to a stream, a line each.

    Args:
        form: "text", which leaves requests out, or "json".
        stream: where to; None: standard error.
    """

    def __init__(self, form: str = "text", stream=None):
        self._json, self._stream, self._lock = form == "json", stream, threading.Lock()

    def __call__(self, event: str, **details):
        """Says what happened."""
        if self._json:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            self._write(json.dumps({"time": now, "event": event, **details}))
        elif event in _TEXT:
            self._write(_TEXT[event].format(**details))

    def _write(self, line: str):
        with self._lock:
            print(line, file=self._stream or sys.stderr, flush=True)


class Metrics:
    """Counters and times for Prometheus.

    Args:
        waiting: function that returns the number of requests in the queue.
        versions: function that returns the state of each version by number.
    """

    def __init__(self, waiting, versions):
        self._registry = prometheus_client.CollectorRegistry()
        shared = {"registry": self._registry}
        self.requests = prometheus_client.Counter(
            "kseg_requests",
            "Requests, by protocol, signature and status.",
            ["protocol", "signature", "status"],
            **shared,
        )
        self.seconds = prometheus_client.Histogram(
            "kseg_request_seconds",
            "From a request's first byte to its answer.",
            ["protocol"],
            buckets=_SECONDS,
            **shared,
        )
        self.batches = prometheus_client.Histogram(
            "kseg_batch_images", "Images that were computed together.", buckets=_IMAGES, **shared
        )
        queue = prometheus_client.Gauge("kseg_waiting_requests", "Requests in the queue.", **shared)
        queue.set_function(waiting)
        newest = prometheus_client.Gauge("kseg_newest_version", "Newest version that is served.", **shared)
        newest.set_function(lambda: max((n for n, state in versions().items() if state == "AVAILABLE"), default=0))
        prometheus_client.ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return prometheus_client.generate_latest(self._registry)


class Observer:
    """Tells log and metrics about each request.

    Args:
        log: where requests are written, if it writes JSON.
        metrics: where they are counted.
    """

    def __init__(self, log: Log, metrics: Metrics):
        self.log, self.metrics = log, metrics

    def request(
        self, protocol: str, call: str, status, seconds: float, *, signature: str = "", version: int | None = None
    ):
        """Counts and writes a request.

        Args:
            protocol: "REST" or "gRPC".
            call: method and path.
            status: of HTTP, or the name of gRPC's.
            seconds: that it took.
            signature: that was asked; empty where none was found.
            version: that answered.
        """
        self.metrics.requests.labels(protocol, signature, str(status)).inc()
        self.metrics.seconds.labels(protocol).observe(seconds)
        details = {"protocol": protocol, "call": call, "status": status, "milliseconds": round(1000 * seconds, 1)}
        self.log("request", **details, signature=signature, version=version)
