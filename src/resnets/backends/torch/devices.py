"""Which device torch computes on, and in what precision it is fast there."""

from pathlib import Path

import torch

from resnets.backends.devices import describe_cpu, unknown_device
from resnets.recipes.recipe import Recipe


def available_devices() -> list[str]:
    """List the devices torch finds here, the fastest kind first."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def find_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is the fastest found.

    Raises:
        ResnetsError: if there is no such device here.
    """
    found = available_devices()
    if name == "auto":
        return torch.device(found[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in found:
        raise unknown_device(name, "torch", found=found)
    return torch.device(wanted)


def precision(recipe: Recipe, device: str = "auto") -> str:
    """Resolve the recipe's precision: ``auto`` is bf16 where the device computes in it."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if _computes_bf16(find_device(device)) else "fp32"


def describe_device(device: torch.device) -> str:
    """Describe a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (mps)"
    return describe_cpu(torch.get_num_threads())


def _computes_bf16(device: torch.device) -> bool:
    """Return whether bf16 is faster than fp32; CPUs that only emulate it do not count."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return any(_processor_has(feature) for feature in ("avx512_bf16", "amx_tile"))
    return False


def _processor_has(feature: str) -> bool:
    """Ask torch, or Linux where an older torch cannot tell."""
    ask = getattr(torch.cpu, f"_is_{feature}_supported", None)
    if ask is not None:
        return bool(ask())
    try:
        return feature in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
