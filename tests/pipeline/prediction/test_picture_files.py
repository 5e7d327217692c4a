"""Which pictures patterns, folders and paths name."""

import pathlib

import pytest

from pipeline.prediction.picture_files import picture_files


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """`here`, which is the working folder, and `there`, with a picture each."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").write_bytes(b"")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("text", ["../there", "../there/*.png", "../here/../there/there.png", "*/../../there/*.png"])
def test_a_picture_beside_the_working_folder_is_that_of_its_absolute_path(text, folders):
    assert picture_files([text], pathlib.Path("out")) == picture_files([str(folders / "there")], pathlib.Path("out"))


def test_a_folder_above_a_linked_one_is_that_of_the_file_system(folders):
    (folders / "here" / "link").symlink_to(folders / "there")
    (picture,) = picture_files(["link/../here/*.png"], pathlib.Path("out"))
    assert picture.source == folders / "here" / "here.png"


def test_no_key_leads_out_of_the_output_folder(folders):
    found = picture_files([".", "../there"], pathlib.Path("out"))
    assert [str(picture.key) for picture in found] == ["here/here", "there/there"]


def test_an_output_folder_that_holds_the_pictures_is_refused_however_it_is_written(folders):
    for output in (folders / "there", pathlib.Path("../there")):
        with pytest.raises(ValueError, match="must not contain the pictures"):
            picture_files([str(folders / "there")], output)
