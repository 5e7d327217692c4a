"""Asks a server by the unmodified `tensorflow-serving-api`, in a process of its own; run by a test.

usage: tensorflow_client.py ADDRESS IMAGE OUTPUT: writes label map, confidence and encoded label map to OUTPUT (.npz).
"""

import pathlib
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

address, image_path, output = sys.argv[1:]
stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))


def ask(signature, **arrays):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "blocks", signature
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    outputs = stub.Predict(request, timeout=60).outputs
    return {name: tf.make_ndarray(value) for name, value in outputs.items()}


found = ask("serving_default", image=np.load(image_path)[np.newaxis])
data = pathlib.Path(image_path).with_suffix(".png").read_bytes()
png = np.frombuffer(ask("serve_bytes", image_bytes=[data])["label_map_bytes"][0], np.uint8)
np.savez(output, png=png, **found)
