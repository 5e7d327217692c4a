"""A server whose model is busy: what cannot wait is refused at once, what waited too long is told, and both leave no trace."""

import contextlib
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline.server.batching import Work
from pipeline.server.errors import RequestError
from pipeline.server.signatures import Signature, TensorSpec
from tests.pipeline.server.clients import Rest

REQUEST = {"instances": [np.zeros((2, 2, 3), int).tolist()]}


@contextlib.contextmanager
def busy(server):
    """Keeps the only thread of a server busy until the event that it yields is set."""
    free, begun = threading.Event(), threading.Event()

    def compute(arrays):
        begun.set()
        free.wait(60)
        return arrays

    spec = {"x": TensorSpec("x", np.dtype(np.uint8), (1,))}
    work = Work(None, Signature("wait", spec, spec, compute), {"x": np.zeros(1, np.uint8)}, time.monotonic() + 60)
    future = server.plane._batcher.submit(work)
    assert begun.wait(60)
    yield free
    free.set()
    future.result(60)


def predict(address, timeout=30):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "blocks"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(np.zeros((1, 2, 2, 3), np.uint8)))
    with grpc.insecure_channel(address) as channel:
        return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout)


def wait_for_room(plane):
    """Returns when the server knows that a client has gone."""
    end = time.monotonic() + 60
    while True:
        try:
            return plane.check_room()
        except RequestError:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_full_queue_answers_429_with_a_time_to_try_again_and_goes_on_afterwards(models, start):
    server = start(models, threads=1, queue=1)
    rest, answers = Rest(server.rest), []
    waiting = threading.Thread(target=lambda: answers.append(rest.predict(REQUEST)))
    with busy(server) as free:
        waiting.start()
        while not len(server.plane._batcher):
            time.sleep(0.001)
        status, headers, answer = rest("POST", "/v1/models/blocks:predict", b"{}")
        assert status == 429 and headers["retry-after"] == "1" and b"At most 1 requests may wait." in answer
        with pytest.raises(grpc.RpcError) as error:
            predict(server.grpc)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("grpc-retry-pushback-ms", "1000") in error.value.trailing_metadata()
        free.set()
        waiting.join()
    assert answers[0][0] == 200 and rest.predict(REQUEST)[0] == 200 and predict(server.grpc).outputs


def test_what_waits_too_long_is_told_and_frees_its_place(models, start):
    server = start(models, threads=1, queue=1, timeout=1.0)
    rest = Rest(server.rest)
    with busy(server):
        for _ in range(2):
            status, answer = rest.predict(REQUEST)
            assert status == 504 and answer["error"].startswith("A request must be answered before its deadline.")
        for timeout in (0.2, 30):  # the client's own deadline, and the server's
            with pytest.raises(grpc.RpcError) as error:
                predict(server.grpc, timeout)
            assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            wait_for_room(server.plane)
    server.plane.timeout = 30.0
    assert rest.predict(REQUEST)[0] == 200
