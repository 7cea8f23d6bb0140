"""Addresses and answers: what stands behind each URL.

| address | answer |
|---|---|
| ``GET /`` | the page |
| ``GET /network`` | the network's name, classes, size: JSON |
| ``GET /health`` | ``{"status": "ok"}`` once the network is ready |
| ``POST /predict?top=3`` | an image as the body, or a form of images: what they show, as JSON |
| ``POST /explain`` | an image, as above: where the evidence is, as an SVG |

Errors are ``{"error": "…"}``.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from resnets.errors import DataError, MissingDependency, ResnetsError
from resnets.inference.predict import Prediction
from resnets.serve.computer import Busy
from resnets.serve.service import Service
from resnets.serve.uploads import MAX_BODY_BYTES, RequestLimits, RequestRefused

MAX_FILES = 64
"""Images in one form."""

FORM = "multipart/form-data"

_PAGE = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
"""The page's files and what they are; the first has no name of its own."""

_POLICY = "Content-Security-Policy"
_PICTURE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HEADERS = {
    _POLICY: "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_STATUS: dict[type[Exception], int] = {DataError: 400, Busy: 503, MissingDependency: 501}
"""Whose an error is. All others are the server's: they may name its files, and are logged."""

_LOG = logging.getLogger("resnets.serve")


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII: names of classes and of files may be what UTF-8 cannot write."""

    def render(self, content: Any) -> bytes:
        """Write it."""
        return json.dumps(content, allow_nan=False).encode("ascii")


def application(
    service: Service, top: int = 5, *, max_body_bytes: int = MAX_BODY_BYTES
) -> Starlette:
    """Give the ASGI application of a service; a server that knows lifespans begins and ends it.

    Args:
        service: what answers.
        top: classes that are named where a request does not say how many.
        max_body_bytes: bytes of a request's body.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        with service:
            await asyncio.to_thread(service.warm_up)
            yield

    async def network(_: Request) -> Response:
        return AsciiJSONResponse(service.describe() | {"largest": max_body_bytes})

    async def health(_: Request) -> Response:
        return AsciiJSONResponse({"status": "ok"})

    async def predict(request: Request) -> Response:
        most = _parse_top(request, top)
        if not _is_form(request):
            found = service.predict(await _read_body(request), "image", top=most)
            return AsciiJSONResponse((await _cancel_on_disconnect(request, found)).to_json())
        files = await _read_files(request)
        asked = asyncio.gather(*(_predict_one(service, *file, most) for file in files))
        answers = await _cancel_on_disconnect(request, asked)
        status = 200 if any(one.error is None for one in answers) else 400
        return AsciiJSONResponse({"predictions": [one.to_json() for one in answers]}, status)

    async def explain(request: Request) -> Response:
        content = (
            (await _read_files(request))[0][1] if _is_form(request) else await _read_body(request)
        )
        svg = await _cancel_on_disconnect(request, service.explain(content, "image"))
        return Response(svg, media_type="image/svg+xml", headers=_HEADERS | {_POLICY: _PICTURE})

    return Starlette(
        routes=[
            *(
                Route(f"/{name}", _read_page_file(name or "page.html", kind))
                for name, kind in _PAGE.items()
            ),
            Route("/network", network),
            Route("/health", health),
            Route("/predict", predict, methods=["POST"]),
            Route("/explain", explain, methods=["POST"]),
        ],
        middleware=[Middleware(RequestLimits, _error_response, max_body_bytes=max_body_bytes)],
        exception_handlers={
            ClientDisconnect: _answer_disconnected,
            HTTPException: _answer_error,
            ResnetsError: _answer_error,
            Exception: _answer_error,
        },
        lifespan=lifespan,
    )


async def _predict_one(service: Service, name: str, content: bytes, top: int) -> Prediction:
    """Name what one image of several shows; one that cannot be read does not spoil the others."""
    try:
        return await service.predict(content, name, top=top)
    except DataError as error:
        return Prediction(name, error=str(error))


async def _cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Any] | Any) -> Any:
    """Wait for an answer, or until nobody waits for it any more: then it is not computed."""
    answer, left = asyncio.ensure_future(work), asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait((answer, left), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        for task in (answer, left):
            task.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    """Wait until the client has gone; its request has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read_files(request: Request) -> list[tuple[str, bytes]]:
    """Read a form's files: names and contents."""
    content = await request.body()
    edge = re.search(r'boundary="?([^";,]+)', request.headers["content-type"])
    if edge is None or not content.rstrip().endswith(f"--{edge[1].strip()}--".encode()):
        raise RequestRefused(400, "the form is not whole: it does not end with its boundary")
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            files = [sent for _, sent in form.multi_items() if isinstance(sent, UploadFile)]
            found = [(sent.filename or "image", await sent.read()) for sent in files]
    except UnicodeError as error:
        raise RequestRefused(400, f"the form is not readable: {error}") from error
    if not found:
        raise RequestRefused(400, "the form has no file; as in: curl -F image=@photo.jpg")
    return found


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == FORM


async def _read_body(request: Request) -> bytes:
    content = await request.body()
    if not content:
        raise RequestRefused(400, "no image; as in: curl --data-binary @photo.jpg")
    return content


def _parse_top(request: Request, usual: int) -> int:
    text = request.query_params.get("top", str(usual))
    if not re.fullmatch("0*[1-9][0-9]{0,7}", text):
        raise RequestRefused(400, f"top={text[:20]}: a number of classes, at least 1")
    return int(text)


def _read_page_file(name: str, kind: str) -> Any:
    content = resources.files("resnets.serve").joinpath(name).read_bytes()

    async def file(_: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return file


def _answer_disconnected(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


def _answer_error(_: Request, error: Exception) -> Response:
    """Answer an error."""
    return _error_response(error)


def _error_response(error: Exception) -> Response:
    """Say in words what is wrong, where that is the request's; log it where it is the server's."""
    if isinstance(error, HTTPException):
        return AsciiJSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, RequestRefused):
        status = error.status
    else:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if status == 500 and isinstance(error, ResnetsError):  # of others there is a traceback
        _LOG.error("error: %s", error)
    said = "the server failed; its log says why" if status == 500 else str(error)
    return AsciiJSONResponse(
        {"error": said}, status, {"Retry-After": "1"} if status == 503 else None
    )
