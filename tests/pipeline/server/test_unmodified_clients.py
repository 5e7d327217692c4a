"""Clients that others wrote, each in a process and an environment of its own, get the model's own answers, bit by bit."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
TRITON = "tritonclient[grpc,http]==2.73.0"


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    """Python of an environment that has nothing but `tritonclient`."""
    folder = tmp_path_factory.mktemp("triton") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", TRITON], check=True)
    return python


def check(command, image, png, direct, tmp_path):
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "image.png").write_bytes(png)
    command = [*command, tmp_path / "image.npy", tmp_path / "found.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz")
    expected = direct("serving_default", image=image[np.newaxis])
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)
    assert found["png"].tobytes() == direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritonclient(protocol, triton, server, image, png, direct, tmp_path):
    address = {"http": server.rest, "grpc": server.grpc}[protocol]
    check([triton, "-I", HERE / "triton_client.py", protocol, address], image, png, direct, tmp_path)


@pytest.mark.slow
def test_tensorflow_serving_api(server, image, png, direct, tmp_path):
    check([sys.executable, "-I", HERE / "tensorflow_client.py", server.grpc], image, png, direct, tmp_path)
