"""The whole line with data and models in an object store, which a server on loopback plays."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline import gc, run
from pipeline.publishing.remote import local_folder, refresh
from tests.pipeline.conftest import pair

DATA, MODELS = "s3://bucket/data/blocks", "s3://bucket/models"
NETWORK = ("trainer.filters=4,8", "trainer.precision=float32", "evaluator.min_gain=-1", "evaluator.margin=none")


@pytest.fixture
def blocks(s3, tmp_path):
    """Twelve pairs of blocks in the bucket, at DATA."""
    for number in range(12):
        for side, pixels in zip(("images", "masks"), pair(number), strict=True):
            file = tmp_path / f"{side}.png"
            Image.fromarray(np.where(pixels == 255, 0, pixels) if side == "masks" else pixels).save(file)
            split = ("train", "train", "train", "validation", "test", "test")[number % 6]
            s3.put_file(str(file), f"bucket/data/blocks/{side}/{split}/{number}.png")
    table = b"value,name,red,green,blue\n0,ground,90,90,90\n1,left,220,60,50\n2,right,50,90,220\n"
    s3.pipe_file("bucket/data/blocks/classes.csv", table)
    return s3


def line(root, *arguments):
    argv = ["--data", DATA, "--push-to", MODELS, "--root", str(root), "--model", "unet", "--image-size", "32x24"]
    argv += ["--batch-size", "2", "--adversarial-weight", "0", *(f"--set={setting}" for setting in NETWORK)]
    return run.main([*argv, *arguments, "--", "--direct_num_workers=1"])


def versions(s3):
    """Names of the files of each version in the bucket."""
    found = {}
    for name in s3.find("bucket/models/blocks"):
        if match := re.fullmatch(r"bucket/models/blocks/([^/]+)/(.+)", name):
            found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_data_in_s3_to_versions_in_s3_with_cache_rollback_and_gc(blocks, tmp_path, capsys, caplog):
    import tensorflow as tf

    # The first push: the layout of TensorFlow Serving, the graph last; what is printed and written names URLs.
    root = tmp_path / "runs"
    caplog.set_level("INFO", logger="werkzeug")
    assert line(root, "--epochs", "1") == 0
    output = capsys.readouterr().out
    assert f"{MODELS}/blocks/1" in output and ".objects" not in output
    assert versions(blocks)["1"] >= {
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "assets/labels.json",
        "assets.extra/lineage.json",
        "assets.extra/tf_serving_warmup_requests",
        "contents.json",
        "model_card.md",
    }
    puts = [record.getMessage().split(" ")[6] for record in caplog.records if '"PUT ' in record.getMessage()]
    assert [put for put in puts if "/blocks/1/" in put][-1] == "/bucket/models/blocks/1/saved_model.pb"
    lineage = json.loads(blocks.cat_file("bucket/models/blocks/1/assets.extra/lineage.json"))
    assert lineage["data"]["place"] == DATA
    page = (root / "report-blocks.html").read_text()
    assert f"Read from {DATA}." in page and f"aws s3 sync {MODELS}/blocks blocks" in page
    pushed = json.loads(next(root.glob("pusher/*/pushed.json")).read_text())
    assert (pushed["target"], pushed["version"]) == (MODELS, 1)
    for text in (json.dumps(lineage), page, *(file.read_text() for file in root.glob("*/*/*.json"))):
        assert "secret" not in text

    # What the bucket holds loads and answers.
    model = tf.saved_model.load(str(refresh(MODELS, tmp_path / "elsewhere", "blocks") / "blocks" / "1"))
    answer = model.signatures["serving_default"](image=tf.zeros((1, 40, 56, 3), tf.uint8))
    assert answer["label_map"].shape == (1, 40, 56)

    # Again: cached; on a machine that has the results and no copies as well.
    shutil.rmtree(root / ".objects")
    assert line(root, "--epochs", "1") == 0
    output = capsys.readouterr().out
    assert "pusher              cached" in output and set(versions(blocks)) == {"1"}

    # Another model is compared with the one in the bucket, and pushed; a rollback takes it away again.
    assert line(root, "--epochs", "2", "--set", "evaluator.margin=1") == 0
    assert set(versions(blocks)) == {"1", "2"}
    newest = max(root.glob("evaluator/*/scores.json"), key=lambda file: file.stat().st_mtime)
    assert json.loads(newest.read_text())["baseline"]["version"] == "1"
    capsys.readouterr()
    assert line(root, "--rollback") == 0
    assert f"rolled back   {MODELS}/blocks/rolled_back-2\nnewest        {MODELS}/blocks/1" in capsys.readouterr().out
    assert set(versions(blocks)) == {"1", "rolled_back-2"}
    assert line(root, "--epochs", "2", "--set", "evaluator.margin=1") == run.NOT_BLESSED
    assert f"Received: the model of {MODELS}/blocks/rolled_back-2" in capsys.readouterr().out

    # A version that was damaged in the bucket is pushed again.
    blocks.rm_file("bucket/models/blocks/1/variables/variables.index")
    assert line(root, "--epochs", "1") == 0
    assert set(versions(blocks)) == {"1", "3", "rolled_back-2"}

    # What no model in the bucket needs is removed, and nothing else.
    capsys.readouterr()
    blocks.rm("bucket/models/blocks/rolled_back-2", recursive=True)
    shutil.rmtree(local_folder(MODELS, root).parent)
    assert gc.main(["--root", str(root), "--push-to", MODELS, "--delete", "--delete"]) == 0
    assert f"that no model in {MODELS} needs" in capsys.readouterr().out
    assert len(list(root.glob("trainer/*"))) == 1
    assert line(root, "--epochs", "1") == 0
    assert "trainer             cached" in capsys.readouterr().out
