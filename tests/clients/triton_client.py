"""Asks a server by the unmodified `tritonclient`; run by a test in an environment that has nothing of ours.

usage: triton_client.py http|grpc ADDRESS FOLDER: answers each NAME.jpg, NAME.png and NAME.npy there by NAME.SUFFIX.answer.
"""

import importlib
import pathlib
import sys

import numpy as np
from tritonclient.utils import InferenceServerException

protocol, address, folder = sys.argv[1:]
module = importlib.import_module(f"tritonclient.{protocol}")
client = module.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("clients")
metadata = client.get_model_metadata("clients", **({"as_json": True} if protocol == "grpc" else {}))
assert metadata["inputs"][0]["name"] == "image", metadata


def ask(name, array, datatype, signature):
    sent = module.InferInput(name, list(array.shape), datatype)
    sent.set_data_from_numpy(array)
    return client.infer("clients", [sent], parameters={"signature": signature}, model_version="1")


for path in sorted(pathlib.Path(folder).glob("*.[jpn]*")):
    if path.suffix == ".npy":
        found = ask("image", np.load(path)[np.newaxis], "UINT8", "serving_default").as_numpy("label_map")[0].tobytes()
    else:
        data = np.array([path.read_bytes()], object)
        found = ask("image_bytes", data, "BYTES", "serve_bytes").as_numpy("label_map_bytes")[0]
    path.with_name(f"{path.name}.answer").write_bytes(found)

try:
    ask("image_bytes", np.array([b""], object), "BYTES", "nothing")
except InferenceServerException as error:
    assert "The signature must be one of" in str(error), error
else:
    raise AssertionError("a wrong signature was answered")
