"""What is wrong with a request is told with a status of the client's fault, and the server answers the next one as before."""

import base64
import contextlib
import io
import json
import os
import pickle
import socket
import struct
import time
import zlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from open_inference.grpc import protocol, service
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.pipeline.server.clients import Rest, b64

PREDICT, INFER = "/v1/models/blocks:predict", "/v2/models/blocks/infer"
PIXELS = [[[1, 2, 3]] * 2] * 2


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it has many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(autouse=True)
def healthy(rest):
    """After each test the server is ready, and has lost no thread to it."""
    yield
    assert rest.json("GET", "/v2/health/ready") == (200, {"ready": True})


PATHS = [
    ("GET", "/nothing", 404),
    ("GET", "/v1/models/other", 404),
    ("GET", "/v1/models/other/metadata", 404),
    ("GET", "/v1/models/blocks/versions/2", 404),
    ("GET", "/v1/models/blocks/versions/2/metadata", 404),
    ("GET", "/v1/models/blocks/versions/x", 400),
    ("GET", "/v1/models/blocks/versions/-1", 400),
    ("GET", "/v1/models/blocks/versions/" + "9" * 40, 400),
    ("GET", "/v1/models/blocks/versions/%D9%A1", 400),
    ("GET", "/v1/models/blocks:predict", 404),
    ("GET", "/v1/models/..%2f..%2fetc%2fpasswd", 404),
    ("GET", "/../../etc/passwd", 404),
    ("GET", "/%00", 404),
    ("GET", "/" + "a" * 5000, 404),
    ("POST", "/v1/models/blocks", 405),
    ("POST", "/v1/models/blocks:classify", 405),
    ("POST", "/v1/models/other:predict", 404),
    ("POST", "/v1/models/blocks/versions/7:predict", 404),
    ("POST", "/v1/models/blocks/versions/one:predict", 400),
    ("POST", "/v1/models/blocks/labels/stable:predict", 404),
    ("DELETE", "/v1/models/blocks", 405),
    ("OPTIONS", PREDICT, 405),
    ("PUT", PREDICT, 405),
    ("BREW", PREDICT, 405),
    ("GET", "/v2/models/other", 404),
    ("GET", "/v2/models/blocks/versions/2", 404),
    ("GET", "/v2/models/blocks/versions/0x1", 400),
    ("GET", "/v2/models/blocks?signature=nothing", 400),
    ("GET", INFER, 405),
    ("POST", "/v2/health/live", 405),
    ("POST", "/v2/models/other/infer", 404),
    ("POST", "/v2/models/blocks/versions/9/infer", 404),
    ("POST", "/metrics", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
def test_paths_and_methods(method, path, status, rest):
    found, answer = rest.json(method, path, {} if method in ("POST", "PUT") else None)
    assert found == status and answer["error"]


BODIES = [
    b"",
    b"no JSON",
    b"[1, 2]",
    b"null",
    b'"text"',
    b"{",
    b'{"instances": [}',
    b"\xff\xfe\x00",
    b"{" * 1000,
    b"[" * 10**7,
    b'{"instances": ' + b"[" * 5 * 10**6 + b"]" * 5 * 10**6 + b"}",
    b'{"inputs": ' + b'{"a":' * 10**5 + b"1" + b"}" * 10**5 + b"}",
    b'{"instances": [' + b"9" * 5000 + b"]}",
]
VALUES = [
    {},
    {"instances": []},
    {"instances": None},
    {"instances": "x"},
    {"instances": {"image": PIXELS}},
    {"instances": [PIXELS], "inputs": [PIXELS]},
    {"instances": [PIXELS, {"image": PIXELS}]},
    {"instances": [{"image": PIXELS}, {"picture": PIXELS}]},
    {"instances": [{"picture": PIXELS}]},
    {"instances": [{"image": PIXELS, "more": 1}]},
    {"instances": [{}]},
    {"instances": [PIXELS, PIXELS[:1]]},
    {"instances": [1]},
    {"instances": [[[1, 2, 3]]]},
    {"instances": [[PIXELS]]},
    {"instances": [[[[1, 2]]]]},
    {"instances": [[[[1, 2, 3, 4]]]]},
    {"instances": [[[[1, 2, 256]]]]},
    {"instances": [[[[1, 2, -1]]]]},
    {"instances": [[[[1, 2, 0.5]]]]},
    {"instances": [[[[1, 2, 10**30]]]]},
    {"instances": [[[[1, 2, None]]]]},
    {"instances": [[[["1", "2", "3"]]]]},
    {"instances": [[[[True, False, True]]]]},
    {"instances": [[[[1, 2, float("nan")]]]]},
    {"instances": [[[[1, 2, {}]]]]},
    {"instances": [b64(b"x")]},
    {"inputs": []},
    {"inputs": {}},
    {"inputs": {"image": []}},
    {"inputs": {"image": "x"}},
    {"inputs": PIXELS},
    {"inputs": None},
    {"inputs": 1},
    {"instances": [PIXELS], "signature_name": "nothing"},
    {"instances": [PIXELS], "signature_name": 5},
    {"instances": [PIXELS], "signature_name": ["serve_bytes"]},
    {"instances": [PIXELS], "signature_name": "serve_bytes"},
    {"instances": [1.5], "signature_name": "serve_bytes"},
    {"instances": [None], "signature_name": "serve_bytes"},
    {"instances": [[b64(b"x")]], "signature_name": "serve_bytes"},
    {"instances": [{"b64": "no base64!"}], "signature_name": "serve_bytes"},
    {"instances": [{"b64": "YQ"}], "signature_name": "serve_bytes"},
    {"instances": [{"b64": 7}], "signature_name": "serve_bytes"},
    {"instances": [{"b64": "é"}], "signature_name": "serve_bytes"},
    {"instances": [{"b64": "", "more": 1}], "signature_name": "serve_bytes"},
    {"instances": [{"image_bytes": {"b64": {}}}], "signature_name": "serve_bytes"},
    {"inputs": [], "signature_name": "serve_bytes"},
    {"instances": ["text"], "signature_name": "serve_bytes"},
    {"instances": ["\ud800"], "signature_name": "serve_bytes"},
    *({"instances": [b64(data)], "signature_name": name}
      for name in ("serve_bytes", "palette", "localize")
      for data in (
          b"", b"GIF89a", bomb(65535, 65535), bomb(2**31 - 1, 1), bomb(600, 600), b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n",
      )),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: f"{body[:16]!r}-{len(body)}")
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_bodies_that_are_no_json_object_of_a_request(path, body, rest):
    status, _, answer = rest("POST", path, body)
    assert status == 400 and json.loads(answer)["error"]


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_code_in_a_request_does_not_run(tmp_path, rest):
    folder = tmp_path / "made"
    pickled, array = pickle.dumps(Code(folder)), io.BytesIO()
    np.save(array, np.array([Code(folder)], object), allow_pickle=True)
    for data in (pickled, array.getvalue()):
        for path in (PREDICT, INFER):
            assert rest("POST", path, data, {"Content-Type": "application/x-python-pickle"}.items())[0] == 400
        asked = {"signature_name": "serve_bytes", "instances": [b64(data)]}
        assert rest.predict(asked)[0] == 400
    assert not folder.exists()
    pickle.loads(pickled)
    assert folder.exists()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: json.dumps(value)[:70])
def test_values_of_rows_and_columns(value, rest):
    status, answer = rest.predict(value)
    assert status == 400 and answer["error"]


IMAGE = {"name": "image", "shape": [1, 2, 2, 3], "datatype": "UINT8", "data": [0] * 12}
BYTES = {"name": "image_bytes", "shape": [1], "datatype": "BYTES"}
TENSORS = [
    {"inputs": []},
    {"inputs": {}},
    {"inputs": [1]},
    {"inputs": [{}]},
    {"inputs": [{"name": 5}]},
    {"inputs": [IMAGE, IMAGE]},
    {"inputs": [IMAGE], "outputs": [{"name": "nothing"}]},
    {"inputs": [IMAGE], "outputs": "label_map"},
    {"inputs": [IMAGE], "parameters": []},
    {"inputs": [IMAGE], "parameters": {"signature": "nothing"}},
    {"inputs": [IMAGE], "parameters": {"signature": 5}},
    {"inputs": [IMAGE], "parameters": {"signature": "serve_bytes"}},
    {"inputs": [{**BYTES, "data": [5]}]},
    {"inputs": [{**BYTES, "data": ["text"]}]},
    {"inputs": [{**BYTES, "data": ["no base64!"], "parameters": {"content_type": "base64"}}]},
    {"inputs": [{**BYTES, "data": [""], "parameters": {"content_type": "base64"}}]},
    {"inputs": [{**BYTES, "data": [base64.b64encode(bomb(65535, 65535)).decode()], "parameters": {"content_type": "base64"}}]},
    *({"inputs": [{**IMAGE, **change}]} for change in (
        {"name": "picture"}, {"datatype": "FP32"}, {"datatype": "INT8"}, {"datatype": "uint8"}, {"datatype": None},
        {"datatype": []},
        {"shape": None}, {"shape": "1223"}, {"shape": [1, 2, 2]}, {"shape": [1, 2, 2, -3]}, {"shape": [1.0, 2, 2, 3]},
        {"shape": [True, 2, 2, 3]}, {"shape": [2**62, 2**62, 4, 3]}, {"shape": [1] * 99}, {"shape": []}, {"shape": [1, 3, 4, 1]},
        {"shape": [0, 2, 2, 3]}, {"shape": [0, 2, 2, 3], "data": []}, {"shape": [0, 2**62, 2**62, 3], "data": []},
        {"data": None}, {"data": []}, {"data": [256] * 12}, {"data": [0.5] * 12}, {"data": ["0"] * 12},
        {"data": [[0] * 6, [0] * 5]},
        {"parameters": {"binary_data_size": 12}}, {"parameters": {"binary_data_size": -1}}, {"parameters": "x"},
        {"parameters": {"binary_data_size": "12"}}, {"parameters": {"binary_data_size": 2**70}},
    )),
]  # fmt: skip


@pytest.mark.parametrize("value", TENSORS, ids=lambda value: json.dumps(value)[:90])
def test_tensors_of_the_open_inference_protocol(value, rest):
    status, answer = rest.json("POST", INFER, value)
    assert status == 400 and answer["error"]


@pytest.mark.parametrize(
    ("length", "size", "binary"),
    [
        ("x", 12, bytes(12)),
        ("-1", 12, bytes(12)),
        ("1000000", 12, bytes(12)),
        (None, 12, bytes(12)),  # the JSON's own
        ("", 12, bytes(12)),
        ("{}", 11, bytes(12)),
        ("{}", 13, bytes(12)),
        ("{}", 12, bytes(13)),
        ("{}", 12, b""),
    ],
)
def test_binary_data_of_other_lengths(length, size, binary, rest):
    tensor = {name: value for name, value in IMAGE.items() if name != "data"}
    tensor["parameters"] = {"binary_data_size": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {} if length is None else {"Inference-Header-Content-Length": length.format(len(head))}
    status, _, answer = rest("POST", INFER, head + binary, headers)
    assert status == 400 and json.loads(answer)["error"]


@pytest.mark.parametrize("data", [b"\x05\0\0\0abc", b"\xff\xff\xff\xff", b"\1\0", b"", b"\0\0\0\0", b"\0\0\0\0" * 2])
def test_strings_that_are_not_as_long_as_they_say(data, rest):
    head = json.dumps({"inputs": [{**BYTES, "parameters": {"binary_data_size": len(data)}}]}).encode()
    status, _, answer = rest("POST", INFER, head + data, {"Inference-Header-Content-Length": str(len(head))})
    assert status == 400 and json.loads(answer)["error"]


HEADERS = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "localhost.evil.example"}, 421),
    ({"Host": "127.0.0.1.evil.example:80"}, 421),
    ({"Host": ""}, 421),
    ({"Host": "[::1"}, 200),  # an address all the same
    ({"Host": "localhost:1"}, 200),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Content-Encoding": "gzip"}, 415),
    ({"Content-Encoding": "br"}, 415),
]


@pytest.mark.parametrize(("headers", "status"), HEADERS, ids=str)
def test_headers(headers, status, rest):
    body = json.dumps({"instances": [PIXELS]}).encode()
    found, answered, answer = rest("POST", PREDICT, body, headers)
    assert found == status and (status == 200 or json.loads(answer)["error"])
    assert not [name for name in answered if name.lower().startswith("access-control")]


def exchange(address: str, data: bytes, *, more=(), seconds=15.0) -> bytes:
    """Sends bytes as they are, then `more` of them while the server listens; returns what it answers."""
    host, port = address.rsplit(":", 1)
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            for piece in more:
                connection.sendall(piece)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


HEAD = b"POST /v1/models/blocks:predict HTTP/1.1\r\nHost: localhost\r\n"
RAW = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /v1/models/blocks HTTP/1.1\r\n\r\n",
    b"GET /v1/models/blocks HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
    HEAD + b"Content-Length: -4\r\n\r\nabcd",
    HEAD + b"Content-Length: 0x4\r\n\r\nabcd",
    HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabcd",
    HEAD + b"Content-Length : 4\r\n\r\nabcd",
    HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n-4\r\nabcd\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n4;" + b"a" * 200_000 + b"\r\n",
    HEAD + b"X: a\nY: b\x00\r\n\r\n",
    HEAD + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n",
]


@pytest.mark.parametrize("data", RAW, ids=lambda data: repr(data[:12] + data[57:90]))
def test_framing_of_http(data, server):
    answer = exchange(server.rest, data)
    assert answer.startswith(b"HTTP/1.1 4") and answer.count(b"HTTP/1.1") == 1, answer[:200]


@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_above_the_limit_are_refused_before_they_are_read(chunked, server):
    piece = b"a" * 2**16
    if chunked:
        head, piece = b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + piece + b"\r\n"
    else:
        head = b"Content-Length: %d\r\n\r\n" % (300 * 2**16)
    answer = exchange(server.rest, HEAD + head, more=[piece] * 300)
    assert answer.startswith(b"HTTP/1.1 413") and b"must have at most 16,777,216 bytes" in answer


@pytest.fixture(scope="module")
def impatient(models, start):
    """A server that waits two seconds at most, and labels few pixels."""
    return start(models, timeout=2.0, max_pixels=3000)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"Content-Length: 100\r\n\r\nabc", b"HTTP/1.1 408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 408"),
        (HEAD, b""),  # the head itself never ends: closed
        (b"", b""),
    ],
)
def test_requests_that_never_end(data, status, impatient):
    begin = time.monotonic()
    assert exchange(impatient.rest, data, seconds=30).startswith(status)
    assert 1 < time.monotonic() - begin < 25


def test_a_chunk_a_moment_does_not_prolong_a_request(impatient):
    def drops():
        for _ in range(200):
            time.sleep(0.1)
            yield b"1\r\na\r\n"

    begin = time.monotonic()
    assert exchange(impatient.rest, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", more=drops()).startswith(
        b"HTTP/1.1 408"
    )
    assert time.monotonic() - begin < 18


@pytest.mark.parametrize("encoded", [False, True])
def test_more_pixels_than_the_server_takes(encoded, impatient):
    request = {"signature_name": "serve_bytes", "instances": [b64(bomb(60, 51))]}
    request = request if encoded else {"instances": np.zeros((1, 60, 51, 3), int).tolist()}
    status, answer = Rest(impatient.rest).predict(request)
    assert status == 413 and "at most 3,000 pixels together. Received: 3,060." in answer["error"]


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


def tensor(**fields):
    sizes = fields.pop("sizes", [1, 2, 2, 3])
    proto = tensor_pb2.TensorProto(**fields)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    return proto


UINT8, STRING = tf.uint8.as_datatype_enum, tf.string.as_datatype_enum
GOOD = tensor(dtype=UINT8, tensor_content=bytes(12))
PREDICTIONS = [
    ("other", None, "", {"image": GOOD}, "NOT_FOUND"),
    ("", None, "", {"image": GOOD}, "NOT_FOUND"),
    ("blocks", 2, "", {"image": GOOD}, "NOT_FOUND"),
    ("blocks", None, "nothing", {"image": GOOD}, "INVALID_ARGUMENT"),
    ("blocks", None, "serve_bytes", {"image": GOOD}, "INVALID_ARGUMENT"),
    ("blocks", None, "", {}, "INVALID_ARGUMENT"),
    ("blocks", None, "", {"picture": GOOD}, "INVALID_ARGUMENT"),
    ("blocks", None, "", {"image": GOOD, "more": GOOD}, "INVALID_ARGUMENT"),
    *(("blocks", None, "", {"image": proto}, "INVALID_ARGUMENT") for proto in (
        tensor(dtype=UINT8, tensor_content=bytes(11)), tensor(dtype=UINT8, tensor_content=bytes(13)),
        tensor(dtype=UINT8, sizes=[100_000, 100_000, 3, 3], int_val=[7]), tensor(dtype=UINT8, sizes=[1, -1, 2, 3]),
        tensor(dtype=UINT8, sizes=[2, 2, 3], tensor_content=bytes(12)), tensor(dtype=UINT8, sizes=[0, 2, 2, 3]),
        tensor(dtype=UINT8, sizes=[1, 0, 2, 3]), tensor(dtype=UINT8, sizes=[1] * 100, int_val=[7]),
        tensor(dtype=tf.float32.as_datatype_enum, tensor_content=bytes(48)), tensor(dtype=0), tensor(dtype=999), tensor(dtype=20),
        tensor(dtype=STRING, string_val=[b"x"]), tensor_pb2.TensorProto(),
    )),
    *(("blocks", None, "serve_bytes", {"image_bytes": tensor(dtype=STRING, sizes=sizes, string_val=values)}, "INVALID_ARGUMENT")
      for sizes, values in (
          ([1], []), ([2], [b"x"]), ([10**12], [b"x"]), ([1, 1], [b"x"]), ([0], []), ([1], [b""]), ([1], [bomb(65535, 65535)]),
      )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "version", "signature", "inputs", "status"), PREDICTIONS)
def test_predict_over_grpc(name, version, signature, inputs, status, channel):
    request = predict_pb2.PredictRequest(inputs=inputs)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if version:
        request.model_spec.version.value = version
    with pytest.raises(grpc.RpcError) as error:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    assert error.value.code().name == status and " must " in error.value.details()


INFERENCES = [
    ("other", "", {}, [bytes(12)], "NOT_FOUND"),
    ("blocks", "2", {}, [bytes(12)], "NOT_FOUND"),
    ("blocks", "x", {}, [bytes(12)], "INVALID_ARGUMENT"),
    *(("blocks", "", change, [bytes(12)], "INVALID_ARGUMENT") for change in (
        {"name": "picture"}, {"datatype": "FP32"}, {"datatype": ""}, {"shape": [1, 2, 2]}, {"shape": [1, -2, -2, 3]},
        {"shape": [2**40, 2**40, 1, 3]}, {"shape": [0, 2, 2, 3]}, {"shape": []}, {"shape": [1] * 80},
    )),
    *(("blocks", "", {}, raw, "INVALID_ARGUMENT") for raw in ([], [bytes(11)], [bytes(13)], [bytes(12)] * 2)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "version", "change", "raw", "status"), INFERENCES)
def test_infer_over_grpc(name, version, change, raw, status, channel):
    request = protocol.ModelInferRequest(model_name=name, model_version=version, raw_input_contents=raw)
    request.inputs.add(**{"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], **change})
    with pytest.raises(grpc.RpcError) as error:
        service.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert error.value.code().name == status and " must " in error.value.details()


def framed(data: bytes) -> bytes:
    """A string of the Open Inference Protocol, behind its length."""
    return struct.pack("<I", len(data)) + data


STRINGS = [
    b"",
    b"\1\0",
    b"\x05\0\0\0abc",
    b"\xff\xff\xff\xff",
    framed(b""),
    framed(b"") * 2,
    framed(b"GIF89a"),
    framed(bomb(65535, 65535)),
    framed(bomb(600, 600)),
]


@pytest.mark.parametrize("raw", STRINGS, ids=lambda raw: f"{raw[:12]!r}-{len(raw)}")
@pytest.mark.parametrize("signature", ["serve_bytes", "nothing"])
def test_encoded_images_over_grpc_of_the_open_inference_protocol(raw, signature, channel):
    request = protocol.ModelInferRequest(model_name="blocks", raw_input_contents=[raw])
    request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
    request.parameters["signature"].string_param = signature
    with pytest.raises(grpc.RpcError) as error:
        service.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert error.value.code().name == "INVALID_ARGUMENT" and " must " in error.value.details()


@pytest.mark.parametrize(
    ("method", "data", "status"),
    [
        ("/tensorflow.serving.PredictionService/Classify", b"", "UNIMPLEMENTED"),
        ("/tensorflow.serving.PredictionService/Nothing", b"", "UNIMPLEMENTED"),
        ("/inference.GRPCInferenceService/ModelStreamInfer", b"", "UNIMPLEMENTED"),
        ("/tensorflow.serving.PredictionService/Predict", b"\xff" * 50, "INTERNAL"),  # gRPC's own: it cannot be read
        ("/tensorflow.serving.PredictionService/Predict", bytes(2**24 + 1), "RESOURCE_EXHAUSTED"),
        ("/inference.GRPCInferenceService/ModelInfer", bytes(2**24 + 1), "RESOURCE_EXHAUSTED"),
    ],
    ids=lambda value: str(value)[-20:],
)
def test_calls_and_messages_of_grpc(method, data, status, channel):
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(method)(data)
    assert error.value.code().name == status


def test_there_are_200_and_the_model_answers_as_before(rest, direct, image):
    assert (
        len(PATHS) + 2 * len(BODIES) + len(VALUES) + len(TENSORS) + len(RAW) + len(PREDICTIONS) + len(INFERENCES) >= 200
    )
    status, answer = rest.predict({"instances": [image.tolist()]})
    assert status == 200
    assert np.array_equal(
        answer["predictions"][0]["label_map"], direct("serving_default", image=image[None])["label_map"][0]
    )
