"""The Open Inference Protocol over REST: JSON, the binary extension, and the signature that a request means."""

import base64
import json
import struct

import numpy as np
import pytest

PATH = "/v2/models/blocks"


def infer(rest, message, binary=b"", path=f"{PATH}/infer"):
    """Asks with the binary extension; returns the JSON of the answer, and its tensors as raw bytes by name."""
    head = json.dumps(message).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if binary else {}
    status, headers, body = rest("POST", path, head + binary, headers)
    length = int(headers.get("inference-header-content-length", len(body)))
    answer, place, raw = json.loads(body[:length]), length, {}
    for tensor in answer.get("outputs", ()):
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is not None:
            raw[tensor["name"]], place = body[place : place + size], place + size
    assert place == len(body)
    return status, answer, raw


def test_health_metadata_and_readiness(rest):
    assert rest.json("GET", "/v2/health/live")[0] == rest.json("GET", "/v2/health/ready")[0] == 200
    assert rest.json("GET", "/v2")[1]["extensions"] == ["binary_tensor_data"]
    for path in (PATH, f"{PATH}/versions/1"):
        assert rest.json("GET", f"{path}/ready")[0] == 200
        status, found = rest.json("GET", path)
        assert status == 200 and (found["name"], found["versions"]) == ("blocks", ["1"])
        assert found["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
        assert {tensor["name"]: tensor["datatype"] for tensor in found["outputs"]} == {
            "label_map": "UINT8",
            "confidence": "FP32",
        }
    _, found = rest.json("GET", f"{PATH}?signature=serve_bytes")
    assert found["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    assert "localize" in found["properties"]["signatures"].split(",")


def test_json_gives_the_models_own_answer(rest, direct, image):
    expected = direct("serving_default", image=image[np.newaxis])
    for data in (image.tolist(), image.ravel().tolist()):
        tensor = {"name": "image", "shape": [1, *image.shape], "datatype": "UINT8", "data": data}
        status, answer, _ = infer(rest, {"id": "7", "inputs": [tensor]})
        found = {tensor["name"]: tensor for tensor in answer["outputs"]}
        assert (status, answer["id"], answer["model_name"], answer["model_version"]) == (200, "7", "blocks", "1")
        assert found["label_map"]["shape"] == [1, *image.shape[:2]]
        assert np.array_equal(found["label_map"]["data"], expected["label_map"].ravel())
        assert np.array_equal(np.float32(found["confidence"]["data"]), expected["confidence"].ravel())


def test_binary_data_give_the_models_own_answer_and_only_what_is_asked_for(rest, direct, image):
    expected = direct("serving_default", image=image[np.newaxis])
    tensor = {"name": "image", "shape": [1, *image.shape], "datatype": "UINT8"}
    tensor["parameters"] = {"binary_data_size": image.nbytes}
    status, answer, raw = infer(rest, {"inputs": [tensor], "parameters": {"binary_data_output": True}}, image.tobytes())
    assert status == 200 and raw["label_map"] == expected["label_map"].tobytes()
    assert raw["confidence"] == expected["confidence"].tobytes()
    outputs = [{"name": "label_map", "parameters": {"binary_data": True}}]
    status, answer, raw = infer(rest, {"inputs": [tensor], "outputs": outputs}, image.tobytes())
    assert status == 200 and list(raw) == ["label_map"] == [tensor["name"] for tensor in answer["outputs"]]


@pytest.mark.parametrize("binary", [True, False])
def test_encoded_images_find_their_signature_by_their_name(binary, rest, direct, png):
    expected = direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]
    tensor = {"name": "image_bytes", "shape": [1], "datatype": "BYTES"}
    if binary:
        tensor["parameters"] = {"binary_data_size": 4 + len(png)}
        outputs = [{"name": "label_map_bytes", "parameters": {"binary_data": True}}]
        _, _, raw = infer(rest, {"inputs": [tensor], "outputs": outputs}, struct.pack("<I", len(png)) + png)
        assert raw["label_map_bytes"] == struct.pack("<I", len(expected)) + expected
    else:
        tensor |= {"parameters": {"content_type": "base64"}, "data": [base64.b64encode(png).decode()]}
        _, answer, _ = infer(rest, {"inputs": [tensor]})
        found = {tensor["name"]: tensor for tensor in answer["outputs"]}
        assert found["label_map_bytes"]["parameters"] == {"content_type": "base64"}
        assert base64.b64decode(found["label_map_bytes"]["data"][0]) == expected and found["status"]["data"] == [0]


@pytest.mark.parametrize(
    ("parameters", "outputs", "expected"),
    [
        ({}, [], {"label_map_bytes", "status", "message"}),
        ({"signature": "palette"}, [], {"label_map_bytes", "status", "message"}),
        ({}, ["class_shares"], {"class_shares"}),  # which localize alone has
        ({"signature": "localize"}, ["num_regions", "status"], {"num_regions", "status"}),
    ],
)
def test_a_parameter_or_the_outputs_choose_among_signatures_of_equal_inputs(parameters, outputs, expected, rest, png):
    tensor = {
        "name": "image_bytes",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": 4 + len(png)},
    }
    message = {"inputs": [tensor], "parameters": parameters, "outputs": [{"name": name} for name in outputs]}
    status, answer, _ = infer(rest, message, struct.pack("<I", len(png)) + png)
    assert status == 200 and {tensor["name"] for tensor in answer["outputs"]} == expected
