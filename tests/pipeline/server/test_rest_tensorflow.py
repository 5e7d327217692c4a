"""TensorFlow Serving's REST: the answers are the model's own, bit by bit, in rows and columns."""

import io
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from kseg import regions
from tests.pipeline.conftest import LABELS
from tests.pipeline.server.clients import b64, unb64

PATH = "/v1/models/blocks"


def test_status_and_metadata_name_the_version_and_every_signature(rest):
    state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (PATH, f"{PATH}/versions/1"):
        assert rest.json("GET", path) == (200, {"model_version_status": [state]})
    status, found = rest.json("GET", f"{PATH}/metadata")
    assert status == 200 and found["model_spec"] == {"name": "blocks", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    exported = {"serving_default", "serve_bytes", "probabilities", "network", "overlay", "from_examples"}
    added = {"palette", "localize", "confidence"}
    assert exported | added <= set(signatures)
    image = signatures["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8" and [dim["size"] for dim in image["tensor_shape"]["dim"]] == [
        "-1",
        "-1",
        "-1",
        "3",
    ]
    assert signatures["localize"]["outputs"]["region_boxes"]["dtype"] == "DT_INT32"


def test_rows_of_pixels_give_the_models_own_label_maps(rest, direct, image):
    expected = direct("serving_default", image=image[np.newaxis])
    for instances in ([image.tolist()], [{"image": image.tolist()}]):
        status, answer = rest.predict({"instances": instances})
        (row,) = answer["predictions"]
        assert status == 200
        assert np.array_equal(row["label_map"], expected["label_map"][0])
        assert np.array_equal(np.float32(row["confidence"]), expected["confidence"][0])


def test_columns_give_the_same_and_a_single_output_without_its_name(rest, direct, image):
    batch = np.stack([image, image[:, ::-1]])
    status, answer = rest.predict({"inputs": {"image": batch.tolist()}})
    assert status == 200 and np.array_equal(
        answer["outputs"]["label_map"], direct("serving_default", image=batch)["label_map"]
    )
    status, answer = rest.predict({"signature_name": "probabilities", "inputs": batch.tolist()})
    expected = direct("probabilities", image=batch)["probabilities"]
    assert status == 200 and np.array_equal(np.float32(answer["outputs"]), expected)
    status, answer = rest.predict({"signature_name": "probabilities", "instances": batch.tolist()})
    assert status == 200 and np.array_equal(np.float32(answer["predictions"]), expected)


def test_encoded_images_give_encoded_label_maps_and_one_bad_image_does_not_fail_its_batch(rest, direct, png):
    expected = direct("serve_bytes", image_bytes=[png, b"no image"])
    rows = [{"image_bytes": b64(data)} for data in (png, b"no image")]
    status, answer = rest.predict({"signature_name": "serve_bytes", "instances": rows}, f"{PATH}/versions/1:predict")
    good, bad = answer["predictions"]
    assert status == 200 and unb64(good["label_map_bytes"]) == expected["label_map_bytes"][0] != b""
    assert (good["status"], bad["status"], unb64(bad["label_map_bytes"])) == (0, 2, b"")
    assert bad["message"] == expected["message"][1].decode()


def test_a_request_whose_images_are_all_refused_is_refused_with_the_models_message(rest, direct):
    message = direct("serve_bytes", image_bytes=[b""])["message"][0].decode()
    assert message.startswith("An image must not be empty.")
    assert rest.predict({"signature_name": "serve_bytes", "inputs": [b64(b"")]}) == (400, {"error": message})


def test_palette_holds_the_same_pixels_in_the_colours_of_the_classes(rest, direct, png):
    label_map = np.asarray(Image.open(io.BytesIO(direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0])))
    _, answer = rest.predict({"signature_name": "palette", "instances": [b64(png)]})
    picture = Image.open(io.BytesIO(unb64(answer["predictions"][0]["label_map_bytes"])))
    picture.load()
    assert picture.mode == "P" and np.array_equal(np.asarray(picture), label_map)
    assert np.array_equal(np.asarray(picture.convert("RGB")), np.array(LABELS.colours, np.uint8)[label_map])


def test_localize_gives_shares_and_boxes_of_the_regions_that_kseg_finds(rest, direct, png):
    label_map = np.asarray(Image.open(io.BytesIO(direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0])))
    _, answer = rest.predict({"signature_name": "localize", "instances": [b64(png), b64(b"none")]})
    row, refused = answer["predictions"]
    found = regions.find_regions(label_map)
    assert row["num_regions"] == len(found) > 2
    listed = zip(row["region_classes"], row["region_areas"], map(tuple, row["region_boxes"]), strict=True)
    assert sorted(listed) == sorted((region.class_id, region.area, region.box) for region in found)
    assert row["region_areas"] == sorted(row["region_areas"], reverse=True)
    assert row["class_names"] == ["ground", "left", "right"]
    assert row["class_shares"] == pytest.approx(np.bincount(label_map.ravel(), minlength=3) / label_map.size)
    assert refused["status"] == 2 and refused["num_regions"] == 0 and set(refused["region_classes"]) == {-1}


def test_confidence_is_that_of_the_pixels_whatever_way_a_picture_is_turned(rest, direct, image):
    upright, turned = io.BytesIO(), io.BytesIO()
    Image.fromarray(image).save(upright, "JPEG", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    Image.fromarray(image).save(turned, "JPEG", quality=95, exif=exif)
    pixels = np.asarray(Image.open(io.BytesIO(upright.getvalue())))
    Image.new("L", (600, 600)).save(large := io.BytesIO(), "PNG")
    sent = [upright.getvalue(), turned.getvalue(), b"none", b"", upright.getvalue()[:-300], large.getvalue()]
    status, answer = rest.predict({"signature_name": "confidence", "instances": [b64(data) for data in sent]})
    assert status == 200 and [row["status"] for row in answer["predictions"]] == [0, 0, 2, 1, 3, 4]
    for row, shown in zip(answer["predictions"], (pixels, np.rot90(pixels, -1)), strict=False):
        expected = direct("serving_default", image=shown[np.newaxis])["confidence"][0]
        found = np.asarray(Image.open(io.BytesIO(unb64(row["confidence_bytes"]))))
        assert np.array_equal(found, np.rint(255 * expected))
    refused = answer["predictions"][2]
    assert unb64(refused["confidence_bytes"]) == b"" and refused["message"].startswith(
        "The content of a file must be JPEG or PNG."
    )


def test_curl_gets_the_label_map(server, direct, png, tmp_path):
    request = {"signature_name": "serve_bytes", "instances": [b64(png)]}
    (tmp_path / "request.json").write_text(json.dumps(request))
    command = ["curl", "-sS", "-d", "@request.json", f"http://{server.rest}{PATH}:predict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    expected = direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]
    assert b64(expected)["b64"] in done.stdout.decode()


def test_metrics_count_requests_by_signature_and_status(rest, png):
    rest.predict({"signature_name": "serve_bytes", "instances": [b64(png)]})
    rest.predict({"signature_name": "nothing", "instances": [b64(png)]})
    status, headers, text = rest("GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = text.decode().splitlines()
    (line,) = (
        one for one in lines if 'signature="serve_bytes",status="200"' in one and one.startswith("kseg_requests_total")
    )
    assert float(line.split()[-1]) >= 1
    assert any('signature="",status="400"' in one for one in lines) and "kseg_newest_version 1.0" in lines
