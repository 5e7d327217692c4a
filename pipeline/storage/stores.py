"""Object stores by fsspec: listing them, and their errors as one sentence with a cure. fsspec is imported on the call."""

from __future__ import annotations

import contextlib
import typing

from kseg._extras import extra
from pipeline.engine.urls import CREDENTIALS, check_url, name_fault, redacted

TAGS = ("ETag", "etag", "generation", "LastModified", "updated", "mtime", "created")
"""What a listing says of an object that is another after each write, best first."""

NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ProfileNotFound")
UNREACHABLE = ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionError", "ClientConnectorError", "gaierror")


class Object(typing.NamedTuple):
    """An object as a listing shows it."""

    size: int  # bytes
    tag: str  # another one after each write


def open_store(url: str, flag: str):
    """The file system of fsspec that holds a place, without a memory of earlier listings.

    Args:
        url: of the place.
        flag: that names it, for messages.

    Raises:
        ValueError: the URL is none of an object store that is known here.
        ModuleNotFoundError: the package that reads it is not installed.
    """
    scheme = check_url(url, flag).partition("://")[0]
    with extra("storage"):
        import fsspec

        if scheme == "s3":
            import s3fs  # noqa: F401
        if scheme == "gs":
            import gcsfs  # noqa: F401
    with explained(url, flag):
        return fsspec.filesystem(scheme, use_listings_cache=False)


def key_of(url: str) -> str:
    """A place as file systems of fsspec name it."""
    scheme, _, path = url.partition("://")
    return f"/{path}" if scheme == "memory" else path


def list_objects(store, url: str, flag: str) -> dict[str, Object]:
    """The objects below a place, by their names relative to it; of a single object alone, itself by the empty name.

    Objects that stand for folders are left out.

    Args:
        store: of `open_store`.
        url: of the place.
        flag: that names it, for messages.

    Raises:
        ValueError: an object has a name that would lead out of a folder, or that no file can have; or the place cannot be read.
    """
    key = key_of(url)
    with explained(url, flag):
        try:
            listed = store.find(key, detail=True)
        except FileNotFoundError:
            if "/" not in key.strip("/") or _is_missing_bucket(store, key):
                raise
            listed = {}
    found = {}
    for name, about in listed.items():
        relative = name.removeprefix(key).removeprefix("/")
        if about.get("type") == "directory" or name.endswith("/"):
            continue
        if fault := next(filter(None, map(name_fault, relative.split("/"))), "") if relative else "":
            raise ValueError(
                f"Objects must have names that files in a folder can have. Received: {relative!r} below {flag} {url} [{fault}]. "
                "Rename or remove that object."
            )
        found[relative] = Object(about["size"], next((f"{about[tag]}" for tag in TAGS if about.get(tag)), ""))
    for name in found:
        parts = name.split("/")
        if clash := next(filter(found.get, ("/".join(parts[:count]) for count in range(1, len(parts)))), None):
            raise ValueError(
                f"A name must be that of an object or of a folder, not of both. Received: {clash!r} and {name!r} below {flag} "
                f"{url}. Rename one of them."
            )
    return found


def _is_missing_bucket(store, key: str) -> bool:
    """Whether what is missing is the bucket itself, not a folder in it."""
    return not store.exists(key.strip("/").split("/")[0])


@contextlib.contextmanager
def explained(url: str, flag: str):
    """Turns the errors of an object store into one sentence with a cure; never with a secret.

    Raises:
        ValueError: the store refused, failed or was not reached in the block.
    """
    try:
        yield
    except (ImportError, KeyboardInterrupt, FileExistsError):
        raise
    except ValueError as error:
        if str(error).count(". Received: "):
            raise
        raise ValueError(_sentence(error, url, flag)) from None
    except Exception as error:  # botocore, aiohttp and google-auth have bases of their own
        raise ValueError(_sentence(error, url, flag)) from None


def _sentence(error: Exception, url: str, flag: str) -> str:
    """What must hold, what was received, and the cure."""
    kinds = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    what = " ".join(redacted(str(error)).split())[:300] or type(error).__name__
    received = f"Received: {flag} {url} [{what}]."
    bucket = "/".join(url.split("/")[:3])
    status = str(getattr(error, "code", "") or getattr(error, "status", ""))
    if kinds & set(NO_CREDENTIALS) or "nonymous caller" in what:
        return f"Credentials for the object store must be found. {received} Set {CREDENTIALS}."
    if "PermissionError" in kinds or status in ("401", "403"):
        return (
            f"The object store must allow what is asked. {received} Check the credentials, and their rights to list, read, write "
            f"and delete in {bucket}."
        )
    if "FileNotFoundError" in kinds:
        return f"The bucket must exist. {received} Check {bucket}, and the region and account of the credentials."
    if kinds & set(UNREACHABLE):
        cure = "Check the network, and AWS_ENDPOINT_URL where the store is not Amazon's."
        return f"The object store must be reached. {received} {cure}"
    return f"The object store must answer. {received} Give the same command again; what was fetched is kept."


def _chain(error: BaseException | None):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
