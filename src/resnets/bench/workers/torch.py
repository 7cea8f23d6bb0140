"""PyTorch's contenders: the chapter's plain loop, timm's network in it, plain calls."""

import importlib.metadata
import importlib.util
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch.nn.functional import cross_entropy

from resnets.backends import torch as backend
from resnets.backends.torch import devices
from resnets.bench.work import Work
from resnets.bench.worker import Device, Prepared, Task, Unavailable
from resnets.bench.workers.tasks import RATE, inference_tasks, require_precision, take_batches
from resnets.networks.folder import TIMM_NAMES


def find_device(name: str) -> Device:
    """Return the device called ``name``."""
    found = devices.find_device(name)
    peak = (lambda: torch.cuda.max_memory_allocated(found)) if found.type == "cuda" else None
    versions = {"torch": importlib.metadata.version("torch")}
    return Device(devices.describe_device(found), found.type == "cpu", versions, peak)


def plain_loop(work: Work, *, precision: str = "fp32") -> Prepared:
    """The loop of the book's PyTorch Trainer: NCHW, torch's SGD, images prepared before.

    In bf16 with autocast around the forward pass, as torch's own guide has it.
    """
    return _train(backend.build(work.architecture), work, precision)


def timm_loop(work: Work) -> Prepared:
    """timm's network of the same name in the plain loop."""
    return _train(_timm_network(work), work, "fp32")


def module(work: Work) -> Prepared:
    """Our module, which is a plain one, in eval mode: NCHW, fp32."""
    return _infer(backend.build(work.architecture), work)


def timm_module(work: Work) -> Prepared:
    """timm's network of the same name in eval mode."""
    return _infer(_timm_network(work), work)


def _train(model: torch.nn.Module, work: Work, precision: str) -> Prepared:
    device = devices.find_device(work.device)
    require_precision("torch", precision, work.device)
    model = model.to(device).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        narrow = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        with narrow if precision == "bf16" else nullcontext():
            loss = cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    take = take_batches(step, _images(work, device), work.batch, finish=torch.Tensor.item)
    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return Prepared(tasks, find_device(work.device), precision)


def _infer(model: torch.nn.Module, work: Work) -> Prepared:
    device = devices.find_device(work.device)
    model = model.to(device).eval()
    images, _ = _images(work, device)

    def call(x: torch.Tensor) -> None:
        with torch.inference_mode():
            model(x).cpu()

    return Prepared(inference_tasks(call, images, work), find_device(work.device), "fp32")


def _images(work: Work, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = work.draw_images()
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255).contiguous()
    return images.to(device), torch.from_numpy(labels).to(device)


def _timm_network(work: Work) -> torch.nn.Module:
    a = work.architecture
    if a.name not in TIMM_NAMES:
        raise Unavailable("timm has no network of that name")
    if importlib.util.find_spec("timm") is None:
        raise Unavailable("not installed: pip install timm")
    try:
        import timm
    except (ImportError, RuntimeError) as error:
        raise Unavailable(f"cannot be imported: {str(error).splitlines()[0]}") from error
    return timm.create_model(TIMM_NAMES[a.name], num_classes=a.classes, in_chans=a.channels)


def repeat_product(size: int, precision: str, *, device: str) -> Callable[[int], None]:
    """Return what multiplies two matrices [size, size] so many times, and waits."""
    place = devices.find_device(device)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(size, size, device=place).to(kind) for _ in range(2))
    product = torch.empty_like(a)

    def repeat(times: int) -> None:
        for _ in range(times):
            torch.mm(a, b, out=product)
        if place.type in ("cuda", "mps"):
            getattr(torch, place.type).synchronize()

    return repeat
