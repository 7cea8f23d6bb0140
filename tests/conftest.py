"""Shared by all tests: threads, real sample images, small architectures."""

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")
# oneDNN shifts TensorFlow's gradients by 1e-4 to 8e-4; set before TensorFlow is imported.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Small networks compile two to five times faster so, and compute the same.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# Packs of the tests' folders of images do not stay in the user's cache.
if not os.environ.get("RESNETS_DATA"):
    os.environ["RESNETS_DATA"] = tempfile.mkdtemp(prefix="resnets-")
    atexit.register(shutil.rmtree, os.environ["RESNETS_DATA"], ignore_errors=True)

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnets.data.images import Images
from resnets.networks.architecture import Architecture
from strategies import SMALL_ARCHITECTURES

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def fashion() -> Images:
    """400 real images of Fashion-MNIST, 40 a class (MIT licence, Zalando SE)."""
    with np.load(SAMPLES / "fashion_400.npz") as file:
        return Images(file["pixels"][..., None], file["labels"].astype(np.int64))


@pytest.fixture(scope="session")
def picture_folder(fashion: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real images as a user has it: three classes, 40 PNG files each."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, label in (("bag", 8), ("dress", 3), ("sneaker", 7)):
        (folder / name).mkdir()
        for number, pixels in enumerate(fashion.pixels[fashion.labels == label]):
            Image.fromarray(pixels.squeeze()).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(params=SMALL_ARCHITECTURES, ids=lambda a: a.name)
def small(request: pytest.FixtureRequest) -> Architecture:
    """Every kind of block, stride, shortcut and stem, in narrow networks."""
    return request.param
