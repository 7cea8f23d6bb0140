"""What comes in, bounded: the size of a request, of all of them at once, the time one may take.

Without this whoever can reach the server could fill its memory, or hold it by sending nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from resnets.errors import ResnetsError

LARGEST = 32 * 2**20
"""Bytes of a request's body."""

ALL = 8 * LARGEST
"""Bytes of all bodies that are in memory at once."""

PATIENCE = 60.0
"""Seconds in which a body has to be there."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Refused(ResnetsError):
    """A request that is not taken; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Bounded:
    """An ASGI application whose requests are bounded; reading one that is not raises ``Refused``.

    Args:
        application: what answers; it turns ``Refused`` into an answer.
        largest, together, patience: as ``LARGEST``, ``ALL`` and ``PATIENCE``.
    """

    def __init__(
        self,
        application: Application,
        *,
        largest: int = LARGEST,
        together: int = ALL,
        patience: float = PATIENCE,
    ) -> None:
        self._application = application
        self._largest, self._together, self._patience = largest, together, patience
        self.held = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        taken, ended = 0, False
        until = asyncio.get_running_loop().time() + self._patience

        async def bounded() -> Message:
            nonlocal taken, ended
            if ended:  # what comes now is that the client has gone
                return await receive()
            self._refuse(max(taken, int(announced)))
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise Refused(408, f"the body was not there in {self._patience:g} s") from None
            more = len(message.get("body", b""))
            taken += more
            self.held += more
            ended = not message.get("more_body", False)
            self._refuse(taken)
            return message

        try:
            await self._application(scope, bounded, send)
        finally:
            self.held -= taken

    def _refuse(self, size: int) -> None:
        """Refuse a body of so many bytes, or one at a time when there are too many."""
        if size > self._largest:
            raise Refused(413, f"{size} bytes; a request has at most {self._largest}")
        if self.held > self._together:
            raise Refused(503, "too many images at once: come again later")
