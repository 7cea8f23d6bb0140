"""GPUs and the processor, as the chapter calls them."""

import torch

from resnets.chapter.arguments import check_whole
from resnets.errors import ResnetsError


def cpu() -> torch.device:
    """The processor."""
    return torch.device("cpu")


def num_gpus() -> int:
    """Count the CUDA GPUs that torch finds."""
    return torch.cuda.device_count()


def gpu(i: int = 0) -> torch.device:
    """GPU number ``i``.

    Raises:
        ResnetsError: if it is not here.
    """
    if not check_whole("gpu", "i", value=i, least=0) < num_gpus():
        raise ResnetsError(
            f"GPU {i} is not here: torch finds {num_gpus()}; try_gpu({i}) takes the CPU instead"
        )
    return torch.device(f"cuda:{i}")


def try_gpu(i: int = 0) -> torch.device:
    """GPU number ``i`` if it is here, else the processor.

    Raises:
        InvalidDescription: where ``i`` is no number from 0 on.
    """
    return gpu(i) if check_whole("try_gpu", "i", value=i, least=0) < num_gpus() else cpu()


def try_all_gpus() -> list[torch.device]:
    """All GPUs, or the processor if there are none."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
