"""What comes in is bounded: one body, all of them at once, and the time one takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from resnets.server.uploads import Bounded, Message, Refused

Scope = dict[str, Any]


def scope(length: int | None = None) -> Scope:
    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    return {"type": "http", "headers": headers}


def client(*chunks: int, then: float = 0.0) -> Callable[[], Awaitable[Message]]:
    """Give what an application receives of a body in chunks, the last after a while."""
    left = list(chunks)

    async def receive() -> Message:
        size = left.pop(0)
        if not left:
            await asyncio.sleep(then)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left)}

    return receive


async def reads(_: Any, receive: Any, send: Any) -> None:
    """Read a whole body, then answer with how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await send({"size": size})


def answer(bounded: Bounded, about: Scope, receive: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(bounded(about, receive, send))
    return sent


def test_a_body_of_the_largest_size_passes_whole() -> None:
    assert answer(Bounded(reads, largest=10), scope(10), client(4, 6)) == [{"size": 10}]
    assert answer(Bounded(reads, largest=10), scope(), client(10)) == [{"size": 10}]


@pytest.mark.parametrize(
    ("length", "chunks", "unread"), [(11, (5, 6), 2), (None, (5, 6, 7), 1), (3, (5, 6, 7), 1)]
)
def test_a_larger_one_is_refused_as_soon_as_it_is_known(
    length: int | None, chunks: tuple[int, ...], unread: int
) -> None:
    left = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * left.pop(0), "more_body": bool(left)}

    with pytest.raises(Refused, match="11 bytes; a request has at most 10") as error:
        answer(Bounded(reads, largest=10), scope(length), receive)
    assert error.value.status == 413 and len(left) == unread


def test_a_slow_one_is_refused() -> None:
    with pytest.raises(Refused, match=r"not there in 0\.05 s") as error:
        answer(Bounded(reads, patience=0.05), scope(), client(1, 1, then=5))
    assert error.value.status == 408


def test_all_bodies_at_once_are_bounded_and_let_go_of() -> None:
    bounded = Bounded(reads, largest=10, together=15)

    async def several() -> list[object]:
        async def send(_: Message) -> None:
            return

        asked = [bounded(scope(), client(8, 1, then=0.05), send) for _ in range(3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    for _ in range(2):  # what was held is let go of, answered or refused
        found = asyncio.run(several())
        refused = [error for error in found if isinstance(error, Refused)]
        assert 1 <= len(refused) < 3 and all(error.status == 503 for error in refused)
    assert bounded.held == 0


def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def application(about: Any, _: Any, __: Any) -> None:
        seen.append(about["type"])

    answer(Bounded(application), {"type": "lifespan"}, client(0))
    assert seen == ["lifespan"]
