"""The run folder: what a training run leaves, and how it goes on after an interruption.

Every file but the two logs is replaced whole. The order of writing makes any instant safe to be
killed at: logs first, then the best model, then the state. What the logs hold beyond the state
is cut off when the run resumes, and the steps are taken again, bit for bit.

| file | content |
|---|---|
| ``images.sha256`` | the fingerprint of the training images: a run goes on with the same |
| ``recipe.json`` | the resolved recipe; ``resnets train --recipe`` runs it again |
| ``config.json``, ``model.safetensors`` | the network of the best epoch |
| ``state.safetensors`` | the last state: weights, averages, optimiser buffers, progress |
| ``metrics.jsonl`` | one line a logged step and an epoch; the same bytes on every run |
| ``timings.jsonl`` | what differs between runs: seconds and images per second |
| ``result.json`` | the test set's figures, once the run has ended |
"""

import json
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import filelock
import numpy as np

from resnets.backends import choose_default
from resnets.errors import Diverged, RunError, WeightsError
from resnets.files import explained, remove_leftovers, write_text
from resnets.networks.architecture import Architecture
from resnets.networks.weights import (
    ARCHITECTURE,
    Config,
    Network,
    Weights,
    config_text,
    load,
    load_config,
    load_weights,
    save_weights,
)
from resnets.recipes.recipe import Recipe, of_its_time
from resnets.schema import from_json, shortened, to_json
from resnets.training import logs
from resnets.training.events import Progress

STATE, MODEL, CONFIG, RECIPE = (
    "state.safetensors",
    "model.safetensors",
    "config.json",
    "recipe.json",
)
METRICS, TIMINGS, RESULT = "metrics.jsonl", "timings.jsonl", "result.json"
IMAGES = "images.sha256"
LOCK = ".lock"


@dataclass(frozen=True)
class State:
    """A saved state.

    Attributes:
        arrays: the session's.
        progress: where training stands.
        threads: how many computed it.
        framework: which; None where an older version wrote it.
        best: whether its weights are those of the best epoch so far.
    """

    arrays: Weights
    progress: Progress
    threads: int
    framework: str | None = None
    best: bool = False

    def require_finite(self) -> None:
        """A loss can be finite and the step it leads to not; such a state must not be kept.

        Raises:
            Diverged: naming the first array that is not finite.
        """
        for name, array in self.arrays.items():
            if not np.isfinite(array).all():
                raise Diverged(f"{name} is no longer finite after step {self.progress.step}")


class RunFolder:
    """One run's folder, open for writing by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(
        self,
        network: Network,
        recipe: Recipe,
        images: str,
        *,
        resume: bool,
        grown: Sequence[Architecture] = (),
        moved: bool = False,
    ) -> Generator[State | None]:
        """Claim the folder for this run; give the saved state, or None to start at step 0.

        ``images`` is the fingerprint of what is trained on; ``grown`` are the networks that
        ``network`` becomes; ``moved`` says that another framework goes on with the run, or did
        before, in a precision that need not be the recipe's.

        Raises:
            RunError: if the folder cannot be written, holds something else, a run that was not
                to be resumed, a run of another recipe or network, or is in use.
        """
        with explained(f"cannot use {self.path} as a run folder", RunError):
            self._refuse_strangers()
            self.path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / LOCK)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise RunError(f"{self.path} is in use by another process") from error
        try:
            with explained(f"cannot use {self.path} as a run folder", RunError):
                remove_leftovers(self.path)
                self._network, self._grown = network, tuple(grown)
                self._begin_or_match(network, recipe, images, resume=resume, moved=moved)
                state = self._load_state()
                for name in (METRICS, TIMINGS):
                    logs.cut(self.path / name, state.progress if state else Progress())
            yield state
        finally:
            lock.release()

    def log(self, name: str, record: Mapping[str, Any], *, sync: bool = False) -> None:
        """Append a line to a log."""
        logs.append(self.path / name, record, sync=sync)

    def records(self, name: str = METRICS) -> list[dict[str, Any]]:
        """Read a log's lines."""
        return logs.read(self.path / name)

    def framework(self) -> str | None:
        """Give the framework that trained last; None where none has."""
        start = self.start()
        return str(start.get("framework")) if start else None

    def precision(self) -> str | None:
        """Give the precision it trained in; None where older versions did not note it."""
        return self.start().get("precision")

    def start(self) -> dict[str, Any]:
        """Give the line of the process that trained last; empty where none has."""
        starts = [line for line in self.records(TIMINGS) if line["event"] == "start"]
        return starts[-1] if starts else {}

    def save_model(self, weights: Weights, architecture: Architecture) -> None:
        """Replace the best model, of one of the run's networks."""
        if not self._grown:
            save_weights(weights, self.path / MODEL)
            return
        described = json.dumps(architecture.to_json())
        save_weights(weights, self.path / MODEL, {ARCHITECTURE: described})
        self._describe(architecture)

    def _describe(self, architecture: Architecture) -> None:
        """Make config.json say what network the best model is."""
        network = replace(self._network, architecture=architecture)
        if load_config(self.path / CONFIG).architecture != architecture:
            with explained(f"cannot write {self.path / CONFIG}", RunError):
                write_text(self.path / CONFIG, config_text(network))

    def save_state(self, state: State) -> None:
        """Replace the last state."""
        run = {"progress": asdict(state.progress), "threads": state.threads}
        run |= {"framework": state.framework, "best": state.best}
        save_weights(state.arrays, self.path / STATE, {"run": json.dumps(run)})

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Write the run's final figures."""
        with explained(f"cannot write {self.path / RESULT}", RunError):
            write_text(self.path / RESULT, json.dumps(result, indent=2) + "\n")

    def result(self) -> dict[str, Any] | None:
        """Read the final figures; None if the run has not ended."""
        path = self.path / RESULT
        if not path.exists():
            return None
        found = read_json(path)
        wanted = {"test_accuracy": float, "test_loss": float, "test_images": int}
        wanted |= {"test_recall": dict, "epochs": int, "best_epoch": int}
        bad = [name for name, kind in wanted.items() if not isinstance(found.get(name), kind)]
        if not bad:
            shares = (found["test_accuracy"], *found["test_recall"].values())
            bad += ["a share beyond 0 and 1"] * (not all(map(_is_share, shares)))
            bad += ["no test images"] * (found["test_images"] < 1)
        if bad or "validation_accuracy" not in found:
            raise RunError(f"{path}: not the result of a run ({', '.join(bad) or 'incomplete'})")
        if not (self.path / MODEL).is_file():
            raise RunError(f"{self.path} has ended, but its {MODEL} is gone; begin another run")
        return found

    def _refuse_strangers(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; a run needs a folder")
        if not self.path.is_dir() or (self.path / RECIPE).is_file():
            return
        # A run that was killed at its very first files has no recipe yet.
        names = (p.name for p in self.path.iterdir() if p.name != IMAGES)
        others = [name for name in names if not name.startswith(".")]
        if others:
            shown = ", ".join(sorted(others)[:3])
            raise RunError(f"{self.path} holds no run, but {shown}; choose another folder by --run")

    def _begin_or_match(
        self, network: Network, recipe: Recipe, images: str, *, resume: bool, moved: bool
    ) -> None:
        if not (self.path / RECIPE).is_file():
            write_text(self.path / IMAGES, images + "\n")
            write_text(self.path / RECIPE, json.dumps(to_json(recipe), indent=2) + "\n")
            write_text(self.path / CONFIG, config_text(network))
            return
        if not resume:
            raise RunError(
                f"{self.path} holds a run already: --resume goes on with it, "
                "--run FOLDER begins another"
            )
        saved = read_recipe(self.path)
        differing = _differences(
            saved, replace(recipe, precision=saved.precision) if moved else recipe
        )
        if differing:
            listed = "".join(f"\n  {line}" for line in differing)
            raise RunError(f"{self.path} is a run of another recipe:{listed}")
        if not (self.path / IMAGES).is_file():
            raise RunError(f"{self.path / IMAGES}: no such file; it says what the run trains on")
        if (self.path / IMAGES).read_bytes().strip() != images.encode():
            raise RunError(
                f"{self.path} is a run on other images: those of {recipe.data} have changed "
                f"since it began, or an older version held out others ({IMAGES})"
            )
        if not (self.path / CONFIG).is_file():
            write_text(self.path / CONFIG, config_text(network))
        if self._grown and (self.path / MODEL).is_file():
            self._describe(load(self.path).architecture)  # a kill may have come between the two
        known = [replace(network, architecture=a) for a in (network.architecture, *self._grown)]
        if load_config(self.path / CONFIG) not in map(Config.of, known):
            raise RunError(
                f"{self.path} is a run of another network or other images: "
                f"its {CONFIG} differs from what this run would write"
            )

    def _load_state(self) -> State | None:
        path = self.path / STATE
        if not path.is_file():
            return None
        arrays, metadata = load_weights(path)
        try:
            run = json.loads(metadata["run"])
            progress = from_json(Progress, run["progress"], str(path))
            threads = int(run["threads"])
            framework, best = run.get("framework"), bool(run.get("best", False))
        except (KeyError, ValueError, TypeError) as error:
            raise WeightsError(f"{path}: not the state of a run ({error})") from error
        if min(progress.step, progress.images, progress.best_epoch) < 0:
            raise WeightsError(f"{path}: not the state of a run (a count is below 0)")
        return State(arrays, progress, threads, framework, best)


def framework_of(folder: Path | str | None) -> str:
    """Name the framework for who asks for none: the run's own where it is installed.

    Else, and where ``folder`` is no run, the first that is.
    """
    own = None
    if folder is not None and (Path(folder) / RECIPE).is_file():
        with suppress(RunError):  # a log that cannot be read costs nothing but this
            own = RunFolder(Path(folder)).framework()
    return choose_default(own)


def read_recipe(folder: Path) -> Recipe:
    """Read a run's recipe.

    Raises:
        RunError: if it is missing or not JSON.
        InvalidDescription: if it is no recipe.
    """
    return from_json(Recipe, of_its_time(read_json(folder / RECIPE)), str(folder / RECIPE))


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        RunError: if it is missing or not JSON.
    """
    try:
        with explained(f"cannot read {path}", RunError):
            value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: {shortened(value)} is not an object")
    return cast("dict[str, Any]", value)


def _is_share(value: Any) -> bool:
    """Whether it is a number from 0 to 1, or None: that of no images."""
    return value is None or (isinstance(value, int | float) and 0 <= value <= 1)


def _differences(saved: Recipe, asked: Recipe) -> list[str]:
    """Describe the settings in which two recipes differ; the name decides nothing."""
    lines: list[str] = []
    for field in fields(Recipe):
        old, new = getattr(saved, field.name), getattr(asked, field.name)
        if old != new and field.name != "name":
            lines.append(f"{field.name}: {_written(old)} there, {_written(new)} asked for")
    return lines


def _written(value: Any) -> str:
    """Write a setting as its flag does."""
    if isinstance(value, tuple):
        return "; ".join(map(str, cast("tuple[Any, ...]", value))) or "none"
    return "none" if value is None else str(value)


def finite(value: float) -> float | None:
    """A number for JSON, which has no infinity: None instead."""
    return value if math.isfinite(value) else None
