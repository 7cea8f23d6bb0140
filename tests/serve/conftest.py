"""A server in this process, and one who asks it."""

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from resnets.serve.application import application
from resnets.serve.connections import LimitedConnection
from resnets.serve.running import listen
from resnets.serve.service import Service


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """One who asks a server at a port of this machine."""

    port: int

    def __call__(
        self, method: str, path: str, body: bytes | None = None, kind: str | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {} if kind is None else {"Content-Type": kind})
            found = connection.getresponse()
            headers = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, headers, found.read())
        finally:
            connection.close()

    def form(self, path: str, files: dict[str, bytes]) -> Answer:
        """Send files as a browser's form does."""
        part = (
            '--edge\r\nContent-Disposition: form-data; name="image"; filename="{}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = b"".join(
            part.format(name).encode() + content + b"\r\n" for name, content in files.items()
        )
        return self("POST", path, body + b"--edge--\r\n", "multipart/form-data; boundary=edge")


Serving = Callable[..., AbstractContextManager[Client]]


@pytest.fixture
def serving() -> Serving:
    """Serve in a thread of this process: ``with serving(service) as ask: ask("GET", "/")``."""

    @contextmanager
    def run(service: Service, **options: Any) -> Iterator[Client]:
        place: socket.socket = listen("127.0.0.1", 0)
        config = uvicorn.Config(
            application(service, **options),
            http=LimitedConnection,
            log_config=None,
            log_level="critical",
            lifespan="on",
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        with place:
            thread.start()
            try:
                yield Client(place.getsockname()[1])
            finally:
                server.should_exit = True
                thread.join()

    return run
