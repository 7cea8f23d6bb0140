"""What comes in, bounded: the size of a request, of all of them at once, the time one may take.

Without this whoever can reach the server could fill its memory. ``connections.py`` has the bounds
of what comes before a request.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from resnets.errors import ResnetsError

MAX_BODY_BYTES = 32 * 2**20
"""Bytes of a request's body."""

MAX_TOTAL_BYTES = 8 * MAX_BODY_BYTES
"""Bytes of all bodies that are in memory at once."""

BODY_SECONDS = 60.0
"""Seconds in which a body has to be there."""

MAX_REQUESTS = 512
"""Requests that are answered at once."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class RequestRefused(ResnetsError):
    """A request that is not taken; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestLimits:
    """An ASGI application whose requests are bounded.

    Reading a body that is too large, too slow, or one too many raises ``RequestRefused`` in the
    application; a request that is one too many is refused by ``refusal``.

    Args:
        application: what answers; it turns ``RequestRefused`` into an answer.
        refusal: an application that answers ``RequestRefused``.
        max_body_bytes, max_total_bytes, body_seconds, max_requests: as ``MAX_BODY_BYTES``,
            ``MAX_TOTAL_BYTES``, ``BODY_SECONDS``, ``MAX_REQUESTS``.
    """

    def __init__(
        self,
        application: Application,
        refusal: Callable[[RequestRefused], Application],
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_total_bytes: int = MAX_TOTAL_BYTES,
        body_seconds: float = BODY_SECONDS,
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        self._application, self._refusal = application, refusal
        self._largest, self._together, self._patience = (
            max_body_bytes,
            max_total_bytes,
            body_seconds,
        )
        self._requests = max_requests
        self.held = self.running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        if self.running >= self._requests:
            refused = RequestRefused(
                503, f"{self.running} requests are being answered: come again later"
            )
            await self._refusal(refused)(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        body = _Body(self, int(dict(scope["headers"]).get(b"content-length", b"0")), receive)
        self.running += 1
        try:
            await self._application(scope, body.receive, noted)
        except asyncio.CancelledError:  # the server ends, and has waited
            if not begun:
                ending = RequestRefused(503, "the server ends")
                await self._refusal(ending)(scope, receive, send)
        finally:
            self.running -= 1
            body.release()

    def refuse(self, size: int) -> None:
        """Refuse a body of so many bytes, or any while there are too many."""
        if size > self._largest:
            raise RequestRefused(413, f"{size} bytes; a request has at most {self._largest}")
        if self.held > self._together:
            raise RequestRefused(503, "too many images at once: come again later")

    @property
    def body_seconds(self) -> float:
        """Seconds in which a body has to be there."""
        return self._patience


class _Body:
    """One request's body, as it comes."""

    def __init__(self, bounds: RequestLimits, announced: int, receive: Receive) -> None:
        self._bounds, self._announced, self._receive = bounds, announced, receive
        self._taken, self._ended = 0, False
        self._until = asyncio.get_running_loop().time() + bounds.body_seconds

    async def receive(self) -> Message:
        """Give the next part; raise ``RequestRefused`` where there is too much, or it is too
        late.
        """
        if self._ended:  # what comes now is that the client has gone
            return await self._receive()
        try:
            self._bounds.refuse(max(self._taken, self._announced))
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
            self._take(len(message.get("body", b"")))
        except TimeoutError:
            raise RequestRefused(
                408, f"the body was not there in {self._bounds.body_seconds:g} s"
            ) from None
        except RequestRefused:
            self.release()  # at once: others may have what it held
            raise
        self._ended = not message.get("more_body", False)
        return message

    def _take(self, size: int) -> None:
        self._taken += size
        self._bounds.held += size
        self._bounds.refuse(self._taken)

    def release(self) -> None:
        """Give back what it held."""
        self._bounds.held -= self._taken
        self._taken, self._ended = 0, True
