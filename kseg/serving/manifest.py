"""What an export says about itself, in `assets/export.json` beside its classes. Standard library only.

    {"image_size": [height, width], "flips": [], "rotations": [0], "tiles": false, "crf": null}

`flips` and `rotations` are the views whose answers are averaged; `crf` holds the settings of the DenseCRF that the export refines
its answers with, or null. Whoever refines a model's answers reads it first: what refines itself would be refined twice.
"""

from __future__ import annotations

import json
import pathlib

FILE_NAME = "export.json"


def read_manifest(path) -> dict:
    """What the export at `path` was made with: "image_size" [height, width] in pixels, "flips", "rotations", "tiles" and "crf".

    Exports from before there was such a file, and SavedModels of others, refine nothing as far as is known: their size is None.

    Args:
        path: folder of a SavedModel.
    """
    file = pathlib.Path(path) / "assets" / FILE_NAME
    if not file.is_file():
        return {"image_size": None, "flips": [], "rotations": [0], "tiles": False, "crf": None}
    return json.loads(file.read_text(encoding="utf-8"))
