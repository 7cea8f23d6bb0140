"""Other projects' tensor names for the same networks, and what each is called here.

timm's ``regnet`` (its networks are torchvision's under other names) and the ResNets of Hugging
Face's transformers. torchvision's names, timm's ``resnet`` and ``resnetv2`` are the canonical ones.
"""

import re
from collections.abc import Callable, Iterable

from resnets.errors import WeightsError

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

LETTERS = {"1": "a", "2": "b", "3": "c"}
NORM_OR_NOT = {"conv": "0", "bn": "1", "convolution": "0", "normalization": "1"}


def _rename_timm_block(found: re.Match[str]) -> str:
    stage, block, part = found[1], int(found[2]) - 1, found[3]
    if unit := re.match(r"conv([123])\.(conv|bn)\.(.+)", part):
        part = f"f.{LETTERS[unit[1]]}.{NORM_OR_NOT[unit[2]]}.{unit[3]}"
    elif projection := re.match(r"downsample\.(conv|bn)\.(.+)", part):
        part = f"proj.{NORM_OR_NOT[projection[1]]}.{projection[2]}"
    elif part.startswith("se."):
        part = f"f.{part}"
    return f"trunk_output.block{stage}.block{stage}-{block}.{part}"


def _rename_transformers_block(found: re.Match[str]) -> str:
    at, what = f"layer{int(found[1]) + 1}.{found[2]}", found[4]
    if found[3] == "shortcut":
        return f"{at}.downsample.{NORM_OR_NOT[what]}"
    name = "conv" if what == "convolution" else "bn"
    return f"{at}.{name}{int(found[3].removeprefix('layer.')) + 1}"


def _rename_stem(found: re.Match[str]) -> str:
    return f"stem.{NORM_OR_NOT[found[1]]}"


def _rename_embedder(found: re.Match[str]) -> str:
    return "conv1" if found[1] == "convolution" else "bn1"


TIMM_REGNET: tuple[Rule, ...] = (
    (re.compile(r"^s(\d+)\.b(\d+)\.(.+)"), _rename_timm_block),
    (re.compile(r"^stem\.(conv|bn)(?=\.)"), _rename_stem),
    (re.compile(r"^head\.fc(?=\.)"), lambda _: "fc"),
)
TRANSFORMERS: tuple[Rule, ...] = (
    (
        re.compile(
            r"^(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\.(shortcut|layer\.\d+)"
            r"\.(convolution|normalization)(?=\.)"
        ),
        _rename_transformers_block,
    ),
    (
        re.compile(r"^(?:resnet\.)?embedder\.embedder\.(convolution|normalization)(?=\.)"),
        _rename_embedder,
    ),
    (re.compile(r"^classifier\.1(?=\.)"), lambda _: "fc"),
)


def find_canonical_names(names: Iterable[str]) -> tuple[dict[str, str], str]:
    """Return the canonical name of every tensor, and whose names they were (empty: canonical).

    Raises:
        WeightsError: if two names become one.
    """
    given = list(names)
    rules, whose = (), ""
    if any(re.match(r"^s1\.b1\.", name) for name in given):
        rules, whose = TIMM_REGNET, "timm's regnet"
    elif any("embedder.embedder." in name for name in given):
        rules, whose = TRANSFORMERS, "transformers' resnet"
    renamed = {name: _rename(name, rules) for name in given}
    if len(set(renamed.values())) < len(renamed):
        seen: dict[str, str] = {}
        for old, new in renamed.items():
            if new in seen:
                raise WeightsError(f"{seen[new]} and {old} would both be {new}")
            seen[new] = old
    return renamed, whose


def _rename(name: str, rules: tuple[Rule, ...]) -> str:
    for pattern, write in rules:
        name = pattern.sub(write, name)
    return name
