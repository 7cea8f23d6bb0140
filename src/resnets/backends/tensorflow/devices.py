"""Which device TensorFlow computes on, with how many threads, in what precision it is fast."""

import os
from contextlib import suppress
from pathlib import Path

import keras
import tensorflow as tf

from resnets.backends.devices import count_processors, describe_cpu, unknown_device
from resnets.errors import ResnetsError
from resnets.recipes.recipe import Recipe


def require_tensorflow() -> None:
    """Refuse a Keras that computes with another framework.

    Raises:
        ResnetsError: saying how to choose TensorFlow.
    """
    if (found := keras.backend.backend()) != "tensorflow":
        raise ResnetsError(
            f"Keras is set to compute with {found}; set KERAS_BACKEND=tensorflow "
            "(or the backend in ~/.keras/keras.json) before Keras is imported"
        )


def limit_threads() -> None:
    """Keep to OMP_NUM_THREADS, as torch does, unless TensorFlow was told another number."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threading = tf.config.threading
    if not asked.isdecimal() or int(asked) < 1 or threading.get_intra_op_parallelism_threads():
        return
    with suppress(RuntimeError):  # TensorFlow computes already, with the threads it has
        threading.set_intra_op_parallelism_threads(int(asked))
        threading.set_inter_op_parallelism_threads(int(asked))


def threads() -> int:
    """Threads that one operation computes with on the CPU."""
    return tf.config.threading.get_intra_op_parallelism_threads() or count_processors()


def available_devices() -> list[str]:
    """List the devices TensorFlow finds here, the fastest kind first."""
    return [*(f"cuda:{i}" for i in range(len(_gpus()))), "cpu"]


def _gpus() -> list[tf.config.PhysicalDevice]:
    return tf.config.list_physical_devices("GPU")


def find_device(name: str) -> str:
    """Return TensorFlow's name of the device called ``name``; ``auto`` is the fastest found.

    Raises:
        ResnetsError: if there is no such device here.
    """
    found = available_devices()
    wanted = {"auto": found[0], "cuda": "cuda:0"}.get(name, name)
    if wanted not in found:
        raise unknown_device(name, "TensorFlow", found=found)
    return "CPU:0" if wanted == "cpu" else wanted.replace("cuda", "GPU")


def precision(recipe: Recipe, device: str = "auto") -> str:
    """Resolve the recipe's precision: ``auto`` is bf16 where the device computes in it."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if _computes_bf16(find_device(device)) else "fp32"


def describe_device(device: str) -> str:
    """Describe a device, by TensorFlow's name, for people."""
    kind, _, number = device.partition(":")
    if kind == "GPU":
        details = tf.config.experimental.get_device_details(_gpus()[int(number)])
        return details.get("device_name", device)
    return describe_cpu(threads())


def _computes_bf16(device: str) -> bool:
    """Return whether bf16 is faster than fp32; on CPUs that takes oneDNN and instructions."""
    kind, _, number = device.partition(":")
    if kind == "GPU":
        details = tf.config.experimental.get_device_details(_gpus()[int(number)])
        return details.get("compute_capability", (0, 0)) >= (8, 0)
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1").lower() in ("0", "false"):
        return False
    try:
        features = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in features or "amx_bf16" in features
