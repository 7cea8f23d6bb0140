"""What a run starts from: the network fitted to the data, its initial weights, the split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from resnets import convert, data
from resnets.data.augmentation import split
from resnets.data.images import Dataset
from resnets.errors import DataError, GrowthError, InvalidDescription, RunError, WeightsError
from resnets.files import explained
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import Scheme, initial_weights
from resnets.networks.named import find_architecture
from resnets.networks.tracing import trace
from resnets.networks.weights import Network, Preprocessing
from resnets.progress_bar import count_bar
from resnets.recipes.recipe import Growth, Recipe
from resnets.recipes.schedule import images_per_epoch
from resnets.schema import shortened
from resnets.training.growth.deepening import Deepening
from resnets.training.loop import TrainingData
from resnets.training.run_folder import IMAGES


def prepare(
    described: Architecture, recipe: Recipe, dataset: Dataset
) -> tuple[Network, TrainingData]:
    """Fit a network to the data, draw its initial weights or take those it starts from.

    Images are held out as the recipe says.

    Raises:
        DataError: where there are too few images.
        WeightsError: where the weights to start from do not fit, and no choice is made.
    """
    architecture = replace(
        described,
        channels=dataset.channels,
        classes=len(dataset.class_names),
    )
    kept, held = split(dataset.training.labels, recipe.validation, recipe.seed)
    if len(kept) < 2:
        raise DataError(f"{len(kept)} images to train on; there must be two at least")
    training = dataset.training.only(kept) if len(held) else dataset.training
    validation = dataset.training.only(held) if len(held) else None
    taken = min(recipe.batch, images_per_epoch(recipe, len(kept)))
    mend = "use a batch of 2 or larger images, or skip fewer"
    refuse_lone_values(architecture, recipe.size, taken, mend)
    if recipe.start is not None:
        return _started(recipe, dataset), TrainingData(training, validation)
    channels = dataset.channels
    mean, std = (0.0,) * channels, (1.0,) * channels
    if recipe.normalise:
        mean, std = data.mean_and_std(training)
    preprocessing = Preprocessing(size=recipe.size, mean=mean, std=std)
    weights = initial_weights(
        architecture,
        seed=recipe.seed,
        scheme=recipe.initialisation,
        zero_last_scale=recipe.zero_last_scale,
    )
    network = Network(architecture, weights, preprocessing, dataset.class_names)
    return network, TrainingData(training, validation)


def _started(recipe: Recipe, dataset: Dataset) -> Network:
    """Give the network to start from, fitted to the data as the recipe chooses."""
    assert recipe.start is not None
    names = dataset.class_names
    received = convert.receive(
        recipe.start,
        classes=len(names),
        new_head=recipe.reset_head,
        channels=dataset.channels,
        adapt=recipe.input,
        seed=recipe.seed,
    ).network
    if not recipe.reset_head and received.class_names != names:
        raise WeightsError(
            f"{recipe.start} knows the classes {few(received.class_names)}, {recipe.data} has "
            f"{few(names)}; --reset-head draws a new dense layer"
        )
    preprocessing = replace(received.preprocessing, size=recipe.size)
    return replace(received, preprocessing=preprocessing, class_names=names)


def few(names: Sequence[str]) -> str:
    """Write the first names of classes, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def at_own_size(recipe: Recipe) -> Recipe:
    """Give the recipe at the size of images that the weights it starts from were trained on.

    Raises:
        WeightsError: if they cannot be read.
    """
    assert recipe.start is not None
    return recipe.changed(size=convert.describe(recipe.start).size)


def starting_architecture(recipe: Recipe) -> Architecture:
    """Give the architecture that the recipe's network, or what it starts from, has.

    Raises:
        UnknownName, InvalidDescription, RunError: as ``find_architecture``.
        WeightsError: if the weights to start from cannot be read.
    """
    if recipe.start is not None:
        return convert.describe(recipe.start).architecture
    return find_architecture(recipe.network)


def growth_plan(recipe: Recipe, network: Architecture) -> tuple[Deepening, ...]:
    """Say how the recipe makes ``network`` deeper, step by step.

    Raises:
        GrowthError: where a network does not contain the one before it, or adds no block to it.
        UnknownName, InvalidDescription, RunError: as ``find_architecture``.
    """
    plan: list[Deepening] = []
    for growth in recipe.grow:
        plan.append(deepening(growth, network, recipe.seed, recipe.initialisation))
        network = plan[-1].target
    return tuple(plan)


def deepening(growth: Growth, network: Architecture, seed: int, scheme: Scheme = "he") -> Deepening:
    """Say how ``network`` becomes deeper by one growth.

    What is drawn is drawn by ``seed`` and ``scheme``.

    Raises:
        As ``growth_plan``.
    """
    if growth.depths:
        target = _deepened(network, growth.depths)
    else:
        named = find_architecture(growth.to)
        target = replace(named, channels=network.channels, classes=network.classes)
    how = (growth.placement, growth.start, seed, growth.momentum, scheme)
    return Deepening(network, target, *how)


def _deepened(network: Architecture, depths: tuple[int, ...]) -> Architecture:
    written, own = ("-".join(map(str, d)) for d in (depths, [s.depth for s in network.stages]))
    if len(depths) != len(network.stages):
        raise GrowthError(
            f"{shortened(written)} is for {_stages(len(depths))}; "
            f"{network.name or 'the network'} has {_stages(len(network.stages))}, of {own} blocks"
        )
    if any(depth < stage.depth for stage, depth in zip(network.stages, depths, strict=True)):
        raise GrowthError(
            f"{shortened(written)} does not contain {network.name or 'the network'}: "
            f"its stages have {own} blocks"
        )
    base = network.name.partition(" ")[0]
    try:
        stages = tuple(
            replace(stage, depth=depth) for stage, depth in zip(network.stages, depths, strict=True)
        )
        return replace(network, stages=stages, name=f"{base} {written}")
    except InvalidDescription as error:
        told = "; ".join(map(str, error.problems))
        raise GrowthError(f"{shortened(written)}: {told}") from error


def _stages(number: int) -> str:
    return f"{number} stage{'' if number == 1 else 's'}"


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of the training images and their labels: whether a run goes on with the same."""
    training = dataset.training
    digest = hashlib.sha256(repr((dataset.class_names, training.shape)).encode())
    digest.update(np.ascontiguousarray(training.labels).data)
    question = f"fingerprint with labels {digest.hexdigest()}"

    def answer() -> str:
        with count_bar("checking images", len(training)) as advance:
            for piece in training.pieces():
                digest.update(np.ascontiguousarray(piece).data)
                advance(len(piece))
        return digest.hexdigest()

    return str(training.remembered(question, answer))


def note_changes(
    folder: Path, recipe: Recipe, dataset: Dataset, announce: Callable[[str], None]
) -> None:
    """Say so where the images in ``dataset``, the run's own data, are no longer what it was.

    Then an image that is now held out may be one that the run in ``folder`` trained on.
    """
    path = folder / IMAGES
    if recipe.data in data.NAMES or not path.is_file():
        return
    with explained(f"cannot read {path}", RunError):
        known = path.read_bytes().strip()
    if dataset.training.shape[1] != recipe.size:
        dataset = data.load(recipe.data, size=recipe.size)
    if known != fingerprint(dataset).encode():
        announce(
            f"note: the images in {recipe.data} changed since the run in {folder} began "
            f"({IMAGES}); some of those that it is judged on now may have been trained on"
        )


def refuse_lone_values(architecture: Architecture, size: int, batch: int, mend: str) -> None:
    """A batch norm in training needs two values a channel: two images, or more than one pixel.

    ``mend`` says what would be right.

    Raises:
        RunError: where ``batch`` images of ``size`` × ``size`` pixels leave one a single value.
    """
    layers = trace(architecture, size).layers
    pixels = [layer.shape[1] * layer.shape[2] for layer in layers if layer.operation == "norm"]
    if batch * min(pixels, default=2) < 2:
        raise RunError(
            f"one image a step at size {size} leaves the norms of {architecture.name} a single "
            f"value to normalise; {mend}"
        )
