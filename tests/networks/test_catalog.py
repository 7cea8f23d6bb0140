"""The catalog's names, and the numbers that papers, torchvision, pycls and timm print for them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from published import TABLES, Column, Row, Table
from resnets.errors import UnknownName
from resnets.networks import catalog, families
from resnets.networks.architecture import Architecture
from resnets.networks.spec import Stage, Stem
from resnets.networks.tracing import trace


def _papers() -> ModuleType:
    """The command that writes the page; docs is no package."""
    path = Path(__file__).parents[2] / "docs" / "papers.py"
    spec = importlib.util.spec_from_file_location("papers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


papers = _papers()

PRINTED = [
    pytest.param(table, row, id=f"{table.title.split(':')[0]}: {row.label or row.network}")
    for table in TABLES
    for row in table.rows
]


@pytest.mark.parametrize(("table", "row"), PRINTED)
def test_printed_figures(table: Table, row: Row) -> None:
    """Ours round to the print, or are cut to it, or the row says why not."""
    said = papers.verdicts(row, papers.traced(row), table.columns)
    assert any(printed is not None for printed in row.printed)
    differs = any(verdict not in ("", "cut") for verdict in said)
    assert differs == bool(row.why), said


def test_torchvisions_and_timms_figures_are_met_without_exception() -> None:
    for table in (TABLES[-4], TABLES[-3], TABLES[-2]):
        for row in table.rows:
            assert not any(papers.verdicts(row, papers.traced(row), table.columns)), row.network
    assert sum(len(table.rows) for table in TABLES[-4:-1]) == 19 + 28 + 46


def test_the_page_of_papers_is_what_the_command_writes() -> None:
    found = papers.PAGE.read_text(encoding="utf-8")
    assert found == papers.page(), "python docs/papers.py writes docs/papers.md anew"


@pytest.mark.parametrize(
    ("printed", "found", "verdict"),
    [
        ("25.6", 25_557_032, ""),
        ("25.5", 25_557_032, "cut"),
        ("25.4", 25_557_032, "+0.6%"),
        ("25.7", 25_557_032, "-0.6%"),
        ("11.0", 10_961_370, ""),
        ("0.5", 450_000, ""),
    ],
)
def test_how_a_figure_stands_to_its_print(printed: str, found: int, verdict: str) -> None:
    assert papers.verdict(printed, found, Column("", "parameters", 10**6)) == verdict
    assert papers.verdict(str(found), found, Column("", "parameters")) == ""
    assert papers.verdict(str(found + 1), found, Column("", "parameters")) != ""


# Multiply-adds to the last one, at 224 px; torchvision prints three digits after the point.
EXACT = {
    "resnet18": 1_814_073_344,
    "resnet34": 3_663_761_408,
    "resnet50": 4_089_184_256,
    "resnet50_v1": 3_857_973_248,
    "resnet101": 7_801_405_440,
    "resnet101_v1": 7_570_194_432,
    "resnet152": 11_513_626_624,
    "resnet152_v1": 11_282_415_616,
    "resnext50_32x4d": 4_230_479_872,
    "resnext101_32x8d": 16_414_015_488,
    "resnext101_64x4d": 15_460_270_080,
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_multiply_adds(name: str) -> None:
    assert trace(catalog.get(name), 224).multiply_adds == EXACT[name]


# The same networks as in He et al. 2015, Table 6, to the last parameter.
CIFAR = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


@pytest.mark.parametrize("layers", CIFAR)
def test_cifar_networks(layers: int) -> None:
    plain = catalog.get(f"cifar_resnet{layers}")
    assert trace(plain, 32).parameters == CIFAR[layers]
    # Option B adds two 1×1 convolutions and their norms.
    projected = catalog.get(f"cifar_resnet{layers}_projection")
    added = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert trace(projected, 32).parameters == CIFAR[layers] + added
    assert trace(plain, 32).multiply_adds == trace(projected, 32).multiply_adds - 2 * 16 * 32 * 256


def test_preactivation_of_1001_layers_without_its_norms() -> None:
    """Why the paper prints 10.2 million for it, if that is why."""
    layers = trace(catalog.get("cifar_resnetv2_1001"), 32).layers
    without = sum(layer.parameters for layer in layers if layer.operation != "norm")
    assert round(without / 1e6, 1) == 10.2


def test_the_chapters_groups_are_the_width_of_a_group() -> None:
    block = families.chapter_resnext_block(32, 16, multiplier=1)
    assert block.groups == 2
    # The chapter's cell: ResNeXtBlock(32, 16, 1) on 32 channels has 6,944 parameters.
    a = Architecture(
        stages=(Stage(depth=1, width=32, block=block),), stem=Stem(width=32), bias=True
    )
    inside = [layer for layer in trace(a, 32).layers if layer.block]
    assert sum(layer.parameters for layer in inside) == 6_944


def test_the_chapters_network_is_the_chapters() -> None:
    assert trace(catalog.get("chapter_resnet18"), 96).parameters == 11_178_378
    assert trace(catalog.get("resnet18", channels=1, classes=10), 96).parameters == 11_175_370


def test_names_match_wildcards() -> None:
    assert set(catalog.names("resnext*")) >= {"resnext50_32x4d", "resnext101_64x4d"}
    assert catalog.names("nothing*") == []
    assert len(catalog.names()) == len(set(catalog.names()))


@pytest.mark.parametrize("name", catalog.names())
def test_every_entry_is_a_network_of_its_name(name: str) -> None:
    architecture = catalog.get(name, channels=2, classes=7)
    assert (architecture.name, architecture.channels, architecture.classes) == (name, 2, 7)
    assert trace(architecture, 32).layers[-1].shape == (7,)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match="resnet50"):
        catalog.get("resnet5O")
