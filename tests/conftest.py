"""Shared by all tests: threads, real sample images, small architectures, and who runs what.

Each test is assigned to the framework that it runs, so that a worker process of pytest-xdist
(``--dist loadgroup``) compiles and computes in one framework. ``--quick torch`` leaves what
``make check`` needs: the packages without a framework, and one framework on few architectures.
"""

import atexit
import os
import re
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
from strategies import QUICK_ARCHITECTURES, SMALL_ARCHITECTURES

HERE = Path(__file__).parent
SAMPLES = HERE / "samples"

FRAMEWORKS = ("jax", "tensorflow", "torch", "mxnet")
"""Those whose tests take longest come first, so that the workers finish at about one time."""

WORDS = {"keras": "tensorflow", "gluon": "mxnet", "flax": "jax", "pytorch": "torch"}
"""Other words by which the name of a test says its framework."""

FIRST_FOLDERS = ("cli", "tutorials", "chapter", "inference", "convert", "report")
"""Their files take longer than others that need no particular framework."""

QUICK_FOLDERS = ("backends", "data", "networks", "recipes", "training")
"""With the modules directly in tests/, what --quick collects: the rest takes minutes."""

PROCESS_STARTERS = {"subprocess", "resnets_process"}
"""Names in a function's code that say that it starts a Python interpreter."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick",
        choices=FRAMEWORKS,
        help="run the packages without a framework, and this framework on few architectures",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import the tests that ``--quick`` leaves out."""
    quick = config.getoption("quick")
    if quick is None or HERE not in collection_path.parents:
        return None
    relative = collection_path.relative_to(HERE)
    if len(relative.parts) == 1 and collection_path.is_dir():
        return None if relative.name in QUICK_FOLDERS else True
    named = _named_frameworks(str(relative.with_suffix("")))
    return True if named and quick not in named else None


# First, because xdist reads the groups in its own hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    quick = config.getoption("quick")
    if quick is not None:
        left_out = [item for item in items if not _is_quick(item, quick)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_rank)


def _named_frameworks(text: str) -> set[str]:
    words = {WORDS.get(word, word) for word in re.split(r"[^a-z]+", text.lower())}
    return {"all"} if "frameworks" in words else words & set(FRAMEWORKS)


def _parameters(item: pytest.Item) -> list[object]:
    called = getattr(item, "callspec", None)
    return [] if called is None else [*called.params.values()]


def _framework(item: pytest.Item) -> str | None:
    """Return the framework that a test runs: a parameter's, or the one its name or file names.

    It is "all" for a test of several, and None for a test of none in particular.
    """
    for value in _parameters(item):
        if isinstance(value, str) and WORDS.get(value, value) in FRAMEWORKS:
            return WORDS.get(value, value)
    for text in (item.originalname, str(item.path.relative_to(HERE).with_suffix(""))):
        named = _named_frameworks(text)
        if named:
            return named.pop() if len(named) == 1 else "all"
    return None


def _group(item: pytest.Item) -> str:
    return _framework(item) or str(item.path.relative_to(HERE).with_suffix("").as_posix())


def _rank(item: pytest.Item) -> int:
    """Return a number that is smaller for what should start earlier."""
    order = [*FRAMEWORKS, "all", *FIRST_FOLDERS]
    group = _group(item)
    name = group if group in order else group.partition("/")[0]
    return order.index(name) if name in order else len(order)


def _is_quick(item: pytest.Item, quick: str) -> bool:
    if _framework(item) not in (None, quick) or _starts_a_process(item):
        return False
    if item.get_closest_marker("slow"):
        return False
    small = [value for value in _parameters(item) if isinstance(value, Architecture)]
    return all(a in QUICK_ARCHITECTURES for a in small if a in SMALL_ARCHITECTURES)


def _starts_a_process(item: pytest.Item) -> bool:
    """Return whether a test, or a function of its module that it calls, starts an interpreter."""
    names = set(item.function.__code__.co_names)
    for name in list(names):
        function = item.function.__globals__.get(name)
        names |= set(getattr(getattr(function, "__code__", None), "co_names", ()))
    return bool(names & PROCESS_STARTERS)


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


@pytest.fixture
def sizes(request: pytest.FixtureRequest) -> list[tuple[int, int]]:
    """Heights and widths of images on which frameworks could differ; one for ``--quick``."""
    odd = (17, 17)
    if request.config.getoption("quick"):
        return [odd]
    return [(16, 16), odd, (9, 14), (1, 1), (33, 5)]
