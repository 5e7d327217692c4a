"""The local copy of a place in an object store: what is fetched and removed, what an interrupted run leaves, what is refused."""

import os
import shutil

import pytest

from pipeline.storage import fetching
from pipeline.storage.copies import copy_of, url_of
from pipeline.storage.fetching import bring_data

URL = "memory://bucket/photos"


@pytest.fixture
def photos(memory):
    """An object store with three objects below URL, and others beside."""
    for name, content in {
        "images/a.png": b"a",
        "images/b.png": b"bb",
        "masks/a.png": b"",
        "../photos2/c.png": b"c",
    }.items():
        memory.pipe_file(os.path.normpath(f"/bucket/photos/{name}"), content)
    return memory


@pytest.fixture
def fetched(photos, monkeypatch):
    """Names of the objects that were fetched since the last look."""
    names, get = [], type(photos).get_file
    monkeypatch.setattr(type(photos), "get_file", lambda self, key, *rest: names.append(key) or get(self, key, *rest))

    def take():
        found = sorted(name.removeprefix("/bucket/photos/") for name in names)
        names.clear()
        return found

    return take


def content(copy):
    return {path.relative_to(copy).as_posix(): path.read_bytes() for path in copy.rglob("*") if path.is_file()}


def test_the_copy_has_the_names_and_bytes_of_the_objects_below_the_folder_alone(photos, tmp_path):
    copy = bring_data(URL, tmp_path)
    assert content(copy) == {"images/a.png": b"a", "images/b.png": b"bb", "masks/a.png": b""}
    assert url_of(copy / "images" / "a.png") == f"{URL}/images/a.png" and url_of(copy) == URL
    assert url_of(tmp_path) is None
    assert [path.name for path in copy.parent.iterdir() if path.name == "partial"] == []


def test_what_changed_is_fetched_again_and_nothing_else(photos, fetched, tmp_path):
    copy = bring_data(URL, tmp_path)
    assert fetched() == ["images/a.png", "images/b.png", "masks/a.png"]
    bring_data(URL, tmp_path)
    assert fetched() == []
    photos.pipe_file("/bucket/photos/images/b.png", b"BB")  # of the same size
    photos.pipe_file("/bucket/photos/images/new.png", b"new")
    bring_data(URL, tmp_path)
    assert fetched() == ["images/b.png", "images/new.png"]
    assert content(copy)["images/b.png"] == b"BB"


def test_what_is_gone_is_removed_with_its_folder_and_a_folder_may_become_a_file(photos, tmp_path):
    copy = bring_data(URL, tmp_path)
    photos.rm_file("/bucket/photos/masks/a.png")
    bring_data(URL, tmp_path)
    assert not (copy / "masks").exists()
    for name in ("a.png", "b.png"):
        photos.rm_file(f"/bucket/photos/images/{name}")
    photos.pipe_file("/bucket/photos/images", b"a file now")
    bring_data(URL, tmp_path)
    assert content(copy) == {"images": b"a file now"}


def test_a_file_of_the_copy_that_was_edited_removed_or_added_is_put_right(photos, fetched, tmp_path):
    copy = bring_data(URL, tmp_path)
    fetched()
    (copy / "images" / "a.png").write_bytes(b"edited")
    (copy / "images" / "b.png").unlink()
    (copy / "mine.txt").write_text("mine")
    bring_data(URL, tmp_path)
    assert fetched() == ["images/a.png", "images/b.png"] and "mine.txt" not in content(copy)


def test_a_damaged_file_that_looks_untouched_is_found_where_everything_is_read_anew(photos, fetched, tmp_path):
    file = bring_data(URL, tmp_path) / "images" / "a.png"
    before = file.stat().st_mtime_ns
    file.write_bytes(b"x")
    os.utime(file, ns=(before, before))
    fetched()
    bring_data(URL, tmp_path)
    assert fetched() == []
    bring_data(URL, tmp_path, anew=True)
    assert fetched() == ["images/a.png"] and file.read_bytes() == b"a"


def test_an_interrupted_run_leaves_whole_files_which_the_next_one_does_not_fetch_again(
    photos, fetched, tmp_path, monkeypatch
):
    get = type(photos).get_file

    def stop_at_b(self, key, file, *rest):
        if key.endswith("b.png"):
            with open(file, "wb") as unfinished:
                unfinished.write(b"b")  # half of it
            raise KeyboardInterrupt
        get(self, key, file, *rest)

    monkeypatch.setattr(fetching, "THREADS", 1)
    with monkeypatch.context() as patch:
        patch.setattr(type(photos), "get_file", stop_at_b)
        with pytest.raises(KeyboardInterrupt):
            bring_data(URL, tmp_path)
    copy = copy_of(URL, tmp_path)
    assert "images/b.png" not in content(copy) and not (copy.parent / "partial").exists()
    before = set(content(copy))
    fetched()
    bring_data(URL, tmp_path)
    assert set(fetched()) == {"images/a.png", "images/b.png", "masks/a.png"} - before and before


def test_what_a_killed_run_left_unfinished_is_removed(photos, tmp_path):
    copy = copy_of(URL, tmp_path)
    (copy.parent / "partial").mkdir(parents=True)
    (copy.parent / "partial" / "0f").write_bytes(b"half")
    bring_data(URL, tmp_path)
    assert not (copy.parent / "partial").exists() and len(content(copy)) == 3


def test_a_spoilt_record_costs_time_and_nothing_else(photos, fetched, tmp_path):
    copy = bring_data(URL, tmp_path)
    for spoilt in (b"", b"[]", b'{"objects": 3}', b'{"objects": {"images/a.png": 1}}', b"\xff"):
        (copy.parent / "record.json").write_bytes(spoilt)
        fetched()
        assert len(content(bring_data(URL, tmp_path))) == 3 and len(fetched()) == 3


def test_an_object_that_is_replaced_while_it_is_fetched_is_fetched_again(photos, tmp_path, monkeypatch):
    get, replaced = type(photos).get_file, []

    def replace(self, key, file, *rest):
        get(self, key, file, *rest)
        if key.endswith("a.png") and not replaced:
            replaced.append(key)
            self.pipe_file(key, b"A")

    monkeypatch.setattr(type(photos), "get_file", replace)
    copy = bring_data(URL, tmp_path)
    assert (copy.parent / "files" / replaced[0].removeprefix("/bucket/photos/")).read_bytes() == b"A"


def test_data_that_change_all_the_time_are_refused(photos, tmp_path, monkeypatch):
    get = type(photos).get_file

    def replace(self, key, file, *rest):
        get(self, key, file, *rest)
        self.pipe_file(key, os.urandom(4))

    monkeypatch.setattr(type(photos), "get_file", replace)
    with pytest.raises(
        ValueError, match=r"Data must not change while they are fetched\. Received: 3 objects below --data"
    ):
        bring_data(URL, tmp_path)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../escape.png", "a name is .."),
        ("images/../../escape.png", "a name is .."),
        ("./a.png", "a name is ."),
        ("/absolute.png", "a name is empty"),
        ("images//a.png", "a name is empty"),
        ("..\\escape.png", "a name holds a backslash"),
        ("a\0.png", "a name holds a null character"),
        (f"{'n' * 256}.png", "a name has more than 255 bytes"),
    ],
)
def test_a_name_that_leads_out_of_the_folder_or_that_no_file_can_have_is_refused_and_nothing_is_written(
    photos, tmp_path, monkeypatch, name, fault
):
    photos.pipe_file("/bucket/photos/good.png", b"good")
    listed = photos.find("/bucket/photos", detail=True) | {f"/bucket/photos/{name}": {"size": 1, "type": "file"}}
    monkeypatch.setattr(type(photos), "find", lambda self, *args, **options: listed)
    with pytest.raises(
        ValueError, match=r"Objects must have names that files in a folder can have\. Received: "
    ) as error:
        bring_data(URL, tmp_path)
    assert f"[{fault}]" in str(error.value)
    assert not list(tmp_path.rglob("*.png"))


def test_a_name_that_is_both_an_object_and_a_folder_is_refused(photos, tmp_path):
    photos.store["/bucket/photos/images"] = photos.store["/bucket/photos/images/a.png"]
    with pytest.raises(ValueError, match=r"an object or of a folder, not of both\. Received: 'images' and 'images/"):
        bring_data(URL, tmp_path)


def test_a_disk_that_is_too_small_is_named_before_anything_is_fetched(photos, fetched, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda place: usage._replace(free=fetching.SPARE + 2))
    with pytest.raises(
        ValueError, match=r"The disk of --root must hold a copy of the data\. Received: --data memory://"
    ):
        bring_data(URL, tmp_path)
    assert fetched() == []


def test_a_single_object_is_copied_with_the_folder_that_holds_it(photos, tmp_path):
    photos.pipe_file("/bucket/photos/pairs.csv", b"image,mask\n")
    file = bring_data(f"{URL}/pairs.csv", tmp_path)
    assert file.read_bytes() == b"image,mask\n" and (file.parent / "images" / "a.png").is_file()
    assert file.parent == bring_data(URL, tmp_path)


def test_where_nothing_lies_one_sentence_says_so(memory, tmp_path):
    with pytest.raises(
        ValueError, match=r"^The data must exist\. Received: --data memory://bucket/photos, below which"
    ):
        bring_data(URL, tmp_path)
    assert not (tmp_path / ".objects").exists()
