"""``resnets serve``, as a person types it, with a network trained on real images."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import resnets
from serve.conftest import Client


def typed(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """Return the exit status of a command and what it wrote."""
    done = resnets(*arguments, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three classes, a run on them, and the run exported."""
    place = tmp_path_factory.mktemp("serving")
    shutil.copytree(picture_folder, place / "photos")
    code, _, err = typed(
        *("train", "--data", "photos", "--network", "resnet8_thin", "--size", 14),
        *("--batch", 16, "--validation", 0.3, "--epochs", 2, "--run", "run"),
        cwd=place,
    )
    assert code == 0, err
    engines = ("--engine", "onnxruntime", "--images", 8)
    assert typed("export", "run", "--to", "deployed", *engines, cwd=place)[0] == 0
    return place


@contextmanager
def served(place: Path, *arguments: str) -> Iterator[tuple[Client, subprocess.Popen[str], str]]:
    """Start ``resnets serve``; give who asks it, the process, and the line it printed."""
    command = [sys.executable, "-m", "resnets", "serve", *arguments, "--port", "0"]
    process = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, process.stderr.read()
        yield Client(int(line.rsplit(":", 1)[1])), process, line
    finally:
        process.kill()
        process.communicate()


def predicted(place: Path, network: str, image: Path, *arguments: str) -> Any:
    code, out, err = typed("predict", network, image, "--json", *arguments, cwd=place)
    assert code == 0, err
    return json.loads(out)["classes"]


def test_it_answers_what_predict_says_and_ends_well(place: Path) -> None:
    image = place / "photos" / "dress" / "03.png"
    with served(place, "run", "--top", "3", "--log") as (ask, process, line):
        assert line.startswith("resnet8_thin answers at http://127.0.0.1:")
        assert ask("POST", "/predict", image.read_bytes()).json["classes"] == predicted(
            place, "run", image
        )
        svg = ask("POST", "/explain", image.read_bytes())
        assert svg.headers["content-type"] == "image/svg+xml"
        root = ElementTree.fromstring(svg.body)
        assert len(root.findall(".//{http://www.w3.org/2000/svg}image")) >= 4
        assert ask("POST", "/predict", b"x" * 40 * 2**20).status == 413
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and err.endswith("stopped\n")
        assert '"POST /predict HTTP/1.1" 200' in err and "Traceback" not in err


def test_an_exported_folder_is_computed_by_its_engine(place: Path) -> None:
    image = place / "photos" / "bag" / "03.png"
    with served(place, "deployed") as (ask, process, _):
        assert ask("GET", "/network").json["by"] == "onnxruntime"
        named = ask("POST", "/predict", image.read_bytes()).json["classes"]
        assert named == predicted(place, "deployed", image, "--engine", "auto")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("photos",), "photos"),
        (("run", "--top", "0"), "--top 0"),
        (("run", "--port", "70000"), "--port 70000"),
        (("run", "--host", "no.such.host.invalid"), "--host no.such.host.invalid"),
        (("run", "--engine", "abacus"), "'abacus'"),
        (("run", "--engine", "openvino", "--framework", "torch"), "--framework"),
    ],
)
def test_what_cannot_be_is_said(place: Path, arguments: tuple[str, ...], culprit: str) -> None:
    port = () if "--port" in arguments else ("--port", 0)
    code, out, err = typed("serve", *arguments, *port, cwd=place)
    assert code == 1 and out == "" and culprit in err and "Traceback" not in err


def test_a_port_that_is_taken_is_said_at_once(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = typed("serve", "run", "--port", port, cwd=place)
        assert code == 1 and f"127.0.0.1:{port}" in err and "--port" in err
