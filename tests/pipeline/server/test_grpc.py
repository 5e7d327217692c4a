"""Both gRPC protocols, by their published stubs: the answers are the model's own, bit by bit, and errors have statuses."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from open_inference.grpc import protocol, service
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def inference(channel):
    return service.GRPCInferenceServiceStub(channel)


def predict_request(signature="", name="blocks", version=None, outputs=(), **arrays):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if version is not None:
        request.model_spec.version.value = version
    for key, array in arrays.items():
        request.inputs[key].CopyFrom(
            array if isinstance(array, tf.make_tensor_proto(1).__class__) else tf.make_tensor_proto(array)
        )
    return request


@pytest.mark.parametrize("signature", ["serving_default", "probabilities"])
def test_predict_of_pixels(signature, prediction, direct, image):
    expected = direct(signature, image=image[np.newaxis])
    response = prediction.Predict(predict_request(signature, image=image[np.newaxis]))
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (1, signature)
    assert set(response.outputs) == set(expected)
    for name, array in expected.items():
        assert np.array_equal(tf.make_ndarray(response.outputs[name]), array)


def test_predict_of_bytes_and_an_output_filter(prediction, direct, png):
    expected = direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]
    response = prediction.Predict(predict_request("serve_bytes", outputs=["label_map_bytes"], image_bytes=[png]))
    assert (
        list(response.outputs) == ["label_map_bytes"] and response.outputs["label_map_bytes"].string_val[0] == expected
    )


def test_metadata_and_status(prediction, channel):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "blocks"
    response = prediction.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) > {"serving_default", "serve_bytes", "localize"}
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "blocks"
    (state,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert (state.version, state.State.Name(state.state)) == (1, "AVAILABLE")


def infer_request(datatype, array, name="image", raw=True, **options):
    request = protocol.ModelInferRequest(model_name="blocks", **options)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=np.shape(array))
    if not raw:
        field = tensor.contents.uint_contents if datatype == "UINT8" else tensor.contents.bytes_contents
        field.extend(np.ravel(array).tolist())
    elif datatype == "BYTES":
        request.raw_input_contents.append(b"".join(len(value).to_bytes(4, "little") + value for value in array))
    else:
        request.raw_input_contents.append(array.tobytes())
    return request


@pytest.mark.parametrize("raw", [True, False])
def test_infer_of_pixels(raw, inference, direct, image):
    expected = direct("serving_default", image=image[np.newaxis])
    response = inference.ModelInfer(infer_request("UINT8", image[np.newaxis], raw=raw, id="5"))
    found = dict(zip((tensor.name for tensor in response.outputs), response.raw_output_contents, strict=True))
    assert (response.id, response.model_version) == ("5", "1")
    assert found == {name: array.tobytes() for name, array in expected.items()}


@pytest.mark.parametrize("raw", [True, False])
def test_infer_of_bytes(raw, inference, direct, png):
    expected = direct("serve_bytes", image_bytes=[png])["label_map_bytes"][0]
    request = infer_request("BYTES", [png], name="image_bytes", raw=raw)
    request.outputs.add(name="label_map_bytes")
    (found,) = inference.ModelInfer(request).raw_output_contents
    assert found == len(expected).to_bytes(4, "little") + expected


def test_a_parameter_names_a_signature(inference, png):
    request = infer_request("BYTES", [png], name="image_bytes")
    request.parameters["signature"].string_param = "localize"
    assert "region_boxes" in {tensor.name for tensor in inference.ModelInfer(request).outputs}


def test_health_and_metadata(inference):
    assert inference.ServerLive(protocol.ServerLiveRequest()).live
    assert inference.ServerReady(protocol.ServerReadyRequest()).ready
    assert inference.ModelReady(protocol.ModelReadyRequest(name="blocks")).ready
    found = inference.ModelMetadata(protocol.ModelMetadataRequest(name="blocks", version="1"))
    assert found.inputs[0].name == "image" and list(found.inputs[0].shape) == [-1, -1, -1, 3]


def test_a_deadline_that_passes_in_the_queue_is_told(prediction, server, image):
    with pytest.raises(grpc.RpcError) as error:
        prediction.Predict(predict_request(image=image[np.newaxis]), timeout=1e-4)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert prediction.Predict(predict_request(image=image[np.newaxis])).outputs


def test_simultaneous_requests_get_each_its_own_answer(prediction, direct, image):
    images = [np.roll(image, 5 * number, axis=1) for number in range(24)]
    calls = [prediction.Predict.future(predict_request(image=one[np.newaxis])) for one in images]
    for one, call in zip(images, calls, strict=True):
        found = tf.make_ndarray(call.result(60).outputs["label_map"])
        assert np.array_equal(found, direct("serving_default", image=one[np.newaxis])["label_map"])
