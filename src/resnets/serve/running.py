"""The server itself: from a service to a port, until it is ended."""

import importlib
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from resnets.data.decoding import silence_decoders
from resnets.errors import MissingDependency, RunError
from resnets.serve.service import Service

BACKLOG = 256
"""Connections that wait to be accepted."""

SHUTDOWN_SECONDS = 5
"""Seconds that requests which are being answered have once the server is ended."""


def require_packages() -> None:
    """Refuse to go on without what serves.

    Raises:
        MissingDependency: saying what to install.
    """
    try:
        for package in ("starlette", "uvicorn", "python_multipart"):  # the last reads forms
            importlib.import_module(package)
    except ImportError as error:
        message = f'serving needs packages: pip install "resnets[serve]" ({error})'
        raise MissingDependency(message) from error


def listen(host: str, port: int) -> socket.socket:
    """Take a port, before anything slow is done; 0 is any that is free.

    Raises:
        RunError: where it is taken, not allowed, or the host is not this machine's.
    """
    if not 0 <= port <= 65535:
        raise RunError(f"--port {port}: from 0 (any that is free) to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        place = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise RunError(f"--host {host}: {error}") from error
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
        place.listen(BACKLOG)  # who comes before the server is ready waits
    except OSError as error:
        place.close()
        said = error.strerror or error
        raise RunError(f"cannot listen on {host}:{port}: {said}; --port names another") from error
    return place


def page_url(place: socket.socket) -> str:
    """Give the address of the page as a browser takes it."""
    host, port = place.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run_server(
    service: Service,
    place: socket.socket,
    *,
    top: int,
    ready: Callable[[], None],
    announce: Callable[[str], None],
    log: bool,
) -> None:
    """Answer what comes in at ``place`` until the process is interrupted or told to end.

    ``ready`` is called once it answers, ``announce`` told when it ends.
    """
    import uvicorn

    from resnets.serve.application import application
    from resnets.serve.connections import LimitedConnection

    class Server(uvicorn.Server):
        """Says when it begins to answer, and when it is about to end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if not self.should_exit and self.server_state.tasks:
                announce(f"ending; requests have {SHUTDOWN_SECONDS} s, or until Ctrl-C comes again")
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        application(service, top),
        http=LimitedConnection,
        ws="none",
        lifespan="off",  # the service is begun already
        log_config=None,  # errors alone, on standard error
        log_level="warning",
        access_log=log,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    if log:
        _log_requests()
    # Uvicorn ends what it began and then raises the signal again, for who started it; a shell
    # that started us in the background may have told us to ignore it.
    with (
        suppress(KeyboardInterrupt),
        silence_decoders(),
    ):  # the decoders' warnings: errors are answered
        Server(config).run(sockets=[place])
    announce("stopped")


def _log_requests() -> None:
    """Say each request on standard error."""
    logger = logging.getLogger("uvicorn.access")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
