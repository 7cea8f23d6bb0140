"""The end of a run: its best epoch on the test set, and the figures that are kept."""

from typing import Any

from resnets.backends import Backend
from resnets.data.images import Dataset
from resnets.errors import RunError
from resnets.networks.folder import load
from resnets.networks.network import Network
from resnets.recipes.recipe import Recipe
from resnets.schema import finite_or_none
from resnets.training import records
from resnets.training.events import Epoch, Progress
from resnets.training.metrics import Evaluation, evaluate, evaluate_both
from resnets.training.run_folder import METRICS, MODEL, RunFolder


def conclude(
    folder: RunFolder, recipe: Recipe, *, dataset: Dataset, backend: Backend, device: str
) -> dict[str, Any]:
    """Read the test set, for the first and only time, with the best epoch's weights.

    The figures are written into the folder, too.

    Raises:
        RunError: where the best epoch or the log of the epochs is gone.
    """
    if not (folder.path / MODEL).is_file():
        raise RunError(f"{folder.path}: {MODEL}, the best epoch, is gone; begin another run")
    best = load(folder.path)
    model = backend.build(best.architecture, weights=best.weights)
    logits, test = backend.evaluator(model, best.preprocessing, device=device), dataset.test()
    # Said beside the other figure, never chosen by it. Only where training knew both directions.
    found, both = evaluate_both(logits, test) if recipe.flip else (evaluate(logits, test), None)
    epochs = records.read_epochs(folder.records(), (), progress=Progress())
    kept = next((epoch for epoch in reversed(epochs) if epoch.best), None)
    if kept is None:
        raise RunError(f"{folder.path / METRICS} has lost its epochs; begin another run")
    result: dict[str, Any] = {
        "network": best.architecture.name,
        "recipe": recipe.name,
        "data": dataset.name,
        "seed": recipe.seed,
        "epochs": len(epochs),
        "steps": epochs[-1].step,
        "best_epoch": kept.epoch,
        "validation_accuracy": kept.validation_accuracy,
        "validation_loss": kept.validation_loss,
        **_tested(best, found),
        **({} if both is None else {"test_accuracy_mirrored": both.accuracy}),
        "multiply_adds": epochs[-1].multiply_adds,
    }
    grown = [line for line in folder.records() if line["event"] == "growth"]
    if grown:
        result["growth"] = [{n: g[n] for n in ("epoch", "network", "depths")} for g in grown]
        result["kept_depths"] = [stage.depth for stage in best.architecture.stages]
        result["multiply_adds_ungrown"] = _ungrown(epochs)
    folder.save_result(result)
    return result


def _tested(best: Network, found: Evaluation) -> dict[str, Any]:
    recall = dict(zip(best.class_names, map(finite_or_none, found.recall.tolist()), strict=True))
    return {
        "test_accuracy": found.accuracy,
        "test_loss": found.loss,
        "test_images": found.images,
        "test_recall": recall,
    }


def _ungrown(epochs: tuple[Epoch, ...]) -> int:
    """Multiply-adds of as many epochs with the network of the last one throughout."""
    spent = [0, *(epoch.multiply_adds for epoch in epochs)]
    return (spent[-1] - spent[-2]) * len(epochs)
