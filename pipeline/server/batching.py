"""The queue between clients and the model: bounded, computed by a few threads, small requests together. numpy only.

A thread takes the request that has waited longest and all others that fit to it (same version, same function, same sizes) up to a
number of images; nothing waits for companions. If requests fail together, or are refused for their size together, each is
computed on its own: nobody is refused because of others.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from kseg.serving import statuses
from pipeline.server.errors import RETRY_SECONDS, Code, RequestError, invalid
from pipeline.server.signatures import Arrays, Signature


@dataclasses.dataclass
class Work:
    """A request in the queue.

    Attributes:
        model: the loaded version that answers it, held until then.
        signature: of that version.
        inputs: checked arrays.
        deadline: of `time.monotonic`, after which nobody waits for the answer.
        future: of the outputs.
    """

    model: object
    signature: Signature
    inputs: Arrays
    deadline: float
    future: concurrent.futures.Future = dataclasses.field(default_factory=concurrent.futures.Future)

    @property
    def images(self) -> int:
        """Length of the first axis."""
        return len(next(iter(self.inputs.values()))) if self.signature.batch else 1

    @property
    def group(self) -> tuple | None:
        """Equal for requests that can be computed together; None for one that must be alone."""
        if not self.signature.batch:
            return None
        return id(self.model), self.signature.base, *(array.shape[1:] for array in self.inputs.values())


class Batcher:
    """Computes requests in threads.

    Args:
        threads: requests or groups of requests that are computed at the same time.
        waiting: requests that may wait.
        images: of requests that are computed together.
        observe: function of the number of images of each group, for metrics.
    """

    def __init__(
        self, *, threads: int, waiting: int, images: int, observe: Callable[[int], None] = lambda images: None
    ):
        self._waiting, self._images, self._observe = waiting, images, observe
        self._queue: collections.deque[Work] = collections.deque()
        self._changed = threading.Condition()
        self._ended = False
        self._threads = [threading.Thread(target=self._work, name=f"compute-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def __len__(self):
        return len(self._queue)

    def submit(self, work: Work) -> concurrent.futures.Future:
        """Queues a request; the future gets its outputs or a `RequestError`.

        Raises:
            RequestError: the queue is full, or the server is stopping.
        """
        with self._changed:
            self.check_room()
            self._queue.append(work)
            self._changed.notify()
        return work.future

    def check_room(self):
        """Raises a `RequestError` where the queue is full of what is waited for still, or the server is stopping."""
        with self._changed:
            if self._ended:
                raise RequestError(Code.UNAVAILABLE, "The server must be running. Received: a request while it stops.")
            if len(self._queue) >= self._waiting:
                self._queue = collections.deque(work for work in self._queue if not work.future.cancelled())
            if len(self._queue) >= self._waiting:
                raise RequestError(
                    Code.BUSY,
                    f"At most {self._waiting} requests may wait. Received: one more. Try again after {RETRY_SECONDS} s.",
                )

    def stop(self):
        """Refuses new requests, and returns when those that were accepted are computed."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self):
        while works := self._take():
            self._compute(works)
            del works  # the version that computed them may be dropped now

    def _take(self) -> list[Work]:
        """The next requests to compute together; none when the server stops and nothing is left."""
        with self._changed:
            while True:
                while not self._queue and not self._ended:
                    self._changed.wait()
                if not self._queue:
                    return []
                first = self._queue.popleft()
                if self._is_awaited(first):
                    return [first, *self._take_companions(first)]

    def _take_companions(self, first: Work) -> list[Work]:
        taken, kept, images = [], [], first.images
        if first.group is None or images >= self._images:
            return []
        for work in self._queue:
            fits = work.group == first.group and images + work.images <= self._images
            if not fits:
                kept.append(work)
            elif self._is_awaited(work):
                taken.append(work)
                images += work.images
        self._queue = collections.deque(kept)
        return taken

    def _is_awaited(self, work: Work) -> bool:
        """Whether somebody waits for the answer still; tells those whose deadline has passed."""
        if not work.future.set_running_or_notify_cancel():
            return False
        if time.monotonic() <= work.deadline:
            return True
        work.future.set_exception(deadline_error())
        return False

    def _compute(self, works: Sequence[Work]):
        counts = [work.images for work in works]
        try:
            parts = _split(works[0].signature.compute(_joined(works)), counts)
        except Exception as error:
            self._settle(works, error)
            return
        if parts is None or (len(works) > 1 and any(_too_large_together(part) for part in parts)):
            self._settle(works, None)
            return
        self._observe(sum(counts))
        for work, part in zip(works, parts, strict=True):
            try:
                work.future.set_result(work.signature.finish(_accepted(part)))
            except Exception as error:
                work.future.set_exception(error)

    def _settle(self, works: Sequence[Work], error: Exception | None):
        """Computes requests one by one that could not be computed together; of one alone, tells the error."""
        if len(works) == 1:
            works[0].future.set_exception(error)
            return
        for work in works:
            self._compute([work])


def deadline_error() -> RequestError:
    """The error of a request that was not answered in time."""
    return RequestError(
        Code.DEADLINE,
        "A request must be answered before its deadline. Received: no answer yet. Try again, or allow more time.",
    )


def _joined(works: Sequence[Work]) -> Arrays:
    """The inputs of requests, one after the other."""
    if len(works) == 1:
        return works[0].inputs
    return {name: np.concatenate([work.inputs[name] for work in works]) for name in works[0].inputs}


def _split(outputs: Arrays, counts: Sequence[int]) -> list[Arrays] | None:
    """Each request's share of the outputs; None where an output has another length."""
    if len(counts) == 1:
        return [outputs]
    if any(len(array) != sum(counts) for array in outputs.values()):
        return None
    parts = {name: np.split(array, np.cumsum(counts)[:-1]) for name, array in outputs.items()}
    return [{name: shares[index] for name, shares in parts.items()} for index in range(len(counts))]


def _too_large_together(outputs: Arrays) -> bool:
    """Whether an image was refused because of the pixels of others."""
    return "status" in outputs and bool((outputs["status"] == statuses.BATCH_TOO_LARGE).any())


def _accepted(outputs: Arrays) -> Arrays:
    """The outputs, unless every image of the request was refused: then the request is, with the message of the first one."""
    status = outputs.get("status")
    if status is not None and status.size and (status != statuses.GOOD).all() and "message" in outputs:
        raise invalid(outputs["message"].ravel()[0].decode(errors="replace"))
    return outputs
