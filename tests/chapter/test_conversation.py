"""Networks of the chapter's classes are described; their weights move, their outputs stay."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backends.networks import images, random_weights, relative_difference
from resnets import backends
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.families import chapter_resnext_block
from resnets.networks.reference import forward
from resnets.networks.spec import Block, Stage

HERE = Path(__file__).parent
TABS = ("torch", "tensorflow", "jax", "mxnet")

PLAIN = Block(shortcut="bare_projection")


def network(*stages: Stage) -> Architecture:
    plain = catalog.get("chapter_resnet18", classes=7, channels=3)
    return replace(plain, stages=stages, name="")


NETWORKS = {
    "plain": network(
        Stage(depth=1, width=64, block=PLAIN), Stage(depth=2, width=16, stride=2, block=PLAIN)
    ),
    "next": network(
        Stage(depth=1, width=64, block=chapter_resnext_block(64, 8, multiplier=0.5)),
        Stage(depth=2, width=32, stride=2, block=chapter_resnext_block(32, 8, multiplier=0.5)),
    ),
    "normed": network(Stage(depth=1, width=64), Stage(depth=1, width=16, stride=2)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conversation")
    for name, architecture in NETWORKS.items():
        given = random_weights(architecture)
        np.savez(folder / f"{name}.npz", images=images(architecture, 30, 36), **given)
    return folder


@pytest.mark.parametrize("tab", TABS)
def test_weights_and_outputs_are_the_same_in_every_tab(tab: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "converse.py", tab, folder],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name, architecture in NETWORKS.items():
        given = random_weights(architecture)
        with np.load(folder / f"{name}-{tab}.npz") as file:
            found = dict(file)
        logits = found.pop("logits")
        expected = forward(architecture, given, images(architecture, 30, 36)).logits
        assert relative_difference(logits, expected) < 1e-5, name
        assert found.keys() == given.keys(), name
        assert all(np.array_equal(found[key], given[key]) for key in given), name
        described = Architecture.from_json(json.loads((folder / f"{name}-{tab}.json").read_text()))
        assert replace(described, name="") == normalised(architecture), name


def normalised(architecture: Architecture) -> Architecture:
    """State ``inner`` only where it is not what its kind of block has anyway."""
    stages = [
        replace(s, block=replace(s.block, inner=None))
        if s.block.inner == replace(s.block, inner=None).inner_width(s.width)
        else s
        for s in architecture.stages
    ]
    return replace(architecture, stages=tuple(stages))


@pytest.mark.parametrize("framework", backends.NAMES)
def test_a_backend_takes_over_a_chapters_network(framework: str) -> None:
    architecture = NETWORKS["plain"]
    backend = backends.load(framework)
    weights = random_weights(architecture)
    model = backend.build(architecture, weights=weights)
    x = images(architecture, 30, 36)
    expected = forward(architecture, weights, x).logits
    assert relative_difference(backend.features(model, x)["logits"], expected) < 1e-5
