"""The script that measures a GPU, at tiny size on the CPU: every part gives its figures."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def measure(out: Path, *parts: str) -> dict[str, Any]:
    """Run some parts, without Fashion-MNIST: the folder has none."""
    options = ["--device", "cpu", "--data", str(out.parent), "--out", str(out), "--only", *parts]
    argv = mock.patch.object(sys, "argv", ["gpu.py", "--small", *options])
    with argv, mock.patch.dict(os.environ):
        assert importlib.import_module("gpu").main() == 0
    return json.loads(out.read_text())


def test_every_part_gives_its_figures(tmp_path: Path) -> None:
    parts = ("machine", "parity", "limit", "step", "job", "large", "accuracy")
    found = measure(tmp_path / "gpu.json", *parts)
    assert found["machine"]["data"].startswith("random")
    for precision in ("fp64", "fp32"):
        assert found["parity"][precision]["weights"] < 1e-4
    assert all(found["parity"]["repeatable"].values())
    assert found["step"]["chapter's loop"]["ratio"] == 1
    for row in (found["step"]["recorded"], found["large"]["recorded"]):
        assert row["images_per_second"] > 0
        assert row["fraction_of_bf16_limit"] > 0
        assert row["preparing_seconds"] > 0
    assert found["job"]["images_per_second"] > 0
    assert "Fashion-MNIST" in found["accuracy"]["left out"]


def test_compiled_steps(tmp_path: Path) -> None:
    found = measure(tmp_path / "gpu.json", "large, compiled")["large, compiled"]
    assert found["compiled and recorded"]["images_per_second"] > 0
    assert found["compiled and recorded"]["fraction_of_bf16_limit"] is None


def test_three_steps_of_a_framework(tmp_path: Path) -> None:
    out = tmp_path / "steps.json"
    command = [sys.executable, str(BENCHMARKS / "gpu_other.py"), "torch", "cpu", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    answer = json.loads(out.read_text())
    assert len(answer["losses"]) == 3
    assert answer["found"][-1] == "cpu"
