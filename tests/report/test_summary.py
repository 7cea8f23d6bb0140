import io
import json
import subprocess
import sys

import pytest
from rich.console import Console, RenderableType

from resnets.errors import UnknownName
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import default_image_size
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import trace
from resnets.report.summary import (
    count_weighted_layers,
    models_json,
    models_table,
    show_json,
    show_table,
)
from resnets.tables import Column, Row, Table


def drawn(renderable: RenderableType, width: int = 100) -> list[str]:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(renderable)
    return file.getvalue().splitlines()


def line(lines: list[str], start: str) -> str:
    """The only line that starts so, its gaps closed."""
    found = [" ".join(text.split()) for text in lines if text.strip().startswith(start)]
    assert len(found) == 1, found
    return found[0]


def test_table_of_resnet18():
    lines = drawn(show_table(trace(catalog.get("resnet18"))))
    assert lines[0] == "resnet18 for 3 × 224 × 224, 1000 classes"
    assert line(lines, "total") == "total 11,689,512 1,814,073,344 5,143,552"
    assert " ".join(lines[5].split()) == (
        "conv1 convolution 7×7 /2 64 × 112 × 112 9,408 118,013,952 802,816 7 /2"
    )
    assert line(lines, "maxpool") == "maxpool max-pool 3×3 /2 64 × 56 × 56 200,704 11 /4"
    assert line(lines, "── stage1").startswith("── stage1: 2 basic blocks, 147,968 parameters ──")
    assert line(lines, "fc") == "fc dense 1000 513,000 512,000 image"
    # 4 bytes for each of 11,689,512 parameters and 9,600 running statistics.
    assert line(lines, "weights").endswith("46.8 MB at fp32, 23.4 MB at bf16")
    assert line(lines, "activations").endswith("20.6 MB at fp32, 10.3 MB at bf16")
    assert line(lines, "batch") == "batch fp32 SGD fp32 AdamW bf16 SGD bf16 AdamW"
    assert line(lines, "32 ") == "32 850.1 MB 896.9 MB 544.3 MB 591.0 MB"


def test_layers_stand_under_their_block_and_stage():
    lines = [text.strip() for text in drawn(show_table(trace(catalog.get("resnet18"))))]
    block = lines.index("layer2.0")
    assert lines[block - 1].startswith("── stage2: 2 basic blocks")
    names = [text.split()[0] for text in lines[block + 1 : block + 10]]
    assert names == [
        *("conv1", "bn1", "relu1", "conv2", "bn2"),
        *("downsample.0", "downsample.1", "add", "relu"),
    ]
    assert lines[block + 10] == "layer2.1"


def test_table_has_a_line_for_every_layer():
    found = trace(catalog.get("resnext101_64x4d"))
    lines = drawn(show_table(found))
    assert sum("convolution" in text for text in lines) == 104
    assert sum("3×3, 64 groups" in text for text in lines) == 30
    assert sum("3×3 /2, 64 groups" in text for text in lines) == 3


@pytest.mark.parametrize("name", catalog.names())
@pytest.mark.parametrize("width", [100, 80, 60])
def test_tables_fit(name: str, width: int):
    architecture = catalog.get(name)
    found = trace(architecture, default_image_size(architecture))
    lines = drawn(show_table(found), width)
    assert max(map(len, lines)) <= width
    assert f"{found.parameters:,}" in line(lines, "total")
    assert f"{found.multiply_adds:,}" in line(lines, "total") or width < 80
    assert ("activations" in lines[2]) or width < 100
    assert " field" not in lines[2] or "activations" in lines[2], "fields go first"


def test_numbers_end_on_one_line():
    lines = drawn(show_table(trace(catalog.get("resnet50"))))
    title = lines[2]
    end = title.index("multiply-adds") + len("multiply-adds")
    total = next(text for text in lines if text.startswith("total"))
    conv = next(text for text in lines if text.startswith("conv1"))
    assert total[:end].endswith("4,089,184,256")
    assert conv[:end].endswith("118,013,952")


def test_json_is_exact_and_adds_up():
    found = trace(catalog.get("resnet50_v1"), 160)
    value = json.loads(json.dumps(show_json(found)))
    assert value["name"] == "resnet50_v1"
    assert value["input"] == [3, 160, 160]
    assert value["parameters"] == 25_557_032
    for key in ("parameters", "multiply_adds", "activations"):
        assert value[key] == getattr(found, key) == sum(layer[key] for layer in value["layers"])
    assert Architecture.from_json(value["architecture"]) == found.architecture
    layer = next(one for one in value["layers"] if one["name"] == "layer2.0.conv1")
    assert layer == {
        "name": "layer2.0.conv1",
        "operation": "convolution",
        "inputs": ["layer1.2.relu"],
        "shape": [128, 20, 20],
        "kernel": 1,
        "dilation": 1,
        "stride": 2,
        "padding": 0,
        "groups": 1,
        "parameters": 32_768,
        "multiply_adds": 32_768 * 400,
        "activations": 128 * 400,
        "receptive_field": 35,
        "field_stride": 8,
    }
    assert (value["receptive_field"], value["field_stride"]) == (483, 32)
    assert value["layers"][-1]["receptive_field"] is None


def test_training_memory_in_json_adds_up():
    found = trace(catalog.get("resnet8_slim"), 28)
    value = json.loads(json.dumps(show_json(found, (5,))))
    kinds = [(one["precision"], one["optimiser"]) for one in value["training_memory"]]
    assert kinds == [("fp32", "sgd"), ("fp32", "adamw"), ("bf16", "sgd"), ("bf16", "adamw")]
    for one in value["training_memory"]:
        parts = ("weights", "gradients", "buffers", "activations")
        assert one["total"] == sum(one[part] for part in parts)
        assert one["batch"] == 5
    assert value["training_memory"][0]["gradients"] == 4 * value["parameters"]


def test_a_batch_of_ones_own():
    lines = drawn(show_table(trace(catalog.get("resnet18")), (48,)))
    assert line(lines, "48").startswith("48 1,2")
    assert not [text for text in lines if text.strip().startswith("128 ")]


def test_unnamed_network_of_padded_shortcuts_is_shown():
    block = Block(shortcut="padding")
    stages = (Stage(depth=1, width=8, block=block), Stage(depth=2, width=16, stride=2, block=block))
    small = Architecture(stem=Stem(width=8, kernel=3, stride=1, pool=False), stages=stages)
    lines = drawn(show_table(trace(small, (20, 30))))
    assert lines[0] == "network for 3 × 20 × 30, 1000 classes"
    assert line(lines, "downsample").startswith("downsample pad shortcut /2 16 × 10 × 15")
    assert line(lines, "── stage1").startswith("── stage1: 1 basic block,")


def test_models_state_the_size_that_costs_are_for():
    lines = drawn(models_table(["resnet50", "resnet18_small", "resnet8_slim"]), 80)
    assert line(lines, "resnet50") == "resnet50 3×224×224 1000 50 3 4 6 3 25,557,032 4,089,184,256"
    assert line(lines, "resnet18_small").startswith("resnet18_small 3×32×32 1000 18 2 2 2 2")
    assert line(lines, "resnet8_slim") == "resnet8_slim 1×28×28 10 8 1 1 1 308,074 10,150,272"


def test_models_json():
    (model,) = models_json(["resnext50_32x4d"])
    assert model == {
        "name": "resnext50_32x4d",
        "input": [3, 224, 224],
        "classes": 1000,
        "layers": 50,
        "blocks": [3, 4, 6, 3],
        "parameters": 25_028_904,
        "multiply_adds": 4_230_479_872,
        "activations": 27_649_024,
    }
    assert models_json([]) == []
    with pytest.raises(UnknownName, match="resnet50"):
        models_json(["resnet51"])


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_layers_are_those_in_the_name(depth: int):
    assert count_weighted_layers(trace(catalog.get(f"resnet{depth}"))) == depth


def test_columns_close_up_before_they_go():
    columns = (Column("name"), Column("size", drop_priority=1), Column("count", align_right=True))
    table = Table(columns, [Row(("  first", "2 × 3", "1,000"))])
    assert drawn(table, 40) == ["name     size   count", "  first  2 × 3  1,000"]
    assert drawn(table, 20) == ["name    size  count", " first  2×3   1,000"]
    assert drawn(table, 17) == ["name   size count", " first 2×3  1,000"]
    assert drawn(table, 16) == ["name   count", " first 1,000"]
    assert drawn(table, 8) == ["name   …", " first …"]


def test_tables_need_neither_a_framework_nor_richs_slow_parts():
    code = (
        "import sys, resnets.report.summary as s; from resnets.networks import catalog, tracing;"
        "from rich.console import Console;"
        "Console().print(s.show_table(tracing.trace(catalog.get('resnet18'))));"
        "print({'torch', 'numpy', 'rich.table', 'rich.progress'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("name", "layers"),
    [("resnet50", 50), ("seresnet50", 50), ("resnet50d", 52), ("cifar_resnetv2_164", 164)],
)
def test_layers_are_counted_along_the_main_path(name: str, layers: int):
    assert count_weighted_layers(trace(catalog.get(name), 32)) == layers
