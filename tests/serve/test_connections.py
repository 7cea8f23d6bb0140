"""What a connection may do before it is a request, and what becomes of who has gone."""

import socket
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from commands import DEADLINE, wait_until
from resnets.data.images import Pixels
from resnets.serve.computer import Computer, Work
from resnets.serve.connections import LimitedConnection
from resnets.serve.service import Service
from serve.conftest import Serving
from serve.test_application import brightness, network, photo


@pytest.fixture
def service() -> Service:
    return Service(network(), brightness, computed_by="brightness", framework=None)


def closed(connection: socket.socket) -> bool:
    """Wait for the other side to close; what it says first is thrown away."""
    connection.settimeout(20)
    with connection, suppress(ConnectionError):
        while connection.recv(2**16):
            pass
    return True


def test_silence_does_not_keep_others_out(
    service: Service, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedConnection, "idle_seconds", 0.3)
    monkeypatch.setattr(LimitedConnection, "max_connections", 3)
    with serving(service) as ask:
        place = ("127.0.0.1", ask.port)
        silent = [socket.create_connection(place) for _ in range(3)]
        silent[1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ")  # half a request
        silent[2].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")  # and nothing after it
        assert all(closed(one) for one in silent)
        assert ask("GET", "/health").status == 200


def test_an_answer_may_take_longer_than_silence(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedConnection, "idle_seconds", 0.1)

    def slow(pixels: Pixels) -> npt.NDArray[np.float32]:
        time.sleep(0.1 if pixels.max() == 0 else 0.5)
        return brightness(pixels)

    with serving(Service(network(), slow, "slow", None)) as ask:
        assert ask("POST", "/predict", photo(9)).status == 200


def test_what_is_sent_ahead_is_bounded(
    service: Service, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedConnection, "max_pending_bytes", 2**16)
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with serving(service) as ask:
        with socket.create_connection(("127.0.0.1", ask.port)) as honest:
            honest.sendall(request * 50)  # pipelined
            honest.settimeout(20)
            answered = b""
            while answered.count(b'"ok"') < 50:
                answered += honest.recv(2**16)
        post = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + 9 * b"x"
        flood = post * 3000 + bytes(2**20)
        with socket.create_connection(("127.0.0.1", ask.port)) as greedy:
            greedy.settimeout(20)
            with pytest.raises(ConnectionError):
                for _ in range(200):
                    greedy.sendall(flood)
        assert ask("GET", "/health").status == 200


class Watched(Computer):
    """A computer of which a test sees what is waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted: list[Future[Any]] = []

    def submit(self, work: Work, pixels: Pixels) -> Future[Any]:
        self.submitted.append(super().submit(work, pixels))
        return self.submitted[-1]


def test_images_of_who_has_gone_are_not_computed(serving: Serving) -> None:
    may, given = threading.Event(), []

    def waits(pixels: Pixels) -> npt.NDArray[np.float32]:
        given.append(sorted(int(one.max()) for one in pixels))
        if given[-1] == [1]:
            assert may.wait(DEADLINE)
        return brightness(pixels)

    computer = Watched()
    with serving(Service(network(), waits, "waits", None, computer)) as ask:
        first = threading.Thread(target=lambda: ask("POST", "/predict", photo(1)))
        first.start()
        wait_until(lambda: [1] in given)
        before = len(computer.submitted)
        body = photo(2)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        for count in range(1, 9):
            with socket.create_connection(("127.0.0.1", ask.port)) as gone:
                gone.sendall(head.encode() + body)
                wait_until(lambda count=count: len(computer.submitted) == before + count)
        wait_until(lambda: all(job.cancelled() for job in computer.submitted[before:]))
        last = threading.Thread(target=lambda: ask("POST", "/predict", photo(3)))
        last.start()
        wait_until(lambda: len(computer.submitted) == before + 9)
        may.set()
        first.join()
        last.join()
    assert [3] in given and not any(2 in images for images in given)
