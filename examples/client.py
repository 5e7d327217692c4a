"""Asks a server for the label map of an image, over REST or gRPC, as TensorFlow Serving or the Open Inference Protocol has it.

    python examples/client.py photo.jpg label_map.png --model streets --protocol v2-rest --address localhost:8501

`kseg serve` speaks all four protocols, TensorFlow Serving the first two, Triton and KServe the others. REST needs Python alone,
tensorflow-grpc `pip install tensorflow-serving-api`, v2-grpc `pip install open-inference-grpc`. An image changes nothing on the
server, so a request may be sent again: after 429 and 503 as soon as the server says, and where no answer came.
"""

import argparse
import base64
import json
import pathlib
import random
import struct
import time
import urllib.error
import urllib.request

SIGNATURE = "serve_bytes"  # JPEG or PNG -> PNG of class ids, of the image's own size
MAX_BYTES = 64 * 2**20  # of an answer; gRPC's own limit is 4 MiB
TRIES = 5
AGAIN = (429, 502, 503, 504)


def tensorflow_rest(address, model, image, timeout):
    """JSON, in which bytes are base64."""
    row = {"image_bytes": {"b64": base64.b64encode(image).decode()}}
    body = json.dumps({"signature_name": SIGNATURE, "instances": [row]}).encode()
    headers = {"Content-Type": "application/json"}
    _, answer = post(f"http://{address}/v1/models/{model}:predict", body, headers, timeout)
    (row,) = json.loads(answer)["predictions"]
    return base64.b64decode(row["label_map_bytes"]["b64"]), row["message"]


def v2_rest(address, model, image, timeout):
    """A JSON header, and bytes behind it: a third shorter than base64."""
    content = with_length(image)
    tensor = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(content)},
    }
    asked = [{"name": name, "parameters": {"binary_data": True}} for name in ("label_map_bytes", "message")]
    header = json.dumps({"parameters": {"signature": SIGNATURE}, "inputs": [tensor], "outputs": asked}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))}
    found, answer = post(f"http://{address}/v2/models/{model}/infer", header + content, headers, timeout)
    length = int(found["Inference-Header-Content-Length"])
    outputs, start, values = json.loads(answer[:length])["outputs"], length, {}
    for output in outputs:
        end = start + output["parameters"]["binary_data_size"]
        values[output["name"]] = without_length(answer[start:end])
        start = end
    return values["label_map_bytes"], values["message"].decode()


def tensorflow_grpc(address, model, image, timeout):
    """TensorFlow's protocol buffers."""
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    one = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=1)])
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, tensor_shape=one, string_val=[image])
    request = predict_pb2.PredictRequest(inputs={"image_bytes": tensor})
    request.model_spec.name, request.model_spec.signature_name = model, SIGNATURE
    with channel(address) as connected:
        outputs = prediction_service_pb2_grpc.PredictionServiceStub(connected).Predict(request, timeout=timeout).outputs
    return outputs["label_map_bytes"].string_val[0], outputs["message"].string_val[0].decode()


def v2_grpc(address, model, image, timeout):
    """The protocol buffers of Triton and KServe."""
    from open_inference.grpc import protocol, service

    request = protocol.ModelInferRequest(model_name=model, raw_input_contents=[with_length(image)])
    request.parameters["signature"].string_param = SIGNATURE
    request.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
    with channel(address) as connected:
        answer = service.GRPCInferenceServiceStub(connected).ModelInfer(request, timeout=timeout)
    names = (output.name for output in answer.outputs)
    values = {name: without_length(value) for name, value in zip(names, answer.raw_output_contents, strict=True)}
    return values["label_map_bytes"], values["message"].decode()


def with_length(value):
    """One value of the datatype BYTES: its length in four bytes, little-endian, then the value."""
    return struct.pack("<I", len(value)) + value


def without_length(content):
    """The inverse of `with_length`."""
    (length,) = struct.unpack_from("<I", content)
    return content[4 : 4 + length]


def post(url, body, headers, timeout):
    """Headers and body of the answer; asks again until `timeout` seconds have passed, or TRIES times."""
    deadline = time.monotonic() + timeout
    for number in range(1, TRIES + 1):
        wait = random.uniform(0.5, 1) * 0.2 * 2**number  # so that many clients do not return at once
        try:
            request = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(request, timeout=max(0.1, deadline - time.monotonic())) as response:
                return response.headers, response.read(MAX_BYTES)
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.read().decode(errors='replace')[:500]}"
            if error.code not in AGAIN:
                raise RuntimeError(reason) from None
            wait = float(error.headers.get("Retry-After", wait))
        except OSError as error:  # refused, reset, or no answer in time
            reason = str(error)
        if number == TRIES or time.monotonic() + wait > deadline:
            raise RuntimeError(f"no label map after {number} tries: {reason}")
        time.sleep(wait)


def channel(address):
    """A connection for gRPC that asks again where the server is full or away, and takes large answers."""
    import grpc

    retry = {
        "maxAttempts": TRIES,
        "initialBackoff": "0.2s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": retry}]})
    options = [
        ("grpc.max_receive_message_length", MAX_BYTES),
        ("grpc.max_send_message_length", MAX_BYTES),
        ("grpc.service_config", config),
    ]
    return grpc.insecure_channel(address, options)


PROTOCOLS = {
    "tensorflow-rest": (tensorflow_rest, "localhost:8501"),
    "tensorflow-grpc": (tensorflow_grpc, "localhost:8500"),
    "v2-rest": (v2_rest, "localhost:8501"),
    "v2-grpc": (v2_grpc, "localhost:8500"),
}


def label(protocol, address, model, image, timeout=60.0):
    """The label map of an encoded image as PNG; raises a RuntimeError, or gRPC's RpcError, where there is none."""
    ask, default = PROTOCOLS[protocol]
    label_map, message = ask(address or default, model, image, timeout)
    if message:  # what is wrong with this image
        raise RuntimeError(message)
    return label_map


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("image", type=pathlib.Path, help="JPEG or PNG")
    parser.add_argument("label_map", type=pathlib.Path, help="PNG to write")
    parser.add_argument("--model", required=True)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="tensorflow-rest")
    parser.add_argument("--address", help="HOST:PORT; by default localhost, 8501 for REST and 8500 for gRPC")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds, all tries together")
    arguments = parser.parse_args()
    image = arguments.image.read_bytes()
    arguments.label_map.write_bytes(
        label(arguments.protocol, arguments.address, arguments.model, image, arguments.timeout)
    )
