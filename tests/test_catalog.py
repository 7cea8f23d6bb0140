"""The catalog's names, and the numbers that papers, torchvision and timm print for them."""

import pytest

from resnets import catalog
from resnets.architecture import Architecture, Stage, Stem
from resnets.errors import UnknownName
from resnets.tracing import trace

# Parameters and multiply-adds at 224 px and 1000 classes: torchvision's num_params and _ops.
PUBLISHED = {
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet50_v1": (25_557_032, 3_857_973_248),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet101_v1": (44_549_160, 7_570_194_432),
    "resnet152": (60_192_808, 11_513_626_624),
    "resnet152_v1": (60_192_808, 11_282_415_616),
    "resnext50_32x4d": (25_028_904, 4_230_479_872),
    "resnext101_32x8d": (88_791_336, 16_414_015_488),
    "resnext101_64x4d": (83_455_272, 15_460_270_080),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_costs(name: str) -> None:
    steps = trace(catalog.get(name), 224)
    assert (steps.parameters, steps.multiply_adds) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "parameters", "billions"),
    [("wide_resnet50_2", 68_883_240, 11.398), ("wide_resnet101_2", 126_886_696, 22.753)],
)
def test_wide_networks(name: str, parameters: int, billions: float) -> None:
    """torchvision's num_params, and its _ops as it rounds them."""
    steps = trace(catalog.get(name), 224)
    assert steps.parameters == parameters
    assert round(steps.multiply_adds / 1e9, 3) == billions


# He et al. 2015, Table 6, in millions: 0.27, 0.46, 0.66, 0.85, 1.7, 19.4; to the last parameter.
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


@pytest.mark.parametrize(
    ("name", "millions"), [("cifar_resnext29_8x64d", 34.4), ("cifar_resnext29_16x64d", 68.1)]
)
def test_cifar_resnexts(name: str, millions: float) -> None:
    """Xie et al. 2016, Table 7, which cuts digits off rather than rounding."""
    assert int(trace(catalog.get(name), 32).parameters / 1e5) == int(millions * 10)


@pytest.mark.parametrize(
    ("name", "size", "millions"),
    [
        # He et al. 2016, Tables 3 and 5 of the text; Zagoruyko and Komodakis 2016, Tables 4 and 5.
        ("cifar_resnetv2_110", 32, 1.7),
        ("cifar_resnetv2_164", 32, 1.7),
        ("cifar_resnetv2_1001", 32, 10.3),
        ("wrn_16_8", 32, 11.0),
        ("wrn_28_10", 32, 36.5),
        ("wrn_40_4", 32, 8.9),
        # timm's published counts.
        ("resnetv2_50", 224, 25.5),
        ("resnetv2_101", 224, 44.5),
        ("resnetv2_152", 224, 60.2),
    ],
)
def test_preactivation_networks(name: str, size: int, millions: float) -> None:
    found = trace(catalog.get(name), size).parameters / 1e6
    assert found == pytest.approx(millions, abs=0.051)


# timm's published counts of parameters, in millions.
TIMM = {
    "resnet18d": 11.7,
    "resnet34d": 21.8,
    "resnet50c": 25.6,
    "resnet50d": 25.6,
    "resnet101d": 44.6,
    "resnet152d": 60.2,
    "seresnet50": 28.1,
    "seresnet152": 66.8,
    "seresnext50_32x4d": 27.6,
    "seresnext101_32x8d": 93.6,
}


@pytest.mark.parametrize("name", TIMM)
def test_variants_against_timms_counts(name: str) -> None:
    assert round(trace(catalog.get(name), 224).parameters / 1e6, 1) == TIMM[name]


# torchvision's num_params, and its _ops: billions of multiply-adds at 224 px, rounded.
REGNETS = {
    "regnet_x_400mf": (5_495_976, 0.414),
    "regnet_x_800mf": (7_259_656, 0.8),
    "regnet_x_1_6gf": (9_190_136, 1.603),
    "regnet_x_3_2gf": (15_296_552, 3.177),
    "regnet_x_8gf": (39_572_648, 7.995),
    "regnet_x_16gf": (54_278_536, 15.941),
    "regnet_x_32gf": (107_811_560, 31.736),
    "regnet_y_400mf": (4_344_144, 0.402),
    "regnet_y_800mf": (6_432_512, 0.834),
    "regnet_y_1_6gf": (11_202_430, 1.612),
    "regnet_y_3_2gf": (19_436_338, 3.176),
    "regnet_y_8gf": (39_381_472, 8.473),
    "regnet_y_16gf": (83_590_140, 15.912),
    "regnet_y_32gf": (145_046_770, 32.28),
    "regnet_y_128gf": (644_812_894, 127.518),
}


@pytest.mark.parametrize("name", REGNETS)
def test_regnets_against_torchvisions_counts(name: str) -> None:
    steps = trace(catalog.get(name), 224)
    assert (steps.parameters, round(steps.multiply_adds / 1e9, 3)) == REGNETS[name]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("cifar_shiftresnet20_6x", 0.19),
        ("cifar_shiftresnet56_6x", 0.58),
        ("cifar_shiftresnet110_6x", 1.18),
    ],
)
def test_shift_networks_against_their_paper(name: str, millions: float) -> None:
    """Wu et al. 2018, Table 2, at expansion 6."""
    assert round(trace(catalog.get(name), 32).parameters / 1e6, 2) == millions


def test_the_chapters_groups_are_the_width_of_a_group() -> None:
    block = catalog.chapter_resnext_block(32, 16, 1)
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
