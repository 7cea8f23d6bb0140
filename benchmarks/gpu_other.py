"""Three steps of one framework on its own device, in a process of its own; run by ``gpu.py``.

python benchmarks/gpu_other.py jax auto steps.json
"""

import argparse
import json
import os
from pathlib import Path

# Beside the caller there must be room; TF32 would hide whether it is the same function.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")

import numpy as np

from resnets import backends
from resnets.data.augmentation import draw_parameters
from resnets.data.images import Images
from resnets.networks import catalog
from resnets.networks.network import Preprocessing
from resnets.recipes.recipe import Recipe


def main() -> None:
    """Train for three steps on random images; write losses and devices."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("framework", choices=backends.NAMES)
    parser.add_argument("device", help="auto, cpu, or as the framework calls it")
    parser.add_argument("out", type=Path, help="the JSON file that is written")
    given = parser.parse_args()
    backend = backends.load(given.framework)
    recipe = Recipe(batch=16, rate=0.02, momentum=0.9, precision="fp32", flip=True, crop=2)
    model = backend.build(catalog.get("resnet8_slim"))
    shape = Preprocessing(size=28, mean=(0.3,), std=(0.3,))
    session = backend.session(model, recipe, preprocessing=shape, device=given.device)
    rng = np.random.default_rng(0)
    losses = []
    for step in range(3):
        pixels = rng.integers(0, 256, (16, 28, 28, 1), dtype=np.uint8)
        batch = backends.Batch(
            Images(pixels, rng.integers(0, 10, 16)),
            draw_parameters(recipe, step, count=16, size=(28, 28)),
        )
        losses.append(float(session.train_step(batch, recipe.rate).loss))
    answer = {"device": session.device, "found": backend.available_devices(), "losses": losses}
    given.out.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
