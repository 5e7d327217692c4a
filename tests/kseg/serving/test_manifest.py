"""The manifest of an export is read, or named where it is damaged."""

import pytest

from kseg.serving.manifest import FILE_NAME, UNKNOWN, read_manifest


@pytest.mark.parametrize("text", ["", '{"crf": nu', "[1]", "3", "\0\0"])
def test_a_manifest_that_is_cut_off_or_junk_is_named(tmp_path, text):
    assert read_manifest(tmp_path) == UNKNOWN
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / FILE_NAME).write_text(text)
    with pytest.raises(
        ValueError, match=r"^export\.json must hold the manifest .* \[/.*/assets/export\.json\]\. Bring it"
    ):
        read_manifest(tmp_path)
