"""What goes wrong with an object store is one sentence with a cure and without a secret; on a server that answers as S3 does."""

import sys

import pytest

from pipeline.engine.urls import check_url, is_url, redacted
from pipeline.storage.fetching import bring_data
from pipeline.storage.stores import explained


def message(url, tmp_path):
    """What is said where data cannot be fetched."""
    with pytest.raises(ValueError) as error:
        bring_data(url, tmp_path)
    text = str(error.value)
    assert text.count(". Received: ") == 1 and "\n" not in text
    return text


def test_a_missing_bucket_and_a_missing_folder_are_told_apart(s3, tmp_path):
    assert message("s3://nothing/photos", tmp_path).startswith(
        "The bucket must exist. Received: --data s3://nothing/photos [The specified bucket does not exist]. Check s3://nothing,"
    )
    assert message("s3://bucket/photos", tmp_path).startswith(
        "The data must exist. Received: --data s3://bucket/photos, "
    )
    assert message("s3://bucket", tmp_path).startswith("The data must exist. Received: --data s3://bucket, ")


def test_missing_credentials_are_named_with_the_variables_that_give_them(s3, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID"), monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    type(s3).clear_instance_cache()
    text = message("s3://bucket/photos", tmp_path)
    assert text.startswith("Credentials for the object store must be found. Received: --data s3://bucket/photos [")


def test_a_store_that_cannot_be_reached_is_named_with_its_address(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    type(s3).clear_instance_cache()
    text = message("s3://bucket/photos", tmp_path)
    assert (
        text.startswith("The object store must be reached. Received: --data s3://bucket/photos [")
        and "hidden" not in text
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError("Access Denied"), "The object store must allow what is asked."),
        (type("HttpError", (Exception,), {"code": 403})("Forbidden"), "The object store must allow what is asked."),
        (type("DefaultCredentialsError", (Exception,), {})("none"), "Credentials for the object store must be found."),
        (
            type("HttpError", (Exception,), {"code": 401})("Anonymous caller"),
            "Credentials for the object store must be",
        ),
        (OSError(5, "Please reduce your request rate\nnow"), "The object store must answer."),
        (RuntimeError("https://host/a?X-Amz-Signature=0f failed"), "The object store must answer."),
        (RuntimeError("http://user:Signature@host/a failed"), "The object store must answer."),
        (ValueError("Invalid bucket"), "The object store must answer."),
    ],
)
def test_whatever_a_store_raises_is_one_sentence(error, sentence):
    with pytest.raises(ValueError) as raised, explained("s3://bucket/photos", "--data"):
        raise error
    text = str(raised.value)
    assert text.startswith(f"{sentence} Received: --data s3://bucket/photos [") or text.startswith(sentence)
    assert "Signature" not in text and "\n" not in text


@pytest.mark.parametrize(("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, scheme, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"'{package}' must be installed.*`pip install 'kseg\[storage\]'`"):
        bring_data(f"{scheme}://bucket/photos", tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:HIDDEN@bucket/photos",
        "s3://HIDDEN@bucket/photos",
        "s3://KEY:HID/HIDDEN+x@bucket/photos",
        "s3://KEY:HID@HIDDEN@bucket/photos",
        "s3://KEY:a?HIDDEN@bucket/photos",
        "s3:/KEY:HIDDEN@bucket/photos",
        "s3:///KEY:HIDDEN@bucket/photos",
        "s3://KEY:0123/HIDDEN@bucket/photos",
        "s3://KEY:HIDDEN",
        "s3://KEY:HIDDEN/photos",
        "s3://bucket/photos?versionId=HIDDEN",
        "https://KEY:HIDDEN@host/photos",
        "https://bucket.s3.amazonaws.com/photos?X-Amz-Signature=HIDDEN",
        "simplecache::s3://KEY:HIDDEN@bucket/photos",
    ],
)
def test_a_url_that_may_hold_a_secret_is_refused_and_not_repeated(url):
    assert is_url(url)
    with pytest.raises(ValueError, match="--data") as error:
        check_url(url, "--data")
    assert "HIDDEN" not in str(error.value) and "HIDDEN" not in redacted(f"cannot read {url} today")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("ftp://host/photos", "must be a place on this disk, s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"),
        ("s4://bucket/photos", "must be a place on this disk, s3://BUCKET/FOLDER"),
        ("s3:/bucket/photos", "must be a place on this disk, s3://BUCKET/FOLDER"),
        ("s3:///photos", "A bucket must have a name"),
        ("s3://", "A bucket must have a name"),
        ("s3://bucket/../other", "a name is .."),
        ("s3://bucket//photos", "a name is empty"),
        ("s3://bucket/a\\b", "a backslash"),
    ],
)
def test_a_url_that_is_written_otherwise_is_refused_with_how_it_is_written(url, fault):
    with pytest.raises(ValueError, match=r"\. Received: --data ") as error:
        check_url(url, "--data")
    assert fault in str(error.value)


def test_objects_that_stand_for_folders_are_left_out_and_keys_that_would_escape_are_refused(s3, tmp_path):
    for key in ("photos/", "photos/images/"):  # as the console of S3 makes them
        s3.call_s3("put_object", Bucket="bucket", Key=key, Body=b"")
    s3.pipe_file("bucket/photos/images/a + b%20?#&=.png", b"a")
    copy = bring_data("s3://bucket/photos", tmp_path)
    assert [path.name for path in copy.rglob("*.png")] == ["a + b%20?#&=.png"]
    s3.pipe_file("bucket/photos/images/../../../escape.png", b"e")
    assert "[a name is ..]" in message("s3://bucket/photos", tmp_path)
    assert not list(tmp_path.rglob("escape.png"))
