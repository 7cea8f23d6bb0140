"""The ResNets of ``keras.applications``: their layers' names and ours, and what they compute.

ResNet50, ResNet101 and ResNet152 are He et al. 2015 with biases in the convolutions, the stride
in the first 1×1 and norms with epsilon 1.001e-5. They were trained on pixels from 0 to 255 less
the channels' means, blue first.

ResNet50V2 and the others of that name are no networks of ours: see ``PREACTIVATION``.

Source: Keras 3.15, keras/src/applications/resnet.py, imagenet_utils.py.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from resnets.convert.keras.hdf5 import Array
from resnets.convert.recognition.matching import Shape, get_shape
from resnets.errors import InvalidDescription, WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import block_geometries
from resnets.networks.layers import Role, Tensor
from resnets.networks.network import Preprocessing
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.networks.tracing import tensors

FORM = "a ResNet of keras.applications"
HEAD = "predictions/kernel"
CLASSES = 1000
"""Where there is no head."""

NORM = Norm(epsilon=1.001e-5, decay=0.99)
STEM = Stem()
PREPROCESSING = Preprocessing(
    size=224, mean=(123.68 / 255, 116.779 / 255, 103.939 / 255), std=(1 / 255,) * 3
)
"""``keras.applications.resnet.preprocess_input``, but for the order of the channels."""

NAMES: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "50", (3, 4, 23, 3): "101", (3, 8, 36, 3): "152"}
WIDTHS = (256, 512, 1024, 2048)

PREACTIVATION = (
    "ResNet50V2, ResNet101V2 and ResNet152V2 of keras.applications compute what no description "
    "here says: the stride is in the last block of a stage, beside a max-pool as shortcut, the "
    "first max-pool pads with zeros values that may be negative, and only some convolutions have "
    "biases"
)
NO_HEAD = (
    "the file has no head (include_top=False leaves it out): it tells no number of classes, and "
    "its last layer must be drawn anew"
)

VARIABLES: dict[Role, str] = {
    "kernel": "kernel",
    "dense": "kernel",
    "bias": "bias",
    "gate_bias": "bias",
    "scale": "gamma",
    "shift": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}
"""What Keras calls the arrays of a layer."""

_BLOCK = re.compile(r"conv(\d{1,4})_block(\d{1,4})_([0-3]_(?:conv|bn))")
_BARE = re.compile(
    r"input.*|conv\d+(_block\d+)?(_[123])?_(pad|relu|add|out)|pool1_(pad|pool)|avg_pool"
)
"""Layers without arrays."""

ORDER = ("1_conv", "1_bn", "2_conv", "2_bn", "0_conv", "3_conv", "0_bn", "3_bn")
"""A block's layers in the order of Keras's model; 0 is the projection."""


def is_application(names: Iterable[str]) -> bool:
    """Return whether layers of these names are a ResNet of ``keras.applications``, whole or not."""
    return any(_BLOCK.fullmatch(name) or "_preact_" in name for name in names)


def read_architecture(
    found: Mapping[str, Shape], layers: Iterable[str], *, where: str
) -> Architecture:
    """Read the architecture from the arrays' shapes, by name such as ``conv1_conv/kernel``.

    Raises:
        WeightsError: if it has other layers than the three networks.
    """
    names = list(layers)
    if any("_preact_" in name or name == "post_bn" for name in names):
        raise WeightsError(f"{where}: {PREACTIVATION}")
    known = {name.rpartition("/")[0] for name in found}
    strange = [name for name in names if name not in known and not _BARE.fullmatch(name)]
    if strange:
        raise WeightsError(f"{where}: the layers {', '.join(strange[:5])} are not of {FORM}")
    blocks: dict[int, set[int]] = {}
    for match in filter(None, map(_BLOCK.fullmatch, known)):
        blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    stem = get_shape(found, "conv1_conv/kernel", dimensions=4, where=where)
    classes = get_shape(found, HEAD, dimensions=2, where=where)[1] if HEAD in found else CLASSES
    stages = tuple(
        _read_stage(found, number, depth=len(blocks[number]), where=where)
        for number in sorted(blocks)
    )
    try:
        result = Architecture(
            channels=stem[2],
            classes=classes,
            stem=replace(STEM, width=stem[3]),
            stages=stages,
            bias=True,
            norm=NORM,
        )
    except InvalidDescription as error:
        raise WeightsError(f"{where}: describes no network: {error}") from error
    return replace(result, name=_choose_name(result))


def _read_stage(found: Mapping[str, Shape], number: int, *, depth: int, where: str) -> Stage:
    inner = get_shape(found, f"conv{number}_block1_1_conv/kernel", dimensions=4, where=where)[3]
    width = get_shape(found, f"conv{number}_block1_3_conv/kernel", dimensions=4, where=where)[3]
    return Stage(
        depth=depth,
        width=width,
        stride=1 if number == 2 else 2,
        block=Block(
            kind="bottleneck", inner=None if 4 * inner == width else inner, stride_in="1x1"
        ),
    )


def _choose_name(a: Architecture) -> str:
    layers = NAMES.get(tuple(stage.depth for stage in a.stages))
    usual = tuple(stage.width for stage in a.stages) == WIDTHS
    return f"keras_resnet{layers}" if layers and usual else ""


def explain_difference(a: Architecture) -> str:
    """Return why a network is none that ``keras.applications`` computes; empty where it is one.

    Depths, widths and the decay of the norms' statistics may be any; without biases it is the
    same as with zeros.
    """
    wanted = Block(kind="bottleneck", stride_in="1x1")
    strides = [stage.stride for stage in a.stages]
    differences = {
        "pre-activation": a.preactivation,
        "another stem": replace(a.stem, width=STEM.width) != STEM,
        "other blocks than bottlenecks with the stride in the first 1×1": any(
            replace(stage.block, inner=None) != wanted for stage in a.stages
        ),
        "other strides of the stages": strides != [1] + [2] * (len(strides) - 1),
        "a stage without projection": not all(row[0].changes_shape for row in block_geometries(a)),
        f"norms with epsilon {a.norm.epsilon:g}, not {NORM.epsilon:g}": (
            a.norm.kind == "batch" and a.norm.epsilon != NORM.epsilon
        ),
        f"the norms ({a.norm.kind})": a.norm.kind != "batch",
        "another activation": a.activation != "relu",
        "dilated convolutions": a.output_stride is not None,
        "a RegNet's names": a.naming != "resnet",
    }
    return ", ".join(name for name, differs in differences.items() if differs)


def name_tensors(architecture: Architecture) -> dict[str, Tensor]:
    """Return the network's tensors by Keras's names, in the order of Keras's layers."""
    found = {f"{_name_layer(t)}/{VARIABLES[t.role]}": t for t in tensors(architecture)}
    return dict(sorted(found.items(), key=lambda item: _find_place(item[0].rpartition("/")[0])))


def _name_layer(tensor: Tensor) -> str:
    """``layer2.0.conv1.weight`` is in the layer ``conv3_block1_1_conv``."""
    at = tensor.name.rpartition(".")[0]
    whole = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "predictions"}
    if at in whole:
        return whole[at]
    stage, block, part = at.split(".", 2)
    parts = {"downsample.0": "0_conv", "downsample.1": "0_bn"}
    parts |= {f"{kind}{k}": f"{k}_{kind}" for kind in ("conv", "bn") for k in (1, 2, 3)}
    number = int(stage.removeprefix("layer")) + 1
    return f"conv{number}_block{int(block) + 1}_{parts[part]}"


def _find_place(layer: str) -> tuple[int, int, int]:
    """Where a layer stands in the model: stage, block, place in the block."""
    match = _BLOCK.fullmatch(layer)
    if match is None:
        return (10**5 if layer == "predictions" else 0, 0, 0)
    return int(match[1]), int(match[2]), ORDER.index(match[3])


def name_by_order(arrays: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Name the layers of a file that only counts them, by the order of the model's layers.

    The 3×3 convolutions show the blocks: three convolutions, or in a stage's first block four.

    Raises:
        WeightsError: if the convolutions are not in such an order.
    """
    kinds: dict[str, list[str]] = {"conv": [], "bn": [], "dense": []}
    sizes: list[int] = []
    for name in arrays:
        layer, _, variable = name.rpartition("/")
        dimensions = arrays[name].ndim
        if variable == "kernel":
            kinds["conv" if dimensions == 4 else "dense"].append(layer)
            sizes += [arrays[name].shape[0]] if dimensions == 4 else []
        elif variable == "gamma":
            kinds["bn"].append(layer)
    middles = [k for k, size in enumerate(sizes) if size == 3]
    starts = [k - 1 for k in middles] + [len(sizes)]
    order = [("conv1", "")]
    stage, block = 1, 0
    for start, end in itertools.pairwise(starts):
        stage, block = (stage + 1, 1) if end - start == 4 else (stage, block + 1)
        parts = "1203" if end - start == 4 else "123"
        order += [(f"conv{stage}_block{block}", f"_{k}") for k in parts]
    counts = [len(kinds["conv"]), len(kinds["bn"]), len(kinds["dense"])]
    if starts[0] != 1 or counts[:2] != [len(order)] * 2 or counts[2] > 1:
        raise WeightsError(
            f"{where}: its layers have no names, and they are not in the order of {FORM}: it has "
            f"{counts[0]} convolutions, {counts[1]} norms, {counts[2]} dense layers"
        )
    names = dict.fromkeys(kinds["dense"], "predictions")
    for kind in ("conv", "bn"):
        ends = [f"{at}{k}_{kind}" for at, k in order]
        names.update(zip(kinds[kind], ends, strict=True))
    return {
        f"{names[layer]}/{variable}": array
        for (layer, _, variable), array in zip(
            (name.rpartition("/") for name in arrays), arrays.values(), strict=True
        )
    }
