"""The server itself: from a service to a port, until it is ended."""

import importlib
import logging
import socket
from collections.abc import Callable

from resnets.data.decoding import quiet
from resnets.errors import MissingDependency, RunError
from resnets.server.service import Service

CONNECTIONS = 256
"""Connections that are answered at once; further ones are told to come later."""

LEAVING = 10
"""Seconds that requests which are being answered have once the server is ended."""


def require() -> None:
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


def listening(host: str, port: int) -> socket.socket:
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
        place.listen(CONNECTIONS)  # who comes before the server is ready waits
    except OSError as error:
        place.close()
        said = error.strerror or error
        raise RunError(f"cannot listen on {host}:{port}: {said}; --port names another") from error
    return place


def url(place: socket.socket) -> str:
    """Give the address of the page as a browser takes it."""
    host, port = place.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def run(
    service: Service, place: socket.socket, top: int, announce: Callable[[str], None], log: bool
) -> None:
    """Answer what comes in at ``place`` until the process is interrupted or told to end."""
    import uvicorn

    from resnets.server.application import application

    config = uvicorn.Config(
        application(service, top),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,  # errors alone, on standard error
        log_level="warning",
        access_log=log,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=LEAVING,
    )
    if log:
        _log_requests()
    try:
        with quiet():  # the decoders' warnings: errors are answered
            uvicorn.Server(config).run(sockets=[place])
    except KeyboardInterrupt:  # uvicorn has ended what it began, and tells who started it
        announce("stopped")


def _log_requests() -> None:
    """Say each request on standard error."""
    logger = logging.getLogger("uvicorn.access")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
