"""What each address answers: predictions, the page, and what is wrong with a request."""

import io
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from resnets import Architecture, Stage, Stem
from resnets.data.images import Pixels
from resnets.errors import WeightsError
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing
from resnets.serve.service import Service
from serve.conftest import Serving

HOSTILE = '<img src=x onerror="alert(1)">'
NAMES = ("dark", "grey", HOSTILE)


def network() -> Network:
    stem = Stem(width=4, kernel=3, stride=1, pool=False)
    a = Architecture(channels=3, classes=3, stem=stem, stages=(Stage(depth=1, width=4),))
    preprocessing = Preprocessing(size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Network(a, initial_weights(a), preprocessing, NAMES)


def brightness(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Logits that tell how far an image is from dark, from grey and from bright."""
    mean = pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255
    return -10 * np.abs(mean[:, None] - np.array([0, 0.5, 1], np.float32))


def photo(value: int, size: tuple[int, int] = (20, 12), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (value,) * 3).save(file, kind)
    return file.getvalue()


@pytest.fixture
def service() -> Service:
    return Service(network(), brightness, computed_by="brightness", framework=None)


def test_an_image_is_named(service: Service, serving: Serving) -> None:
    with serving(service, top=2) as ask:
        found = ask("POST", "/predict", photo(255))
        assert found.status == 200 and found.headers["content-type"] == "application/json"
        first, second = found.json["classes"]
        logits = np.array([-10, -5, 0])
        shares = np.exp(logits) / np.exp(logits).sum()
        assert (first["class"], second["class"]) == (HOSTILE, "grey")
        assert first["probability"] == pytest.approx(shares[2], rel=1e-6)
        assert second["probability"] == pytest.approx(shares[1], rel=1e-6)
        assert len(ask("POST", "/predict?top=1", photo(0, kind="JPEG")).json["classes"]) == 1
        assert len(ask("POST", "/predict?top=99", photo(0, kind="GIF")).json["classes"]) == 3


def test_images_of_a_form_are_named_and_one_that_is_none_spoils_none(
    service: Service, serving: Serving
) -> None:
    files = {"a.png": photo(0), "b.txt": b"no image", "ü c.jpg": photo(128, kind="JPEG")}
    with serving(service) as ask:
        found = ask.form("/predict?top=1", files)
        assert found.status == 200
        a, b, c = found.json["predictions"]
        assert (a["image"], a["classes"][0]["class"]) == ("a.png", "dark")
        assert b == {
            "image": "b.txt",
            "error": "b.txt: not a readable image: its format is not known",
        }
        assert (c["image"], c["classes"][0]["class"]) == ("ü c.jpg", "grey")
        assert ask.form("/predict", {"b.txt": b"no image"}).status == 400
        assert "has no file" in ask.form("/predict", {}).json["error"]
        many = ask.form("/predict", {f"{k}.png": photo(0) for k in range(65)})
        assert many.status == 400 and "Too many files" in many.json["error"]


def test_who_ask_at_once_get_their_own_answers(service: Service, serving: Serving) -> None:
    values = [0, 128, 255] * 20
    with serving(service, top=1) as ask, ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda value: ask("POST", "/predict", photo(value)).json, values)
        expected = {0: "dark", 128: "grey", 255: HOSTILE}
        assert [one["classes"][0]["class"] for one in found] == [expected[v] for v in values]


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/predict", b"no image", 400, "image: not a readable image: its format is not known"),
        ("/predict", photo(3)[:60], 400, "not a readable image"),
        ("/predict", b"", 400, "no image; as in: curl --data-binary @photo.jpg"),
        ("/predict?top=0", photo(3), 400, "top=0: a number of classes, at least 1"),
        ("/predict?top=many", photo(3), 400, "top=many: a number of classes"),
        ("/predict?top=" + "9" * 5000, photo(3), 400, "a number of classes"),
        ("/predict", b"x" * 3000, 413, "3000 bytes; a request has at most 2000"),
        ("/explain", photo(3), 501, "no framework is installed here that could explain"),
        ("/nothing", b"", 404, "Not Found"),
        ("/health", b"", 405, "Method Not Allowed"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_said(
    service: Service, serving: Serving, path: str, body: bytes, status: int, said: str
) -> None:
    with serving(service, max_body_bytes=2000) as ask:
        found = ask("POST", path, body)
        assert found.status == status and said in found.json["error"]
        assert ask("POST", "/predict", photo(0)).status == 200  # and it goes on


def test_a_bomb_is_refused(service: Service, serving: Serving) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = photo(0)[:12] + header + struct.pack(">I", zlib.crc32(header)) + photo(0)[33:]
    with serving(service) as ask:
        found = ask("POST", "/predict", bomb)
        assert found.status == 400 and "pixels" in found.json["error"]


def test_a_network_that_fails_is_said_and_the_server_goes_on(
    service: Service, serving: Serving
) -> None:
    def broken(pixels: Pixels) -> npt.NDArray[np.float32]:
        if pixels.max() == 7:
            raise WeightsError("the network gives logits that are not finite")
        if pixels.max() == 8:
            raise KeyError("secret")
        return brightness(pixels)

    service.logits = broken
    with serving(service) as ask:
        found = ask("POST", "/predict", photo(7))
        assert found.status == 500 and "finite" not in found.json["error"]  # it may name files
        found = ask("POST", "/predict", photo(8))
        assert found.status == 500 and found.json["error"] == "the server failed; its log says why"
        assert ask("POST", "/predict", photo(0)).status == 200


def test_formats_that_photos_have_not_are_refused(service: Service, serving: Serving) -> None:
    with serving(service) as ask:  # their decoders are slow, or nobody looks after them
        for kind in ("PPM", "PCX", "TGA"):
            found = ask("POST", "/predict", photo(3, kind=kind))
            assert found.status == 400 and "format is not known" in found.json["error"], kind
        for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000"):
            assert ask("POST", "/predict", photo(3, kind=kind)).status == 200, kind


def test_a_form_that_is_cut_off_is_refused(service: Service, serving: Serving) -> None:
    part = b'--e\r\nContent-Disposition: form-data; name="i"; filename="a.png"\r\n\r\n'
    whole = 2 * (part + photo(0) + b"\r\n") + b"--e--\r\n"
    with serving(service) as ask:
        kind = "Multipart/Form-Data; boundary=e"
        assert len(ask("POST", "/predict", whole, kind).json["predictions"]) == 2
        for end in (-6, -20):
            found = ask("POST", "/predict", whole[:end], kind)
            assert found.status == 400 and "not whole" in found.json["error"]
        found = ask("POST", "/predict", whole, "multipart/form-data")
        assert found.status == 400


def test_names_that_are_no_text_are_told_all_the_same(serving: Serving) -> None:
    odd = Service(
        replace(network(), class_names=("dark", "sh\ud800oe", "x")), brightness, "b", None
    )
    with serving(odd) as ask:
        assert ask("GET", "/network").json["classes"][1] == "sh\ud800oe"
        assert ask("POST", "/predict", photo(128)).json["classes"][0]["class"] == "sh\ud800oe"
        part = b'--e\r\nContent-Disposition: form-data; name="i"; filename="+2AA-.png"\r\n\r\n'
        body = part + photo(0) + b"\r\n--e--"
        kind = "multipart/form-data; boundary=e; charset={}"
        for charset in ("utf-7", "undefined", "unicode_escape"):
            found = ask("POST", "/predict", body, kind.format(charset))
            assert found.status in (200, 400) and found.json


def test_the_page_needs_nothing_but_the_server_and_runs_nothing_else(
    service: Service, serving: Serving
) -> None:
    with serving(service) as ask:
        page = ask("GET", "/")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in page.headers["content-security-policy"]
        text = page.body.decode()
        for name in re.findall(r'(?:href|src)="([^"]+)"', text):
            if name != "data:,":
                assert ask("GET", f"/{name}").status == 200, name
        assert "://" not in text and "style=" not in text and not re.search(r"\son\w+=", text)
        script = ask("GET", "/page.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["x-content-type-options"] == "nosniff"
        assert "innerHTML" not in script.body.decode()
        about = ask("GET", "/network").json
        assert about["classes"] == list(NAMES) and about["size"] == 8 and not about["explains"]
        assert ask("GET", "/health").json == {"status": "ok"}
