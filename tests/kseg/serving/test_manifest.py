"""The manifest of an export is read, or named where it is damaged."""

import pytest

from kseg.serving.manifest import FILE_NAME, UNKNOWN, has_seen, manifest_json, read_manifest


@pytest.mark.parametrize("text", ["", '{"crf": nu', "[1]", "3", "\0\0"])
def test_a_manifest_that_is_cut_off_or_junk_is_named(tmp_path, text):
    assert read_manifest(tmp_path) == UNKNOWN
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / FILE_NAME).write_text(text)
    with pytest.raises(
        ValueError, match=r"^export\.json must hold the manifest .* \[/.*/assets/export\.json\]\. Bring it"
    ):
        read_manifest(tmp_path)


def test_pretrained_weights_and_splits_beside_train_stand_in_the_manifest_where_there_were_any(tmp_path):
    arguments = {
        "image_size": (24, 32),
        "image_scale": None,
        "image_range": None,
        "dtype": "uint8",
        "normalization": None,
        "flips": (),
        "rotations": (0,),
        "tiles": False,
        "crf": None,
    }
    arguments |= {"max_pixels": 100, "score_memory": 1.0, "strict": False}
    (tmp_path / "assets").mkdir()
    for pretrained in (None, {"encoder": "vgg16", "licence": None}):
        (tmp_path / "assets" / FILE_NAME).write_text(manifest_json(**arguments, pretrained=pretrained))
        assert read_manifest(tmp_path).get("pretrained") == pretrained
        assert [has_seen(read_manifest(tmp_path), split) for split in ("train", "validation")] == [True, False]
    both = ("train", "validation")
    (tmp_path / "assets" / FILE_NAME).write_text(manifest_json(**arguments, trained_on=both))
    assert [has_seen(read_manifest(tmp_path), split) for split in (*both, "test")] == [True, True, False]
