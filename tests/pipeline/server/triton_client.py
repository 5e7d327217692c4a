"""Asks a server by the unmodified `tritonclient`, in an environment that has nothing of ours; run by a test.

usage: triton_client.py http|grpc ADDRESS IMAGE OUTPUT: writes label map, confidence and encoded label map to OUTPUT (.npz).
"""

import importlib
import pathlib
import sys

import numpy as np
from tritonclient.utils import InferenceServerException

protocol, address, image_path, output = sys.argv[1:]
module = importlib.import_module(f"tritonclient.{protocol}")
client = module.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("blocks")
metadata = client.get_model_metadata("blocks", **({"as_json": True} if protocol == "grpc" else {}))
assert metadata["inputs"][0]["name"] == "image", metadata

image = np.load(image_path)[np.newaxis]
pixels = module.InferInput("image", list(image.shape), "UINT8")
pixels.set_data_from_numpy(image)
found = client.infer("blocks", [pixels])

data = pathlib.Path(image_path).with_suffix(".png").read_bytes()
encoded = module.InferInput("image_bytes", [1], "BYTES")
encoded.set_data_from_numpy(np.array([data], object))
answer = client.infer("blocks", [encoded], parameters={"signature": "serve_bytes"}, model_version="1")
names = ("label_map", "confidence")
png = np.frombuffer(answer.as_numpy("label_map_bytes")[0], np.uint8)
np.savez(output, png=png, **{name: found.as_numpy(name) for name in names})

try:
    client.infer("blocks", [encoded], parameters={"signature": "nothing"})
except InferenceServerException as error:
    assert "The signature must be one of" in str(error), error
else:
    raise AssertionError("a wrong signature was answered")
