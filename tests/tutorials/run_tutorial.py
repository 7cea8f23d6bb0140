"""Runs one tutorial small: ``python tests/tutorials/run_tutorial.py SCRIPT OUTCOME``.

Fashion-MNIST is 300 real images to train on and 100 to test; ``measured``, in which a tutorial
leaves its numbers, goes to OUTCOME as JSON.
"""

import json
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from resnets.data.fashion_mnist import loading
from resnets.data.images import Dataset, Images

SAMPLE = Path(__file__).parents[1] / "samples" / "fashion_400.npz"


def sample(**_: Any) -> Dataset:
    """Stand in for ``fashion_mnist.load``."""
    with np.load(SAMPLE) as file:
        order = np.random.default_rng(0).permutation(400)
        found = Images(file["pixels"][..., None][order], file["labels"].astype(np.int64)[order])
    return Dataset("fashion_mnist", loading.CLASS_NAMES, found[:300], lambda: found[300:])


def main() -> None:
    """Run the script as ``python SCRIPT`` would."""
    script, outcome = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.filterwarnings("error", module=r"__main__|resnets")
    warnings.filterwarnings("ignore", message="FigureCanvas.* is non-interactive")
    loading.load = sample
    sys.path.insert(0, str(script.parent))  # as for ``python SCRIPT``: what tutorials share
    names = runpy.run_path(str(script), run_name="__main__")
    outcome.write_text(json.dumps(names["measured"]))


if __name__ == "__main__":
    main()
