"""The convolutions of a network, each distinct one called alone: how fast could a step be?

Every pass of a step (the product itself, the gradients of its input and of its kernel) is called in
the framework's fastest layout until it takes some milliseconds, and counts as often as it occurs.

    python benchmarks/convolutions.py [--network resnet18] [--size 96] [--batch 128]
        [--framework torch] [--precision bf16] [--inference]

``training_step.py --convolutions`` lets the same calls take turns with whole steps.
"""

import argparse
import importlib
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from resnets import backends
from resnets.bench.contenders import Contender
from resnets.bench.work import Purpose, Work
from resnets.bench.worker import Prepared, Task
from resnets.networks import catalog
from resnets.networks.layers import Trace

PASSES = ("forward", "input", "kernel")
"""The product itself, and the gradients of its input and of its kernel."""

CALL_SECONDS = 0.004
"""A convolution is repeated until it takes so long: the clock and the call itself cost too."""

MOST_CALLS = 50

Call = Callable[[], Any]


@dataclass(frozen=True, order=True)
class Convolution:
    """A convolution's sizes; ``height`` and ``width`` are those of its input, in pixels.

    ``first`` is True for one that reads the images, whose gradient is not needed.
    """

    channels: int
    filters: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    groups: int
    dilation: int
    first: bool

    @property
    def output(self) -> tuple[int, int, int]:
        """Channels, height and width of its output."""
        rows, columns = ((n - 1) // self.stride + 1 for n in (self.height, self.width))
        return self.filters, rows, columns

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one pass over one image."""
        filters, rows, columns = self.output
        return filters * rows * columns * self.channels // self.groups * self.kernel**2

    @property
    def name(self) -> str:
        """A name such as ``3x3 64>128 /2 24x24``."""
        more = f" /{self.stride}" if self.stride > 1 else ""
        more += f" g{self.groups}" if self.groups > 1 else ""
        more += f" d{self.dilation}" if self.dilation > 1 else ""
        sizes = f"{self.kernel}x{self.kernel} {self.channels}>{self.filters}"
        return f"{sizes}{more} {self.height}x{self.width}"


def count_convolutions(trace: Trace) -> dict[Convolution, int]:
    """Return a network's distinct convolutions and how often each occurs."""
    found: Counter[Convolution] = Counter()
    for layer in trace.layers:
        if layer.operation != "convolution":
            continue
        source = trace.by_name[layer.inputs[0]]
        channels, height, width = source.shape
        found[
            Convolution(
                channels=channels,
                filters=layer.shape[0],
                height=height,
                width=width,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                groups=layer.groups,
                dilation=layer.dilation,
                first=source.operation == "input",
            )
        ] += 1
    return dict(found)


def name_passes(convolution: Convolution, *, training: bool) -> tuple[str, ...]:
    """Return the passes that a step makes of a convolution."""
    if not training:
        return ("forward",)
    return ("forward", "kernel") if convolution.first else PASSES


class Alone:
    """The convolutions of a step, without anything between them."""

    def __init__(self, calls: Any, work: Work, batch: int, precision: str) -> None:
        self.wait = calls.wait
        self.passes: list[tuple[str, int, Call, int]] = []
        """Name, occurrences, fastest call, and how often to call it in a turn."""
        for convolution, occurs in count_convolutions(work.trace()).items():
            ways = calls.passes(convolution, batch, precision)
            for name in name_passes(convolution, training=work.purpose == "training"):
                call, count = self._find_fastest(ways[name])
                self.passes.append((f"{convolution.name} {name}", occurs, call, count))

    def _find_fastest(self, ways: list[Call]) -> tuple[Call, int]:
        times: list[float] = []
        for call in ways:
            self.wait(call())  # the first call is no measurement
            times.append(self._time(call, 2))
        best = min(times)
        count = min(max(round(CALL_SECONDS / max(best, 1e-9)), 1), MOST_CALLS)
        return ways[times.index(best)], count

    def _time(self, call: Call, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count - 1):
            call()
        self.wait(call())
        return (time.perf_counter() - began) / count

    def time_passes(self, steps: int = 1) -> dict[str, tuple[int, float]]:
        """Return each pass's occurrences and the seconds of one call."""
        return {n: (k, self._time(call, count * steps)) for n, k, call, count in self.passes}

    def take(self, steps: int) -> dict[str, float]:
        """Take a turn; its seconds are those of as many whole steps."""
        return {"seconds": steps * sum(k * each for k, each in self.time_passes(steps).values())}


def prepare(work: Work, *, framework: str, precision: str) -> Prepared:
    """Prepare the convolutions as a contender of ``resnets.bench``."""
    calls = _load_calls(framework, work.device)
    device = importlib.import_module(f"resnets.bench.workers.{framework}").find_device(work.device)
    tasks = {
        f"batch {batch}": Task(Alone(calls, work, batch, precision).take, batch)
        for batch in work.batches()
    }
    return Prepared(tasks, device, precision)


def make_contenders(framework: str, purpose: Purpose, device: str) -> list[Contender]:
    """Return a contender for each precision that the device computes in."""
    from resnets.bench.workers.tasks import fast_precisions

    return [
        Contender(
            f"convolutions alone, {precision}",
            framework,
            purpose,
            "convolutions:prepare",
            {"framework": framework, "precision": precision},
        )
        for precision in fast_precisions(framework, device)
    ]


def _load_calls(framework: str, device: str) -> Any:
    return importlib.import_module(f"convolution_calls.{framework}").Calls(device)


def main() -> None:
    """Print the time of each pass, and the images a second that all of them would allow."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="chapter_resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--framework", choices=backends.NAMES, default="torch")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--inference", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    work = Work(
        architecture=catalog.get(given.network),
        size=given.size,
        batch=given.batch,
        purpose="inference" if given.inference else "training",
        device=given.device,
    )
    alone = Alone(
        _load_calls(given.framework, given.device), work, given.batch, precision=given.precision
    )
    rounds = [alone.time_passes() for _ in range(given.rounds)]
    whole = 0.0
    for name, (occurs, _) in rounds[0].items():
        seconds = statistics.median(one[name][1] for one in rounds)
        whole += occurs * seconds
        print(f"{name:32} {occurs:3} times {1000 * seconds:9.3f} ms")
    print(f"{given.batch / whole:,.0f} images/s by the convolutions alone, n = {given.rounds}")


if __name__ == "__main__":
    main()
