"""One connection: what may come of it before it is a request, and between two of them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_SECONDS = 20.0
"""Seconds without a request after which a connection is closed; half a request is none."""

MAX_PENDING_BYTES = 2**20
"""Bytes that may have been sent behind the request that is being answered."""

MAX_CONNECTIONS = 768
"""Connections at once: below what a process may have open."""


class LimitedConnection(H11Protocol):
    """Uvicorn's, with bounds on silence, on what is sent ahead and on their number."""

    idle_seconds, max_pending_bytes, max_connections = (
        IDLE_SECONDS,
        MAX_PENDING_BYTES,
        MAX_CONNECTIONS,
    )
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._since = self.loop.time()
        self._watch = self.loop.call_later(self.idle_seconds, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what comes; it may be many requests, of which one is answered at a time."""
        super().data_received(data)
        if len(self.conn.trailing_data[0]) > self.max_pending_bytes:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        self._since = self.loop.time()
        super().on_response_complete()

    def _check_idle(self) -> None:
        """Close the connection if it was silent for too long, or look again later."""
        answering = not getattr(self.cycle, "response_complete", True)  # None before the first
        now = self.loop.time()
        if not answering and now - self._since >= self.idle_seconds:
            self.transport.abort()
            return
        later = self.idle_seconds if answering else self._since + self.idle_seconds - now
        self._watch = self.loop.call_later(max(later, 0.01), self._check_idle)
