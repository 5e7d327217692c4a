"""What `kseg serve` runs: one data plane over the versions of a model, and a thin module for each protocol over it.

The data plane (`data_plane.py`) chooses a version (`versions.py`), checks tensors (`signatures.py`) and queues (`batching.py`).
`rest_tensorflow.py` and `grpc_tensorflow.py` speak TensorFlow Serving's protocols, `rest_v2.py` and `grpc_v2.py` the Open
Inference Protocol; `web.py` holds what both REST protocols share, and `running.py` starts and stops everything.
"""
