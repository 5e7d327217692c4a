"""How to look further, and how to serve the model."""

from __future__ import annotations

import pathlib
import shlex

from pipeline.engine.urls import is_url
from pipeline.report.run_files import Run


def contents(run: Run) -> dict:
    """The variables of `usage.html.j2`."""
    logs = run.artifacts["trainer"] / "logs"
    commands = [("Curves and pictures of every epoch", f"tensorboard --logdir {shlex.quote(str(logs))}")]
    if run.pushed["pushed"]:
        commands += _serving(run.name, run.pushed)
    return {"commands": commands, "pushed": run.pushed}


def _serving(name: str, pushed: dict) -> list[tuple[str, str]]:
    """(purpose, command) of each way to use the pushed version."""
    fetch = []
    if is_url(pushed["target"]):  # it is on no disk
        place = f"{pushed['target']}/{name}"
        command = "aws s3 sync" if place.startswith("s3:") else "gcloud storage rsync --recursive"
        fetch = [("To this disk", f"{command} {shlex.quote(place)} {shlex.quote(name)}")]
        folder, mount = pathlib.Path(name), f'"$PWD"/{shlex.quote(name)}:/models/{name}:ro'
    else:
        folder = pathlib.Path(pushed["target"]).resolve() / name
        mount = shlex.quote(f"{folder}:/models/{name}:ro")
    load = (
        "import tensorflow as tf\n\n"
        f"model = tf.saved_model.load({str(folder / str(pushed['version']))!r})\n"
        'image_bytes = tf.io.read_file("photo.jpg")[tf.newaxis]\n'
        'outputs = model.signatures["serve_bytes"](image_bytes=image_bytes)\n'
        'label_map = tf.io.decode_png(outputs["label_map_bytes"][0])[..., 0]  # (H, W) class ids'
    )
    serve = f"docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={name} \\\n  -v {mount} tensorflow/serving"
    request = (
        """(printf '{"signature_name": "serve_bytes", "instances": [{"image_bytes": {"b64": "'\n"""
        """ base64 -w0 photo.jpg\n"""
        """ printf '"}}]}') |\n"""
        f"""  curl -s -d @- http://localhost:8501/v1/models/{name}:predict |\n"""
        """  python3 -c 'import json, sys; row = json.load(sys.stdin)["predictions"][0]\n"""
        """sys.exit(row.get("message") or print(row.get("label_map_bytes", row)["b64"]))' |\n"""
        """  base64 -d > label_map.png"""
    )
    return [*fetch, ("In Python, without kseg", load), ("As a server", serve), ("A request over REST", request)]
