"""Each command once in a process of its own, as a shell starts it."""

import shutil
from pathlib import Path

import pytest

from commands import resnets_process
from resnets.cli.app import app

RUN = ("train", "--data", "photos", "--network", "resnet8_thin", "--size", "14", "--batch", "16")

COMMANDS = {
    "train": (*RUN, "--epochs", "1", "--run", "other"),
    "evaluate": ("evaluate", "run"),
    "predict": ("predict", "run", "photos/bag/00.png"),
    "explain": ("explain", "run", "photos/bag/00.png", "-o", "why.svg"),
    "report": ("report", "run"),
    "show": ("show", "run"),
    "draw": ("draw", "run", "-o", "run.svg"),
    "models": ("models", "resnet8*"),
    "convert": ("convert", "run", "converted.safetensors"),
    "export": ("export", "run", "--to", "run.onnx"),
    "check": ("check", "torch"),
    "data": ("data",),
    "grow": ("grow", "run", "--to", "2-1-1", "-o", "grown"),
    "prune-depth": ("prune-depth", "run"),
}

ELSEWHERE = {"bench", "serve"}
"""Their own tests start processes: serve answers until it is told to end."""


@pytest.fixture(scope="module")
def place(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three classes, and a run on them."""
    place = tmp_path_factory.mktemp("processes")
    shutil.copytree(picture_folder, place / "photos")
    done = resnets_process(*RUN, "--epochs", "1", "--run", "run", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, place: Path) -> None:
    done = resnets_process(*COMMANDS[command], cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout and "Traceback" not in done.stderr


def test_no_command_is_forgotten() -> None:
    commands = {name for name in app if not name.startswith("-")}
    assert commands == set(COMMANDS) | ELSEWHERE
