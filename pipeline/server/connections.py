"""A connection whose client must send the head of each request in time: uvicorn waits for ever for the first one. uvicorn."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection of HTTP/1.1.

    Args:
        head_seconds: for the head of a request, from the connection or its first byte on.
    """

    def __init__(self, *args, head_seconds: float, **kwargs):
        super().__init__(*args, **kwargs)
        self._head_seconds, self._timer = head_seconds, None

    def connection_made(self, transport):
        """Starts to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes):
        """Waits on where the head is not complete yet."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._timer is None:
            self._wait_for_head()

    def connection_lost(self, exc):
        """Waits no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self):
        self._timer = self.loop.call_later(self._head_seconds, self._close)

    def _stop_waiting(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self):
        self._timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()
