"""Why a request is refused, in the words of HTTP and of gRPC. Standard library only."""

from __future__ import annotations

import enum


class Code(enum.Enum):
    """Status in HTTP and name in gRPC of each reason."""

    INVALID = 400, "INVALID_ARGUMENT"
    FORBIDDEN = 403, "PERMISSION_DENIED"
    NOT_FOUND = 404, "NOT_FOUND"
    SLOW_BODY = 408, "DEADLINE_EXCEEDED"
    TOO_LARGE = 413, "INVALID_ARGUMENT"
    ENCODED = 415, "INVALID_ARGUMENT"
    WRONG_HOST = 421, "PERMISSION_DENIED"
    BUSY = 429, "RESOURCE_EXHAUSTED"
    INTERNAL = 500, "INTERNAL"
    UNAVAILABLE = 503, "UNAVAILABLE"
    DEADLINE = 504, "DEADLINE_EXCEEDED"

    @property
    def http(self) -> int:
        """The status in HTTP."""
        return self.value[0]

    @property
    def grpc(self) -> str:
        """The name of the status in gRPC."""
        return self.value[1]


class RequestError(Exception):
    """A request is not answered.

    Attributes:
        code: why.
        message: for the client.
    """

    def __init__(self, code: Code, message: str):
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> RequestError:
    """The error of a request that must be changed before it can be answered."""
    return RequestError(Code.INVALID, message)


RETRY_SECONDS = 1
"""After which a client that was refused as BUSY or UNAVAILABLE may try again."""
