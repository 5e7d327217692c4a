"""Real exported models, the folder of one with its versions, and a server of it in this process."""

import contextlib
import io
import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.settings.serving import ServerOptions
from tests.pipeline.server.clients import Rest

QUICK = {"poll": 0.1, "timeout": 20.0, "max_bytes": 2**24}


@pytest.fixture(scope="session")
def exported(finished) -> pathlib.Path:
    """A SavedModel as kseg exports it."""
    return finished.exporter / "saved_model"


@pytest.fixture(scope="session")
def models(exported, tmp_path_factory) -> pathlib.Path:
    """The folder of a model "blocks" with version 1."""
    folder = tmp_path_factory.mktemp("models") / "blocks"
    shutil.copytree(exported, folder / "1")
    return folder


@pytest.fixture(scope="session")
def numbered(tmp_path_factory):
    """Three SavedModels of another program, whose label maps hold 1, 2 and 3 everywhere; by number."""
    import tensorflow as tf

    class Numbered(tf.Module):
        def __init__(self, number):
            super().__init__()
            self.number = tf.Variable(number, dtype=tf.uint8)

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="image")])
        def label_map(self, image):
            return {"label_map": tf.zeros_like(image[..., 0]) + self.number}

    folder = tmp_path_factory.mktemp("numbered")
    for number in (1, 2, 3):
        model = Numbered(number)
        tf.saved_model.save(model, str(folder / str(number)), signatures={"serving_default": model.label_map})
    return {number: folder / str(number) for number in (1, 2, 3)}


@contextlib.contextmanager
def starting():
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


@pytest.fixture(scope="module")
def start():
    """Starts servers, which run while a module's tests do: each looks at its folder ten times a second."""
    with starting() as start:
        yield start


@pytest.fixture(scope="session")
def server(models):
    """A server of the model "blocks", to which no version is added."""
    with starting() as start:
        yield start(models, poll=60.0)


@pytest.fixture(scope="session")
def rest(server) -> Rest:
    """A client of its REST protocols."""
    return Rest(server.rest)


@pytest.fixture(scope="session")
def direct(exported):
    """The same model, called in TensorFlow: a function of a signature and its arrays that returns arrays."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exported))

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
