"""Training steps that a GPU takes by itself: recorded once, replayed with other numbers.

A step's whole work runs on the device out of arrays that stay where they are: the images, an array
of numbers that is overwritten before each step, the weights and the optimiser's buffers. So the
work can be recorded as a CUDA graph: after two ordinary steps of a shape it is, by hand and not by
``torch.compile``'s own graphs, because the optimiser, the average and the batch's gathering are to
be in it, because it then holds with and without compiling, and because the same function runs
where nothing is recorded, on the CPU in the tests.
"""

import time
import warnings
from collections.abc import Generator, Hashable
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from resnets.backends.protocol import Batch
from resnets.backends.torch.recorded.forward import Forward
from resnets.backends.torch.recorded.images import Placed, fits, place
from resnets.backends.torch.recorded.losses import Losses, RecordedLoss
from resnets.backends.torch.recorded.narrow import Narrow
from resnets.backends.torch.recorded.numbers import Numbers, numbers_of, values_of
from resnets.backends.torch.recorded.speed import Speed
from resnets.backends.torch.recorded.staging import Staging
from resnets.backends.torch.recorded.thin import use_thin_convolution
from resnets.backends.torch.state import TrainState
from resnets.data.images import Images

ORDINARY = 2
"""Steps of a shape before it is recorded: the optimiser makes its buffers, libraries load."""

NUMBERS_UNDER_WAY, BATCHES_UNDER_WAY = 16, 3
"""How many steps' numbers, and how many batches of pixels, wait on the host for the device."""


class RecordedSteps:
    """Takes steps that the device computes by itself.

    Attributes:
        state: what the steps read and change.
        preparing: seconds that went into first steps of their shape: compiling, recording.
    """

    def __init__(self, state: TrainState, speed: Speed) -> None:
        self.state = state
        self.speed = speed
        self.device = state.device
        self.records = speed.record
        self.preparing = 0.0
        self._on_gpu = self.device.type == "cuda"
        self.narrow = Narrow(state.model, narrow=state.bf16, without=state.redundant_biases.biases)
        if self._on_gpu:
            use_thin_convolution(self.narrow.network)
        self.forward = Forward(state, self.narrow.network)
        recipe = state.recipe
        self.losses = Losses(self.device, recipe.batch if recipe.skip else 0)
        self._stream = torch.cuda.Stream(self.device) if self._on_gpu else None
        self._pool = torch.cuda.graph_pool_handle() if self._on_gpu else None
        self._source: Images | None = None
        self._placed: Placed | None = None
        self._shapes: dict[Hashable, _Shape] = {}

    @staticmethod
    def of(state: TrainState, speed: Speed | None) -> "RecordedSteps | None":
        """Return it where it is faster: on CUDA devices, or if ``speed`` is given. Otherwise None.

        Also None in fp64: the learning rate reaches a fused optimiser as fp32 here.
        """
        plain = type(state.optimiser) in (torch.optim.SGD, torch.optim.AdamW)
        if not plain or state.precision == "fp64":
            return None
        if state.device.type != "cuda" and speed is None:
            return None
        return RecordedSteps(state, speed or Speed())

    @property
    def max_in_flight(self) -> int:
        """How many steps may be under way before a loss is read: about a second's."""
        return self.losses.max_in_flight

    def forget(self) -> None:
        """Record anew: the optimiser's buffers are no longer the ones that were recorded."""
        self._shapes.clear()

    def take(self, batch: Batch) -> RecordedLoss:
        """Take one step, at the rates that the optimiser's groups have."""
        with torch.cuda.device(self.device) if self._on_gpu else nullcontext():
            self._hold(batch)
            shape = self._shape(batch)
            measured = self.losses.next(len(batch))
            self.state.steps += 1
            rates = [group["lr"] for group in self.state.optimiser.param_groups]
            shape.bring(
                batch,
                values_of(batch, nearer=self.state.average_share, rates=rates, slot=measured.slot),
            )
            if shape.graph is None:
                self._first(shape)
            else:
                shape.graph.replay()
        return measured

    def _hold(self, batch: Batch) -> None:
        """Bring the images that batches come from to the device, once, where they fit."""
        if batch.index is None or batch.source is self._source:
            return
        self._shapes.clear()
        self._placed = None
        self._source = batch.source
        if fits(batch.source, self.device, share=self.speed.held):
            self._placed = place(batch.source, self.device)
        images, height, width, _ = batch.source.shape
        mode = self.speed.mode(
            self.state.model.architecture, self.state.recipe, images=images, size=(height, width)
        )
        self.forward.compile(mode, self.speed.compiler)

    def _shape(self, batch: Batch) -> "_Shape":
        """Return what steps of this batch's shape share; make it where it is the first."""
        placed = self._placed if batch.index is not None else None
        n = len(batch)
        groups = self.state.optimiser.param_groups
        # While what has grown is slowed, the optimiser has other groups.
        slowed = (
            tuple(tuple(map(id, group["params"])) for group in groups) if self.state.slowed else ()
        )
        key = (n, placed is None, batch.source.shape[1:], slowed)
        if key not in self._shapes:
            numbers = numbers_of(
                self.state.recipe,
                batch.augmentation,
                n=n,
                groups=len(groups),
                held=placed is not None,
            )
            self._shapes[key] = _Shape(numbers, placed, batch=batch, device=self.device)
        return self._shapes[key]

    def _first(self, shape: "_Shape") -> None:
        """Take an ordinary step, or record it and replay it."""
        began = time.perf_counter()
        if self.records and shape.taken >= ORDINARY:
            self._record(shape)
        if shape.graph is not None:
            shape.graph.replay()
        else:
            with self._use_own_stream():
                self._compute(shape)
        shape.taken += 1
        if shape.taken <= ORDINARY + 1:
            if self._on_gpu:
                torch.cuda.synchronize(self.device)
            self.preparing += time.perf_counter() - began

    def _record(self, shape: "_Shape") -> None:
        if not self._on_gpu:
            shape.graph = _Again(self, shape)
            return
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        try:
            with (
                _make_capturable(self.state.optimiser),
                torch.cuda.graph(graph, pool=self._pool, stream=self._stream),
            ):
                self._compute(shape)
            shape.graph = graph
        except RuntimeError as error:
            self.records = False
            warnings.warn(f"steps cannot be recorded and are slower: {error}", stacklevel=2)
        finally:
            torch.cuda.set_stream(before)  # where recording failed, torch leaves its own

    @contextmanager
    def _use_own_stream(self) -> Generator[None]:
        """Compute on the stream that is recorded later, as torch asks, in the order of things."""
        if self._stream is None or not self.records:
            yield
            return
        current = torch.cuda.current_stream(self.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def _compute(self, shape: "_Shape") -> None:
        """Compute a whole step out of arrays on the device, and nothing else."""
        numbers, optimiser = shape.numbers, self.state.optimiser
        rates = numbers["rates"].to(torch.float32)
        self.narrow.refresh()
        with _set_cudnn(repeatable=self.speed.repeatable):
            losses = self.forward(shape.images, numbers)
            loss = losses.mean()
            loss.backward()
        self.narrow.collect()
        self.state.redundant_biases.settle()
        if self.state.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.state.model.parameters(), self.state.recipe.clip)
        with _use_rates(optimiser, rates):
            optimiser.step()
        if self.state.averaged is not None:
            _average(self.state.averaged, self.state.model, nearer=numbers["nearer"])
        self.losses.write(numbers["slot"], losses=losses, mean=loss)


class _Graph(Protocol):
    def replay(self) -> None: ...


class _Again:
    """What a recorded step is where nothing can be recorded: the same function, called again."""

    def __init__(self, steps: RecordedSteps, shape: "_Shape") -> None:
        self.replay = lambda: steps._compute(shape)


class _Shape:
    """What steps on the same number and kind of images share: the arrays that they read.

    Attributes:
        images: all of them, or where they are brought the batch's.
        numbers: of the step, by name, views of one array.
        graph: the recorded step, once it is.
        taken: steps before that.
    """

    def __init__(
        self, numbers: Numbers, placed: Placed | None, *, batch: Batch, device: torch.device
    ) -> None:
        words = torch.zeros(numbers.words, dtype=torch.int64, device=device)
        self.numbers = numbers.views(words)
        self.graph: _Graph | None = None
        self.taken = 0
        self._layout = numbers
        self._words = Staging(words, NUMBERS_UNDER_WAY)
        self._pixels: Staging | None = None
        if placed is None:
            size = (len(batch), *batch.source.shape[1:])
            pixels = torch.empty(size, dtype=torch.uint8, device=device)
            placed = Placed(pixels, self.numbers["labels"])
            self._pixels = Staging(pixels, BATCHES_UNDER_WAY)
        self.images = placed

    def bring(self, batch: Batch, values: dict[str, Any]) -> None:
        """Send a step's numbers to the device, and its images where they are not there."""
        if self._pixels is not None:
            images = batch.images
            np.copyto(self._pixels.array(), images.pixels)
            self._pixels.send()
            values = values | {"labels": images.labels}
        self._layout.write(self._words.array(), values)
        self._words.send()


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, *, nearer: Tensor) -> None:
    """Move the average towards the weights by a share of the way that lies on the device."""
    old, new = (
        [value for value in module.state_dict().values() if value.is_floating_point()]
        for module in (averaged, model)
    )
    way = torch._foreach_sub(new, old)
    torch._foreach_mul_(way, nearer.to(torch.float32))
    torch._foreach_add_(old, way)


@contextmanager
def _use_rates(optimiser: torch.optim.Optimizer, rates: Tensor) -> Generator[None]:
    """Let each group have its rate on the device, meanwhile.

    Also where a recording fails: its arrays go with it, and the groups are not to hold them.
    """
    groups = optimiser.param_groups
    kept = [group["lr"] for group in groups]
    try:
        for group, rate in zip(groups, rates.unbind(), strict=True):
            group["lr"] = rate
        yield
    finally:
        for group, rate in zip(groups, kept, strict=True):
            group["lr"] = rate


@contextmanager
def _make_capturable(optimiser: torch.optim.Optimizer) -> Generator[None]:
    """Let an optimiser be recorded that refuses it otherwise."""
    groups = [group for group in optimiser.param_groups if "capturable" in group]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in groups:
            group["capturable"] = False


@contextmanager
def _set_cudnn(*, repeatable: bool) -> Generator[None]:
    """Set how cuDNN chooses its algorithms, meanwhile."""
    flags = torch.backends.cudnn
    before = flags.deterministic, flags.benchmark
    flags.deterministic, flags.benchmark = repeatable, not repeatable
    try:
        yield
    finally:
        flags.deterministic, flags.benchmark = before
