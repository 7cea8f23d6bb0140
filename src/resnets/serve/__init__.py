"""A trained network behind HTTP: a page to drop images on, and an address for programs.

| file | its one job |
|---|---|
| ``computer.py`` | the one thread that computes: images that wait together are computed together |
| ``service.py`` | from the bytes of an image to a prediction, or to a picture of the evidence |
| ``decoders.py`` | the few threads that decode |
| ``uploads.py`` | what comes in, bounded: in size, one and all at once, and in time |
| ``connections.py`` | what a connection may do before it is a request |
| ``application.py`` | addresses and answers |
| ``page.html``, ``page.css``, ``page.js`` | the page |
| ``running.py`` | the server itself, until it is ended |
"""

from resnets.serve.computer import Busy, Computer
from resnets.serve.service import Service

__all__ = ["Busy", "Computer", "Service"]
