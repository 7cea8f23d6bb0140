"""The architecture of a network from the names and shapes of its tensors alone.

What tensors tell is read from them; the whole is then compared with what such a network would
have, so that a misreading is an error and never another function. What they do not tell (strides,
pools, activation, the norms' epsilon) is that of the catalog's first network with the same
tensors, else the convention; ``Recognised.notes`` says which.
"""

from dataclasses import dataclass, replace
from functools import cache

from resnets.convert.recognition.blocks import Shapes, get_kernel_shape, list_tensors, read_stages
from resnets.errors import InvalidDescription, WeightsError
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.naming import REGNET, RESNET, RESNET_V2, NamingScheme
from resnets.networks.spec import Norm, Stem
from resnets.networks.tracing import tensors

UNTOLD = "strides, pools and anti-aliasing, activation and the norms' epsilon"
ASSUMED_GROUPS = 32
"""Groups of group norms: Wu and He 2018, Table 1, and what timm builds."""

NOT_RECOGNISED = "no network is recognised in these tensors"
STATED = "--network NAME|FILE states what it is"


@dataclass(frozen=True)
class Recognised:
    """An architecture, and what had to be assumed for it, a sentence each."""

    architecture: Architecture
    notes: tuple[str, ...]


def recognise(shapes: Shapes) -> Recognised:
    """Recognise a network by the shapes of its tensors, under canonical names.

    Raises:
        WeightsError: if no network that can be described has these tensors; names some of them.
    """
    try:
        found = _read_architecture(shapes)
    except (WeightsError, InvalidDescription) as error:
        raise WeightsError(f"{NOT_RECOGNISED}: {error}") from error
    same = _find_in_catalog(found, shapes)
    if same:
        others = ", ".join(same[1:])
        also = f" (those of {others} are the same)" if others else ""
        note = f"taken for {same[0]} by its tensors{also}; they do not tell {UNTOLD}: {STATED}"
        known = catalog.get(same[0], channels=found.channels, classes=found.classes)
        return Recognised(known, (note,))
    if problem := explain_mismatch(found, shapes):
        raise WeightsError(f"{NOT_RECOGNISED}; of the nearest that can be described, {problem}")
    return Recognised(found, (_describe_assumptions(found),))


def explain_mismatch(architecture: Architecture, shapes: Shapes) -> str:
    """Return how tensors differ from those that an architecture has; empty where they do not."""
    needed = _list_shapes(architecture)
    problems = [f"{name} {shapes[name]} is unknown to it" for name in shapes if name not in needed]
    problems += [f"{name} {needed[name]} is missing" for name in needed if name not in shapes]
    problems += [
        f"{name} has shape {shapes[name]}, not {needed[name]}"
        for name in needed
        if name in shapes and shapes[name] != needed[name]
    ]
    more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
    return "; ".join(problems[:5]) + more


def _list_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in tensors(architecture)}


def _find_in_catalog(a: Architecture, shapes: Shapes) -> list[str]:
    """Name the catalog's networks with exactly these tensors."""
    alike = [name for name, outline in _list_outlines().items() if outline == _make_outline(a)]
    entries = (catalog.get(name, channels=a.channels, classes=a.classes) for name in alike)
    return [entry.name for entry in entries if _list_shapes(entry) == shapes]


@cache
def _list_outlines() -> dict[str, tuple[object, ...]]:
    return {name: _make_outline(catalog.get(name)) for name in catalog.names()}


def _make_outline(a: Architecture) -> tuple[object, ...]:
    """What is compared first, because it needs no trace."""
    sizes = tuple((stage.depth, stage.width, stage.block.kind) for stage in a.stages)
    stem = (a.stem.width, a.stem.kernel, a.stem.deep)
    return a.naming, a.preactivation, a.bias, a.norm.kind, stem, sizes


def _read_architecture(shapes: Shapes) -> Architecture:
    names = _find_naming(shapes)
    first, stem = _read_stem(names, shapes)
    dense = shapes.get(f"{names.dense}.weight", ())
    if len(dense) < 2:
        raise WeightsError(f"{names.dense}.weight, the last layer's, is missing")
    found = Architecture(
        channels=shapes[f"{first}.weight"][1],
        classes=dense[0],
        stem=stem,
        stages=read_stages(names, shapes, channels=stem.width),
        preactivation=names is RESNET_V2,
        bias=f"{first}.bias" in shapes,
        naming="regnet" if names is REGNET else "resnet",
    )
    return replace(found, norm=_read_norm(names, shapes))


def _find_naming(shapes: Shapes) -> NamingScheme:
    for names in (RESNET, RESNET_V2, REGNET):
        at = names.block.format(stage=1, stage0=0, block=0)
        if any(name.startswith(f"{at}.") for name in shapes):
            return names
    raise WeightsError(f"no block of a residual network among {list_tensors(shapes)}")


def _read_stem(names: NamingScheme, shapes: Shapes) -> tuple[str, Stem]:
    """Read the stem; also gives the name of the network's first convolution."""
    first = names.stem
    kernel = get_kernel_shape(shapes, first)
    if kernel is None and (last := get_kernel_shape(shapes, f"{first}.6")) is not None:
        first = f"{first}.0"
        if get_kernel_shape(shapes, first) is not None:
            return first, Stem(width=last[0], kernel=3, stride=2, pool=True, deep=True)
    if kernel is None:
        raise WeightsError(f"{names.stem}.weight, the first convolution's, is missing")
    if names is REGNET:
        return first, Stem(width=kernel[0], kernel=kernel[2], stride=2, pool=False)
    large = kernel[2] >= 7
    stem = Stem(width=kernel[0], kernel=kernel[2], stride=2 if large else 1, pool=large)
    return first, stem


def _read_norm(names: NamingScheme, shapes: Shapes) -> Norm:
    at = names.stem_norm or names.last_norm
    if f"{at}.running_mean" in shapes:
        return Norm()
    if f"{at}.weight" not in shapes:
        return Norm(kind="none")
    if names is not RESNET:
        # BiT standardises its kernels before use and pads its first pool otherwise; timm's
        # regnety_040_sgn has groups of 16 channels and SiLU. No tensor tells.
        raise WeightsError(
            "pre-activation or a RegNet with group norms: timm's BiT and regnety_040_sgn have such "
            f"tensors too and compute something else; {STATED}, if it is none of them"
        )
    return Norm(kind="group", groups=ASSUMED_GROUPS)


def _describe_assumptions(a: Architecture) -> str:
    stem, strides = a.stem, ", ".join(str(stage.stride) for stage in a.stages)
    pool = "a max-pool" if stem.pool else "no pool"
    text = (
        f"tensors of no network in the catalog; they do not tell {UNTOLD}. Assumed: a stem of "
        f"stride {stem.stride} with {pool}, stages of strides {strides}, ReLU, "
        f"epsilon {a.norm.epsilon:g}"
    )
    if a.norm.kind == "group":
        text += f", group norms of {a.norm.groups} groups"
    if any(stage.block.kind == "bottleneck" for stage in a.stages):
        text += ", the stride in the 3×3 (v1.5)"
    return f"{text}; {STATED}"
