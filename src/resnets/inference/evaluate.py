"""Using a trained network: the network itself, the images it is judged on, its evaluation."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets import backends, data
from resnets.backends import Evaluator
from resnets.convert import receive
from resnets.data.augmentation import split
from resnets.data.images import Dataset, Images, Index, Pixels
from resnets.errors import DataError, RunError, WeightsError
from resnets.networks.network import Network
from resnets.recipes.recipe import Recipe
from resnets.schema import list_some
from resnets.training.fingerprint import note_changed_images
from resnets.training.metrics import Evaluation, average_mirrored, evaluate
from resnets.training.run_folder import RECIPE, read_recipe


@dataclass(frozen=True)
class NamedEvaluation:
    """An evaluation, with what was evaluated on what."""

    network: str
    data: str
    class_names: tuple[str, ...]
    evaluation: Evaluation

    def to_json(self) -> dict[str, Any]:
        """Give all figures as JSON values."""
        found = self.evaluation
        classes = [
            {
                "name": name,
                "recall": _finite_or_none(recall),
                "precision": _finite_or_none(precision),
            }
            for name, recall, precision in zip(
                self.class_names, found.recall, found.precision, strict=True
            )
        ]
        return {
            "network": self.network,
            "data": self.data,
            "images": found.images,
            "accuracy": found.accuracy,
            "loss": found.loss,
            "classes": classes,
            "confusion": found.confusion.tolist(),
        }


def evaluate_folder(
    folder: Path | str,
    name: str | None,
    *,
    framework: str,
    device: str,
    announce: Callable[[str], None],
    engine: str | None = None,
    mirror: bool = False,
) -> NamedEvaluation:
    """Evaluate the network in ``folder`` on the test images of the data set called ``name``.

    ``folder`` may be any source that ``resnets.convert.receive`` reads; ``engine`` computes in
    place of the framework (``resnets.export``); ``mirror`` averages the logits of each image and
    of its mirror image.

    Raises:
        WeightsError, DataError, RunError: where the network or the data cannot be had, or the
            data's classes are not the network's.
    """
    network = load_network(folder, announce)
    name, own = _resolve_data(Path(folder), name)
    dataset = data.load_dataset(name, size=network.preprocessing.size, announce=announce)
    _require_fitting_data(dataset, network, name=name, folder=folder)
    if own is not None:
        note_changed_images(Path(folder), own, dataset=dataset, announce=announce)
    logits = make_evaluator(
        network, folder, framework=framework, device=device, engine=engine, mirror=mirror
    )
    found = evaluate(logits, dataset.test())
    return NamedEvaluation(network.architecture.name, name, network.class_names, found)


def load_network(source: Path | str, announce: Callable[[str], None]) -> Network:
    """Read a network, whatever ``source`` is; ``announce`` is told what had to be assumed.

    Raises:
        WeightsError, RunError: where it cannot be read, or is a deployed folder whose network
            is damaged.
    """
    from resnets.export.deployment import check_damage

    check_damage(source)
    found = receive(source)
    for note in found.notes:
        announce(f"note: {note}")
    return found.network


def _require_fitting_data(
    dataset: Dataset, network: Network, *, name: str, folder: Path | str, labelled: bool = True
) -> None:
    """Refuse data of other channels than the network's, and where labels count other classes."""
    if labelled and dataset.class_names != network.class_names:
        raise DataError(
            f"{name} has the classes {list_some(dataset.class_names)}; "
            f"the network in {folder} knows {list_some(network.class_names)}"
        )
    if dataset.channels != network.architecture.channels:
        raise DataError(
            f"{name} has {dataset.channels} channels; "
            f"the network in {folder} takes {network.architecture.channels}"
        )


def load_held_out(
    folder: Path, network: Network, *, name: str | None, announce: Callable[[str], None]
) -> Images:
    """Give the images that a run held out, or a twentieth of another data set's training images.

    Raises:
        DataError, RunError: where there are none, or they are not the network's.
    """
    return load_training_and_held_out(folder, network, name=name, announce=announce)[1]


def load_training_and_held_out(
    folder: Path, network: Network, *, name: str | None, announce: Callable[[str], None]
) -> tuple[Images, Images]:
    """Give the images that a run trained on, and those that it held out: as ``load_held_out``."""
    dataset, trained, held = load_split(folder, network, name=name, announce=announce)
    require_held_out(held, folder, name=name)
    return dataset.training.subset(trained), dataset.training.subset(held)


def require_held_out(held: Index, folder: Path, *, name: str | None) -> None:
    """Refuse to go on where a run, or a twentieth of the data set called ``name``, is nothing."""
    if not len(held) and name is not None:
        raise DataError(f"{name} leaves no images to judge on: it has too few")
    if not len(held):
        raise RunError(f"the run in {folder} held no images out; name other data by --data")


def load_split(
    folder: Path,
    network: Network,
    *,
    name: str | None,
    announce: Callable[[str], None],
    labelled: bool = True,
) -> tuple[Dataset, Index, Index]:
    """Give a data set and the numbers of the training images that ``load_training_and_held_out``
    gives.

    A run may have held none out. Without ``labelled`` the data's classes need not be the network's.
    """
    name, own = _resolve_data(folder, name)
    if own is None and not (folder / RECIPE).is_file():
        announce(
            f"note: {folder} does not tell what its network was trained on; the images held out "
            "here may have been among them"
        )
    recipe = own or Recipe(data=name)
    dataset = data.load_dataset(recipe.data, size=network.preprocessing.size, announce=announce)
    _require_fitting_data(dataset, network, name=recipe.data, folder=folder, labelled=labelled)
    if own is not None:
        note_changed_images(folder, own, dataset=dataset, announce=announce)
    trained, held = split(dataset.training.labels, recipe.validation, seed=recipe.seed)
    return dataset, trained, held


def _resolve_data(folder: Path, name: str | None) -> tuple[str, Recipe | None]:
    """Give what data is meant, and the recipe of the run in ``folder`` if that trained on it.

    Raises:
        RunError: where no data is named and there is no run.
    """
    recipe = read_recipe(folder) if (folder / RECIPE).is_file() else None
    if name is None:
        if recipe is None:
            raise RunError(f"{folder} is no run folder; say what to evaluate on by --data")
        return recipe.data, recipe
    if recipe is None or name == recipe.data:
        return name, recipe
    folders = {name, recipe.data}.isdisjoint(data.NAMES)
    same = folders and Path(name).resolve() == Path(recipe.data).resolve()
    return name, recipe if same else None


def make_framework_evaluator(
    network: Network, folder: Path | str, *, framework: str, device: str
) -> Evaluator:
    """Give the function from stored images to logits; logits that are not finite are refused."""
    backend = backends.load(framework)
    model = backend.build(network.architecture, weights=network.weights)
    return _require_finite(backend.evaluator(model, network.preprocessing, device=device), folder)


def make_evaluator(
    network: Network,
    folder: Path | str,
    *,
    framework: str,
    device: str,
    engine: str | None,
    mirror: bool,
) -> Evaluator:
    """Give the function from stored images to logits, of a framework or of an engine."""
    if engine is None:
        found = make_framework_evaluator(network, folder, framework=framework, device=device)
    else:
        from resnets.export.deployment import open_engine

        found = _require_finite(open_engine(engine, network, folder=folder, device=device), folder)
    return average_mirrored(found) if mirror else found


def _require_finite(evaluator: Evaluator, folder: Path | str) -> Evaluator:
    """Refuse logits that are not finite."""

    def evaluate_finite(pixels: Pixels) -> npt.NDArray[np.float32]:
        logits = evaluator(pixels)
        if not np.isfinite(logits).all():
            raise WeightsError(f"the network in {folder} gives logits that are not finite")
        return logits

    return evaluate_finite


def _finite_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
