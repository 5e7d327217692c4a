"""A folder is held against the sizes and digests that were recorded when it was published."""

import hashlib
import json

import pytest

from pipeline.engine.contents import MANIFEST, damage, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "data").write_bytes(b"0123456789")
    (tmp_path / "scores.json").write_text('{"mean_iou": 0.31}')
    write_manifest(tmp_path)
    return tmp_path


def test_the_manifest_holds_size_and_digest_of_every_file_but_itself(folder):
    write_manifest(folder)  # again: it does not list itself
    files = json.loads((folder / MANIFEST).read_text())["files"]
    assert sorted(files) == ["scores.json", "variables/data"]
    assert files["variables/data"] == {"bytes": 10, "sha256": hashlib.sha256(b"0123456789").hexdigest()}
    assert damage(folder) == damage(folder, digests=False) == []


@pytest.mark.parametrize("digests", [True, False])
def test_cut_missing_and_replaced_files_are_named(folder, digests):
    (folder / "variables" / "data").write_bytes(b"01234")
    assert damage(folder, digests=digests) == ["variables/data: 5 bytes instead of 10"]
    (folder / "variables" / "data").unlink()
    assert damage(folder, digests=digests) == ["variables/data: missing"]
    (folder / "variables" / "data").mkdir()
    assert damage(folder, digests=digests) == ["variables/data: missing"]


def test_other_bytes_of_the_same_number_are_seen_by_digests_and_in_json_always(folder):
    (folder / "variables" / "data").write_bytes(b"0" * 10)
    assert damage(folder) == ["variables/data: other bytes than were written"]
    assert damage(folder, digests=False) == []
    (folder / "scores.json").write_text('{"mean_iou": 0.91}')
    assert damage(folder, digests=False) == ["scores.json: other bytes than were written"]


@pytest.mark.parametrize("text", ["", '{"files": ', "[]", "null", '{"files": {"a": 1}}', "\0" * 20])
def test_a_manifest_that_is_lost_or_spoilt_is_damage_itself(folder, text):
    (folder / MANIFEST).write_text(text)
    assert damage(folder) == ["contents.json: not a list of files"]
    (folder / MANIFEST).unlink()
    assert damage(folder) == ["contents.json: missing"]


def test_files_that_were_added_later_are_no_damage(folder):
    (folder / "assets.extra").mkdir()
    (folder / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"x")
    assert damage(folder) == []
