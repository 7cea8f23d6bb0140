"""One run, four frameworks: each goes on with what the one before left, and all agree on it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands import resnets, wait_until
from resnets import backends

ORDER = [*backends.NAMES, backends.NAMES[0]]


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "resnets", *map(str, arguments)]


def interrupted(arguments: list[str], run: Path) -> None:
    """Train until new states are saved, then ask politely to stop."""
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    for _ in range(2):  # the first save may be of an epoch's end, without a step
        before = _saved(run)
        wait_until(
            lambda before=before: _saved(run) != before or process.poll() is not None, deadline=300
        )
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said


def _saved(run: Path) -> int:
    """When the run's state was last replaced; 0 if it has none yet."""
    try:
        return (run / "state.safetensors").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


@pytest.fixture(scope="module")
def travelled(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that every framework has trained; and what the last of them said."""
    run = tmp_path_factory.mktemp("travelled") / "run"
    arguments = command(
        *("train", "--data", picture_folder, "--network", "resnet8_slim", "--size", 14),
        *("--batch", 16, "--validation", 0.2, "--epochs", 40, "--optimiser", "adamw"),
        *("--rate", 1e-3, "--average", 0.9, "--precision", "fp32", "--run", run),
        *("--resume", "--save-every", 0),
    )
    for framework in ORDER[:-1]:
        interrupted([*arguments, "--framework", framework], run)
    done = resnets(*arguments[3:], "--framework", ORDER[-1])
    assert done.returncode == 0, done.stderr
    return run, done.stderr


def test_a_run_goes_through_all_frameworks(travelled: tuple[Path, str]) -> None:
    run, said = travelled
    lines = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
    starts = [line for line in lines if line["event"] == "start"]
    assert [line["framework"] for line in starts] == ORDER
    steps = [line["step"] for line in starts]
    assert steps == sorted(set(steps))
    assert f"trained by {ORDER[-2]} and continues with {ORDER[-1]}" in said
    assert json.loads((run / "result.json").read_text())["test_accuracy"] > 0.7


def test_all_frameworks_agree_on_the_outcome(travelled: tuple[Path, str]) -> None:
    run, _ = travelled
    expected = json.loads((run / "result.json").read_text())
    for framework in backends.NAMES:
        done = resnets("evaluate", run, "--framework", framework, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["accuracy"] == expected["test_accuracy"], framework
        assert found["loss"] == pytest.approx(expected["test_loss"], rel=1e-4), framework


def test_who_took_a_run_over_goes_on_in_its_own_precision(
    picture_folder: Path, tmp_path: Path
) -> None:
    """MXNet has no bf16, in which the run began: it is asked for it neither now nor later."""
    run = tmp_path / "run"
    arguments = command(
        *("train", "--data", picture_folder, "--network", "resnet8_thin", "--size", 14),
        *("--batch", 16, "--validation", 0.2, "--epochs", 12, "--run", run),
        *("--resume", "--save-every", 0),
    )
    interrupted([*arguments, "--framework", "torch", "--precision", "bf16"], run)
    interrupted([*arguments, "--framework", "mxnet"], run)
    refused = resnets(*arguments[3:], "--framework", "mxnet", "--precision", "fp64")
    assert refused.returncode == 1 and "is a run of another recipe" in refused.stderr
    for given in ((), ("--precision", "fp32")):
        done = resnets(*arguments[3:], "--framework", "mxnet", *given)
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
    starts = [line for line in lines if line["event"] == "start"]
    assert [line["precision"] for line in starts] == ["bf16", "fp32", "fp32"]


KILLED = """
import os, signal, sys
from resnets.training.run_folder import RunFolder

save, left = RunFolder.save_model, int(sys.argv.pop(1))

def killed(*given):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    save(*given)

RunFolder.save_model = killed
from resnets.__main__ import main
main()
"""


def test_the_model_is_of_the_epoch_that_the_result_names(
    picture_folder: Path, tmp_path: Path
) -> None:
    """Killed between the state and the model, taken over by others: none trains it anew."""

    def arguments(run: Path) -> list[str]:
        return [
            *("train", "--data", str(picture_folder), "--network", "resnet8_thin", "--size", "14"),
            *("--batch", "16", "--validation", "0", "--epochs", "2", "--precision", "fp32"),
            *("--average", "0.9", "--resume", "--run", str(run)),
        ]

    whole, run = tmp_path / "whole", tmp_path / "run"
    assert resnets(*arguments(whole), "--framework", "torch").returncode == 0
    expected = (whole / "model.safetensors").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "2", *arguments(run), "--framework", "torch"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert (run / "model.safetensors").read_bytes() != expected  # still the first epoch's
    # Began, and killed before it saved anything: it has trained nothing.
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "1", *arguments(run), "--framework", "jax"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    done = resnets(*arguments(run), "--framework", "mxnet")
    assert done.returncode == 0, done.stderr
    assert "trained by torch and continues with mxnet" in done.stderr
    assert (run / "model.safetensors").read_bytes() == expected
    lines = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
    starts = [line["framework"] for line in lines if line["event"] == "start"]
    assert starts[0] == "torch" and starts[-1] == "mxnet"
