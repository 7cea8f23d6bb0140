"""Canonical weights in memory and on disk.

On disk a network is a folder with ``model.safetensors`` (torchvision's and timm's tensor names,
float32) and ``config.json`` (the architecture, the preprocessing, the names of the classes, and
the keys that timm reads). Nothing is ever unpickled.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors
import safetensors.numpy

from resnets.errors import InvalidDescription, Problem, WeightsError
from resnets.files import explain_os_errors, replace_file, write_text
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Preprocessing, Weights, check_weights
from resnets.networks.tracing import tensors
from resnets.schema import from_json, to_json

ARCHITECTURE = "architecture"
"""Key of the metadata in which the weights of a run that grows carry their network."""

LARGEST_CONFIG = 64 * 2**20
TIMM_NAMES = {
    **{
        name: name
        for name in (
            *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
            *("resnet26", "resnet26d", "resnet200", "resnet200d"),
            *("resnet18d", "resnet34d", "resnet50c", "resnet50d", "resnet101c", "resnet101d"),
            *("resnet152c", "resnet152d", "resnet50_gn"),
            *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152"),
            *("seresnext50_32x4d", "seresnext101_32x4d", "seresnext101_32x8d"),
            *("resnetv2_18", "resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
            *("wide_resnet50_2", "wide_resnet101_2"),
            *("resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
        )
    },
    "regnet_x_400mf": "regnetx_004_tv",
    "regnet_x_800mf": "regnetx_008",
    "regnet_x_1_6gf": "regnetx_016",
    "regnet_x_3_2gf": "regnetx_032",
    "regnet_x_8gf": "regnetx_080",
    "regnet_x_16gf": "regnetx_160",
    "regnet_x_32gf": "regnetx_320",
    "regnet_y_400mf": "regnety_004",
    "regnet_y_800mf": "regnety_008_tv",
    "regnet_y_1_6gf": "regnety_016",
    "regnet_y_3_2gf": "regnety_032",
    "regnet_y_8gf": "regnety_080_tv",
    "regnet_y_16gf": "regnety_160",
    "regnet_y_32gf": "regnety_320",
    "regnet_y_128gf": "regnety_1280",
}
"""What timm calls the catalog's networks; it knows torchvision's names of a RegNet's tensors."""


def save(network: Network, folder: Path | str) -> None:
    """Write the folder's two files, each whole or not at all.

    Raises:
        WeightsError: if the weights do not fit the architecture, or cannot be written.
        InvalidDescription: if preprocessing or class names contradict it.
    """
    folder = Path(folder)
    check_weights(network.architecture, network.weights)
    check_config(Config.from_network(network), folder / "config.json")
    with explain_os_errors(f"cannot write the network to {folder}", WeightsError):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "config.json", to_config_text(network))
    save_weights(network.weights, folder / "model.safetensors")


def save_weights(weights: Weights, path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all."""
    content = safetensors.numpy.save(
        {name: np.asarray(array, order="C") for name, array in weights.items()}, metadata
    )
    with explain_os_errors(f"cannot write {path}", WeightsError), replace_file(path) as file:
        file.write(content)


def load(folder: Path | str) -> Network:
    """Read a folder that ``save`` wrote, or a run folder.

    Raises:
        WeightsError: where a file is missing, is not what it should be, or does not fit.
        InvalidDescription: where config.json describes no network.
    """
    folder = Path(folder)
    described = load_config(folder / "config.json")
    require_model(folder)
    weights, metadata = load_weights(folder / "model.safetensors")
    architecture = described.architecture
    if ARCHITECTURE in metadata:
        # A run that grows writes two files: if it was killed between them, this one is newer.
        subject = f"{folder / 'model.safetensors'}: architecture"
        architecture = Architecture.from_text(metadata[ARCHITECTURE], subject)
    check_weights(architecture, weights)
    return Network(architecture, weights, described.preprocessing, described.class_names)


def require_model(folder: Path) -> None:
    """Refuse a run's folder that has no weights: a run keeps the first at its first epoch's end.

    Raises:
        WeightsError: saying so.
    """
    model = folder / "model.safetensors"
    if (folder / "recipe.json").is_file() and not model.is_file():
        raise WeightsError(
            f"{model}: no such file; no epoch of this run has ended yet, or it is gone"
        )


def load_weights(path: Path) -> tuple[Weights, dict[str, str]]:
    """Read the arrays of a safetensors file, and its metadata.

    Raises:
        WeightsError: if the file is missing, truncated or no safetensors file.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    opened = cast("Any", safetensors.safe_open)  # its stub has no types
    try:
        with explain_os_errors(f"cannot read {path}", WeightsError), opened(path, "numpy") as file:
            arrays: Weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
            return arrays, metadata
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Config:
    """The part of config.json that is ours, under the key ``resnets``."""

    architecture: Architecture
    preprocessing: Preprocessing
    class_names: tuple[str, ...]

    @staticmethod
    def from_network(network: Network) -> "Config":
        """Give what is written for ``network``."""
        return Config(
            architecture=network.architecture,
            preprocessing=network.preprocessing,
            class_names=network.class_names,
        )


def to_config_text(network: Network) -> str:
    """Give config.json's text."""
    return json.dumps(to_config(network), indent=2) + "\n"


def to_config(network: Network) -> dict[str, Any]:
    """Give config.json's content: our description, and the keys that timm reads."""
    a, p = network.architecture, network.preprocessing
    ours = {
        "architecture": a.to_json(),
        "preprocessing": to_json(p),
        "class_names": list(network.class_names),
    }
    result: dict[str, Any] = {"num_classes": a.classes, "resnets": ours}
    if _is_in_catalog(a):
        pretrained = {
            "num_classes": a.classes,
            "input_size": [a.channels, p.size, p.size],
            "mean": list(p.mean),
            "std": list(p.std),
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            **_timm_end_layers(a),
            "label_names": list(network.class_names),
        }
        arguments = {"in_chans": a.channels} if a.channels != 3 else {}
        result = {
            "architecture": TIMM_NAMES[a.name],
            "num_features": a.stages[-1].width,
            "model_args": arguments,
            "pretrained_cfg": pretrained,
            **result,
        }
    return result


def _is_in_catalog(a: Architecture) -> bool:
    """Whether a network is the catalog's of its name, but for channels and classes."""
    return a.name in TIMM_NAMES and a == catalog.get(a.name, channels=a.channels, classes=a.classes)


def _timm_end_layers(a: Architecture) -> dict[str, str]:
    """Give timm's names of the first and the last layer, which it refits."""
    if a.naming == "regnet":
        return {"first_conv": "stem.conv", "classifier": "head.fc"}
    first = tensors(a)[0].name.removesuffix(".weight")
    return {"first_conv": first, "classifier": "head.fc" if a.preactivation else "fc"}


def load_config(path: Path) -> Config:
    """Read our part of a config.json.

    Raises:
        WeightsError: if there is no such file or it is not JSON with the key ``resnets``.
        InvalidDescription: if what it describes is no network.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; a network's folder holds it")
    with explain_os_errors(f"cannot read {path}", WeightsError):
        if path.stat().st_size > LARGEST_CONFIG:
            raise WeightsError(f"{path}: over {LARGEST_CONFIG} bytes, no configuration is")
        text = path.read_bytes()
    return parse_config(text, str(path))


def parse_config(text: str | bytes, source: str) -> Config:
    """Read our part of a config.json's text, which came from ``source``.

    Raises:
        As ``load_config``.
    """
    try:
        ours = json.loads(text)["resnets"]
        described = dict(ours)
        described["architecture"] = Architecture.from_json(
            ours["architecture"], f"{source}: architecture"
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InvalidDescription):
            raise
        raise WeightsError(f"{source}: holds no network that resnets wrote ({error!r})") from error
    result = from_json(Config, described, source)
    check_config(result, Path(source))
    return result


def check_config(config: Config, path: Path) -> None:
    """Refuse preprocessing or class names that contradict the architecture.

    Raises:
        InvalidDescription: naming ``path``, with every problem.
    """
    a, p = config.architecture, config.preprocessing
    problems: list[Problem] = []
    if not 1 <= p.size <= 2**15:
        problems.append(Problem("preprocessing.size", f"{p.size} is not from 1 to {2**15}"))
    for name in ("mean", "std"):
        given = len(getattr(p, name))
        if given != a.channels:
            message = f"{given} numbers for {a.channels} channels"
            problems.append(Problem(f"preprocessing.{name}", message))
    if not all(map(math.isfinite, p.mean)):
        problems.append(Problem("preprocessing.mean", "not all finite"))
    if not all(0 < s < float("inf") for s in p.std):
        problems.append(Problem("preprocessing.std", "not all above zero"))
    if len(config.class_names) != a.classes:
        message = f"{len(config.class_names)} names for {a.classes} classes"
        problems.append(Problem("class_names", message))
    if problems:
        raise InvalidDescription(str(path), problems)
