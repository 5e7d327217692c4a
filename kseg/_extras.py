"""Packages that only a part of kseg needs, and the extra of setup.py that installs each part's. Standard library only."""

from __future__ import annotations

import contextlib


@contextlib.contextmanager
def extra(name: str):
    """Names the extra to install where an import in the block fails because a package is missing.

    Args:
        name: an extra of setup.py that has the package: "data", "encoders", "formats", "metrics", "plots", "postprocess",
            "runtimes" or "storage".

    Raises:
        ModuleNotFoundError: a package is missing; the message holds the command that installs it.

    Example:
        >>> with extra("metrics"):
        ...     from scipy import ndimage
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "kseg", "pipeline"):
            raise
        raise ModuleNotFoundError(
            f"The package {package!r} must be installed. Received: {error}. Install it with `pip install 'kseg[{name}]'`.",
            name=error.name,
        ) from error
