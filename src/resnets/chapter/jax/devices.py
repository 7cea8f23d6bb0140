"""GPUs and the processor, as the chapter calls them, and keys for random numbers."""

from typing import Any

import jax
import numpy as np

from resnets.chapter.arguments import check_whole
from resnets.errors import ResnetsError

_seeds = np.random.default_rng(0)


def get_key() -> Any:
    """A new key at each call; the same program gets the same keys."""
    return jax.random.PRNGKey(int(_seeds.integers(2**31)))


def _gpus() -> list[Any]:
    return [device for device in jax.local_devices() if device.platform == "gpu"]


def cpu() -> Any:
    """The processor."""
    return jax.local_devices(backend="cpu")[0]


def num_gpus() -> int:
    """Count the GPUs that JAX finds."""
    return len(_gpus())


def gpu(i: int = 0) -> Any:
    """GPU number ``i``.

    Raises:
        ResnetsError: if it is not here.
    """
    if not check_whole("gpu", "i", value=i, least=0) < num_gpus():
        raise ResnetsError(
            f"GPU {i} is not here: JAX finds {num_gpus()}; try_gpu({i}) takes the CPU instead"
        )
    return _gpus()[i]


def try_gpu(i: int = 0) -> Any:
    """GPU number ``i`` if it is here, else the processor.

    Raises:
        InvalidDescription: where ``i`` is no number from 0 on.
    """
    return gpu(i) if check_whole("try_gpu", "i", value=i, least=0) < num_gpus() else cpu()


def try_all_gpus() -> list[Any]:
    """All GPUs, or the processor if there are none."""
    return _gpus() or [cpu()]
