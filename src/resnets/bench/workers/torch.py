"""PyTorch's rows: the chapter's plain loop, timm's network in it, plain calls in eval mode."""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from resnets.backends import torch as backend
from resnets.backends.torch.devices import describe_device, find_device
from resnets.bench.convolutions import Convolution
from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.bench.workers import torch_profile
from resnets.bench.workers.ours import RATE, over_batches, watched
from resnets.bench.workers.places import Where
from resnets.networks.weights import TIMM_NAMES
from resnets.recipes.recipe import Recipe


def where(device: str) -> Where:
    """Describe the device called ``device``."""
    found = find_device(device)
    memory = (lambda: torch.cuda.max_memory_allocated(found)) if found.type == "cuda" else None
    versions = {"torch": importlib.metadata.version("torch")}
    return Where(describe_device(found), found.type == "cpu", versions, memory)


def plain_loop(work: Work, *, precision: str = "fp32") -> Prepared:
    """The loop of the book's PyTorch Trainer: NCHW, SGD as torch has it, images prepared before.

    In bf16 with autocast around the forward pass, as torch's own guide has it.
    """
    return _loop(backend.build(work.architecture), work, precision)


def timm_loop(work: Work) -> Prepared:
    """timm's network of that name in the plain loop."""
    return _loop(_timm_network(work), work, "fp32")


def module(work: Work) -> Prepared:
    """Our module, which is a plain one, in eval mode: NCHW, float32."""
    return _called(backend.build(work.architecture), work)


def timm_module(work: Work) -> Prepared:
    """timm's network of that name in eval mode."""
    return _called(_timm_network(work), work)


def training_shares(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Say where a step of ours goes, by torch's profiler; what makes batches ready is timed."""
    outside = watched(take, session, torch_profile.STEPS)
    prepare = session.train_state.prepare
    session.train_state.prepare = torch_profile.named("data", prepare)
    try:
        found = torch_profile.shares(take)
    finally:
        session.train_state.prepare = prepare
    data = max(1 - outside.inside / outside.whole, 0.0)
    moved = min(data, found[torch_profile.OTHER])
    kinds = {"data": found["data"] + moved, torch_profile.OTHER: found[torch_profile.OTHER] - moved}
    return {**found, **kinds}


def _loop(model: torch.nn.Module, work: Work, precision: str) -> Prepared:
    device = find_device(work.device)
    _require(precision, work.device)
    model = model.to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    images, targets = _images(work, device)
    taken, batches = 0, len(images) // work.batch

    def take(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            first = taken % batches * work.batch
            taken += 1
            own = slice(first, first + work.batch)
            narrow = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with narrow if precision == "bf16" else nullcontext():
                loss = cross_entropy(model(images[own]), targets[own])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        loss.item()

    here = where(work.device)
    return Prepared(
        tasks={f"batch {work.batch}": Task(take, work.batch)},
        device=here.words,
        precision=precision,
        on_processor=here.on_processor,
        versions=here.versions,
        shares=lambda: torch_profile.shares(take),
        device_memory=here.memory,
    )


def _called(model: torch.nn.Module, work: Work) -> Prepared:
    device = find_device(work.device)
    model = model.to(device).eval()
    images, _ = _images(work, device)

    def call(x: torch.Tensor) -> None:
        with torch.inference_mode():
            model(x).cpu()

    here = where(work.device)
    tasks = {f"batch {n}": Task(over_batches(call, images, n), n) for n in work.batches()}
    largest = tasks[f"batch {work.batch}"]
    return Prepared(
        tasks=tasks,
        device=here.words,
        precision="fp32",
        on_processor=here.on_processor,
        versions=here.versions,
        shares=lambda: torch_profile.shares(largest.take),
        device_memory=here.memory,
    )


def _images(work: Work, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = work.images()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).contiguous()
    return images.to(device), torch.from_numpy(labels).to(device)


def _require(precision: str, device: str) -> None:
    if precision == "bf16" and backend.precision(Recipe(precision="auto"), device) != "bf16":
        raise Absent("the device only emulates bf16")


def _timm_network(work: Work) -> torch.nn.Module:
    a = work.architecture
    if a.name not in TIMM_NAMES:
        raise Absent("timm has no network of that name")
    if importlib.util.find_spec("timm") is None:
        raise Absent("not installed: pip install timm")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise Absent(f"cannot be imported: {str(error).splitlines()[0]}") from error
    return timm.create_model(TIMM_NAMES[a.name], num_classes=a.classes, in_chans=a.channels)


class Kernels:
    """Torch's matrix products and convolutions, for the limit."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, torch.Tensor] = {}

    def precisions(self, device: str) -> tuple[str, ...]:
        """The precisions the device computes in."""
        fast = backend.precision(Recipe(precision="auto"), device)
        return ("fp32", "bf16") if fast == "bf16" else ("fp32",)

    def wait(self, _result: Any) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def matrix(self, size: int, precision: str) -> Callable[[], Any]:
        """A product of two matrices [size, size]."""
        a, b = (self._array((size, size), precision, k) for k in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)

    def convolution(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """Each pass in the layouts that torch has: channels first and last."""
        first, last = (
            self._passes(c, batch, precision, form)
            for form in (torch.contiguous_format, torch.channels_last)
        )
        return {name: [first[name], last[name]] for name in first}

    def _passes(self, c: Convolution, batch: int, precision: str, form: Any) -> dict[str, Any]:
        shape = (batch, c.channels, c.height, c.width)
        x = self._array(shape, precision, form)
        dy = self._array((batch, *c.output), precision, form)
        w = self._array((c.filters, c.channels // c.groups, c.kernel, c.kernel), precision, form)
        p, d, s = (c.padding,) * 2, (c.dilation,) * 2, (c.stride,) * 2
        backward = torch.ops.aten.convolution_backward

        def gradient(*wanted: bool) -> Callable[[], Any]:
            return lambda: backward(
                dy, x, w, None, s, p, d, False, (0, 0), c.groups, (*wanted, False)
            )

        def forward() -> Any:
            with torch.inference_mode():
                return torch.conv2d(x, w, None, s, p, d, c.groups)

        return {
            "forward": forward,
            "input": gradient(True, False),
            "kernel": gradient(False, True),
        }

    def _array(self, shape: tuple[int, ...], precision: str, form: Any) -> torch.Tensor:
        """Random values; arrays of one shape are one, so that memory suffices."""
        key = (shape, precision, form)
        if key not in self._arrays:
            kind = torch.bfloat16 if precision == "bf16" else torch.float32
            made = torch.randn(shape, device=self.device).to(kind)
            layout = form if isinstance(form, torch.memory_format) else torch.contiguous_format
            self._arrays[key] = made.contiguous(memory_format=layout)
        return self._arrays[key]
