"""GPUs and the processor, as the chapter calls them: scopes for ``with``."""

from typing import Any

import tensorflow as tf

from resnets.chapter.arguments import check_whole
from resnets.errors import ResnetsError


def cpu() -> Any:
    """The processor."""
    return tf.device("/CPU:0")


def num_gpus() -> int:
    """Count the GPUs that TensorFlow finds."""
    return len(tf.config.list_physical_devices("GPU"))


def gpu(i: int = 0) -> Any:
    """GPU number ``i``.

    Raises:
        ResnetsError: if it is not here.
    """
    if not check_whole("gpu", "i", value=i, least=0) < num_gpus():
        raise ResnetsError(
            f"GPU {i} is not here: TensorFlow finds {num_gpus()}; "
            f"try_gpu({i}) takes the CPU instead"
        )
    return tf.device(f"/GPU:{i}")


def try_gpu(i: int = 0) -> Any:
    """GPU number ``i`` if it is here, else the processor.

    Raises:
        InvalidDescription: where ``i`` is no number from 0 on.
    """
    return gpu(i) if check_whole("try_gpu", "i", value=i, least=0) < num_gpus() else cpu()


def try_all_gpus() -> list[Any]:
    """All GPUs, or the processor if there are none."""
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
