"""What counts as a version: folders with a plain number for a name that hold a model; all else is named and left alone."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest

from pipeline.publishing import entries, versions

HIGHEST = 2**63 - 1


@pytest.fixture
def saved_model(tmp_path):
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "saved_model" / "variables" / "variables.index").write_bytes(b"index")
    return tmp_path / "saved_model"


@pytest.fixture
def folder(tmp_path, saved_model):
    """Of a model with the versions 1 and 2, whose fingerprints are "a" and "b"."""
    for fingerprint in ("a", "b"):
        versions.publish(saved_model, tmp_path / "streets", {"fingerprint": fingerprint})
    return tmp_path / "streets"


def make(place: pathlib.Path, kind: str):
    """An entry that holds no model, of one kind."""
    if kind == "file":
        place.write_bytes(b"graph")
    elif kind == "link to nothing":
        place.symlink_to("nowhere")
    elif kind == "link to itself":
        place.symlink_to(place.name)
    elif kind == "link to a file":
        place.symlink_to(".last_version")
    else:
        place.mkdir()
        if kind == "half":
            (place / "half.pb").write_bytes(b"")
        elif kind == "empty graph":
            (place / "saved_model.pb").write_bytes(b"")
        elif kind == "folder as graph":
            (place / "saved_model.pb").mkdir()


NO_MODEL = {
    "empty": "it is empty",
    "file": "it is not a folder",
    "half": "it has no saved_model.pb, or an empty one",
    "empty graph": "it has no saved_model.pb, or an empty one",
    "folder as graph": "it has no saved_model.pb, or an empty one",
    "link to nothing": "it is a link to nothing",
    "link to itself": "it ",
    "link to a file": "it is not a folder",
}


@pytest.mark.parametrize("kind", NO_MODEL)
@pytest.mark.parametrize("number", ["0", "7"])
def test_an_entry_without_a_model_is_named_never_compared_with_and_never_moved(folder, saved_model, number, kind):
    make(folder / number, kind)
    (message,) = entries.describe_faults(folder)
    assert message.startswith(
        f"A version must be a folder that holds a model as it was pushed. Received: {folder / number} [{NO_MODEL[kind]}"
    )
    assert entries.list_versions(folder) == [1, 2]
    assert entries.newest_other_version(folder, "c") == folder / "2"

    assert versions.roll_back(folder) == (folder / "rolled_back-2", 1)
    with pytest.raises(ValueError, match="must be an earlier version"):
        versions.roll_back(folder)
    assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == (8 if number == "7" else 3)
    versions.prune(folder, 1)
    assert os.path.lexists(folder / number)
    assert entries.list_versions(folder) == [8 if number == "7" else 3]


@pytest.mark.parametrize("name", ["007", "+7", "-7", " 7", "\N{ARABIC-INDIC DIGIT SEVEN}", "\N{FULLWIDTH DIGIT SEVEN}"])
def test_a_model_under_another_spelling_of_a_number_is_named_and_new_versions_lie_above_it(folder, saved_model, name):
    shutil.copytree(folder / "2", folder / name)
    (message,) = entries.describe_faults(folder)
    assert f"Received: {folder / name} [its name is not written as a version's, such as 7]" in message
    assert entries.list_versions(folder) == [1, 2]
    assert entries.newest_other_version(folder, "c") == folder / "2"
    assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == (3 if name == "-7" else 8)
    assert (folder / name / "saved_model.pb").is_file()


@pytest.mark.parametrize(
    "name", ["7.5", "7e1", "0x7", "7_0", "\N{SUPERSCRIPT TWO}", "rolled_back-7", ".removed-7", "seven"]
)
def test_an_entry_whose_name_is_no_number_is_nothing_to_a_server(folder, saved_model, name):
    (folder / name).mkdir()
    assert entries.describe_faults(folder) == []
    assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == (8 if name == "rolled_back-7" else 3)


def test_a_version_may_be_a_link_and_is_pruned_without_its_target(folder, saved_model, tmp_path):
    shutil.move(folder / "2", tmp_path / "elsewhere")
    (folder / "2").symlink_to(tmp_path / "elsewhere")
    assert entries.list_versions(folder) == [1, 2]
    assert entries.newest_other_version(folder, "c") == folder / "2"
    versions.publish(saved_model, folder, {"fingerprint": "c"})
    assert versions.prune(folder, 1) == [1, 2]
    assert entries.list_versions(folder) == [3]
    assert (tmp_path / "elsewhere" / "saved_model.pb").is_file()


def test_a_folder_that_may_not_be_read_is_named(saved_model):
    if os.geteuid():
        pytest.skip("only root can become somebody who may not read")
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place, "streets")
        os.chmod(place, 0o755)
        versions.publish(saved_model, folder, {"fingerprint": "a"})
        (folder / "7").mkdir(0o000)
        os.seteuid(65534)
        try:
            (message,) = entries.describe_faults(folder)
            found = entries.list_versions(folder)
        finally:
            os.seteuid(0)
    assert f"Received: {folder / '7'} [it cannot be read: Permission denied]" in message
    assert found == [1]


@pytest.mark.parametrize("number", [HIGHEST, HIGHEST - 1])
def test_a_version_above_the_highest_number_that_servers_read_is_refused(folder, saved_model, number):
    (folder / str(number)).mkdir()
    if number < HIGHEST:
        assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == HIGHEST
    (folder / ".last_version").unlink()
    with pytest.raises(
        ValueError, match=f"numbers? that servers can read, at most {HIGHEST}. Received: {HIGHEST} is taken"
    ):
        versions.publish(saved_model, folder, {"fingerprint": "d"})
    assert not (folder / str(HIGHEST + 1)).exists() and not (folder / ".incoming").exists()


@pytest.mark.parametrize("number", [HIGHEST + 1, 10**40])
def test_a_number_that_servers_cannot_read_is_named_and_does_not_count(folder, saved_model, number):
    shutil.copytree(folder / "2", folder / str(number))
    (message,) = entries.describe_faults(folder)
    assert f"[its number is above {HIGHEST}, the highest that servers read]" in message
    assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == 3


@pytest.mark.parametrize("damaged", ["", '{"finger', "[]", "null", "7", '{"fingerprint": 7}', "\0", b"\xff\xfe"])
def test_a_model_whose_lineage_is_damaged_stays_a_version_and_is_compared_with(folder, saved_model, damaged):
    lineage = folder / "2" / entries.LINEAGE
    lineage.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    assert entries.read_fingerprint(folder / "2") is None
    assert entries.newest_other_version(folder, "c") == folder / "2"
    assert versions.prune(folder, 1) == []
    assert versions.roll_back(folder) == (folder / "rolled_back-2", 1)
    assert entries.find_rolled_back(folder, "b") is None
    assert versions.publish(saved_model, folder, {"fingerprint": "c"}) == 3


def cut(version):
    (version / "variables" / "variables.index").write_bytes(b"ind")
    return "variables/variables.index: 3 bytes instead of 5"


def edit(version):
    (version / "saved_model.pb").write_bytes(b"grape")
    return "saved_model.pb: other bytes than were written"


def lose(version):
    (version / "variables" / "variables.index").unlink()
    return "variables/variables.index: missing"


@pytest.mark.parametrize("damage", [cut, edit, lose])
def test_a_version_whose_files_differ_from_those_pushed_is_named_and_never_compared_with_or_rolled_back_to(
    folder, saved_model, damage
):
    what = damage(folder / "2")
    (message,) = entries.describe_faults(folder)
    assert f"Received: {folder / '2'} [{what}]" in message
    assert entries.newest_other_version(folder, "c") == folder / "1"
    versions.publish(saved_model, folder, {"fingerprint": "c"})
    assert versions.roll_back(folder) == (folder / "rolled_back-3", 1)
    assert versions.roll_back(folder) == (folder / "rolled_back-2", 1)


def test_an_emptied_version_of_ours_is_rolled_back_and_not_the_one_before_it(folder):
    (folder / "2" / "saved_model.pb").unlink()
    assert versions.roll_back(folder) == (folder / "rolled_back-2", 1)
    assert entries.list_versions(folder) == [1]


def test_a_version_from_before_manifests_stays_one(folder):
    (folder / "2" / "contents.json").unlink()
    (folder / "2" / "saved_model.pb").write_bytes(b"whatever")
    assert entries.describe_faults(folder) == []
    assert entries.newest_other_version(folder, "c") == folder / "2"


def test_what_a_server_adds_is_no_damage(folder):
    (folder / "2" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"x")
    assert entries.describe_faults(folder) == []
    assert json.loads((folder / "2" / "contents.json").read_text())["files"].keys() == {
        "saved_model.pb",
        "variables/variables.index",
        entries.LINEAGE.as_posix(),
    }


def test_a_damaged_version_is_not_predicted_with(folder):
    for number in ("1", "2"):
        (folder / number / "assets").mkdir()
        (folder / number / "assets" / "labels.json").write_text("{}")
    assert versions.find_saved_model(str(folder)) == folder / "2"
    what = cut(folder / "2")
    with pytest.raises(ValueError, match="`--model` must be as it was pushed") as raised:
        versions.find_saved_model(str(folder))
    assert f"Received: {folder / '2'} [{what}]" in str(raised.value)
    assert versions.find_saved_model(str(folder / "1")) == folder / "1"


def test_what_is_near_a_model_is_named_where_none_is(folder, tmp_path):
    for place, cure in (
        (
            folder.parent,
            rf"where there is no saved_model\.pb\. Name one of the models in it, such as {folder.parent}/\w+\.",
        ),
        (folder / "2" / "saved_model.pb", rf"which is a file\. Name its folder, {folder / '2'}\."),
        (tmp_path / "nothing", r"pushes one to savedmodels/NAME\."),
    ):
        with pytest.raises(ValueError, match=rf"--model {place}, .*{cure}$"):
            versions.find_saved_model(str(place))
