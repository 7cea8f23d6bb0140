"""config.json as timm and Hugging Face's transformers write it: what the tensors do not tell."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from resnets.convert.recognition.architecture import explain_mismatch
from resnets.convert.timm_names import ACTIVATIONS, IN_TENSORS, IN_TRAINING, READABLE
from resnets.errors import WeightsError
from resnets.files import explain_os_errors
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.folder import LARGEST_CONFIG, TIMM_NAMES
from resnets.networks.network import Preprocessing
from resnets.networks.spec import Activation
from resnets.networks.tracing import tensors

Content = Mapping[str, Any]
SHAPING = (IN_TENSORS | {"norm_layer", "stem_type"}) - {"num_classes", "in_chans"}
"""Arguments that make another network under the same name."""

OVERRULED = "--network NAME|FILE, if you know what it is"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a config.json told beyond the tensors; notes name what could not be kept."""

    architecture: Architecture
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json.

    Raises:
        WeightsError: if it cannot be read, is too large or no JSON object.
    """
    with explain_os_errors(f"cannot read {path}", WeightsError):
        if path.stat().st_size > LARGEST_CONFIG:
            raise WeightsError(f"{path}: over {LARGEST_CONFIG} bytes, no configuration is")
        text = path.read_bytes()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{path}: not a JSON object")
    return cast("dict[str, Any]", value)


def identify_origin(config: Content, where: str) -> Literal["resnets", "timm", "transformers"]:
    """Return who wrote a config.json; reject networks whose tensors alone would mislead.

    Raises:
        WeightsError: if it is of a network that cannot be described, or nobody's that is known.
    """
    if "resnets" in config:
        return "resnets"
    if config.get("model_type") is not None:
        if config["model_type"] != "resnet":
            raise WeightsError(f"{where}: a {config['model_type']!r} of transformers, no resnet")
        return "transformers"
    if not isinstance(config.get("architecture"), str):
        raise WeightsError(f"{where}: names no architecture; {OVERRULED}")
    name = _get_timm_name(config)
    if name not in READABLE:
        raise WeightsError(
            f"{where}: timm's {name!r} is no network that can be described here, whatever its "
            f"tensors look like; {OVERRULED}"
        )
    return "timm"


def apply_timm_config(config: Content, recognised: Architecture, *, where: str) -> Told:
    """Add what timm's config.json says to what was recognised in the tensors.

    Raises:
        WeightsError: if its arguments make a function that cannot be described.
    """
    name, notes = _get_timm_name(config), list[str]()
    arguments = _to_object(config.get("model_args"))
    _reject_other_network(name, arguments, recognised=recognised, where=where)
    found = recognised if recognised.name else replace(recognised, name=name)
    for key, value in arguments.items():
        found = _apply_argument(found, key, value=value, where=where)
    pretrained = _to_object(config.get("pretrained_cfg")) or config
    names = pretrained.get("label_names", config.get("label_names"))
    preprocessing = _read_timm_preprocessing(pretrained, found.channels, notes=notes)
    return Told(
        architecture=found,
        preprocessing=preprocessing,
        class_names=_to_strings(names, found.classes),
        notes=tuple(notes),
    )


def apply_transformers_config(
    config: Content, images: Content, *, recognised: Architecture, where: str
) -> Told:
    """Add what transformers' config.json and preprocessor_config.json (``images``) say.

    Raises:
        WeightsError: if it has another activation than ReLU.
    """
    if config.get("hidden_act", "relu") != "relu":
        raise WeightsError(
            f"{where}: hidden_act {config['hidden_act']!r}: transformers keeps ReLU inside its "
            f"blocks then, which cannot be described; {OVERRULED}"
        )
    stages = recognised.stages
    if config.get("downsample_in_bottleneck"):
        stages = tuple(
            replace(stage, block=replace(stage.block, stride_in="1x1"))
            if stage.block.kind == "bottleneck"
            else stage
            for stage in stages
        )
    first = 2 if config.get("downsample_in_first_stage") else 1
    stages = (replace(stages[0], stride=first), *stages[1:])
    changed = replace(recognised, stages=stages)
    if changed != recognised:
        changed = replace(changed, name="")
    labels = _to_object(config.get("id2label"))
    names = [labels.get(str(i)) for i in range(recognised.classes)]
    preprocessing, notes = _read_transformers_preprocessing(images, recognised.channels)
    return Told(
        architecture=changed,
        preprocessing=preprocessing,
        class_names=_to_strings(names, recognised.classes),
        notes=notes,
    )


def _read_transformers_preprocessing(
    images: Content, channels: int
) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """Read what its ConvNextImageProcessor keeps; crops below 384 pixels come of a larger image."""
    mean, std = (_to_numbers(images.get(key)) for key in ("image_mean", "image_std"))
    size = images.get("size")
    edges = _to_object(size)
    size = edges.get("shortest_edge", edges.get("height")) if edges else size
    if {len(mean), len(std)} != {channels} or not isinstance(size, int):
        return None, ()
    note = (
        f"transformers resizes to {size} / {images.get('crop_pct', 224 / 256)} pixels and crops; "
        f"here the shorter side becomes {size}, bilinearly, and the middle is cut out"
    )
    return Preprocessing(size=size, mean=mean, std=std), (note,)


def _reject_other_network(
    name: str, arguments: Content, *, recognised: Architecture, where: str
) -> None:
    """Reject tensors of another network than the one that is named."""
    ours = next((own for own, theirs in TIMM_NAMES.items() if theirs == name), None)
    if ours is None or recognised.name == ours or SHAPING & set(arguments):
        return
    named = catalog.get(ours, channels=recognised.channels, classes=recognised.classes)
    shapes = {tensor.name: tensor.shape for tensor in tensors(recognised)}
    mismatch = explain_mismatch(named, shapes)
    raise WeightsError(f"{where}: says {name!r}, the tensors are another network's: {mismatch}")


def _apply_argument(a: Architecture, key: str, *, value: Any, where: str) -> Architecture:
    if key in IN_TENSORS or key in IN_TRAINING or value is None:
        return a
    plain = {"global_pool": ("avg",), "stem_type": ("", "deep"), "norm_layer": _list_norm_names(a)}
    if key == "act_layer" and isinstance(value, str) and value in ACTIVATIONS:
        activation = cast("Activation", ACTIVATIONS[value])
        # timm's squeeze-and-excitation keeps its own ReLU, whatever the network's activation is.
        excited = any(s.block.squeeze or s.block.squeeze_ratio for s in a.stages)
        if activation == a.activation or not excited:
            return replace(a, activation=activation)
    elif key == "output_stride" and value in (8, 16, 32):
        return replace(a, output_stride=None if value == 32 else value)
    elif value in plain.get(key, ()):
        return a
    raise WeightsError(f"{where}: model_args.{key} {value!r} cannot be described; {OVERRULED}")


def _list_norm_names(a: Architecture) -> tuple[str, ...]:
    if a.norm.kind == "group":
        return ("groupnorm",)
    return ("batchnorm", "batchnorm2d")


def _read_timm_preprocessing(
    cfg: Content, channels: int, *, notes: list[str]
) -> Preprocessing | None:
    mean, std, shape = (_to_numbers(cfg.get(key)) for key in ("mean", "std", "input_size"))
    if not (mean and std and len(shape) == 3):
        return None
    if {len(mean), len(std)} != {channels}:
        if len({*mean}) > 1 or len({*std}) > 1:
            notes.append(f"mean and deviation of {len(mean)} channels were averaged")
        mean, std = ((sum(values) / len(values),) * channels for values in (mean, std))
    height, width = map(int, shape[1:])
    pixels = min(height, width)
    interpolation, share = cfg.get("interpolation", "bilinear"), cfg.get("crop_pct", 1.0)
    if interpolation != "bilinear" or share != 1.0 or height != width:
        notes.append(
            f"timm prepares images of {height}×{width} by {interpolation} interpolation and a crop "
            f"of {share}; here the shorter side becomes {pixels}, bilinearly, and the middle is "
            "cut out"
        )
    return Preprocessing(size=pixels, mean=mean, std=std)


def _get_timm_name(config: Content) -> str:
    return str(config["architecture"]).split(".")[0]


def _to_object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _to_numbers(value: Any) -> tuple[float, ...]:
    """Return a list of finite numbers; nothing for what is none."""
    if not isinstance(value, (list, tuple)):
        return ()
    items = cast("list[Any]", value)
    if not all(isinstance(item, (int, float)) and math.isfinite(item) for item in items):
        return ()
    return tuple(map(float, items))


def _to_strings(value: Any, count: int) -> tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)):
        return None
    items = cast("list[Any]", value)
    whole = len(items) == count and all(isinstance(item, str) for item in items)
    return tuple(items) if whole else None
