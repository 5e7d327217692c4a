"""Places in object stores: how they are written, and which are refused. Standard library only.

A place of the kind `s3://BUCKET/FOLDER` is written into records, logs and reports, so it must not hold a secret; what is refused
is shown without what may be one.
"""

from __future__ import annotations

import os
import re

SCHEMES = ("s3", "gs", "memory")
"""The kinds of object stores; `memory` lives as long as the process and is for tests."""

KNOWN = "s3://BUCKET/FOLDER or gs://BUCKET/FOLDER"
MAX_NAME = 255
"""Bytes of a name between slashes, since it becomes that of a file."""

CREDENTIALS = (
    "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for s3://; GOOGLE_APPLICATION_CREDENTIALS for gs://"
)


def is_url(place: str | os.PathLike) -> bool:
    """Whether a place is written like one in an object store, known or not; a path object may have lost a slash.

    Example:
        >>> [is_url(place) for place in ("s3://bucket/folder", "ftp:/host", "photos", "tfds:voc", "C:/photos")]
        [True, True, False, False, False]
    """
    text = os.fspath(place)
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) or re.match(r"[A-Za-z0-9+.-]+::\S*:/", text))


def redacted(text: str) -> str:
    """A text without what may be a secret in its URLs: user and password, and what follows a question mark.

    Example:
        >>> redacted("s3://KEY:SEC/RET@bucket/a?token=1 is refused, http://host:9000/user@home is not")
        's3://...@bucket/a?... is refused, http://host:9000/user@home is not'
    """
    return re.sub(
        r"([A-Za-z0-9+.-]*)(:/+)(\S+)", lambda found: found[1] + found[2] + _without_secret(found[1], found[3]), text
    )


def _without_secret(scheme: str, rest: str) -> str:
    """What follows a URL's scheme and slashes, as `redacted` shows it."""
    host = rest.split("/")[0]
    port = r"\d+\W*$" if scheme.startswith("http") else "$"
    secret = "@" in host or re.search(f":(?!{port})", host)  # a secret may hold slashes; what is no port may be one
    if secret and "@" in rest:
        rest = f"...{rest[rest.rindex('@') :]}"
    elif secret:
        rest = f"...{rest[len(host) :]}"
    return f"{rest.partition('?')[0]}?..." if "?" in rest else rest


def check_url(url: str, flag: str) -> str:
    """The place without slashes at its end.

    Args:
        url: that `is_url`.
        flag: that names it, for messages.

    Raises:
        ValueError: it holds a secret, or is in no object store that is known here.

    Example:
        >>> check_url("s3://bucket/folder/", "--data")
        's3://bucket/folder'
    """
    shown = f"Received: {flag} {redacted(url)}"
    scheme, separator, rest = url.partition("://")
    if redacted(url) != url:
        raise ValueError(
            f"`{flag}` must hold no credentials, since places are written into records and reports. {shown}. Write "
            f"{KNOWN}, and give credentials in the environment: {CREDENTIALS}."
        )
    if scheme not in SCHEMES or not separator:
        cure = "Copy the files to this disk, or into such a store."
        raise ValueError(f"`{flag}` must be a place on this disk, {KNOWN}. {shown}. {cure}")
    bucket, *names = rest.rstrip("/").split("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket):
        raise ValueError(f"A bucket must have a name of letters, digits, '.', '_' and '-'. {shown}. Write {KNOWN}.")
    if fault := next(filter(None, map(name_fault, names)), None):
        raise ValueError(
            f"`{flag}` must be made of names that files can have. {shown} [{fault}]. Choose another place."
        )
    return "/".join([f"{scheme}://{bucket}", *names])


def name_fault(name: str) -> str:
    """Why a part between slashes cannot be the name of a file below a folder; empty where it can.

    Example:
        >>> [name_fault(name) for name in ("a.png", "..", "")]
        ['', 'a name is ..', 'a name is empty']
    """
    if name in ("", ".", ".."):
        return f"a name is {name or 'empty'}"
    if "\\" in name or "\0" in name:
        return "a name holds a backslash" if "\\" in name else "a name holds a null character"
    return f"a name has more than {MAX_NAME} bytes" if len(os.fsencode(name)) > MAX_NAME else ""


COPY = "Name one; `aws s3 sync` or `gcloud storage rsync` copies what lies there."


def refuse_url(place: str | os.PathLike, flag: str, cure: str = COPY):
    """Refuses a place in an object store where only one on this disk will do.

    Raises:
        ValueError: it is one.
    """
    if is_url(place):
        raise ValueError(
            f"`{flag}` must be a place on this disk. Received: {flag} {redacted(os.fspath(place))}. {cure}"
        )
