"""A compiled function's memory stays in the process."""

import platform
import subprocess
import sys

import pytest

# What it gives has 100 MB: more than an arena of a thread's own can hold.
PROGRAM = """
import resource, sys
import jax, jax.numpy as jnp
from resnets.backends import jax as backend
if "told" in sys.argv:
    backend.available_devices()
function = jax.jit(lambda x: x + 1)
x = jnp.ones(25_000_000)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    function(x).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(min(faults() for _ in range(30)))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_kept() -> None:
    """In processes of their own: the setting cannot be taken back."""

    def faults(*arguments: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    assert faults("told") < 1000 < 10_000 < faults()
