"""Which device MXNet computes on, and in what precision."""

from typing import Any

from resnets.backends.devices import describe_cpu, unknown_device
from resnets.backends.mxnet.importing import mx
from resnets.errors import ResnetsError
from resnets.recipes.recipe import Recipe


def available_devices() -> list[str]:
    """List the devices MXNet finds here, the fastest kind first."""
    return [*(f"gpu:{i}" for i in range(mx.context.num_gpus())), "cpu"]


def find_device(name: str) -> Any:
    """Return the ``mxnet.Context`` called ``name``; ``auto`` is the fastest found.

    Raises:
        ResnetsError: if there is no such device here.
    """
    found = available_devices()
    wanted = {"auto": found[0], "gpu": "gpu:0"}.get(name, name)
    if wanted not in found:
        raise unknown_device(name, "mxnet", found=found)
    return mx.cpu() if wanted == "cpu" else mx.gpu(int(wanted.removeprefix("gpu:")))


def precision(recipe: Recipe, device: str = "auto") -> str:
    """Resolve the recipe's precision: ``auto`` is fp32.

    Raises:
        ResnetsError: for bf16, which MXNet 1.9.1 does not train in dependably: it would rewrite
            the operators of the whole process (``mxnet.contrib.amp``).
    """
    find_device(device)
    if recipe.precision == "bf16":
        raise ResnetsError(
            "precision bf16: mxnet trains in fp32 or fp64; choose precision fp32 or auto, "
            "or another framework"
        )
    return "fp32" if recipe.precision == "auto" else recipe.precision


def describe_device(device: Any) -> str:
    """Describe a device for people."""
    if device.device_type == "gpu":
        return f"GPU {device.device_id}"
    return describe_cpu(threads())


def threads() -> int:
    """Count the processor threads MXNet computes with.

    It asks for half the processors unless OMP_NUM_THREADS says otherwise.
    """
    ask = getattr(mx.base._LIB, "omp_get_max_threads", None)  # in the library it was linked to
    return 1 if ask is None else int(ask())
