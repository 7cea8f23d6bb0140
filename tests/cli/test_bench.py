"""``resnets bench`` as a user meets it. No test looks at how fast anything is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resnets.bench.telling import lines


def bench(*arguments: Any, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resnets", "bench", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=900, check=False
    )


TINY = ("cifar_resnet20", "--size", 8, "--batch", 2, "--rounds", 3, "--device", "cpu")


def test_all_of_torch(tmp_path: Path) -> None:
    done = bench(*TINY, "--framework", "torch", "--training", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["network"], found["size"], found["batch"]) == ("cifar_resnet20", 8, 2)
    (part,) = found["parts"]
    assert part["purpose"] == "training" and part["rounds"] == 3
    rows = {row["name"]: row for row in part["rows"]}
    for name in ("plain loop", "resnets train"):
        (measured,) = rows[name]["measured"]
        speed = measured["images_per_second"]
        assert speed["n"] == 3 and 0 < speed["least"] <= speed["median"] <= speed["most"]
        assert measured["of_matrix"] > 0 and measured["of_convolutions"] > 0
        assert rows[name]["peak_memory_bytes"] > 1e7
        assert sum(rows[name]["shares"].values()) == pytest.approx(1, abs=0.05)
        assert rows[name]["shares"]["convolutions"] > 0
    ratio = rows["resnets train"]["measured"][0]["ratio"]
    assert ratio["n"] == 3 and rows["plain loop"]["measured"][0]["ratio"] is None
    assert rows["timm, plain loop"]["missing"] == "timm has no network of that name"
    limits = {limit["precision"]: limit for limit in part["limits"]}
    assert limits["fp32"]["matrix"]["median"] > 0
    assert "3x3 16>16 8x8 kernel" in limits["fp32"]["seconds"]
    assert "3x3 3>16 8x8 input" not in limits["fp32"]["seconds"]
    assert "processes, about" in done.stderr and "rounds of" in done.stderr


@pytest.mark.parametrize(
    ("framework", "peer"), [("jax", "nnx and optax"), ("tensorflow", "Keras fit")]
)
def test_training_beside_a_peer(framework: str, peer: str, tmp_path: Path) -> None:
    done = bench(*TINY, "--framework", framework, "--training", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(done.stdout)["parts"]
    rows = {row["name"]: row for row in part["rows"]}
    for name in (peer, "resnets train"):
        (measured,) = rows[name]["measured"]
        assert measured["images_per_second"]["least"] > 0, name
    assert rows["resnets train"]["measured"][0]["ratio"]["n"] == 3


def test_inference_of_torch_with_the_engines_of_export(tmp_path: Path) -> None:
    done = bench(*TINY, "--framework", "torch", "--inference", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(done.stdout)["parts"]
    rows = {row["name"]: row for row in part["rows"]}
    for name in ("export, onnxruntime", "export, openvino"):
        one, batch = rows[name]["measured"]
        assert (one["batch"], batch["batch"]) == (1, 2), name
        assert one["ratio"]["n"] == batch["ratio"]["n"] == 3, name
        assert rows[name]["precision"] == "fp32"


def test_inference_of_mxnet_as_a_table(tmp_path: Path) -> None:
    done = bench(*TINY, "--framework", "mxnet", "--inference", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "inference, batch 1 " in done.stdout and "inference, batch 2 " in done.stdout
    for name in ("Gluon, hybridized", "our block, hybridized", "resnets predict"):
        assert done.stdout.count(name) == 2, name
    assert "3 rounds; " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["resnet19"], "near it: resnet18"),
        (["resnet18", "--framework", "caffe"], "no framework is called caffe"),
        (["resnet18", "--rounds", "2"], "--rounds 2: a median and a range need 3 at least"),
        (["resnet18", "--batch", "0"], "--batch 0"),
        (["resnet18", "--size", "0"], "0 is not a number of pixels"),
        (
            ["resnet18", "--size", "16", "--batch", "1", "--training", "--framework", "torch"],
            "one image a step at size 16 leaves the norms of resnet18 a single value to normalise",
        ),
        (
            ["resnet8_slim", "--size", "1", "--batch", "1", "--training", "--framework", "torch"],
            "a single value to normalise; use --batch 2 or a larger --size\n",
        ),
        (
            ["resnet152", "--batch", "65536", "--device", "cpu", "--framework", "torch"],
            "not enough memory for training resnet152 at 224x224, batch 65536",
        ),
        (
            [*TINY[:7], "--framework", "torch", "--inference", "--device", "cuda:7"],
            "nothing could be measured:\n  torch: no device is called 'cuda:7' here; torch",
        ),
    ],
)
def test_mistakes_get_a_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert sentence in done.stderr and "Traceback" not in done.stderr
    assert done.stdout == "" and "processes, about" not in done.stderr


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = 0.0
    monkeypatch.setattr("resnets.bench.telling.time.monotonic", lambda: now)
    with lines("measuring", 5, said.append) as advance:
        for _ in range(5):
            now += 6
            advance(1)
    assert said == ["measuring: 2 of 5", "measuring: 4 of 5"]
