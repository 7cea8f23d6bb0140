"""What comes in is bounded: one body, all of them at once, and the time one takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from resnets.serve.uploads import Message, RequestLimits, RequestRefused

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


def refusal(refused: RequestRefused) -> Any:
    async def application(_: Any, __: Any, send: Any) -> None:
        await send({"refused": refused.status})

    return application


def answer(bounded: RequestLimits, about: Scope, receive: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(bounded(about, receive, send))
    return sent


def test_a_body_of_the_largest_size_passes_whole() -> None:
    assert answer(RequestLimits(reads, refusal, max_body_bytes=10), scope(10), client(4, 6)) == [
        {"size": 10}
    ]
    assert answer(RequestLimits(reads, refusal, max_body_bytes=10), scope(), client(10)) == [
        {"size": 10}
    ]


@pytest.mark.parametrize(
    ("length", "chunks", "unread"), [(11, (5, 6), 2), (None, (5, 6, 7), 1), (3, (5, 6, 7), 1)]
)
def test_a_larger_one_is_refused_as_soon_as_it_is_known(
    length: int | None, chunks: tuple[int, ...], unread: int
) -> None:
    left = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * left.pop(0), "more_body": bool(left)}

    with pytest.raises(RequestRefused, match="11 bytes; a request has at most 10") as error:
        answer(RequestLimits(reads, refusal, max_body_bytes=10), scope(length), receive)
    assert error.value.status == 413 and len(left) == unread


def test_a_slow_one_is_refused() -> None:
    with pytest.raises(RequestRefused, match=r"not there in 0\.05 s") as error:
        answer(RequestLimits(reads, refusal, body_seconds=0.05), scope(), client(1, 1, then=5))
    assert error.value.status == 408


def test_as_many_bodies_as_fit_are_taken_and_the_others_refused() -> None:
    async def slowly(about: Any, receive: Any, send: Any) -> None:
        try:
            await reads(about, receive, send)
        finally:
            await asyncio.sleep(0.05)  # a refusal takes a while to be told

    bounded = RequestLimits(slowly, refusal, max_body_bytes=10, max_total_bytes=40)

    async def several(count: int) -> list[object]:
        async def send(_: Message) -> None:
            return

        def parts() -> Callable[[], Awaitable[Message]]:
            left = [1] * 10

            async def receive() -> Message:
                await asyncio.sleep(0.001)
                return {"type": "http.request", "body": b"x" * left.pop(), "more_body": bool(left)}

            return receive

        asked = [bounded(scope(), parts(), send) for _ in range(count)]
        return await asyncio.gather(*asked, return_exceptions=True)

    for count in (4, 6, 12, 4):  # what was held is let go of, answered or refused
        found = asyncio.run(several(count))
        refused = [error for error in found if isinstance(error, RequestRefused)]
        assert len(refused) == count - 4 and all(error.status == 503 for error in refused)
    assert (bounded.held, bounded.running) == (0, 0)


def test_requests_at_once_are_bounded() -> None:
    async def several() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        bounded = RequestLimits(reads, refusal, max_requests=2)
        await asyncio.gather(*(bounded(scope(), client(1, 1, then=0.01), send) for _ in range(3)))
        return sent

    assert asyncio.run(several()) == [{"refused": 503}, {"size": 2}, {"size": 2}]


def test_who_is_still_answered_when_the_server_ends_is_told() -> None:
    async def ended() -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        waiting = asyncio.Event()

        async def waits(*_: Any) -> None:
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(RequestLimits(waits, refusal)(scope(), client(1), send))
        await waiting.wait()
        task.cancel()
        await task
        return sent

    assert asyncio.run(ended()) == [{"refused": 503}]


def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def application(about: Any, _: Any, __: Any) -> None:
        seen.append(about["type"])

    answer(RequestLimits(application, refusal), {"type": "lifespan"}, client(0))
    assert seen == ["lifespan"]
