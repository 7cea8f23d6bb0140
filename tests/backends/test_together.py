"""All frameworks in one process, imported in one order and in the other."""

import subprocess
import sys

import pytest

from resnets import backends

PROGRAM = """
import sys
import numpy as np
from resnets import backends
from resnets.networks import catalog
a = catalog.get("resnet8_slim")
x = np.random.default_rng(0).normal(size=(2, 1, 14, 14)).astype(np.float32)
logits = []
for name in sys.argv[1:]:
    backend = backends.load(name)
    model = backend.build(a, seed=1)
    logits.append(backend.features(model, x)["logits"])
spread = max(abs(other - logits[0]).max() for other in logits) / abs(logits[0]).max()
assert spread < 1e-5, spread
"""


@pytest.mark.parametrize("order", [backends.NAMES, backends.NAMES[::-1]], ids="-".join)
def test_either_order_of_imports(order: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *order],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
