"""What a trainer reads."""

import json
import shutil

import pytest


@pytest.fixture
def prepared(finished, tmp_path):
    """A transform artifact as a trainer reads it, and its plan."""
    folder = shutil.copytree(finished.transform, tmp_path / "transform")
    plan = json.loads((folder / "plan.json").read_text())
    plan |= {"examples": {split: len(pairs) for split, pairs in finished.small_pairs.items()}}
    plan |= {"channels": 3, "class_weights": [1.0] * 3}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder, plan
