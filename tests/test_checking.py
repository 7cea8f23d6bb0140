"""What ``resnets check`` says of frameworks, and what makes it fail."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnets import backends, checking
from resnets.checking import Framework, Results
from resnets.errors import WeightsError


def check(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resnets", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch's results, as another environment would write them."""
    path = tmp_path_factory.mktemp("check") / "torch.safetensors"
    done = check("torch", "--save", path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (torch,) = found["frameworks"]
    assert torch["name"] == "torch" and "cpu" in torch["devices"] and torch["error"] is None
    assert len(found["comparisons"]) == len(checking.networks())
    assert all(line["equal"] and line["against"] == "NumPy" for line in found["comparisons"])
    return path


def test_all_frameworks_are_here_and_equal() -> None:
    done = check("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [f["name"] for f in found["frameworks"]] == list(backends.NAMES)
    assert all(f["devices"] and f["error"] is None for f in found["frameworks"])
    pairs = {(line["framework"], line["against"]) for line in found["comparisons"]}
    assert pairs == {(n, "NumPy") for n in backends.NAMES} | {
        (n, backends.NAMES[0]) for n in backends.NAMES[1:]
    }
    assert all(line["equal"] for line in found["comparisons"])


def test_frameworks_meet_through_files(saved: Path) -> None:
    (torch,) = checking.load(saved)
    other = Results(Framework("jax", {"jax": "0"}), torch.arrays)
    lines = checking.compared([torch, other])
    assert {line.what for line in lines} == {"logits, fp32", "one step, fp64"}
    assert all(line.equal for line in lines)
    steps = [line for line in lines if line.what == "one step, fp64"]
    assert [line.difference for line in steps] == [0] * len(checking.networks())


@pytest.mark.parametrize("wrong", [1e-6, float("nan")])
def test_a_difference_is_seen_wherever_it_is(saved: Path, wrong: float) -> None:
    (torch,) = checking.load(saved)
    for key in ("ResNeXt/weights/layer2.0.bn2.running_var", "SE-ResNet/loss", "RegNet-Y/logits"):
        arrays = {name: array.copy() for name, array in torch.arrays.items()}
        arrays[key] = arrays[key] * (1 + 100 * wrong)
        other = Results(Framework("mxnet" if wrong == 1e-6 else "jax", {}), arrays)
        unequal = [line for line in checking.compared([torch, other]) if not line.equal]
        assert [line.network for line in unequal] == [key.partition("/")[0]]


def test_the_command_fails_where_results_differ(saved: Path, tmp_path: Path) -> None:
    (torch,) = checking.load(saved)
    arrays = {name: array + 1e-3 for name, array in torch.arrays.items()}
    path = tmp_path / "other.safetensors"
    checking.save([replace(torch, framework=Framework("jax", {"jax": "9"}), arrays=arrays)], path)
    done = check("torch", "--against", path)
    assert done.returncode == 1
    assert "differs: " in done.stdout and "jax 9" in done.stdout


def test_files_of_something_else_are_refused(saved: Path, tmp_path: Path) -> None:
    (torch,) = checking.load(saved)
    path = tmp_path / "old.safetensors"
    checking.save([replace(torch, arrays={"old/logits": np.zeros(3)})], path)
    with pytest.raises(WeightsError, match="results of another version of resnets"):
        checking.load(path)
    assert check("pytorch").stderr.startswith("error: no framework is called pytorch")
    done = check("torch", "--python", tmp_path / "no-python")
    assert done.returncode == 1 and "cannot run" in done.stderr
