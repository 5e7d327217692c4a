"""examples/client.py gets the model's own answer over each of four protocols, and asks again where that helps."""

import concurrent.futures
import http.server
import json
import runpy
import subprocess
import sys
import threading
import time

import pytest

from tests.conftest import ROOT

CLIENT = ROOT / "examples" / "client.py"
GRPC, REST = ("tensorflow-grpc", "v2-grpc"), ("tensorflow-rest", "v2-rest")


@pytest.fixture(scope="module")
def client():
    return runpy.run_path(str(CLIENT))


@pytest.fixture(scope="module")
def address(server):
    return {protocol: server.grpc if protocol in GRPC else server.rest for protocol in GRPC + REST}


@pytest.mark.parametrize("protocol", GRPC + REST)
def test_each_protocol_gets_the_models_own_label_map(client, protocol, address, png, direct):
    found = client["label"](protocol, address[protocol], "blocks", png, timeout=20)
    assert found == direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]


@pytest.mark.parametrize("protocol", GRPC + REST)
def test_what_is_wrong_with_an_image_is_said_at_once(client, protocol, address):
    import grpc

    start = time.monotonic()
    with pytest.raises((RuntimeError, grpc.RpcError), match="An image must be a JPEG or PNG file"):
        client["label"](protocol, address[protocol], "blocks", b"no image", timeout=20)
    assert time.monotonic() - start < 10


def test_the_command_writes_the_label_map(address, png, direct, tmp_path):
    (tmp_path / "photo.png").write_bytes(png)
    command = [sys.executable, CLIENT, tmp_path / "photo.png", tmp_path / "found.png", "--model", "blocks"]
    subprocess.run([*command, "--protocol", "v2-rest", "--address", address["v2-rest"]], check=True, cwd=tmp_path)
    assert (tmp_path / "found.png").read_bytes() == direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]


@pytest.fixture
def busy():
    """A server that refuses with the given statuses, one after the other, and then answers; it notes when it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(time.monotonic())
            status = refusals.pop(0) if refusals else 200
            body = json.dumps({"predictions": [{"label_map_bytes": {"b64": "UE5H"}, "message": ""}]}).encode()
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    asked, refusals = [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        threading.Thread(target=started.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{started.server_port}", refusals, asked
        started.shutdown()


def test_a_busy_server_is_asked_again_when_it_says_and_not_before(client, busy):
    address, refusals, asked = busy
    refusals += [429, 503]
    assert client["label"]("tensorflow-rest", address, "any", b"image", timeout=20) == b"PNG"
    assert len(asked) == 3 and asked[1] - asked[0] >= 1


@pytest.mark.parametrize("status", [400, 404, 413, 500])
def test_what_another_try_does_not_mend_is_not_tried_again(client, busy, status):
    address, refusals, asked = busy
    refusals += [status]
    with pytest.raises(RuntimeError, match=str(status)):
        client["label"]("tensorflow-rest", address, "any", b"image", timeout=20)
    assert len(asked) == 1


def test_it_gives_up_in_time(client, busy):
    address, refusals, asked = busy
    refusals += [429] * 9
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="no label map after 2 tries: 429"):
        client["label"]("tensorflow-rest", address, "any", b"image", timeout=1.5)
    assert time.monotonic() - start < 1.5 and len(asked) == 2


def test_over_grpc_it_asks_again_and_takes_an_answer_above_four_megabytes(client):
    import grpc
    from open_inference.grpc import protocol, service

    asked, label_map = [], bytes(5 * 2**20)

    class Busy(service.GRPCInferenceServiceServicer):
        def ModelInfer(self, request, context):
            asked.append(request)
            if len(asked) < 3:
                context.abort(grpc.StatusCode.UNAVAILABLE, "a moment")
            answer = protocol.ModelInferResponse()
            for name, value in (("message", b""), ("label_map_bytes", label_map)):
                answer.outputs.add(name=name, datatype="BYTES", shape=[1])
                answer.raw_output_contents.append(client["with_length"](value))
            return answer

    started = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    service.add_GRPCInferenceServiceServicer_to_server(Busy(), started)
    port = started.add_insecure_port("127.0.0.1:0")
    started.start()
    try:
        assert client["label"]("v2-grpc", f"127.0.0.1:{port}", "any", b"image", timeout=30) == label_map
    finally:
        started.stop(None)
    assert len(asked) == 3
