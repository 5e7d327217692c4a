"""Asks a server by the unmodified `tensorflow-serving-api`, in a process of its own; run by a test.

usage: tensorflow_client.py grpc ADDRESS FOLDER: answers each NAME.jpg, NAME.png and NAME.npy there by NAME.SUFFIX.answer.
"""

import pathlib
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_, address, folder = sys.argv[1:]
stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))


def ask(signature, output, **arrays):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "clients", signature
    for name, array in arrays.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return tf.make_ndarray(stub.Predict(request, timeout=60).outputs[output])[0]


for path in sorted(pathlib.Path(folder).glob("*.[jpn]*")):
    if path.suffix == ".npy":
        found = ask("serving_default", "label_map", image=np.load(path)[np.newaxis]).tobytes()
    else:
        found = ask("serve_bytes", "label_map_bytes", image_bytes=[path.read_bytes()])
    path.with_name(f"{path.name}.answer").write_bytes(found)
