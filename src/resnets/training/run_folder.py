"""The run folder: what a training run writes, and how it continues after an interruption.

Every file except the two logs is replaced whole. The order of writing makes it safe to kill the
process at any time: logs first, then the state, then the best model. When the run resumes, lines
of the logs that are newer than the state are removed, and the steps are taken again, bit for bit.

| file | content |
|---|---|
| ``images.sha256`` | the training images' fingerprint: a run resumes only on the same ones |
| ``recipe.json`` | the resolved recipe; ``resnets train --recipe`` runs it again |
| ``config.json``, ``model.safetensors`` | the network of the best epoch |
| ``state.safetensors`` | the last state: weights, averages, optimiser buffers, progress |
| ``metrics.jsonl`` | one line per logged step and per epoch; the same bytes on every run |
| ``timings.jsonl`` | what differs between runs: seconds and images per second |
| ``result.json`` | the test set's figures, once the run has ended |
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

import filelock

from resnets.backends import choose_default
from resnets.errors import RunError
from resnets.files import explain_os_errors, remove_leftovers, write_text
from resnets.networks.architecture import Architecture
from resnets.networks.folder import (
    ARCHITECTURE,
    Config,
    load,
    load_config,
    save_weights,
    to_config_text,
)
from resnets.networks.network import Network, Weights
from resnets.recipes.recipe import Recipe, upgrade_saved_recipe
from resnets.schema import from_json, shorten, to_json
from resnets.training import logs
from resnets.training.events import Progress
from resnets.training.run_state import State, load_state

STATE, MODEL, CONFIG, RECIPE = (
    "state.safetensors",
    "model.safetensors",
    "config.json",
    "recipe.json",
)
METRICS, TIMINGS, RESULT = "metrics.jsonl", "timings.jsonl", "result.json"
IMAGES = "images.sha256"
LOCK = ".lock"


class RunFolder:
    """The folder of one run.

    Reading needs no claim. To train, ``claim`` the folder, which needs no data, then ``begin``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._network: Network | None = None
        self._grown: tuple[Architecture, ...] = ()

    @contextmanager
    def claim(
        self, recipe: Recipe, *, resume: bool, any_precision: bool = False
    ) -> Generator[None]:
        """Lock the folder for this process; reject a folder that ``recipe`` cannot train in.

        Folders that were created are removed again if no run begins in them.

        Args:
            recipe: what is about to be trained.
            resume: whether a run that the folder holds may continue.
            any_precision: accept a run of another precision: another framework continues it, or
                did before.

        Raises:
            RunError: if the folder cannot be written, holds something else, a run that was not
                to be resumed or a run of another recipe, or is in use.
        """
        with explain_os_errors(f"cannot use {self.path} as a run folder", RunError):
            self._reject_foreign_files()
            created = [p for p in (self.path, *self.path.parents) if not p.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.path / LOCK)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout as error:
                raise RunError(f"{self.path} is in use by another process") from error
        try:
            with explain_os_errors(f"cannot use {self.path} as a run folder", RunError):
                remove_leftovers(self.path)
                if self.has_begun():
                    self._match_recipe(recipe, resume=resume, any_precision=any_precision)
            yield
        finally:
            lock.release()
            if created and not self.has_begun():
                with suppress(OSError):  # another process may be using them by now
                    (self.path / LOCK).unlink(missing_ok=True)
                    for folder in created:
                        folder.rmdir()

    def has_begun(self) -> bool:
        """Return whether the folder holds a run."""
        return (self.path / RECIPE).is_file()

    def begin(
        self,
        network: Network,
        recipe: Recipe,
        *,
        images: str,
        grown: Sequence[Architecture] = (),
    ) -> State | None:
        """Write what a new run begins with, or check that the saved run is the same one.

        Args:
            network: what the run begins with.
            recipe: how it is trained.
            images: the fingerprint of the training images.
            grown: what the network becomes by the recipe's growths.

        Returns:
            The saved state, or None to start at step 0.

        Raises:
            RunError: if the saved run has another network or other images.
        """
        self._network, self._grown = network, tuple(grown)
        with explain_os_errors(f"cannot use {self.path} as a run folder", RunError):
            if not self.has_begun():
                write_text(self.path / IMAGES, images + "\n")
                write_text(self.path / RECIPE, json.dumps(to_json(recipe), indent=2) + "\n")
                write_text(self.path / CONFIG, to_config_text(network))
            else:
                self._match_images(images, recipe)
                self._match_network(network)
            state = self._load_state()
            for name in (METRICS, TIMINGS):
                logs.truncate_log(self.path / name, state.progress if state else Progress())
        return state

    def log(self, name: str, record: Mapping[str, Any], *, sync: bool = False) -> None:
        """Append a line to a log."""
        logs.append_record(self.path / name, record, sync=sync)

    def records(self, name: str = METRICS) -> list[dict[str, Any]]:
        """Return the lines of a log."""
        return logs.read_log(self.path / name)

    def framework(self) -> str | None:
        """Return the framework that trained last, or None."""
        start = self.start()
        return str(start.get("framework")) if start else None

    def precision(self) -> str | None:
        """Return the precision of the last process; None if it is not known."""
        return self.start().get("precision")

    def start(self) -> dict[str, Any]:
        """Return the log line of the process that trained last, or an empty dictionary."""
        starts = [line for line in self.records(TIMINGS) if line["event"] == "start"]
        return starts[-1] if starts else {}

    def save_model(self, weights: Weights, architecture: Architecture) -> None:
        """Replace the best model; it is one of the networks that ``begin`` was told of."""
        if not self._grown:
            save_weights(weights, self.path / MODEL)
            return
        metadata = {ARCHITECTURE: json.dumps(architecture.to_json())}
        save_weights(weights, self.path / MODEL, metadata=metadata)
        self._write_architecture(architecture)

    def save_state(self, state: State) -> None:
        """Replace the last state."""
        state.save(self.path / STATE)

    def save_result(self, result: Mapping[str, Any]) -> None:
        """Write the run's final figures."""
        with explain_os_errors(f"cannot write {self.path / RESULT}", RunError):
            write_text(self.path / RESULT, json.dumps(result, indent=2) + "\n")

    def result(self) -> dict[str, Any] | None:
        """Return the final figures, or None if the run has not ended.

        Raises:
            RunError: if the file is damaged, or the model it belongs to is missing.
        """
        path = self.path / RESULT
        if not path.exists():
            return None
        found = _read_json(path)
        if problem := _find_problem(found):
            raise RunError(f"{path}: not the result of a run ({problem})")
        if not (self.path / MODEL).is_file():
            raise RunError(f"{self.path} has ended, but its {MODEL} is missing; start a new run")
        return found

    def _write_architecture(self, architecture: Architecture) -> None:
        """Make config.json describe the best model."""
        assert self._network is not None
        network = replace(self._network, architecture=architecture)
        if load_config(self.path / CONFIG).architecture != architecture:
            with explain_os_errors(f"cannot write {self.path / CONFIG}", RunError):
                write_text(self.path / CONFIG, to_config_text(network))

    def _reject_foreign_files(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; a run needs a folder")
        if not self.path.is_dir() or self.has_begun():
            return
        # A run that was killed while it wrote its very first files has no recipe yet.
        names = (p.name for p in self.path.iterdir() if p.name != IMAGES)
        others = [name for name in names if not name.startswith(".")]
        if others:
            shown = ", ".join(sorted(others)[:3])
            raise RunError(
                f"{self.path} holds no run, but other files ({shown}); "
                "choose another folder with --run"
            )

    def _match_recipe(self, recipe: Recipe, *, resume: bool, any_precision: bool) -> None:
        if not resume:
            raise RunError(
                f"{self.path} already holds a run: pass --resume to continue it, or --run FOLDER "
                "to start another"
            )
        saved = read_recipe(self.path)
        asked = replace(recipe, precision=saved.precision) if any_precision else recipe
        if differing := _list_differences(saved, asked):
            listed = "".join(f"\n  {line}" for line in differing)
            raise RunError(f"{self.path} is a run of another recipe:{listed}")

    def _match_images(self, images: str, recipe: Recipe) -> None:
        path = self.path / IMAGES
        if not path.is_file():
            raise RunError(f"{path}: no such file; it identifies the images of the run")
        if path.read_bytes().strip() != images.encode():
            raise RunError(
                f"{self.path} is a run on other images: those of {recipe.data} have changed "
                f"since it began, or an older version held out others ({IMAGES})"
            )

    def _match_network(self, network: Network) -> None:
        if not (self.path / CONFIG).is_file():
            write_text(self.path / CONFIG, to_config_text(network))
        if self._grown and (self.path / MODEL).is_file():
            # The process may have been killed between the two files.
            self._write_architecture(load(self.path).architecture)
        known = [replace(network, architecture=a) for a in (network.architecture, *self._grown)]
        if load_config(self.path / CONFIG) not in map(Config.from_network, known):
            raise RunError(
                f"{self.path} is a run of another network or other images: "
                f"its {CONFIG} differs from what this run would write"
            )

    def _load_state(self) -> State | None:
        path = self.path / STATE
        return load_state(path) if path.is_file() else None


def framework_of(folder: Path | str | None) -> str:
    """Return the framework to use by default.

    It is the one that trained the run in ``folder``, if it is installed; otherwise, and if
    ``folder`` is no run, the first that is installed.
    """
    own = None
    if folder is not None and (Path(folder) / RECIPE).is_file():
        with suppress(RunError):  # an unreadable log only costs this preference
            own = RunFolder(Path(folder)).framework()
    return choose_default(own)


def read_recipe(folder: Path) -> Recipe:
    """Return a run's recipe.

    Raises:
        RunError: if it is missing or not JSON.
        InvalidDescription: if it is not a recipe.
    """
    return from_json(
        Recipe, upgrade_saved_recipe(_read_json(folder / RECIPE)), str(folder / RECIPE)
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with explain_os_errors(f"cannot read {path}", RunError):
            value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: expected a JSON object, found {shorten(value)}")
    return cast("dict[str, Any]", value)


def _find_problem(result: Mapping[str, Any]) -> str:
    """Return why something is not the result of a run; empty if it is one."""
    wanted = {"test_accuracy": float, "test_loss": float, "test_images": int}
    wanted |= {"test_recall": dict, "epochs": int, "best_epoch": int}
    bad = [name for name, kind in wanted.items() if not isinstance(result.get(name), kind)]
    if bad:
        return ", ".join(bad)
    fractions = (result["test_accuracy"], *result["test_recall"].values())
    if not all(map(_is_fraction, fractions)):
        return "a fraction is not from 0 to 1"
    if result["test_images"] < 1:
        return "no test images"
    return "" if "validation_accuracy" in result else "incomplete"


def _is_fraction(value: Any) -> bool:
    """Return whether a value is a number from 0 to 1, or None: the recall of no images."""
    return value is None or (isinstance(value, int | float) and 0 <= value <= 1)


def _list_differences(saved: Recipe, asked: Recipe) -> list[str]:
    """Describe the settings in which two recipes differ, except their names."""
    lines: list[str] = []
    for field in fields(Recipe):
        old, new = getattr(saved, field.name), getattr(asked, field.name)
        if old != new and field.name != "name":
            lines.append(f"{field.name}: saved {_format_setting(old)}, now {_format_setting(new)}")
    return lines


def _format_setting(value: Any) -> str:
    """Write a setting as its flag does."""
    if isinstance(value, tuple):
        return "; ".join(map(str, cast("tuple[Any, ...]", value))) or "none"
    return "none" if value is None else str(value)
