"""What the exercises' tutorials share: Fashion-MNIST at 14×14, and one plain training loop.

Images are held out of the training set to validate with; the test set is not touched.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnets.data import load_dataset
from resnets.training.monitor import curves

SMALL = os.environ.get("RESNETS_TUTORIAL") == "small"  # few images and steps: what the tests run
SIZE = 14
COLOURS = (curves.TRAINING, curves.VALIDATION, "#009E73", "#CC79A7", "#E69F00")


@dataclass(frozen=True)
class Data:
    """Images of mean 0 and deviation 1 [n, 1, 14, 14] with labels [n], and the held-out ones."""

    x: Tensor
    y: Tensor
    held_x: Tensor
    held_y: Tensor

    def first(self, count: int) -> "Data":
        """Give the same with ``count`` training images only."""
        return Data(self.x[:count], self.y[:count], self.held_x, self.held_y)


@dataclass(frozen=True)
class Run:
    """A training run: losses of the steps, accuracy on the held-out images, processor ms a step."""

    losses: list[float]
    accuracy: float
    milliseconds: float


def small_data(training: int, validation: int) -> Data:
    """Load that many images to train on, and others to validate with."""
    images = load_dataset("fashion_mnist", size=SIZE).training
    pixels = images.pixels[: training + validation].astype(np.float32) / 255
    mean, std = pixels[:training].mean(), pixels[:training].std()
    x = torch.from_numpy((pixels - mean) / std).permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(images.labels[: training + validation])
    return Data(x[:training], y[:training], x[training:], y[training:])


def evaluated(network: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Give mean loss and accuracy by the norms' running statistics."""
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(part) for part in x.split(250)])
    loss = F.cross_entropy(logits, y).item()
    return loss, (logits.argmax(1) == y).float().mean().item()


def fit(network: nn.Module, data: Data, seed: int, steps: int, batch: int = 64) -> Run:
    """Train in place: SGD with Nesterov momentum, the rate up for a tenth of the steps, then down.

    The seed draws the order of the images.
    """
    order, per_epoch = torch.Generator().manual_seed(seed), len(data.y) // batch
    network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    losses: list[float] = []
    times: list[float] = []
    batches: tuple[Tensor, ...] = ()
    for step in range(steps):
        if step % per_epoch == 0:
            batches = torch.randperm(len(data.y), generator=order).split(batch)
        index, done = batches[step % per_epoch], step / steps
        optimiser.param_groups[0]["lr"] = 0.1 * min(10 * (done + 1 / steps), (1 - done) / 0.9)
        network.train()
        began = time.process_time()
        loss = F.cross_entropy(network(data.x[index]), data.y[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append(1000 * (time.process_time() - began))
        losses.append(loss.item())
    accuracy = evaluated(network, data.held_x, data.held_y)[1]
    return Run(losses, accuracy, statistics.median(times))


def trained(
    makers: dict[str, Callable[[int], nn.Module]], data: Data, seeds: range, steps: int
) -> tuple[dict[str, list[Run]], dict[str, nn.Module]]:
    """Train what each maker gives for every seed, all networks in turn; also give the last ones."""
    runs: dict[str, list[Run]] = {name: [] for name in makers}
    last: dict[str, nn.Module] = {}
    for seed in seeds:
        for name, make in makers.items():
            last[name] = make(seed)
            runs[name].append(fit(last[name], data, seed, steps))
    return runs, last


def report(runs: dict[str, list[Run]]) -> dict[str, list[float]]:
    """Print and give every seed's accuracy on held-out images; print the processor's time too."""
    print(f"{'':24}{'accuracy':>9}   {'of each seed':24}{'ms a step':>10}")
    for name, own in runs.items():
        each = " ".join(f"{run.accuracy:.3f}" for run in own)
        spent = statistics.median(run.milliseconds for run in own)
        print(f"{name:24}{statistics.mean(r.accuracy for r in own):9.3f}   {each:24}{spent:10.0f}")
    return {name: [run.accuracy for run in own] for name, own in runs.items()}


def smoothed(runs: list[Run], points: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Give steps and losses to draw: means of the seeds and of neighbouring steps."""
    mean = np.mean([run.losses for run in runs], axis=0)
    width = max(len(mean) // points, 1)
    mean = mean[: len(mean) // width * width].reshape(-1, width).mean(axis=1)
    return (np.arange(len(mean)) + 0.5) * width, mean
