"""Asks a server by KServe's unmodified client; run by a test in an environment that has nothing of ours.

usage: kserve_client.py http|grpc ADDRESS FOLDER: answers each NAME.jpg, NAME.png and NAME.npy there by NAME.SUFFIX.answer.
"""

import asyncio
import base64
import pathlib
import sys

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

protocol, address, folder = sys.argv[1:]


async def main():
    if protocol == "grpc":
        client = InferenceGRPCClient(address)
        assert await client.is_server_ready() and await client.is_model_ready("clients")

        async def infer(request):
            return await client.infer(request)
    else:
        client, url = InferenceRESTClient(RESTConfig(protocol="v2")), f"http://{address}"
        assert await client.is_server_ready(url) and await client.is_model_ready(url, "clients")

        async def infer(request):
            return await client.infer(url, request, model_name="clients")

    async def ask(name, array, datatype, signature, output):
        sent = InferInput(name, list(array.shape), datatype)
        sent.set_data_from_numpy(array, binary_data=True)
        in_base64 = protocol == "http" and datatype == "BYTES"  # in binary, its REST client takes text alone
        parameters = {"signature": signature, "binary_data_output": not in_base64}
        answer = await infer(InferRequest("clients", [sent], parameters=parameters))
        found = next(found for found in answer.outputs if found.name == output)
        return base64.b64decode(found.data[0]) if in_base64 else found.as_numpy()[0]

    for path in sorted(pathlib.Path(folder).glob("*.[jpn]*")):
        if path.suffix == ".npy":
            pixels = np.load(path)[np.newaxis]
            found = (await ask("image", pixels, "UINT8", "serving_default", "label_map")).tobytes()
        else:
            data = np.array([path.read_bytes()], object)
            found = await ask("image_bytes", data, "BYTES", "serve_bytes", "label_map_bytes")
        path.with_name(f"{path.name}.answer").write_bytes(found)
    await client.close()


asyncio.run(main())
