"""HTTP connections that nobody can hold open for nothing."""

from __future__ import annotations

import socket
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 30.0  # seconds for the headers of a request to arrive, and for a part of an answer to be taken
MOST = 200  # connections
TAKEN = 30_000  # bytes of an answer that must be taken in PATIENCE, or what is left of it
UNSENT = 100_000  # bytes of an answer in the system's buffer; with megabytes, slow visitors seem to take none for long


class Connection(H11Protocol):
    """A connection that is closed if a request's headers do not arrive, or its answer is not taken, for PATIENCE.

    uvicorn knows a limit for neither. When there are MOST connections, the one that has waited for a request for the
    longest time makes room for a new one.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the connection."""
        self._waiting_since, self._unsent, self._taken = time.monotonic(), 0, False
        if len(self.connections) >= MOST:
            waiting = [other for other in self.connections if isinstance(other, Connection) and other.waits]
            if waiting:
                min(waiting, key=lambda other: other._waiting_since).abort()
        super().connection_made(transport)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        self._watch = self.loop.call_later(PATIENCE, self._check)

    @property
    def waits(self) -> bool:
        """True while no request is at work: the next one has not come, or only a part of its headers."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and not self.transport.get_write_buffer_size()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._waiting_since = time.monotonic()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Note that a part of the answer was taken."""
        self._taken = True
        super().resume_writing()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the WebSocket, which is watched by pings."""
        self._watch.cancel()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        self._watch.cancel()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection without waiting for the other side."""
        self.connections.discard(self)
        self.transport.abort()

    def _check(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        stuck = unsent > 0 and self._unsent > 0 and self._unsent - unsent < TAKEN and not self._taken
        if unsent:  # uvicorn counts an answer as sent before it has left
            self._waiting_since = time.monotonic()
        left = self._waiting_since + PATIENCE - time.monotonic() if self.waits else PATIENCE
        if stuck or left <= 0:
            self.abort()
            return
        self._unsent, self._taken = unsent, False
        self._watch = self.loop.call_later(PATIENCE if unsent else left, self._check)
