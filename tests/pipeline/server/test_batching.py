"""The queue: requests are computed together, none because of another refused, none beyond its bounds or deadline."""

import threading
import time

import numpy as np
import pytest

from pipeline.server.batching import Batcher, Work
from pipeline.server.errors import Code, RequestError, invalid
from pipeline.server.signatures import Signature, TensorSpec

SPEC = TensorSpec("x", np.dtype(np.float32), (None, None))


class Doubling:
    """A signature whose computing can be held up, which refuses negative numbers, and records what it computed."""

    def __init__(self, batch=True):
        self.free, self.computed = threading.Event(), []
        self.signature = Signature("double", {"x": SPEC}, {"y": SPEC}, self.compute, batch=batch, base="double")

    def compute(self, arrays):
        self.free.wait(20)
        self.computed.append(arrays["x"].shape)
        if (arrays["x"] < 0).any():
            raise invalid("Numbers must not be negative.")
        return {"y": 2 * arrays["x"]}

    def work(self, rows, columns=2, value=1.0, seconds=20.0):
        array = np.full((rows, columns), value, np.float32)
        return Work(self, self.signature, {"x": array}, time.monotonic() + seconds)


@pytest.fixture
def batcher():
    batcher = Batcher(threads=1, waiting=5, images=4)
    yield batcher
    batcher.stop()


def submitted(batcher, doubling, works):
    """Futures of works that all wait while a first one is computed."""
    first = batcher.submit(doubling.work(1, columns=9))
    while len(batcher):
        time.sleep(0.001)
    return first, [batcher.submit(work) for work in works]


def test_requests_of_equal_sizes_are_computed_together_up_to_the_number_of_images(batcher):
    doubling = Doubling()
    works = [
        doubling.work(1, value=1),
        doubling.work(2, value=2),
        doubling.work(1, columns=3),
        doubling.work(2, value=3),
    ]
    first, futures = submitted(batcher, doubling, works)
    doubling.free.set()
    answers = [future.result(20)["y"] for future in (first, *futures)]
    assert [answer.shape for answer in answers] == [(1, 9), (1, 2), (2, 2), (1, 3), (2, 2)]
    assert [float(answer[0, 0]) for answer in answers] == [2, 2, 4, 2, 6]
    assert doubling.computed == [(1, 9), (3, 2), (1, 3), (2, 2)]


def test_a_bad_request_fails_alone(batcher):
    doubling = Doubling()
    _, (good, bad) = submitted(batcher, doubling, [doubling.work(1), doubling.work(1, value=-1)])
    doubling.free.set()
    assert good.result(20)["y"].tolist() == [[2, 2]]
    with pytest.raises(RequestError, match="must not be negative"):
        bad.result(20)
    assert doubling.computed == [(1, 9), (2, 2), (1, 2), (1, 2)]


def test_a_signature_without_batches_is_computed_alone(batcher):
    doubling = Doubling(batch=False)
    _, futures = submitted(batcher, doubling, [doubling.work(1), doubling.work(1)])
    doubling.free.set()
    assert [future.result(20)["y"].shape for future in futures] == [(1, 2)] * 2 and doubling.computed[1:] == [
        (1, 2)
    ] * 2


def test_a_full_queue_refuses_and_takes_again_when_it_is_empty(batcher):
    doubling = Doubling()
    _, futures = submitted(batcher, doubling, [doubling.work(1) for _ in range(5)])
    with pytest.raises(RequestError, match="At most 5 requests may wait") as error:
        batcher.submit(doubling.work(1))
    assert error.value.code is Code.BUSY and error.value.code.http == 429
    doubling.free.set()
    assert all(future.result(20) for future in futures)
    assert batcher.submit(doubling.work(1)).result(20)


def test_what_nobody_waits_for_any_more_is_not_computed(batcher):
    doubling = Doubling()
    _, (late, cancelled) = submitted(batcher, doubling, [doubling.work(3, seconds=0), doubling.work(2)])
    assert cancelled.cancel()
    doubling.free.set()
    with pytest.raises(RequestError) as error:
        late.result(20)
    assert error.value.code is Code.DEADLINE and doubling.computed == [(1, 9)]


def test_stopping_finishes_what_was_accepted_and_refuses_the_rest():
    batcher, doubling = Batcher(threads=2, waiting=9, images=1), Doubling()
    futures = [batcher.submit(doubling.work(1)) for _ in range(6)]
    stopping = threading.Thread(target=batcher.stop)
    stopping.start()
    while not batcher._ended:
        time.sleep(0.001)
    with pytest.raises(RequestError, match="must be running"):
        batcher.submit(doubling.work(1))
    doubling.free.set()
    stopping.join(20)
    assert not stopping.is_alive() and all(future.done() and future.result()["y"].size for future in futures)
