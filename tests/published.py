"""What papers and other projects print for networks of the catalog: data.

``docs/papers.py`` writes it beside our figures; ``test_catalog`` holds ours to it. A figure is kept
as it is printed, with its digits. Every row either agrees to them or says why not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MILLIONS, BILLIONS = 10**6, 10**9


@dataclass(frozen=True)
class Column:
    """A column of printed figures: which of ``papers.QUANTITIES`` it is, in which unit."""

    title: str
    quantity: str
    unit: int = 1


@dataclass(frozen=True)
class Row:
    """A network of the catalog and the figures printed for it.

    Attributes:
        network: its name in the catalog.
        printed: a figure for each column, None where there is none.
        label: what the source calls it; empty for our name.
        size: pixels a side; None for what the network is made for.
        blocks: fields of every block that the source has otherwise than the catalog.
        widths: of the stages, likewise; a block's groups keep their width.
        cardinality: of ResNeXt's blocks, likewise: groups, width of one in the first stage.
        why: why a figure that does not agree does not.
    """

    network: str
    printed: tuple[str | None, ...]
    label: str = ""
    size: int | None = None
    blocks: Mapping[str, Any] = field(default_factory=dict)
    widths: tuple[int, ...] | None = None
    cardinality: tuple[int, int] | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A printed table, or the part of one that is about networks of the catalog.

    Attributes:
        drawn: whether the networks' stages are shown above the figures, as in the papers' Table 1.
    """

    title: str
    source: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    drawn: bool = False


PARAMETERS = Column("parameters, 10⁶", "parameters", MILLIONS)
MULTIPLY_ADDS = Column("multiply-adds, 10⁹", "multiply_adds", BILLIONS)

OPTION_A = {"shortcut": "padding"}
V1 = {"stride_in": "1x1"}

HE_2015_TABLE_1 = Table(
    title="He et al. 2015, Table 1: the networks for ImageNet",
    drawn=True,
    source="arXiv:1512.03385, Table 1; multiply-adds are meant (section 3.3)",
    columns=(MULTIPLY_ADDS,),
    rows=(
        Row("resnet18", ("1.8",), "18-layer", blocks=OPTION_A),
        Row("resnet34", ("3.6",), "34-layer", blocks=OPTION_A),
        Row("resnet50_v1", ("3.8",), "50-layer"),
        Row("resnet101_v1", ("7.6",), "101-layer"),
        Row("resnet152_v1", ("11.3",), "152-layer"),
    ),
    note="Strides as in the paper: in the first 1×1 of a block (v1). Its 18- and 34-layer networks "
    "have option A's shortcuts; with option B's, as in the catalog, 34 layers take 3.66.",
)

HE_2015_TABLE_6 = Table(
    title="He et al. 2015, Table 6: parameters on CIFAR-10",
    source="arXiv:1512.03385, Table 6",
    columns=(PARAMETERS,),
    rows=(
        Row("cifar_resnet20", ("0.27",), "ResNet, 20 layers"),
        Row("cifar_resnet32", ("0.46",), "ResNet, 32 layers"),
        Row("cifar_resnet44", ("0.66",), "ResNet, 44 layers"),
        Row("cifar_resnet56", ("0.85",), "ResNet, 56 layers"),
        Row("cifar_resnet110", ("1.7",), "ResNet, 110 layers"),
        Row("cifar_resnet1202", ("19.4",), "ResNet, 1202 layers"),
    ),
)

HE_2016 = Table(
    title="He et al. 2016: pre-activation networks on CIFAR-10",
    source="arXiv:1603.05027, as listed in Zagoruyko and Komodakis 2016, Table 5",
    columns=(PARAMETERS,),
    rows=(
        Row("cifar_resnetv2_110", ("1.7",), "pre-activation ResNet-110"),
        Row("cifar_resnetv2_164", ("1.7",), "pre-activation ResNet-164"),
        Row(
            "cifar_resnetv2_1001",
            ("10.2",),
            "pre-activation ResNet-1001",
            why="fits the convolutions and the dense layer alone (10.18); the norms' scales and "
            "shifts are parameters too",
        ),
    ),
)

XIE_2016_TABLE_1 = Table(
    title="Xie et al. 2016, Table 1: ResNet-50 and ResNeXt-50",
    drawn=True,
    source="arXiv:1611.05431, Table 1",
    columns=(PARAMETERS, MULTIPLY_ADDS),
    rows=(
        Row("resnet50", ("25.5", "4.1"), "ResNet-50"),
        Row("resnext50_32x4d", ("25.0", "4.2"), "ResNeXt-50 (32×4d)"),
    ),
    note="Strides in the 3×3 (v1.5), as in the authors' code. The paper writes C=32 for 32 groups.",
)

ABOUT = "printed as ~: one figure for networks of about the same cost"

XIE_2016_CARDINALITY = Table(
    title="Xie et al. 2016, Tables 2 and 3: cardinality against width",
    source="github.com/facebookresearch/ResNeXt, README: the widths that keep the cost of "
    "ResNet-50 (~25 million parameters, ~4.1 billion FLOPs)",
    columns=(PARAMETERS, MULTIPLY_ADDS),
    rows=(
        Row("resnet50", ("25", "4.1"), "1×64d"),
        Row("resnext50_32x4d", ("25", "4.1"), "2×40d", cardinality=(2, 40)),
        Row("resnext50_32x4d", ("25", "4.1"), "4×24d", cardinality=(4, 24)),
        Row("resnext50_32x4d", ("25", "4.1"), "8×14d", cardinality=(8, 14), why=ABOUT),
        Row("resnext50_32x4d", ("25", "4.1"), "32×4d", why=ABOUT),
        Row("resnet101", ("44", "7.8"), "ResNet-101, 1×64d"),
        Row("resnext101_32x4d", ("44", "7.8"), "ResNeXt-101, 32×4d", why=ABOUT),
        Row("resnext101_64x4d", (None, "15.6"), "ResNeXt-101, 64×4d", why=ABOUT),
    ),
)

XIE_2016_TABLE_7 = Table(
    title="Xie et al. 2016, Table 7: ResNeXt-29 on CIFAR",
    source="arXiv:1611.05431, Table 7",
    columns=(PARAMETERS,),
    rows=(
        Row("cifar_resnext29_8x64d", ("34.4",), "ResNeXt-29, 8×64d"),
        Row("cifar_resnext29_16x64d", ("68.1",), "ResNeXt-29, 16×64d"),
    ),
)

ZAGORUYKO_2016 = Table(
    title="Zagoruyko and Komodakis 2016: wide residual networks on CIFAR",
    source="arXiv:1605.07146, Tables 4 and 5",
    columns=(PARAMETERS,),
    rows=(
        Row("wrn_40_4", ("8.9",), "WRN-40-4"),
        Row("wrn_16_8", ("11.0",), "WRN-16-8"),
        Row("wrn_28_10", ("36.5",), "WRN-28-10"),
    ),
)

HU_2017 = Table(
    title="Hu et al. 2017: SE-ResNet-50",
    source="arXiv:1709.01507, section 4 and Table 2",
    columns=(
        PARAMETERS,
        Column("GFLOPs", "multiply_adds_with_squeezing", BILLIONS),
    ),
    rows=(Row("seresnet50", ("28.1", "3.87"), "SE-ResNet-50", blocks=V1),),
    note="Strides in the first 1×1 (v1). The print fits multiply-adds and one operation more for "
    "each value that squeezing averages and scaling multiplies, which ours shows here.",
)

WU_2018 = Table(
    title="Wu et al. 2018, Table 2: ShiftResNet on CIFAR-10, expansion 6",
    source="arXiv:1711.08141, Table 2",
    columns=(PARAMETERS,),
    rows=(
        Row("cifar_shiftresnet20_6x", ("0.19",), "ShiftResNet20-6"),
        Row("cifar_shiftresnet56_6x", ("0.58",), "ShiftResNet56-6"),
        Row("cifar_shiftresnet110_6x", ("1.18",), "ShiftResNet110-6"),
    ),
)

PYCLS = Table(
    title="Radosavovic et al. 2020: RegNets, ResNets and ResNeXts in pycls",
    source="github.com/facebookresearch/pycls, MODEL_ZOO.md, at 5719de6",
    columns=(
        PARAMETERS,
        MULTIPLY_ADDS,
        Column("activations, 10⁶", "conv_and_max_pool_activations", MILLIONS),
    ),
    rows=(
        Row(
            "regnet_x_400mf",
            ("5.2", "0.4", "3.1"),
            label="RegNetX-400MF",
            widths=(32, 64, 160, 384),
        ),
        Row("regnet_x_800mf", ("7.3", "0.8", "5.1"), label="RegNetX-800MF"),
        Row("regnet_x_1_6gf", ("9.2", "1.6", "7.9"), label="RegNetX-1.6GF"),
        Row("regnet_x_3_2gf", ("15.3", "3.2", "11.4"), label="RegNetX-3.2GF"),
        Row("regnet_x_8gf", ("39.6", "8.0", "14.1"), label="RegNetX-8.0GF"),
        Row("regnet_x_16gf", ("54.3", "15.9", "25.5"), label="RegNetX-16GF"),
        Row("regnet_x_32gf", ("107.8", "31.7", "36.3"), label="RegNetX-32GF"),
        Row("regnet_y_400mf", ("4.3", "0.4", "3.9"), label="RegNetY-400MF"),
        Row(
            "regnet_y_800mf",
            ("6.3", "0.8", "5.2"),
            label="RegNetY-800MF",
            widths=(64, 128, 320, 768),
        ),
        Row("regnet_y_1_6gf", ("11.2", "1.6", "8.0"), label="RegNetY-1.6GF"),
        Row("regnet_y_3_2gf", ("19.4", "3.2", "11.3"), label="RegNetY-3.2GF"),
        Row(
            "regnet_y_8gf",
            ("39.2", "8.0", "18.0"),
            label="RegNetY-8.0GF",
            widths=(168, 448, 896, 2016),
        ),
        Row("regnet_y_16gf", ("83.6", "15.9", "23.0"), label="RegNetY-16GF"),
        Row("regnet_y_32gf", ("145.0", "32.3", "30.3"), label="RegNetY-32GF"),
        Row("resnet50", ("25.6", "4.1", "11.3"), label="ResNet-50"),
        Row("resnet101", ("44.5", "7.8", "16.4"), label="ResNet-101"),
        Row("resnet152", ("60.2", "11.5", "22.8"), label="ResNet-152"),
        Row("resnext50_32x4d", ("25.0", "4.2", "14.6"), label="ResNeXt-50"),
        Row("resnext101_32x4d", ("44.2", "8.0", "21.4"), label="ResNeXt-101"),
    ),
    note="Activations are what convolutions, dense layers and max-pools put out. torchvision, and "
    "so the catalog, rounds some widths to whole groups otherwise than pycls; these rows have "
    "pycls's.",
)

TORCHVISION = Table(
    title="torchvision: num_params and _ops",
    source="torchvision 0.28, metadata of its weights in models/resnet.py and models/regnet.py",
    columns=(
        Column("parameters", "parameters"),
        MULTIPLY_ADDS,
    ),
    rows=(
        Row("resnet18", ("11689512", "1.814")),
        Row("resnet34", ("21797672", "3.664")),
        Row("resnet50", ("25557032", "4.089")),
        Row("resnet101", ("44549160", "7.801")),
        Row("resnet152", ("60192808", "11.514")),
        Row("resnext50_32x4d", ("25028904", "4.230")),
        Row("resnext101_32x8d", ("88791336", "16.414")),
        Row("resnext101_64x4d", ("83455272", "15.460")),
        Row("wide_resnet50_2", ("68883240", "11.398")),
        Row("wide_resnet101_2", ("126886696", "22.753")),
        Row("regnet_y_400mf", ("4344144", "0.402")),
        Row("regnet_y_800mf", ("6432512", "0.834")),
        Row("regnet_y_1_6gf", ("11202430", "1.612")),
        Row("regnet_y_3_2gf", ("19436338", "3.176")),
        Row("regnet_y_8gf", ("39381472", "8.473")),
        Row("regnet_y_16gf", ("83590140", "15.912")),
        Row("regnet_y_16gf", ("83590140", "46.735"), size=384),
        Row("regnet_y_32gf", ("145046770", "32.280")),
        Row("regnet_y_32gf", ("145046770", "94.826"), size=384),
        Row("regnet_y_128gf", ("644812894", "374.570"), size=384),
        Row("regnet_y_128gf", ("644812894", "127.518")),
        Row("regnet_x_400mf", ("5495976", "0.414")),
        Row("regnet_x_800mf", ("7259656", "0.800")),
        Row("regnet_x_1_6gf", ("9190136", "1.603")),
        Row("regnet_x_3_2gf", ("15296552", "3.177")),
        Row("regnet_x_8gf", ("39572648", "7.995")),
        Row("regnet_x_16gf", ("54278536", "15.941")),
        Row("regnet_x_32gf", ("107811560", "31.736")),
    ),
)

TIMM = Table(
    title="timm: param_count, gmacs and macts",
    source="github.com/huggingface/pytorch-image-models, "
    "results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv, at aa4b585; 224 pixels",
    columns=(
        PARAMETERS,
        Column("GMACs", "multiply_adds_with_norms", BILLIONS),
        Column("activations, 10⁶", "conv_activations", MILLIONS),
    ),
    rows=(
        Row("resnet18", ("11.69", "1.82", "2.48")),
        Row("resnet18d", ("11.71", "2.06", "3.29")),
        Row("resnet34", ("21.80", "3.67", "3.74")),
        Row("resnet34d", ("21.82", "3.91", "4.54")),
        Row("resnet50", ("25.56", "4.11", "11.11")),
        Row("resnet50c", ("25.58", "4.35", "11.92")),
        Row("resnet50d", ("25.58", "4.35", "11.92")),
        Row("resnet50_gn", ("25.56", "4.14", "11.11")),
        Row("resnet101", ("44.55", "7.83", "16.23")),
        Row("resnet101c", ("44.57", "8.08", "17.04")),
        Row("resnet101d", ("44.57", "8.08", "17.04")),
        Row("resnet152", ("60.19", "11.56", "22.56")),
        Row("resnet152c", ("60.21", "11.80", "23.36")),
        Row("resnet152d", ("60.21", "11.80", "23.36")),
        Row("resnetv2_50", ("25.55", "4.11", "11.11")),
        Row("resnetv2_101", ("44.54", "7.83", "16.23")),
        Row("resnetv2_152", ("60.19", "11.55", "22.56")),
        Row("resnext50_32x4d", ("25.03", "4.26", "14.40")),
        Row("resnext101_32x4d", ("44.18", "8.01", "21.23")),
        Row("resnext101_32x8d", ("88.79", "16.48", "31.21")),
        Row("resnext101_64x4d", ("83.46", "15.52", "31.21")),
        Row("seresnet18", ("11.78", "1.82", "2.49")),
        Row("seresnet34", ("21.96", "3.67", "3.74")),
        Row("seresnet50", ("28.09", "4.11", "11.13")),
        Row("seresnet101", ("49.33", "7.84", "16.27")),
        Row("seresnet152", ("66.82", "11.57", "22.61")),
        Row("seresnext50_32x4d", ("27.56", "4.26", "14.42")),
        Row("seresnext101_32x4d", ("48.96", "8.02", "21.26")),
        Row("seresnext101_32x8d", ("93.57", "16.48", "31.25")),
        Row("wide_resnet50_2", ("68.88", "11.43", "14.40")),
        Row("wide_resnet101_2", ("126.89", "22.80", "21.23")),
        Row(
            "regnet_x_400mf",
            ("5.16", "0.40", "3.14"),
            label="regnetx_004",
            widths=(32, 64, 160, 384),
        ),
        Row("regnet_x_800mf", ("7.26", "0.81", "5.15"), label="regnetx_008"),
        Row("regnet_x_1_6gf", ("9.19", "1.62", "7.93"), label="regnetx_016"),
        Row("regnet_x_3_2gf", ("15.30", "3.20", "11.37"), label="regnetx_032"),
        Row("regnet_x_8gf", ("39.57", "8.02", "14.06"), label="regnetx_080"),
        Row("regnet_x_16gf", ("54.28", "15.99", "25.52"), label="regnetx_160"),
        Row("regnet_x_32gf", ("107.81", "31.81", "36.30"), label="regnetx_320"),
        Row("regnet_y_400mf", ("4.34", "0.41", "3.89"), label="regnety_004"),
        Row(
            "regnet_y_800mf",
            ("6.26", "0.81", "5.25"),
            label="regnety_008",
            widths=(64, 128, 320, 768),
        ),
        Row("regnet_y_1_6gf", ("11.20", "1.63", "8.04"), label="regnety_016"),
        Row("regnet_y_3_2gf", ("19.44", "3.20", "11.26"), label="regnety_032"),
        Row(
            "regnet_y_8gf",
            ("39.18", "8.00", "17.97"),
            label="regnety_080",
            widths=(168, 448, 896, 2016),
        ),
        Row("regnet_y_16gf", ("83.59", "15.96", "23.04"), label="regnety_160"),
        Row("regnet_y_32gf", ("145.05", "32.34", "30.26"), label="regnety_320"),
        Row("regnet_y_128gf", ("644.81", "127.66", "71.58"), label="regnety_1280"),
    ),
    note="timm's counter adds two operations for each value that a batch norm puts out, five for a "
    "group norm, and one for each that the last pool reads, which ours shows here. Activations are "
    "what convolutions and dense layers put out.",
)

STAGES = tuple(Column(f"conv{i + 2}_x", f"field_{i + 1}") for i in range(4))

RECEPTIVE_FIELDS = Table(
    title="Araujo et al. 2019: receptive fields",
    source="github.com/google-research/receptive_field, RECEPTIVE_FIELD_TABLE.md, at f12ae8e; "
    "Distill, doi 10.23915/distill.00021",
    columns=STAGES,
    rows=(
        Row("resnet50_v1", ("35", "99", "291", "483"), "resnet_v1_50"),
        Row("resnet101_v1", ("35", "99", "835", "1027"), "resnet_v1_101"),
        Row("resnet152_v1", ("35", "163", "1315", "1507"), "resnet_v1_152"),
        Row("resnetv2_50", ("35", "99", "291", "483"), "resnet_v2_50", blocks=V1),
        Row("resnetv2_101", ("35", "99", "835", "1027"), "resnet_v2_101", blocks=V1),
        Row("resnetv2_152", ("35", "163", "1315", "1507"), "resnet_v2_152", blocks=V1),
        Row("resnetv2_200", ("35", "419", "1571", "1763"), "resnet_v2_200", blocks=V1),
    ),
    note="Pixels. The source's networks (TF-Slim) have a stage's stride in the last block of the "
    "stage before, which reads as far as the stride in the first 1×1 (v1). With the stride in the "
    "3×3 (v1.5) ResNet-50 reaches 427.",
)

TABLES = (
    HE_2015_TABLE_1,
    HE_2015_TABLE_6,
    HE_2016,
    XIE_2016_TABLE_1,
    XIE_2016_CARDINALITY,
    XIE_2016_TABLE_7,
    ZAGORUYKO_2016,
    HU_2017,
    WU_2018,
    PYCLS,
    TORCHVISION,
    TIMM,
    RECEPTIVE_FIELDS,
)
