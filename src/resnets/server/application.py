"""Addresses and answers: what stands behind each URL.

| address | answer |
|---|---|
| ``GET /`` | the page |
| ``GET /network`` | the network's name, classes, size: JSON |
| ``GET /health`` | ``{"status": "ok"}`` once the network is ready |
| ``POST /predict?top=3`` | an image as the body, or a form of images: what they show, as JSON |
| ``POST /explain`` | an image as the body: where the evidence is, as an SVG |

Errors are ``{"error": "…"}``.
"""

import asyncio
import re
from importlib import resources
from typing import Any, cast

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from resnets.errors import DataError, MissingDependency, ResnetsError
from resnets.predicting import Prediction
from resnets.server.computer import Busy
from resnets.server.service import Service
from resnets.server.uploads import LARGEST, Bounded, Refused

MOST_FILES = 64
"""Images in one form."""

_PAGE = {"": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
"""The page's files and what they are; the first has no name of its own."""

_POLICY = "Content-Security-Policy"
_PICTURE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HEADERS = {
    _POLICY: "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


_STATUS: dict[type[Exception], int] = {DataError: 400, Busy: 503, MissingDependency: 501}
"""Whose an error is; of all others it is the server's."""


def application(service: Service, top: int = 5, largest: int = LARGEST) -> Starlette:
    """Give the ASGI application of a service that is ready.

    Args:
        service: what answers.
        top: classes that are named where a request does not say how many.
        largest: bytes of a request's body.
    """

    async def network(_: Request) -> Response:
        return JSONResponse(service.described() | {"largest": largest})

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def predict(request: Request) -> Response:
        most = _top(request, top)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            return await _several(service, request, most)
        found = await service.predict(await _body(request), "image", most)
        return JSONResponse(found.to_json())

    async def explain(request: Request) -> Response:
        svg = await service.explain(await _body(request), "")
        return Response(svg, media_type="image/svg+xml", headers=_HEADERS | {_POLICY: _PICTURE})

    return Starlette(
        routes=[
            *(Route(f"/{name}", _file(name or "page.html", kind)) for name, kind in _PAGE.items()),
            Route("/network", network),
            Route("/health", health),
            Route("/predict", predict, methods=["POST"]),
            Route("/explain", explain, methods=["POST"]),
        ],
        middleware=[Middleware(Bounded, largest=largest)],
        exception_handlers={
            ClientDisconnect: _gone,
            HTTPException: _said,
            ResnetsError: _said,
            Exception: _said,
        },
    )


def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _several(service: Service, request: Request, top: int) -> Response:
    """Answer for each image of a form; one that cannot be read does not spoil the others."""

    async def answered(sent: UploadFile) -> Prediction:
        name = sent.filename or "image"
        try:
            return await service.predict(await sent.read(), name, top)
        except DataError as error:
            return Prediction(name, error=str(error))

    async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES) as form:
        files = [sent for _, sent in form.multi_items() if isinstance(sent, UploadFile)]
        found = await asyncio.gather(*map(answered, files))
    if not found:
        raise Refused(400, "the form has no file; as in: curl -F image=@photo.jpg")
    status = 200 if any(one.error is None for one in found) else 400
    return JSONResponse({"predictions": [one.to_json() for one in found]}, status)


async def _body(request: Request) -> bytes:
    content = await request.body()
    if not content:
        raise Refused(400, "no image; as in: curl --data-binary @photo.jpg")
    return content


def _top(request: Request, usual: int) -> int:
    text = request.query_params.get("top", str(usual))
    if not re.fullmatch("0*[1-9][0-9]{0,7}", text):
        raise Refused(400, f"top={text[:20]}: a number of classes, at least 1")
    return int(text)


def _file(name: str, kind: str) -> Any:
    content = resources.files("resnets.server").joinpath(name).read_bytes()

    async def file(_: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return file


def _said(_: Request, error: Exception) -> Response:
    """Answer an error: whose it is, and in words; what is nobody's is the server's."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    if isinstance(error, Refused):
        status = error.status
    else:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    said = str(error) if isinstance(error, ResnetsError) else "the server failed; its log says why"
    later = {"Retry-After": "1"} if status == 503 else None
    return JSONResponse({"error": said}, status, headers=cast("Any", later))
