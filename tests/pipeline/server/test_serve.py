"""The command: its help needs no TensorFlow, wrong arguments are told, and a signal ends it after what it accepted."""

import json
import resource
import signal
import socket
import subprocess
import sys

import pytest

from pipeline import serve
from pipeline.settings import serving as settings
from tests.conftest import ROOT
from tests.pipeline.server.clients import b64


def test_help_imports_no_framework():
    code = "import sys, pipeline.serve as s\ntry: s.main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('tensorflow', 'numpy', 'grpc', 'starlette') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: ") and done.stdout.splitlines()[-1] == "[]"


def test_the_defaults_are_loopback_and_the_name_of_the_folder():
    options = settings.parse(["savedmodels/streets/"], "serve")
    assert (options.name, options.host, options.port, options.grpc_port) == ("streets", "127.0.0.1", 8501, 8500)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "The model must be a folder with versions, savedmodels/NAME. Received: nowhere"),
        (["nowhere", "--port", "70000"], "must be a whole number from 0 to 65,535"),
        (["nowhere", "--timeout", "0"], "must be seconds above 0"),
        (["nowhere", "--log", "xml"], "invalid choice: 'xml'"),
        (["nowhere", "--max-bytes", "1e9"], "must be a whole number from 1,024"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert serve.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_version_in_the_place_of_a_model_names_the_model(models, capsys):
    assert serve.main([str(models / "1")]) == 2
    assert f"Name {models}." in capsys.readouterr().err


@pytest.mark.parametrize(("option", "flag"), [("port", "--port"), ("grpc_port", "--grpc-port")])
def test_an_address_that_is_taken_is_told(option, flag, models, server, start):
    address = {"port": server.rest, "grpc_port": server.grpc}[option]
    with pytest.raises(ValueError, match=f"`--host` and `{flag}` must be free to listen at. Received: "):
        start(models, **{option: int(address.rpartition(":")[2])})


def begin(address: str, body: bytes) -> socket.socket:
    """Sends the head of a request, and waits until the server asks for its body."""
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    head = "POST /v1/models/blocks:predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 100")
    return connection


def test_it_answers_without_a_file_and_a_signal_ends_it_after_what_it_accepted_each_with_a_line_of_the_log(models, png):
    command = [sys.executable, "-m", "pipeline.serve", str(models), "--port", "0", "--grpc-port", "0", "--log", "json"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    lines = []

    def event(name):
        for line in process.stderr:
            if line.startswith("{"):
                lines.append(json.loads(line))
                if lines[-1]["event"] == name:
                    return lines[-1]
        raise AssertionError(f"no {name}: {lines}")

    try:
        address = event("listening")["rest"]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))  # from now on it cannot write to a file
        body = json.dumps({"signature_name": "localize", "instances": [b64(png)] * 20}).encode()
        connections = [begin(address, body) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        event("stopping")
        for connection in connections:
            connection.sendall(body)
        for connection in connections:
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()
        event("stopped")
        assert process.wait(60) == 0
        requests = [line for line in lines if line["event"] == "request"]
        assert [(line["status"], line["signature"], line["version"]) for line in requests] == [(200, "localize", 1)] * 4
    finally:
        process.kill()
        process.wait()
