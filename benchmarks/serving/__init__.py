"""What serving costs, in five tables, each of which can be asked for alone.

    python -m benchmarks.serving [--tables parts runtimes cpu versions memory] [--model savedmodels/NAME]

"parts": CPU milliseconds of the signature `serve_bytes`, beside those of decoding, resizing, the network, resizing back with
argmax, and encoding, each alone, at 480x360 and 1280x960 pixels. "runtimes": CPU and wall milliseconds of the bare network by
TensorFlow, ONNX Runtime, OpenVINO and LiteRT, in float32, bfloat16 and 8 bits, and what `kseg serve --backend auto` chooses.
Both call all candidates in turns, and give medians.

The others are about `kseg serve`, over gRPC with encoded pictures. "cpu": CPU seconds of the server's process a request,
beside those of a bare loop that calls `serve_bytes` of the same SavedModel in a process of its own; with 1, 4 and 16 clients
that ask one picture after the other. Loop and clients take turns of `--turn` seconds until each had `--seconds`, so that what
else the machine does meets all of them. "versions": requests while a new version is pushed and rolled back, each held against
what its version answers itself. "memory": resident memory over `--requests` with pictures of mixed sizes; the first tenth, in
which pools grow, is not counted.

Without `--model`, narrow U-Nets are exported: of drawn weights at 240x176 for these three and for "runtimes"; at 240x176 and
128x96, trained for `--epochs` on generated streets, for "parts", since the label maps of drawn weights are unlike any
picture's. The number of the machine's cores and its load before the start are printed, since times depend on both.
"""
