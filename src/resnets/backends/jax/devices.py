"""Which device JAX computes on, and in what precision it is fast there."""

import contextlib
import os

import jax

from resnets.backends.devices import count_processors, describe_cpu, unknown_device
from resnets.backends.malloc import keep_pages
from resnets.errors import ResnetsError, summarise_error
from resnets.recipes.recipe import Recipe


def _list_devices() -> dict[str, jax.Device]:
    """Return the devices JAX finds here by name, the fastest kind first.

    GPUs are called ``cuda``, AMD's too, as in torch.

    Raises:
        ResnetsError: if JAX finds none, as where it is told to find others than there are.
    """
    keep_pages(one_arena=True)  # before JAX starts its threads
    found: dict[str, jax.Device] = {}
    try:
        local = jax.local_devices()
    except (AssertionError, RuntimeError) as error:
        told, why = os.environ.get("JAX_PLATFORMS"), summarise_error(error)
        if told:
            why = f"(JAX_PLATFORMS={told}): {why}; unset, JAX takes what there is"
        raise ResnetsError(f"JAX finds no device{'' if told else ':'} {why}") from error
    for i, device in enumerate(local):
        if device.platform != "cpu":
            found[f"{'cuda' if device.platform == 'gpu' else device.platform}:{i}"] = device
    with contextlib.suppress(RuntimeError):  # where JAX_PLATFORMS leaves the processor out
        found["cpu"] = jax.local_devices(backend="cpu")[0]
    return found


def available_devices() -> list[str]:
    """List the devices JAX finds here, the fastest kind first."""
    return list(_list_devices())


def find_devices(name: str) -> tuple[jax.Device, ...]:
    """Return the devices called ``name``: all of a kind, or the one of a kind and a number.

    ``auto`` is all of the fastest kind. The processor is one, unless XLA is told to divide it
    (``XLA_FLAGS=--xla_force_host_platform_device_count=2``).

    Raises:
        ResnetsError: if there is no such device here.
    """
    first = find_device(name)
    if ":" in name:
        return (first,)
    return tuple(jax.local_devices(backend=first.platform))


def find_device(name: str) -> jax.Device:
    """Return the first device called ``name``; ``auto`` is the fastest found.

    Raises:
        ResnetsError: if there is no such device here.
    """
    found = _list_devices()
    if name == "auto":
        return next(iter(found.values()))
    wanted = name if name == "cpu" or ":" in name else f"{name}:0"
    if wanted not in found:
        raise unknown_device(name, "JAX", found=found)
    return found[wanted]


def precision(recipe: Recipe, device: str = "auto") -> str:
    """Resolve the recipe's precision: ``auto`` is bf16 where that is faster."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if _computes_bf16(find_device(device)) else "fp32"


def describe_device(*devices: jax.Device) -> str:
    """Describe devices of one kind for people."""
    several = f"{len(devices)} × " if len(devices) > 1 else ""
    if devices[0].platform != "cpu":
        return several + devices[0].device_kind
    return several + describe_cpu(threads())


def threads() -> int:
    """Threads that XLA computes with on the processor: all it may run on, or ``NPROC``."""
    with contextlib.suppress(KeyError, ValueError):
        return max(int(os.environ["NPROC"]), 1)
    return count_processors()


def _computes_bf16(device: jax.Device) -> bool:
    """Return whether bf16 is faster than fp32; XLA only emulates it on processors."""
    if device.platform == "tpu":
        return True
    capability = getattr(device, "compute_capability", None)  # of NVIDIA's, such as "9.0"
    return device.platform == "gpu" and capability is not None and float(capability) >= 8
