"""What the parts of ``gpu.py`` share: the plan, the data, sessions and their steps."""

import argparse
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from resnets.backends import Batch
from resnets.backends import torch as backend
from resnets.backends.torch.recorded import Speed
from resnets.backends.torch.resizing import resize
from resnets.backends.torch.session import TorchSession
from resnets.data.augmentation import draw_parameters, step_indices
from resnets.data.fashion_mnist import loading
from resnets.data.images import Images
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured, and where.

    Attributes:
        device: by torch's name.
        small: whether everything is tiny, to try the script itself.
        rounds, steps: turns of every contender, and steps in a turn.
        warm: steps before that; the first three of a shape are ordinary, or recorded.
        images, epochs: of the chapter's job.
        large_network, large_size, large_batch, large_images: of the training at full size.
        product: rows of the square matrices whose product is the limit.
        accurate, accurate_epochs: the recipe for accuracy, cut to what a few minutes allow.
    """

    device: torch.device
    small: bool
    rounds: int = 7
    steps: int = 150
    warm: int = 8
    images: int = 60_000
    epochs: int = 10
    chapter: str = "chapter_resnet18"
    chapter_size: int = 96
    large_network: str = "resnet50"
    large_size: int = 224
    large_batch: int = 256
    large_images: int = 4096
    product: int = 8192
    accurate: str = "accurate"
    accurate_epochs: int = 40

    @staticmethod
    def of(device: torch.device, *, small: bool) -> "Plan":
        plan = Plan(device=device, small=small)
        if not small:
            return plan
        return replace(
            plan,
            rounds=2,
            steps=2,
            warm=4,
            images=80,
            epochs=2,
            chapter="resnet8_slim",
            chapter_size=20,
            large_network="resnet8_slim",
            large_size=24,
            large_batch=8,
            large_images=32,
            product=128,
            accurate="quick",
            accurate_epochs=1,
        )

    def speed(self, **changes: Any) -> Speed:
        """Say how steps are taken; where the script itself is tried, nothing is really compiled."""
        return Speed(**{"compile": None, "compiler": self.compiler, **changes})

    @property
    def compiler(self) -> str:
        """The backend of ``torch.compile``."""
        return "eager" if self.small else "inductor"

    def wait(self) -> None:
        """Wait for all work on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Data:
    """Fashion-MNIST at 28 pixels, or random images of its shapes."""

    training: Images
    test: Images
    real: bool


def data_of(folder: Path | None, plan: Plan) -> Data:
    """Read Fashion-MNIST where it lies here; nothing is fetched."""
    if folder is not None:
        os.environ[loading.VARIABLE] = str(folder)
    found = loading.data_folder()
    here = [path for path in (found, Path("/usr/share/datasets")) if path.is_dir()]
    if any(next(path.glob("**/train-images*"), None) for path in here):
        dataset = loading.load()
        training, test = dataset.training, dataset.test()
        if plan.small:
            training, test = training[: plan.images], test[:64]
        return Data(training, test, real=True)
    return Data(random_images(plan.images, 28, 1, 10), random_images(64, 28, 1, 10), real=False)


def random_images(n: int, size: int, channels: int, classes: int) -> Images:
    """Random images: the time of a step does not depend on what they show."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    return Images(pixels, rng.integers(0, classes, n))


def at_size(images: Images, size: int, plan: Plan) -> Images:
    """Resize square images on the device, as Pillow does."""
    pixels = torch.from_numpy(images.pixels).to(plan.device)
    return Images(resize(pixels, size).cpu().numpy(), images.labels)


def network_of(name: str, images: Images, classes: int) -> Architecture:
    """Give a network of the catalog for the images."""
    return replace(catalog.get(name), channels=images.shape[3], classes=classes)


def session_of(
    network: Architecture,
    recipe: Recipe,
    plan: Plan,
    speed: Speed | None,
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> TorchSession:
    """Make a session on the plan's device; ``speed`` None: one of ordinary steps.

    ``pixels``: their mean and deviation; without them some that are near.
    """
    mean, std = pixels or ((0.3,) * network.channels, (0.3,) * network.channels)
    shape = Preprocessing(size=recipe.size, mean=mean, std=std)
    model = backend.build(network, seed=recipe.seed)
    session = TorchSession(model, recipe, preprocessing=shape, device=str(plan.device), speed=speed)
    if speed is None:
        session.recorded = None
    return session


class Ours:
    """Steps of a session, as the loop takes them: choosing and drawing included."""

    def __init__(self, session: TorchSession, images: Images) -> None:
        self.session, self.images = session, images
        self.batch = session.train_state.recipe.batch
        self.blocks = sum(stage.depth for stage in session.architecture.stages)

    def __call__(self) -> Any:
        recipe, step = self.session.train_state.recipe, self.session.train_state.steps
        index = step_indices(recipe, len(self.images), step=step)
        size = self.images.shape[1:3]
        draws = draw_parameters(recipe, step, count=len(index), size=size, blocks=self.blocks)
        return self.session.train_step(Batch(self.images, draws, index), recipe.rate)


@dataclass
class Measurement:
    """What the parts share, and what they have found so far."""

    plan: Plan
    data: Data
    recipe: str
    seeds: int
    found: dict[str, Any] = field(default_factory=dict)

    def chapter(self, precision: str) -> Recipe:
        """The chapter's recipe at the plan's size."""
        plan = self.plan
        changes = {"size": plan.chapter_size, "epochs": plan.epochs, "precision": precision}
        batch = {"batch": 32} if plan.small else {}
        return presets.get_preset("chapter").replace(**changes, **batch)

    def fraction(self, operations_a_second: float) -> float | None:
        """Share of what a large matrix product in bf16 reaches; None where it was not measured."""
        most = self.found.get("limit", {}).get("bf16")
        return operations_a_second / most if most else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
