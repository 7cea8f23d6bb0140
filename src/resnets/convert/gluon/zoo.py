"""The ResNets of ``mxnet.gluon.model_zoo.vision``: their parameters' names and ours.

resnet18_v1 and resnet34_v1 are He et al. 2015; the deeper ones have the stride in the first 1×1
and biases in a block's first and last convolution. Only those of version 1 can be described.

Source: Apache MXNet 1.9, python/mxnet/gluon/model_zoo/vision/resnet.py.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from resnets.convert.keras.hdf5 import Array
from resnets.convert.recognition.matching import Shape, get_shape
from resnets.errors import InvalidDescription, WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.layers import Role, Tensor
from resnets.networks.network import Preprocessing
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.networks.tracing import tensors

FORM = "a ResNet of Gluon's model zoo"
PREPROCESSING = Preprocessing(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""What the model zoo's documentation asks for."""

VERSION_2 = (
    "the model zoo's ResNets of version 2 compute what no description here says: the images pass "
    "a norm, and the first convolution a norm and ReLU, before the first block, whose shortcut "
    "reads what they put out; our pre-activation networks have neither"
)
THUMBNAIL = (
    "a ResNet with thumbnail=True computes what no description here says: its first convolution "
    "has neither norm nor ReLU"
)

NAMES: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "gluon_resnet50_v1",
    ("bottleneck", (3, 4, 23, 3)): "gluon_resnet101_v1",
    ("bottleneck", (3, 8, 36, 3)): "gluon_resnet152_v1",
}
"""Those of basic blocks are the catalog's."""

WIDTHS = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}
VARIABLES: dict[Role, str] = {
    "kernel": "weight",
    "dense": "weight",
    "bias": "bias",
    "gate_bias": "bias",
    "scale": "gamma",
    "shift": "beta",
    "mean": "running_mean",
    "variance": "running_var",
}
"""What Gluon calls the parameters of a part."""

CANONICAL = {"gamma": "weight", "beta": "bias"}

_STRUCTURAL = re.compile(r"(features\.\d+\.|output\.).+")
_EXPORTED = re.compile(
    r"(?:arg:|aux:)?(?P<prefix>.*?)(?:stage(?P<stage>\d{1,4})_)?"
    r"(?P<kind>conv|batchnorm|dense)(?P<number>\d{1,5})_"
    r"(?P<variable>weight|bias|gamma|beta|running_mean|running_var)"
)


def is_zoo_network(names: Iterable[str]) -> bool:
    """Return whether parameters of these names are a network of the model zoo, whole or not."""
    return any(_STRUCTURAL.fullmatch(name) or _EXPORTED.fullmatch(name) for name in names)


def read_architecture(found: Mapping[str, Shape], where: str) -> Architecture:
    """Read the architecture from the shapes, by names such as ``features.4.0.body.0.weight``.

    Raises:
        WeightsError: if it is none of version 1.
    """
    if "features.0.gamma" in found or any(re.match(r"features\.\d+\.0\.bn1\.", n) for n in found):
        raise WeightsError(f"{where}: {VERSION_2}")
    if "features.1.gamma" not in found and "features.1.0.body.0.weight" in found:
        raise WeightsError(f"{where}: {THUMBNAIL}")
    stem = get_shape(found, "features.0.weight", dimensions=4, where=where)
    blocks: dict[int, set[str]] = {}
    for match in filter(None, (re.match(r"features\.(\d{1,4})\.(\d{1,4})\.", n) for n in found)):
        blocks.setdefault(int(match[1]), set()).add(match[2])
    classes = get_shape(found, "output.weight", dimensions=2, where=where)[0]
    stages = tuple(_read_stage(found, n, depth=len(blocks[n]), where=where) for n in sorted(blocks))
    try:
        result = Architecture(
            channels=stem[1], classes=classes, stem=Stem(width=stem[0]), stages=stages
        )
    except InvalidDescription as error:
        raise WeightsError(f"{where}: describes no network: {error}") from error
    return add_name(add_biases(result))


def _read_stage(found: Mapping[str, Shape], number: int, *, depth: int, where: str) -> Stage:
    at, stride = f"features.{number}.0.body", 1 if number == 4 else 2
    first = get_shape(found, f"{at}.0.weight", dimensions=4, where=where)
    if first[2] == 3:
        return Stage(depth=depth, width=first[0], stride=stride)
    width = get_shape(found, f"{at}.6.weight", dimensions=4, where=where)[0]
    inner = None if 4 * first[0] == width else first[0]
    block = Block(kind="bottleneck", inner=inner, stride_in="1x1")
    return Stage(depth=depth, width=width, stride=stride, block=block)


def add_biases(a: Architecture) -> Architecture:
    """Return the network with biases if it has bottlenecks: Gluon's have some, ours all or none."""
    return replace(a, bias=any(stage.block.kind == "bottleneck" for stage in a.stages))


def add_name(a: Architecture) -> Architecture:
    """Return the network under the name that people call it by."""
    kind = a.stages[0].block.kind if a.stages else ""
    usual = tuple(stage.width for stage in a.stages) == WIDTHS.get(kind)
    usual = usual and a.stem.width == 64
    depths = tuple(stage.depth for stage in a.stages)
    return replace(a, name=NAMES.get((kind, depths), "") if usual else "")


def explain_difference(a: Architecture) -> str:
    """Return why a network is none that the model zoo computes; empty where it is one.

    Depths, widths and the decay of the norms' statistics may be any.
    """
    wanted = (Block(), Block(kind="bottleneck", stride_in="1x1"))
    strides = [stage.stride for stage in a.stages]
    differences = {
        "pre-activation": a.preactivation,
        "another stem": replace(a.stem, width=Stem().width) != Stem(),
        "other blocks than basic ones, or bottlenecks with the stride in the first 1×1": any(
            block not in wanted for block in map(_strip_inner_width, a.stages)
        ),
        "blocks of two kinds": len({stage.block.kind for stage in a.stages}) > 1,
        "other strides of the stages": strides != [1] + [2] * (len(strides) - 1),
        "biases": a.bias and a.stages[0].block.kind == "basic",
        "other norms": a.norm.kind != "batch" or a.norm.epsilon != Norm().epsilon,
        "another activation": a.activation != "relu",
        "dilated convolutions": a.output_stride is not None,
        "a RegNet's names": a.naming != "resnet",
    }
    return ", ".join(name for name, differs in differences.items() if differs)


def _strip_inner_width(stage: Stage) -> Block:
    """Return a stage's block without what may be any: the inner width of bottlenecks."""
    block = stage.block
    free = block.kind == "bottleneck" or block.inner == stage.width
    return replace(block, inner=None) if free else block


def name_tensors(architecture: Architecture) -> dict[str, Tensor]:
    """Return the network's tensors by structural names, those too that ``has_parameter`` denies."""
    return {f"{_name_part(t)}.{VARIABLES[t.role]}": t for t in tensors(architecture)}


def has_parameter(name: str) -> bool:
    """Return whether the model zoo has a parameter of that name; it lacks some biases."""
    return not re.fullmatch(r"features\.(0|\d+\.\d+\.(body\.3|downsample\.0))\.bias", name)


def _name_part(tensor: Tensor) -> str:
    """``layer1.0.conv2.weight`` is in ``features.4.0.body.3``: norms and ReLUs lie between."""
    at = tensor.name.rpartition(".")[0]
    whole = {"conv1": "features.0", "bn1": "features.1", "fc": "output"}
    if at in whole:
        return whole[at]
    stage, block, part = at.split(".", 2)
    found = re.fullmatch(r"(conv|bn)(\d)", part)
    if found:
        part = f"body.{3 * (int(found[2]) - 1) + (found[1] == 'bn')}"
    return f"features.{int(stage.removeprefix('layer')) + 3}.{block}.{part}"


def restore_structural_names(arrays: Mapping[str, Array], where: str) -> dict[str, Array]:
    """Return arrays by structural name; exported files count the layers of a stage instead.

    ``arg:resnetv10_stage1_conv0_weight`` becomes ``features.4.0.body.0.weight``.

    Raises:
        WeightsError: where both kinds of names stand, or layers are in another order.
    """
    if all(_STRUCTURAL.fullmatch(name) for name in arrays):
        return dict(arrays)
    matches = {name: _EXPORTED.fullmatch(name) for name in arrays}
    strange = [name for name, match in matches.items() if match is None]
    if strange:
        raise WeightsError(f"{where}: {', '.join(strange[:5])}: not of {FORM}")
    parsed = {name: match for name, match in matches.items() if match is not None}
    if any(m["stage"] is None and m["kind"] == "batchnorm" and m["number"] != "0"
           for m in parsed.values()):  # fmt: skip
        raise WeightsError(f"{where}: {VERSION_2}")
    kernels: dict[int, dict[int, int]] = {}
    for name, m in parsed.items():
        if m["stage"] is not None and (m["kind"], m["variable"]) == ("conv", "weight"):
            size = get_shape({name: arrays[name].shape}, name, dimensions=4, where=where)[2]
            kernels.setdefault(int(m["stage"]), {})[int(m["number"])] = size
    parts = {
        stage: _list_parts([sizes[k] for k in sorted(sizes)]) for stage, sizes in kernels.items()
    }
    found: dict[str, Array] = {}
    for name, m in parsed.items():
        at = _find_part(m, parts)
        if at is None or f"{at}.{m['variable']}" in found:
            raise WeightsError(f"{where}: {name} is not of {FORM}")
        found[f"{at}.{m['variable']}"] = arrays[name]
    return found


def _find_part(found: re.Match[str], parts: Mapping[int, list[tuple[str, str]]]) -> str | None:
    kind, number = found["kind"], int(found["number"])
    if found["stage"] is None:
        first = {"conv": "features.0", "batchnorm": "features.1", "dense": "output"}
        return first[kind] if number == 0 else None
    stage = int(found["stage"])
    if kind == "dense" or number >= len(parts.get(stage, [])):
        return None
    return f"features.{stage + 3}.{parts[stage][number][kind == 'batchnorm']}"


def _list_parts(sizes: list[int]) -> list[tuple[str, str]]:
    """Return the convolution and the norm of each number in a stage, in the order of creation.

    The first block may have one more than the others, its projection.
    """
    count: Literal[2, 3] = 2 if sizes and sizes[0] == 3 else 3
    projects = len(sizes) % count == 1
    found: list[tuple[str, str]] = []
    for block in range(len(sizes) // count):
        found += [(f"{block}.body.{3 * k}", f"{block}.body.{3 * k + 1}") for k in range(count)]
        if block == 0 and projects:
            found.append(("0.downsample.0", "0.downsample.1"))
    return found
