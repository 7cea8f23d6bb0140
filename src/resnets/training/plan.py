"""What a run will do, decided once, before any image is read.

``resolve`` turns a recipe into a ``RunPlan`` and rejects what can be rejected without data.
``RunPlan.bind`` fits the plan to a data set: the network with its initial weights, the split,
the schedule and the growths.
"""

from dataclasses import dataclass, replace

from resnets import convert, data
from resnets.backends import Backend
from resnets.convert import WeightsSource
from resnets.data.augmentation import split
from resnets.data.images import Dataset, Images
from resnets.errors import DataError, RunError, WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.named import find_architecture
from resnets.networks.network import Network, Preprocessing
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule
from resnets.schema import list_some
from resnets.training.growth.deepening import Deepening
from resnets.training.growth.targets import plan_growths
from resnets.training.loop import TrainingData


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """What a run starts from, once its images are known.

    Attributes:
        network: with its initial weights; its classes and channels are those of the data.
        data: the training images, and those held out to choose the best epoch.
        schedule: the recipe bound to the number of training images.
        growths: what the network becomes, one after the other.
    """

    network: Network
    data: TrainingData
    schedule: Schedule
    growths: tuple[Deepening, ...]


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What a run will do; nothing in it depends on the images.

    Attributes:
        recipe: with image size and precision decided.
        architecture: of the network, except its input channels and classes, which are the data's.
        source: the weights to start from, opened; None: they are drawn.
    """

    recipe: Recipe
    architecture: Architecture
    source: WeightsSource | None

    def bind(self, dataset: Dataset) -> RunStart:
        """Fit the plan to the data; draw the initial weights, or take those of the source.

        Raises:
            DataError: if there are too few images.
            RunError: if a step would leave a norm a single value.
            WeightsError: if the source does not fit the data, and the recipe does not say what
                to do about it.
        """
        recipe = self.recipe
        kept, held = split(dataset.training.labels, recipe.validation, seed=recipe.seed)
        if len(kept) < 2:
            raise DataError(f"{len(kept)} images to train on; at least two are needed")
        training = dataset.training.subset(kept) if len(held) else dataset.training
        validation = dataset.training.subset(held) if len(held) else None
        schedule = Schedule(recipe, len(training))
        architecture = replace(
            self.architecture, channels=dataset.channels, classes=len(dataset.class_names)
        )
        require_two_values(
            architecture,
            recipe.size,
            batch=min(recipe.batch, schedule.images_per_epoch),
            remedy="use a batch of 2 or larger images, or skip fewer",
        )
        if self.source is None:
            network = self._draw_network(architecture, dataset, training=training)
        else:
            network = self._fit_source(self.source, dataset)
        return RunStart(
            network=network,
            data=TrainingData(training, validation),
            schedule=schedule,
            growths=plan_growths(recipe, network.architecture),
        )

    def _draw_network(
        self, architecture: Architecture, dataset: Dataset, *, training: Images
    ) -> Network:
        recipe, channels = self.recipe, dataset.channels
        mean, std = (0.0,) * channels, (1.0,) * channels
        if recipe.normalise:
            mean, std = data.mean_and_std(training)
        weights = initial_weights(
            architecture,
            seed=recipe.seed,
            scheme=recipe.initialisation,
            zero_last_scale=recipe.zero_last_scale,
        )
        preprocessing = Preprocessing(size=recipe.size, mean=mean, std=std)
        return Network(architecture, weights, preprocessing, dataset.class_names)

    def _fit_source(self, source: WeightsSource, dataset: Dataset) -> Network:
        recipe, names = self.recipe, dataset.class_names
        network = source.fit(
            classes=len(names),
            new_head=recipe.reset_head,
            channels=dataset.channels,
            adapt=recipe.input,
            seed=recipe.seed,
        ).network
        if not recipe.reset_head and network.class_names != names:
            raise WeightsError(
                f"{recipe.start} knows the classes {list_some(network.class_names)}, "
                f"{recipe.data} has {list_some(names)}; --reset-head draws a new dense layer"
            )
        preprocessing = replace(network.preprocessing, size=recipe.size)
        return replace(network, preprocessing=preprocessing, class_names=names)


def resolve(
    recipe: Recipe,
    backend: Backend,
    *,
    device: str = "auto",
    precision: str | None = None,
    own_size: bool = False,
) -> RunPlan:
    """Decide what a run will do.

    Args:
        recipe: as asked for.
        backend: the framework that trains.
        device: the device that trains; it decides what the precision ``auto`` means.
        precision: takes the place of ``auto``: a resumed run keeps the precision it has.
        own_size: take the image size of the weights to start from, instead of the recipe's.

    Raises:
        UnknownName, InvalidDescription, RunError: if the recipe's network is none.
        WeightsError: if the weights to start from cannot be read.
        GrowthError: if the network cannot grow as the recipe says.
    """
    source = None
    if recipe.start is None:
        architecture = find_architecture(recipe.network)
    else:
        source = convert.open_source(recipe.start)
        architecture = source.architecture
        if own_size:
            recipe = recipe.replace(size=source.size)
    plan_growths(recipe, architecture)  # classes and channels do not matter to it
    if precision is None or recipe.precision != "auto":
        precision = backend.precision(recipe, device)
    recipe = recipe.replace(precision=precision)
    return RunPlan(recipe=recipe, architecture=architecture, source=source)


def require_two_values(architecture: Architecture, size: int, *, batch: int, remedy: str) -> None:
    """Require two values per channel for each norm in training.

    A batch norm needs two images, or maps of more than one pixel.

    Raises:
        RunError: if ``batch`` images of ``size`` × ``size`` pixels leave a norm a single value;
            the message ends with ``remedy``.
    """
    layers = trace(architecture, size).layers
    pixels = [layer.shape[1] * layer.shape[2] for layer in layers if layer.operation == "norm"]
    if batch * min(pixels, default=2) < 2:
        raise RunError(
            f"one image per step at size {size} leaves the norms of {architecture.name} a single "
            f"value to normalise; {remedy}"
        )
