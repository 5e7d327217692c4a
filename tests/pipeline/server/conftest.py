"""A real exported model in two versions of its folder, and a server of it in this process."""

import io
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.settings.serving import ServerOptions
from tests.pipeline.server.clients import Rest

QUICK = {"poll": 0.1, "timeout": 20.0, "max_bytes": 2**20}


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> list[pathlib.Path]:
    """Three SavedModels of one signature each way: other weights, so that their answers tell them apart."""
    from kseg.serving import exporting
    from tests.pipeline.conftest import IMAGE_SIZE, LABELS, MAX_PIXELS, nearest_colour

    folder = tmp_path_factory.mktemp("exports")
    for number in range(3):
        model = nearest_colour()
        weights, bias = model.get_layer("score").get_weights()
        model.get_layer("score").set_weights([np.roll(weights, number, axis=-1), np.roll(bias, number)])
        place = folder / str(number)
        exporting.export(model, place, labels=LABELS, image_size=IMAGE_SIZE, max_pixels=MAX_PIXELS, tiles=number == 0)
    return [folder / str(number) for number in range(3)]


@pytest.fixture(scope="session")
def models(exports, tmp_path_factory) -> pathlib.Path:
    """The folder of a model "blocks" with version 1."""
    folder = tmp_path_factory.mktemp("models") / "blocks"
    shutil.copytree(exports[0], folder / "1")
    return folder


@pytest.fixture(scope="session")
def start():
    """A function that starts a server of a folder on free ports; all are stopped at the end."""
    from pipeline.server.running import Server

    started = []

    def start(folder, log=None, **options):
        options = {**QUICK, "port": 0, "grpc_port": 0, "name": folder.name, **options}
        started.append(Server(ServerOptions(str(folder), **options), log))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(models, start):
    """A server of the model "blocks"."""
    return start(models)


@pytest.fixture(scope="session")
def rest(server) -> Rest:
    """A client of its REST protocols."""
    return Rest(server.rest)


@pytest.fixture(scope="session")
def direct(exports):
    """The same model, called in TensorFlow: a function of a signature and its arrays that returns arrays."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exports[0]))

    def call(signature, **arrays):
        return {name: value.numpy() for name, value in loaded.signatures[signature](**arrays).items()}

    call.loaded = loaded
    return call


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """An image (37, 61, 3), uint8, with several regions."""
    from tests.pipeline.conftest import pair

    return pair(2)[0]


@pytest.fixture(scope="session")
def png(image) -> bytes:
    """The image as a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
