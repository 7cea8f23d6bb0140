"""Networks side by side."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import default_image_size
from resnets.networks.layers import Trace
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import trace
from resnets.report.comparison import compare_json, compare_table, list_parts
from strategies import SMALL_ARCHITECTURES


def traced(name: str) -> Trace:
    architecture = catalog.get(name)
    return trace(architecture, default_image_size(architecture))


def drawn(names: list[str], width: int = 100, batches: tuple[int, ...] = (32,)) -> list[str]:
    file = io.StringIO()
    table = compare_table([traced(name) for name in names], names, batches=batches)
    Console(file=file, width=width, color_system=None).print(table)
    return file.getvalue().splitlines()


def closed(lines: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in lines]


def test_figures_stand_against_the_first_network() -> None:
    lines = closed(drawn(["resnet50", "resnet101"]))
    assert lines[0] == "resnet50 resnet101"
    count = lines.index("parameters 25,557,032 44,549,160")
    assert lines[count + 1] == "+18,992,128 ×1.743"
    assert "blocks 3 4 6 3 3 4 23 3" in lines
    assert "receptive field 427 /32 971 /32" in lines
    assert "batch 32, fp32 SGD 3,056.2 MB 4,594.7 MB" in lines


def test_stages_as_in_the_papers_table_1() -> None:
    lines = closed(drawn(["resnet50_v1", "resnext50_32x4d"]))
    start = lines.index("conv3_x 28 × 28 28 × 28")
    assert lines[start + 1 : start + 4] == [
        "[1×1, 128, first /2 [1×1, 256",
        "3×3, 128 3×3, 256, 32 groups, first /2",
        "1×1, 512] ×4 1×1, 512] ×4",
    ]


def test_parts_of_a_network_read_as_its_stages() -> None:
    assert [str(part) for part in list_parts(traced("resnet34"))] == [
        "7×7, 64, /2",
        "3×3 max-pool, /2",
        "[3×3, 64; 3×3, 64] ×3",
        "[3×3, 128, first /2; 3×3, 128] ×4",
        "[3×3, 256, first /2; 3×3, 256] ×6",
        "[3×3, 512, first /2; 3×3, 512] ×3",
        "mean-pool; dense, 1000",
    ]
    assert str(list_parts(traced("regnet_y_400mf"))[1]) == (
        "[1×1, 48; 3×3, 48, 6 groups, /2; squeeze, 8; 1×1, 48] ×1"
    )
    assert str(list_parts(traced("resnet18d"))[0]) == "3×3, 32, /2; 3×3, 32; 3×3, 64"
    assert str(list_parts(traced("cifar_shiftresnet20_6x"))[1]) == "[1×1, 96; shift; 1×1, 16] ×3"
    assert "squeeze, 16" in str(list_parts(traced("seresnet50"))[2])
    assert "gate, 16" in str(list_parts(traced("cifar_highway110"))[1])


def test_dilated_stages_say_so() -> None:
    block = Block(kind="bottleneck")
    stages = (Stage(depth=2, width=8), Stage(depth=2, width=16, stride=2, block=block))
    a = Architecture(stem=Stem(width=8), stages=stages, output_stride=4)
    assert str(list_parts(trace(a, 64))[3]) == "[1×1, 4; 3×3, 4, *2; 1×1, 16] ×2"


@pytest.mark.parametrize("a", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_parts_have_the_shapes_of_the_trace(a: Architecture) -> None:
    steps = trace(a, 33)
    found = {part.name: part for part in list_parts(steps)}
    assert found["head"].shape == (a.classes,)
    for i, stage in enumerate(a.stages):
        part = found[f"conv{i + 2}_x"]
        assert part.depth == stage.depth and part.shape[0] == stage.width
        assert part.shape == steps.by_name[steps.features[f"stage{i + 1}"]].shape
    assert ("pool" in found) == a.stem.pool


def test_networks_of_other_shapes_stand_beside_each_other() -> None:
    lines = closed(drawn(["resnet18", "cifar_resnet20"]))
    assert "input 3 × 224 × 224 3 × 32 × 32" in lines
    assert "pool 56 × 56" in lines and "conv5_x 7 × 7" in lines
    assert "conv4_x 14 × 14 8 × 8" in lines


@pytest.mark.parametrize("width", [140, 100, 80, 60])
def test_every_network_has_its_column_at_any_width(width: int) -> None:
    names = ["resnet50", "resnet101", "resnext50_32x4d", "seresnet50", "wrn_28_10"]
    lines = drawn(names, width)
    assert max(map(len, lines)) <= width
    assert not any("…" in text for text in lines)
    for name in names:
        shown = [text for text in closed(lines) if name in text.split()]
        assert shown, name
        assert f"{traced(name).parameters:,}" in " ".join(lines)
    # What has no room beside the first stands below, beside the first again.
    assert sum(text.startswith("parameters 25,557,032") for text in closed(lines)) >= 1


def test_folders_of_one_name_are_told_apart() -> None:
    steps = traced("resnet8_slim")
    file = io.StringIO()
    table = compare_table([steps, steps], ["runs/a/best", "runs/b/best"])
    Console(file=file, width=100).print(table)
    assert file.getvalue().split()[:2] == ["runs/a/best", "runs/b/best"]
    table = compare_table([steps, steps], ["runs/a", "runs/b.json"])
    assert list(table.headings) == ["a", "b.json"]


def test_json_gives_differences_and_ratios() -> None:
    names = ["resnet50", "resnet50_v1"]
    value = json.loads(
        json.dumps(compare_json([traced(name) for name in names], names, batches=(8,)))
    )
    first, second = value["networks"]
    assert [one["name"] for one in value["networks"]] == names
    assert set(first["difference"].values()) == {0} and set(first["ratio"].values()) == {1.0}
    assert second["difference"]["multiply_adds"] == 3_857_973_248 - 4_089_184_256
    assert second["ratio"]["multiply_adds"] == 3_857_973_248 / 4_089_184_256
    assert (first["receptive_field"], second["receptive_field"]) == (427, 483)
    assert second["parts"][3] == {
        "name": "conv3_x",
        "shape": [512, 28, 28],
        "block": ["1×1, 128, first /2", "3×3, 128", "1×1, 512"],
        "depth": 4,
    }
    assert [one["batch"] for one in first["training_memory"]] == [8] * 4


def shown(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "resnets", "show", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ("resnet18", "--compare", "resnet34", "resnet8_slim", "--size", "64"),
        ("--compare", "resnet18", "resnet34", "resnet8_slim", "--size", "64"),
        ("resnet18", "resnet34", "resnet8_slim", "--size", "64"),
    ],
)
def test_ways_to_ask_for_a_comparison(arguments: tuple[str, ...]) -> None:
    found = json.loads(shown(*arguments, "--batch", "3", "--json").stdout)["networks"]
    assert [one["name"] for one in found] == ["resnet18", "resnet34", "resnet8_slim"]
    assert [one["input"][1:] for one in found] == [[64, 64]] * 3
    assert {memory["batch"] for one in found for memory in one["training_memory"]} == {3}


def test_one_network_against_a_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(catalog.get("resnet14_slim").to_json()), encoding="utf-8")
    lines = shown("resnet8_slim", str(mine)).stdout.splitlines()
    assert lines[0].split() == ["resnet8_slim", "mine.json"]
    assert "blocks 1 1 1 2 2 2" in closed(lines)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "show what?"),
        (("resnet18", "--batch", "0"), 1, "batch: 0 is not a number of images"),
        (("resnet18", "--compare", "resnet5O"), 1, "resnet50"),
    ],
)
def test_mistakes(arguments: tuple[str, ...], status: int, said: str) -> None:
    found = shown(*arguments)
    assert (found.returncode, said in found.stderr, found.stdout) == (status, True, "")
    assert "Traceback" not in found.stderr


def test_showing_by_name_imports_no_numpy() -> None:
    code = (
        "import sys; sys.argv = ['resnets', 'show', 'resnet18', 'resnet34'];"
        "from resnets.cli.app import app;"
        "app(result_action='return_value'); print({'numpy', 'torch', 'PIL'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"
