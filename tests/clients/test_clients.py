"""Clients that others wrote, each in a process of its own, get the SavedModel's own label maps of ten real images.

`make clients` sets up the environment .venv-clients and runs these tests.
"""

import base64
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.pipeline.server.conftest import start  # noqa: F401  (a fixture)

HERE = pathlib.Path(__file__).parent
NAMES = (("inputs", "image_bytes"), ("outputs", "label_map_bytes"))
SOURCES = ("camvid/images/val/*.png", "voc_sample/images/*/*.jpg")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> pathlib.Path:
    """The folder of a model "clients": 11 classes of drawn, untrained weights, whose label maps change every few pixels."""
    import keras

    import kseg
    from kseg.labels import LabelMap, voc_colour

    folder = tmp_path_factory.mktemp("models") / "clients"
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 64, -2)(image)
    x = keras.layers.Conv2D(8, 5, padding="same", activation="relu", kernel_initializer=keras.initializers.HeNormal(1))(
        x
    )
    model = keras.Model(
        image, keras.layers.Conv2D(11, 3, padding="same", kernel_initializer=keras.initializers.HeNormal(2))(x)
    )
    names = tuple(f"class {index}" for index in range(11))
    labels = LabelMap(names, tuple(map(voc_colour, range(11))), tuple(range(11)))
    kseg.export(model, folder / "1", labels=labels, image_size=(180, 240))
    return folder


@pytest.fixture(scope="module")
def pictures(data, tmp_path_factory) -> pathlib.Path:
    """A folder of ten real images: five of each source, as their files and as arrays."""
    folder = tmp_path_factory.mktemp("pictures")
    for pattern in SOURCES:
        for path in sorted(data.glob(pattern))[:5]:
            shutil.copy(path, folder)
            np.save(folder / f"{path.stem}.npy", np.asarray(Image.open(path).convert("RGB")))
    return folder


@pytest.fixture(scope="module")
def expected(models, pictures) -> dict[str, bytes]:
    """What the SavedModel answers in TensorFlow, by name of file: the PNG of a file, the pixels of an array's label map."""
    import tensorflow as tf

    signatures = tf.saved_model.load(str(models / "1")).signatures
    found, classes = {}, set()
    for path in sorted(pictures.glob("*.[jpn]*")):
        if path.suffix == ".npy":
            label_map = signatures["serving_default"](image=tf.constant(np.load(path)[np.newaxis]))["label_map"][
                0
            ].numpy()
            found[path.name] = label_map.tobytes()
            classes |= set(np.unique(label_map).tolist())
        else:
            answer = signatures["serve_bytes"](image_bytes=tf.constant([path.read_bytes()]))
            found[path.name] = answer["label_map_bytes"][0].numpy()
    assert len(found) == 20 and len(classes) > 5
    return found


@pytest.fixture(scope="module")
def server(models, start):  # noqa: F811
    """A server of the model."""
    return start(models)


@pytest.fixture(scope="module")
def clients() -> pathlib.Path:
    """Python of the environment of the clients."""
    subprocess.run(["make", "-s", ".venv-clients/.ready"], cwd=ROOT, check=True)
    return ROOT / ".venv-clients" / "bin" / "python"


def check(command, pictures, expected, tmp_path, suffixes=(".jpg", ".png", ".npy"), **options):
    """Runs a client on a copy of the pictures, named behind its command, and compares its answers."""
    names = sorted(name for name in expected if name.endswith(suffixes))
    for name in names:
        shutil.copy(pictures / name, tmp_path)
    files = [str(tmp_path / name) for name in names] if options.pop("by_file", False) else [str(tmp_path)]
    done = subprocess.run(
        [*map(str, command), *files], cwd=tmp_path, capture_output=True, text=True, timeout=500, **options
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = {path.name.removesuffix(".answer"): path.read_bytes() for path in tmp_path.glob("*.answer")}
    assert found == {name: expected[name] for name in names}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("client", ["triton", "kserve"])
def test_clients_of_the_open_inference_protocol(client, protocol, clients, server, pictures, expected, tmp_path):
    address = {"http": server.rest, "grpc": server.grpc}[protocol]
    check([clients, "-I", HERE / f"{client}_client.py", protocol, address], pictures, expected, tmp_path)


@pytest.mark.slow
def test_tensorflow_serving_api(server, pictures, expected, tmp_path):
    check([sys.executable, "-I", HERE / "tensorflow_client.py", "grpc", server.grpc], pictures, expected, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["tensorflow", "open_inference"])
def test_curl(protocol, server, pictures, expected, tmp_path):
    for path in sorted([*pictures.glob("*.jpg"), *pictures.glob("*.png")]):
        encoded = base64.b64encode(path.read_bytes()).decode()
        if protocol == "tensorflow":
            url = "v1/models/clients:predict"
            request = {"signature_name": "serve_bytes", "instances": [{"b64": encoded}]}
        else:
            url = "v2/models/clients/infer"
            tensor = {"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [encoded]}
            tensor["parameters"] = {"content_type": "base64"}
            request = {"inputs": [tensor], "parameters": {"signature": "serve_bytes"}}
        (tmp_path / "request.json").write_text(json.dumps(request))
        command = ["curl", "-sS", "--fail", "-d", "@request.json", f"http://{server.rest}/{url}"]
        answer = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout)
        if protocol == "tensorflow":
            found = answer["predictions"][0]["label_map_bytes"]["b64"]
        else:
            (found,) = next(tensor["data"] for tensor in answer["outputs"] if tensor["name"] == "label_map_bytes")
        assert base64.b64decode(found) == expected[path.name]


def operation(model: pathlib.Path, kind: str, name: str) -> tuple[str, str]:
    """Name of the operation, and number of its output, of a tensor of `serve_bytes`; `kind`: "inputs" or "outputs"."""
    from pipeline.server.saved_model import _read_definitions

    tensor = getattr(_read_definitions(model)["serve_bytes"], kind)[name].name
    return tensor.rpartition(":")[0], tensor.rpartition(":")[2]


@pytest.mark.slow
def test_a_program_in_c(models, pictures, expected, tmp_path):
    package = pathlib.Path(importlib.util.find_spec("tensorflow").origin).parent
    libraries = [package / "libtensorflow_cc.so.2", package / "libtensorflow_framework.so.2"]
    program = tmp_path / "session"
    compile_ = ["cc", "-Wall", "-Wno-unused-parameter", "-o", program, HERE / "session.c", f"-I{package / 'include'}"]
    subprocess.run([*compile_, *libraries, f"-Wl,-rpath,{package}"], check=True)
    (sent, _), (found, number) = (operation(models / "1", *which) for which in NAMES)
    command = [program, models / "1", sent, found, number]
    check(command, pictures, expected, tmp_path, suffixes=(".jpg", ".png"), by_file=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("mvn"), reason="no Maven: apt-get install maven")
def test_a_program_in_java(models, pictures, expected, tmp_path):
    maven = [
        "mvn",
        "-q",
        "-B",
        "-f",
        HERE / "pom.xml",
        "dependency:build-classpath",
        f"-Dmdep.outputFile={tmp_path / 'path'}",
    ]
    subprocess.run(maven, check=True)
    command = ["java", "-cp", (tmp_path / "path").read_text(), HERE / "Session.java", models / "1"]
    check(command, pictures, expected, tmp_path, suffixes=(".jpg", ".png"), by_file=True)


@pytest.mark.slow
def test_saved_model_cli(models, pictures, expected, tmp_path):
    cli = pathlib.Path(sys.executable).with_name("saved_model_cli")
    for path in [*sorted(pictures.glob("*.jpg"))[:1], *sorted(pictures.glob("*.png"))[:1]]:
        np.save(tmp_path / "sent.npy", np.array([path.read_bytes()]))
        command = [cli, "run", "--dir", models / "1", "--tag_set", "serve", "--signature_def", "serve_bytes"]
        command += ["--inputs", f"image_bytes={tmp_path / 'sent.npy'}", "--outdir", tmp_path, "--overwrite"]
        subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        found = np.load(tmp_path / "label_map_bytes.npy", allow_pickle=True)
        assert bytes(found[0]) == expected[path.name]
