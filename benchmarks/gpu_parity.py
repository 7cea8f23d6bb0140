"""Is it the same function? One step against the CPU, repeated steps, the other frameworks."""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_measurement import Measurement
from gpu_work import Ours, Plan, at_size, network_of, random_images, session_of
from resnets.recipes.recipe import Recipe


def parity(m: Measurement) -> dict[str, Any]:
    """One step here against the CPU, and whether steps repeat and resume to the last bit."""
    found: dict[str, Any] = {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    images = random_images(32, 32, 3, 10)
    here, cpu = m.plan, Plan.of(torch.device("cpu"), small=m.plan.small)
    try:
        for precision in ("fp64", "fp32"):
            recipe = Recipe(batch=16, rate=0.1, momentum=0.9, flip=True, precision=precision)
            network = network_of("resnet8_slim" if here.small else "resnet18", images, 10)
            sessions = (
                session_of(network, recipe, here, here.speed()),
                session_of(network, recipe, cpu, None),
            )
            before = sessions[1].weights()
            losses = [Ours(session, images)().loss for session in sessions]
            after = [session.weights() for session in sessions]
            found[precision] = {
                "loss": abs(losses[0] - losses[1]) / abs(losses[1]),
                "weights": _apart(after[0], after[1], before),
            }
    finally:
        torch.backends.cudnn.allow_tf32 = True
    return found | {"repeatable": _repeats(m)}


def _apart(found: Any, expected: Any, before: Any) -> float:
    """The largest difference of a tensor, relative to the largest change that the step made."""
    return max(
        float(
            np.abs(found[n] - expected[n]).max() / max(np.abs(expected[n] - before[n]).max(), 1e-9)
        )
        for n in expected
    )


def _repeats(m: Measurement) -> dict[str, bool]:
    """Whether two runs, and a resumed one, agree bit for bit; by how cuDNN chooses."""
    images = at_size(m.data.training[:512], m.plan.chapter_size, m.plan)
    recipe = m.chapter("bf16").changed(momentum=0.9, flip=True, crop=2)
    network = network_of(m.plan.chapter, images, 10)

    def run(repeatable: bool, stop: int | None) -> Any:
        speed = m.plan.speed(repeatable=repeatable)
        session = session_of(network, recipe, m.plan, speed)
        for step in range(8):
            if step == stop:
                saved = session.state()
                session = session_of(network, recipe, m.plan, speed)
                session.restore(saved)
            Ours(session, images)()
        return session.state()

    def same(one: Any, other: Any) -> bool:
        return all(np.array_equal(one[name], other[name]) for name in one)

    first = run(True, None)
    return {
        "two runs": same(first, run(True, None)),
        "resumed": same(first, run(True, 4)),
        "two runs, cuDNN times its algorithms": same(run(False, None), run(False, None)),
    }


def others(m: Measurement) -> dict[str, Any]:
    """JAX and TensorFlow, where they are here: the device they take, and three steps there."""
    found: dict[str, Any] = {}
    for name in ("torch", "jax", "tensorflow"):
        if find_spec(name) is None:
            found[name] = {"left out": "not installed"}
            continue
        device = "cpu" if name == "torch" or m.plan.device.type == "cpu" else "auto"
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "steps.json"
            command = [sys.executable, str(Path(__file__).with_name("gpu_other.py"))]
            ended = subprocess.run(
                [*command, name, device, str(out)], capture_output=True, text=True, timeout=240
            )
            if out.is_file():
                found[name] = json.loads(out.read_text())
            else:
                found[name] = {"failed": ended.stderr[-800:]}
    expected = found["torch"].get("losses")
    for answer in found.values():
        if expected and "losses" in answer:
            pairs = zip(answer["losses"], expected, strict=True)
            answer["apart"] = max(abs(a - b) / abs(b) for a, b in pairs)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
