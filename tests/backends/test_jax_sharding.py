"""A session on two devices computes what a session on one does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from backends.networks import random_weights, relative_difference
from resnets.backends import Batch
from resnets.backends import jax as backend
from resnets.backends.jax.placement import Placement
from resnets.data.augmentation import draw_parameters
from resnets.data.images import Images
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing
from resnets.networks.spec import Block, Stage, Stem
from resnets.recipes.recipe import Recipe

TINY = Architecture(
    name="tiny",
    channels=3,
    classes=5,
    stem=Stem(width=8, kernel=3, stride=1, pool=True),
    stages=(
        Stage(depth=1, width=8, block=Block(kind="basic")),
        Stage(depth=1, width=12, stride=2, block=Block(kind="bottleneck", inner=6, groups=2)),
    ),
)
RECIPE = Recipe(
    precision="fp64",
    momentum=0.9,
    nesterov=True,
    weight_decay=1e-3,
    clip=1.0,
    average=0.9,
    label_smoothing=0.1,
    flip=True,
    crop=2,
    erase=0.5,
    mixup=1.0,
    cutmix=1.0,
    stochastic_depth=0.3,
)


def _batch(step: int, n: int) -> Batch:
    rng = np.random.default_rng(step)
    images = Images(rng.integers(0, 256, (n, 12, 12, 3), np.uint8), rng.integers(0, 5, n))
    return Batch(images, draw_parameters(RECIPE, step, count=n, size=(12, 12)))


def trained(path: Path, devices: int) -> None:
    """Take steps on whole batches and on one that does not divide; save what there is then."""
    model = backend.build(TINY, weights=random_weights(TINY))
    preprocessing = Preprocessing(size=12, mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.25))
    session: Any = backend.session(model, RECIPE, preprocessing=preprocessing, device="cpu")
    assert len(session.placement.devices) == devices
    losses = [session.train_step(_batch(step, 6), 0.1).loss for step in range(4)]
    assert session._step._cache_size() == 1  # what comes out lies where it lay before
    losses.append(session.train_step(_batch(4, 5), 0.1).loss)
    session.restore(session.state())
    losses.append(session.train_step(_batch(5, 6), 0.1).loss)
    with jax.enable_x64(True):
        x = session.prepare(_batch(0, 6).images.pixels, _batch(0, 6).augmentation)
    assert [part.data.shape[0] for part in x.addressable_shards] == [6 // devices] * devices
    weight = session._state["weights"]["conv1.weight"]
    assert [part.data.shape for part in weight.addressable_shards] == [weight.shape] * devices
    logits = [session.eval_step(_batch(0, n).images.pixels) for n in (6, 5)]
    found: dict[str, Any] = {**session.state(), "loss": losses, "even": logits[0], "odd": logits[1]}
    np.savez(path, allow_pickle=False, device=session.device, **found)


def test_two_devices_are_one(tmp_path: Path) -> None:
    trained(tmp_path / "one.npz", 1)
    program = (
        "from pathlib import Path\n"
        "from backends.test_jax_sharding import trained\n"
        f"trained(Path({str(tmp_path / 'two.npz')!r}), 2)\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (np.load(tmp_path / f"{name}.npz") for name in ("one", "two"))
    assert two["device"] == f"2 × {one['device']}"
    assert one.files == two.files
    for name in set(one.files) - {"device"}:
        # Logits are float32.
        within = 1e-6 if name in ("even", "odd") else 1e-9
        assert relative_difference(two[name], one[name]) < within, name


@pytest.mark.parametrize("count", [1, 2, 3])
def test_one_device_has_all(count: int) -> None:
    device = jax.devices("cpu")[0]
    placement = Placement((device,))
    assert placement.split(count) == placement.whole == device
