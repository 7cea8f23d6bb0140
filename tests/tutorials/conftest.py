"""Each tutorial is run once, small, in a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TUTORIALS = HERE.parents[1] / "docs" / "tutorials"


@dataclass(frozen=True)
class Outcome:
    """What a tutorial measured and printed."""

    measured: dict[str, Any]
    stdout: str
    seconds: float


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    @cache
    def run(name: str) -> Outcome:
        folder = tmp_path_factory.mktemp(name)
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, HERE / "run_tutorial.py", TUTORIALS / f"{name}.py", "outcome.json"],
            cwd=folder,
            env={
                **os.environ,
                "RESNETS_TUTORIAL": "small",
                "MPLBACKEND": "agg",
                "CUDA_VISIBLE_DEVICES": "",
                "JAX_PLATFORMS": "cpu",
            },
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["outcome.json"], f"{name} wrote into the working directory"
        measured = json.loads((folder / "outcome.json").read_text())
        return Outcome(measured, done.stdout, time.perf_counter() - begin)

    return run
