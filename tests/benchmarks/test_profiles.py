"""Where a step's time goes, in every framework: what a profile says, and of which operations."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from profiles import session_time
from resnets import Architecture, Stage, Stem, backends
from resnets.bench.work import Work
from resnets.bench.workers.ours import start_training

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KINDS = {"convolutions", "norms, activations", "optimiser", "data", "other"}


def step_of(framework: str, width: int) -> tuple[Callable[[int], Any], Callable[[], Any]]:
    stem = Stem(width=width, kernel=3, stride=1, pool=False)
    a = Architecture(channels=1, classes=4, stem=stem, stages=(Stage(depth=1, width=width),))
    work = Work(architecture=a, size=12, batch=8, purpose="training")
    take, session, _ = start_training(work, framework=framework)
    profile = importlib.import_module(f"profiles.{framework}")
    return take, lambda: profile.split_step(take, session)


@pytest.mark.parametrize("framework", backends.NAMES)
def test_a_step_is_taken_apart_and_goes_on(framework: str) -> None:
    take, shares = step_of(framework, 96)
    take(2)
    before = dict(os.environ)
    found = shares()
    assert found.keys() <= KINDS and {"convolutions", "norms, activations", "data"} <= found.keys()
    assert all(0 <= share <= 1 for share in found.values())
    assert sum(found.values()) == pytest.approx(1)
    assert found["convolutions"] > 0
    assert dict(os.environ) == before
    take(2)


def test_mxnet_s_profiler_leaves_no_file_and_devices_alone(tmp_path: Path) -> None:
    """It removes what stands where it writes: as root, /dev/null."""
    program = """
import sys
sys.path[:0] = sys.argv[1:]
from benchmarks import test_profiles as tests
take, shares = tests.step_of("mxnet", 8)
take(2)
shares()
"""
    before = Path(os.devnull).stat()
    done = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parents[1]), str(BENCHMARKS)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
    after = Path(os.devnull).stat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


PROGRAM = """HloModule jit_step, is_scheduled=true

%region (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%a, %b)
}

%fused_computation (p: f32[8,8]) -> f32[8,8] {
  %p = f32[8,8]{1,0} parameter(0)
  ROOT %dot.3 = f32[8,8]{1,0} dot(%p, %p), lhs_contracting_dims={1}
}

%fused_computation.1 (p.1: f32[8,8]) -> f32[8,8] {
  %p.1 = f32[8,8]{1,0} parameter(0)
  ROOT %transpose.2 = f32[8,8]{0,1} transpose(%p.1), dimensions={1,0}
}

%fused_computation.2 (p.2: f32[8,8]) -> f32[8,8] {
  %p.2 = f32[8,8]{1,0} parameter(0)
  ROOT %m = f32[8,8]{1,0} multiply(%p.2, %p.2), metadata={op_name="jit(step)/optimiser/mul"}
}

ENTRY %main.5 (x: f32[8,8]) -> f32[8,8] {
  %x = f32[8,8]{1,0} parameter(0)
  %ynn_fusion = f32[8,8]{1,0} fusion(%x), kind=kCustom, calls=%fused_computation
  %transpose_fusion.1 = f32[8,8]{1,0} fusion(%ynn_fusion), kind=kLoop, calls=%fused_computation.1
  %convolution.7 = f32[8,8]{1,0} convolution(%x, %x), window={size=3x3}
  %reduce.2 = f32[8]{0} reduce(%x, %x), dimensions={0}, to_apply=%region
  %copy.4 = f32[8,8]{1,0} copy(%x)
  ROOT %multiply_fusion.2 = f32[8,8]{1,0} fusion(%x), kind=kLoop, calls=%fused_computation.2
}
"""


def test_jax_operations_are_known_by_what_they_are_made_of() -> None:
    kinds = importlib.import_module("profiles.jax").find_kinds([PROGRAM])
    wanted = {
        "ynn_fusion": "convolutions",
        "transpose_fusion.1": "convolutions",
        "convolution.7": "convolutions",
        "copy.4": "convolutions",
        "reduce.2": "norms, activations",
        "multiply_fusion.2": "optimiser",
    }
    assert {name: kinds[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("framework", "name", "kind"),
    [
        ("tensorflow", "gradient_tape/n/layer1.0.conv1_1/Pad:Pad", "convolutions"),
        ("tensorflow", "n/layer1.0.downsample.0/convolution:_MklNativeConv2D", "convolutions"),
        ("tensorflow", "n/layer1.0.downsample.0/AvgPool:AvgPool", "norms, activations"),
        ("tensorflow", "n/bn1/FusedBatchNormV3:_MklNativeFusedBatchNormEx", "norms, activations"),
        ("tensorflow", "optimiser/AssignSubVariableOp:AssignSubVariableOp", "optimiser"),
        ("tensorflow", "prepare/sub:Sub", "data"),
        ("tensorflow", "gradient_tape/n/fc_1/MatMul:MatMul", "other"),
        ("mxnet", "_backward_Convolution", "convolutions"),
        ("mxnet", "_backward_BatchNorm", "norms, activations"),
        ("mxnet", "elemwise_add", "norms, activations"),
        ("mxnet", "_mul_scalar", "other"),
    ],
)
def test_operations_are_known_by_their_names(framework: str, name: str, kind: str) -> None:
    profile = importlib.import_module(f"profiles.{framework}")
    assert profile.find_kind(name) == kind


def test_torch_s_operators_are_known_by_their_callers() -> None:
    find_kind = importlib.import_module("profiles.torch").find_kind
    cases = {
        ("aten::mkldnn_convolution", "aten::conv2d"): "convolutions",
        ("aten::copy_", "autograd::engine::evaluate_function: _ConvolutionBackward"): (
            "convolutions"
        ),
        ("aten::native_batch_norm",): "norms, activations",
        ("aten::threshold_backward",): "norms, activations",
        ("aten::addmm", "aten::linear"): "other",
        ("aten::add_",): "norms, activations",
        ("aten::_fused_sgd_", "Optimizer.step#SGD.step"): "optimiser",
        ("aten::sub", "resnets: data"): "data",
        ("aten::to",): "other",
    }
    assert {names: find_kind(names) for names in cases} == cases


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_gradients_that_come_after_the_loss_are_not_data(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(session_time, "time", clock)
    pending = 0.0

    class Session:
        def train_step(self, batch: object, rate: float) -> SimpleNamespace:
            nonlocal pending
            clock.now += 1.0  # the loss is there, three seconds of gradients are to come
            pending = 3.0
            return SimpleNamespace(loss=0.5)

    def wait() -> None:
        nonlocal pending
        clock.now, pending = clock.now + pending, 0.0

    session = Session()
    batch = SimpleNamespace(images=SimpleNamespace(pixels=None), augmentation=None)

    def take(steps: int) -> None:
        for _ in range(steps):
            clock.now += 0.5  # a batch is drawn and gathered
            session.train_step(batch, 0.1)
            wait()

    def prepare(pixels: object, draws: object) -> None:
        clock.now += 0.4

    found = session_time.measure_data_share(take, session, prepare, steps=4, wait=wait)
    assert found["data"] == pytest.approx((0.5 + 0.4) / 4.5)
    assert "train_step" not in vars(session)
