"""What ``resnets check`` says of frameworks, and what makes it fail."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from commands import Done, resnets, resnets_process
from resnets import backends
from resnets.errors import WeightsError
from resnets.inference import parity
from resnets.inference.parity import Framework, FrameworkResults


def check(*arguments: object) -> Done:
    return resnets("check", *arguments)


def check_process(*arguments: object, **environment: str) -> Done:
    """What another environment's modules and variables do, which only a new process reads."""
    return resnets_process("check", *arguments, **environment)


def shadowed(folder: Path, **modules: str) -> dict[str, str]:
    """Environment variables under which modules are these texts, in place of what is installed."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torch's results, as another environment would write them."""
    path = tmp_path_factory.mktemp("check") / "torch.safetensors"
    done = check("torch", "--save", path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (torch,) = found["frameworks"]
    assert torch["name"] == "torch" and "cpu" in torch["devices"] and torch["error"] is None
    assert len(found["comparisons"]) == len(parity.parity_networks())
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
    (torch,) = parity.load_results(saved)
    other = FrameworkResults(Framework("jax", {"jax": "0"}), torch.arrays)
    lines = parity.compare_results([torch, other])
    assert {line.what for line in lines} == {"logits, fp32", "one step, fp64"}
    assert all(line.equal for line in lines)
    steps = [line for line in lines if line.what == "one step, fp64"]
    assert [line.difference for line in steps] == [0] * len(parity.parity_networks())


@pytest.mark.parametrize("wrong", [1e-6, float("nan")])
def test_a_difference_is_seen_wherever_it_is(saved: Path, wrong: float) -> None:
    (torch,) = parity.load_results(saved)
    for key in ("ResNeXt/weights/layer2.0.bn2.running_var", "SE-ResNet/loss", "RegNet-Y/logits"):
        arrays = {name: array.copy() for name, array in torch.arrays.items()}
        arrays[key] = arrays[key] * (1 + 100 * wrong)
        other = FrameworkResults(Framework("mxnet" if wrong == 1e-6 else "jax", {}), arrays)
        unequal = [line for line in parity.compare_results([torch, other]) if not line.equal]
        assert [line.network for line in unequal] == [key.partition("/")[0]]


def test_the_command_fails_where_results_differ(saved: Path, tmp_path: Path) -> None:
    (torch,) = parity.load_results(saved)
    arrays = {name: array + 1e-3 for name, array in torch.arrays.items()}
    path = tmp_path / "other.safetensors"
    parity.save_results(
        [replace(torch, framework=Framework("jax", {"jax": "9"}), arrays=arrays)], path
    )
    done = check("torch", "--against", path)
    assert done.returncode == 1
    assert "differs: " in done.stdout and "jax 9" in done.stdout


def test_a_broken_framework_is_a_line_and_the_others_are_measured(tmp_path: Path) -> None:
    broken = shadowed(tmp_path, flax="raise TypeError('unhashable\\ntype: \\'list\\'')")
    done = check_process("torch", "jax", "torch", **broken)
    assert done.returncode == 1
    said = "jax is installed but cannot be imported: TypeError: unhashable type: 'list'"
    assert done.stderr.endswith(f"error: {said}\n") and "Traceback" not in done.stderr
    assert done.stdout.count("logits, fp32") == 1 and "cannot be used" in done.stdout


def test_what_is_absent_beside_a_framework_is_said_with_its_cure(tmp_path: Path) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'flax'\", name='flax')"
    done = check_process("jax", **shadowed(tmp_path, flax=absent))
    assert done.returncode == 1 and "largest" not in done.stdout
    assert done.stderr == (
        "error: jax is installed but cannot be imported: No module named 'flax': "
        'pip install "resnets[jax]"\n'
    )


def test_a_device_that_jax_is_told_to_find_is_missed_in_a_sentence() -> None:
    done = check_process("jax", JAX_PLATFORMS="cuda")
    assert done.returncode == 1
    assert "error: JAX finds no device (JAX_PLATFORMS=cuda): " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("no driver"), OSError("x")])
def test_whatever_a_framework_raises_is_its_own_failure(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def available_devices(self) -> list[str]:
            raise error

    monkeypatch.setattr(backends, "load", lambda _: Broken())
    found = parity.probe_framework("torch")
    assert found.error.startswith(f"torch finds no devices: {type(error).__name__}")
    monkeypatch.setattr(Broken, "available_devices", lambda _: ["cpu"])
    here, results = parity.measure_installed(["torch"], lambda _: None)
    assert here[0].error.startswith("torch cannot compute: AttributeError") and not results


def test_an_environment_without_frameworks_is_said(saved: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        "from resnets.inference import parity\n"
        "parity.save_results([], Path(sys.argv[sys.argv.index('--save') + 1]))\n"
        "raise SystemExit(1)\n"
    )
    python.chmod(0o755)
    done = check_process("torch", "--against", saved, "--python", python, **shadowed(tmp_path))
    assert done.returncode == 1 and "one step, fp64" in done.stdout
    assert f"error: {python}: no framework can be used there" in done.stderr


def test_one_framework_of_two_environments_has_two_lines(saved: Path, tmp_path: Path) -> None:
    """An equal result does not hide one that differs, whichever is read last."""
    (torch,) = parity.load_results(saved)
    arrays = {name: array + 1e-3 for name, array in torch.arrays.items()}
    other = tmp_path / "other.safetensors"
    parity.save_results([replace(torch, arrays=arrays)], other)
    lines = parity.compare_results([torch, *parity.load_results(other)])
    assert {line.environment for line in lines} == {str(saved), str(other)}
    assert {line.environment for line in lines if not line.equal} == {str(other)}
    assert {line.version for line in lines} == {torch.framework.version}
    done = check("torch", "torch", "--against", other, saved, saved)
    assert done.returncode == 1
    assert done.stdout.count("differs: ") == 2 and done.stdout.count(" equal") == 3
    assert [done.stdout.count(f"torch [{i}]") for i in (1, 2, 3, 4)] == [4, 3, 3, 0]


def test_files_of_something_else_are_refused(saved: Path, tmp_path: Path) -> None:
    (torch,) = parity.load_results(saved)
    path = tmp_path / "old.safetensors"
    parity.save_results([replace(torch, arrays={"old/logits": np.zeros(3)})], path)
    with pytest.raises(WeightsError, match="results of another version of resnets"):
        parity.load_results(path)
    assert check("pytorch").stderr.startswith("error: no framework is called pytorch")
    done = check("torch", "--python", tmp_path / "no-python")
    assert done.returncode == 1 and "cannot run" in done.stderr
