"""Which artifacts and which pretrained weights the model came from, and the settings."""

from __future__ import annotations

import json

from pipeline.engine.files import read_json
from pipeline.report.run_files import Run


def contents(run: Run) -> dict:
    """The variables of `provenance.html.j2`."""
    recipes = {name: read_json(folder / "recipe.json", None) for name, folder in run.artifacts.items()}
    settings = {name: recipe["config"] for name, recipe in recipes.items() if recipe}  # none without a store
    rows = [
        {"component": name, "fingerprint": folder.name, "path": str(folder)} for name, folder in run.artifacts.items()
    ]
    pretrained = run.training.get("pretrained")
    return {"lineage": rows, "settings": json.dumps(settings, indent=1), "pretrained": pretrained}
