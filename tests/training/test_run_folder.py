"""The run folder: begun, matched, refused, cut back."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from resnets.errors import Diverged, ResnetsError, RunError
from resnets.networks import catalog
from resnets.networks.folder import save_weights
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing
from resnets.recipes.recipe import Recipe
from resnets.training import records
from resnets.training.events import Progress
from resnets.training.run_folder import LOCK, METRICS, RunFolder, framework_of
from resnets.training.run_state import State

RECIPE = Recipe(epochs=3)
ARCHITECTURE = catalog.get("resnet8_slim")
NETWORK = Network(
    ARCHITECTURE,
    initial_weights(ARCHITECTURE),
    Preprocessing(size=28, mean=(0.3,), std=(0.3,)),
    tuple("abcdefghij"),
)


@contextmanager
def _open(
    path: Path,
    recipe: Recipe = RECIPE,
    network: Network = NETWORK,
    resume: bool = True,
    images: str = "ab",
) -> Generator[State | None]:
    folder = RunFolder(path)
    with folder.claim(recipe, resume=resume):
        yield folder.begin(network, recipe, images=images)


def _state(step: int) -> State:
    arrays = {"weights/a": np.arange(3, dtype=np.float32), "steps": np.array(step)}
    progress = Progress(step=step, loss_sum=0.1 + 0.2, best_loss=float("inf"))
    return State(arrays=arrays, progress=progress, threads=2)


def test_a_state_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    with _open(tmp_path / "run") as state:
        assert state is None
        RunFolder(tmp_path / "run").save_state(_state(5))
    with _open(tmp_path / "run") as state:
        assert state is not None
        assert (state.progress, state.threads) == (_state(5).progress, 2)
        np.testing.assert_array_equal(state.arrays["weights/a"], _state(5).arrays["weights/a"])


def test_a_state_that_is_not_finite_is_refused_by_name() -> None:
    arrays = {"weights/a": np.ones(2), "momentum/b": np.array([1.0, np.inf])}
    with pytest.raises(Diverged, match="momentum/b is no longer finite after step 7"):
        State(arrays=arrays, progress=Progress(step=7), threads=1).require_finite()
    _state(1).require_finite()


def test_a_run_killed_before_its_recipe_begins_again(tmp_path: Path) -> None:
    with _open(tmp_path):
        pass
    (tmp_path / "recipe.json").unlink()
    (tmp_path / "config.json").unlink()
    with _open(tmp_path, resume=False) as state:
        assert state is None


def test_a_run_is_not_begun_over_another(tmp_path: Path) -> None:
    with _open(tmp_path, resume=False):
        pass
    with pytest.raises(RunError, match="--resume"), _open(tmp_path, resume=False):
        pass


def test_another_recipe_is_refused_setting_by_setting(tmp_path: Path) -> None:
    with _open(tmp_path):
        pass
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with (
        pytest.raises(RunError, match=r"rate: saved 0\.1, now 0\.2"),
        _open(tmp_path, RECIPE.replace(rate=0.2)),
    ):
        pass
    late = [{"epoch": 2, "to": "resnet34_small"}]
    early = [{"epoch": 1, "depths": [2, 2, 2, 3], "start": "copy"}]
    for grow, written in ((late, "2:resnet34_small"), (early, "1:2-2-2-3:copy")):
        asked = f"grow: saved none, now {written}"
        with pytest.raises(RunError, match=asked), _open(tmp_path, RECIPE.replace(grow=grow)):
            pass
    with pytest.raises(RunError, match="another network"):
        network = Network(
            catalog.get("resnet18_small", channels=1, classes=10),
            {},
            NETWORK.preprocessing,
            NETWORK.class_names,
        )
        with _open(tmp_path, network=network):
            pass
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_other_images_are_refused(tmp_path: Path) -> None:
    with _open(tmp_path):
        pass
    with pytest.raises(RunError, match="other images"), _open(tmp_path, images="cd"):
        pass


@pytest.mark.parametrize(
    "progress", [{"step": "x"}, {"step": -5}, {"images": -1}, {"stopped": 1}, {"extra": 1}, 7]
)
def test_a_state_whose_progress_is_none_is_named(tmp_path: Path, progress: Any) -> None:
    with _open(tmp_path):
        pass
    run = json.dumps({"progress": progress, "threads": 1})
    save_weights({"steps": np.array(1)}, tmp_path / "state.safetensors", metadata={"run": run})
    with pytest.raises(ResnetsError, match=r"state\.safetensors"), _open(tmp_path):
        pass


@pytest.mark.parametrize("content", ["{}", '{"test_accuracy": "x"}', "[]", "", '{"epochs": 1}'])
def test_a_damaged_result_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunError, match=r"result\.json"):
        RunFolder(tmp_path).result()


@pytest.mark.parametrize(
    "line",
    [b"\x00\xff\n", b"7\n", b'{"step": "x", "event": "step", "epoch": 1}\n', b'{"step": NaN}\n'],
)
def test_a_damaged_log_is_cut_at_the_damage(tmp_path: Path, line: bytes) -> None:
    folder = RunFolder(tmp_path)
    folder.log(METRICS, {"event": "step", "step": 1, "epoch": 1})
    with (tmp_path / METRICS).open("ab") as file:
        file.write(line)
    assert [record["step"] for record in folder.records()] == [1]


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(RunError, match=r"thesis\.tex"), _open(tmp_path):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is a file"), _open(tmp_path / "thesis.tex"):
        pass


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        filelock.FileLock(tmp_path / LOCK),
        pytest.raises(RunError, match="in use"),
        _open(tmp_path),
    ):
        pass


def test_logs_are_cut_back_to_the_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with _open(tmp_path):
        for step in (2, 4, 6, 8):
            folder.log(METRICS, {"event": "step", "step": step, "epoch": 1})
        folder.save_state(_state(4))
        with (tmp_path / METRICS).open("ab") as file:
            file.write(b'{"step": 1')  # what a kill in the middle of a line leaves
        (tmp_path / ".model.safetensors.x.part").write_bytes(b"half")
    with _open(tmp_path):
        assert [record["step"] for record in folder.records()] == [2, 4]
        assert not list(tmp_path.glob("*.part"))


def test_an_epochs_end_is_cut_where_the_state_has_not_seen_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for images, kept in ((0, ["step", "epoch"]), (24, ["step"])):
        with _open(tmp_path):
            folder.log(METRICS, {"event": "step", "step": 4, "epoch": 1})
            folder.log(METRICS, {"event": "epoch", "step": 4, "epoch": 1})
            folder.save_state(State(arrays={}, progress=Progress(step=4, images=images), threads=1))
        with _open(tmp_path):
            assert [record["event"] for record in folder.records()] == kept
        (tmp_path / METRICS).unlink()


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      ", b"\xff" * 64])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    with _open(tmp_path):
        pass
    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(ResnetsError, match=r"state\.safetensors"), _open(tmp_path):
        pass
    assert (tmp_path / "state.safetensors").read_bytes() == content


@pytest.mark.parametrize("content", ["", "[]", '{"epocs": 3}'])
def test_a_damaged_recipe_is_named(tmp_path: Path, content: str) -> None:
    with _open(tmp_path):
        pass
    (tmp_path / "recipe.json").write_text(content)
    with pytest.raises(ResnetsError, match=r"recipe\.json"), _open(tmp_path):
        pass


def test_writing_where_one_may_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use"), _open(tmp_path / "file" / "run"):
        pass


def test_a_full_disk_keeps_the_old_state(tmp_path: Path) -> None:
    """A process with a limit on file sizes: the kernel's own refusal, in the middle of a file."""
    with _open(tmp_path):
        RunFolder(tmp_path).save_state(_state(1))
    before = (tmp_path / "state.safetensors").read_bytes()
    program = f"""
import resource, signal
import numpy as np
from pathlib import Path
from resnets.training.run_folder import RunFolder
from resnets.training.run_state import State
from resnets.training.events import Progress
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
array = np.zeros(100_000, np.float32)
state = State(arrays={{"a": array}}, progress=Progress(step=2), threads=1)
try:
    RunFolder(Path({str(tmp_path)!r})).save_state(state)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout.startswith("WeightsError cannot write")
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_records_are_json_without_infinities(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log(METRICS, {"step": 1, "loss": 0.1})
    assert json.loads((tmp_path / METRICS).read_text()) == {"step": 1, "loss": 0.1}
    with pytest.raises(ValueError, match="Out of range float"):
        folder.log(METRICS, {"step": 2, "loss": float("nan")})


def test_who_asks_for_no_framework_gets_the_runs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"jax", "mxnet"}
    monkeypatch.setattr("resnets.backends.is_installed", there.__contains__)
    folder = RunFolder(tmp_path)
    assert framework_of(None) == framework_of(tmp_path) == framework_of("torchvision/x") == "jax"
    (tmp_path / "recipe.json").write_text("{}")
    assert framework_of(tmp_path) == "jax"
    for trained, expected in (("mxnet", "mxnet"), ("torch", "jax")):
        folder.log(
            "timings.jsonl",
            records.start_record(trained, "cpu", threads=1, precision="fp32", progress=Progress()),
        )
        assert framework_of(tmp_path) == expected
    (tmp_path / "timings.jsonl").write_bytes(b"\xff\xfe{")
    assert framework_of(tmp_path) == "jax"
    there.clear()
    assert framework_of(None) == "torch"


def test_a_folder_in_which_no_run_began_is_removed_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "run")
    with pytest.raises(ZeroDivisionError), folder.claim(RECIPE, resume=False):
        assert folder.path.is_dir()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with RunFolder(tmp_path / "mine").claim(RECIPE, resume=False):
        pass
    assert (tmp_path / "mine").is_dir()


def test_a_wrong_recipe_is_refused_without_data(tmp_path: Path) -> None:
    with _open(tmp_path):
        pass
    folder = RunFolder(tmp_path)
    for recipe, resume in ((RECIPE, False), (RECIPE.replace(rate=0.2), True)):
        with pytest.raises(RunError), folder.claim(recipe, resume=resume):
            pytest.fail("the folder was claimed")
    other = RECIPE.replace(precision="fp64")
    with folder.claim(other, resume=True, any_precision=True):
        pass
