"""What a source is, and what is found in it: folders, files and repositories alike."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from resnets.convert import configs, hub, safetensors_files
from resnets.convert.foreign_names import find_canonical_names
from resnets.convert.found import Found
from resnets.convert.recognition.architecture import recognise
from resnets.convert.recognition.blocks import Shapes
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folder import Config, load_config, parse_config, require_model
from resnets.networks.network import Preprocessing, Weights

CONFIG, IMAGES = "config.json", "preprocessor_config.json"
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""Weights that folders hold, in the order of preference: timm's and transformers' names."""

OURS = "resnets"
"""The key of a safetensors file's metadata under which ``convert`` keeps the description."""


def read_source(source: str, *, stated: bool = False, averaged: bool = False) -> Found:
    """Read a source: a folder, a file, or a repository of the hub.

    ``stated`` says that the user states the architecture: none is recognised then. ``averaged``
    takes the running average of the weights, of files that hold both. Arrays of safetensors and
    PyTorch files stay in the file until they are used: this is quick, however large they are.

    Raises:
        WeightsError: if it is none of these, or is damaged, or tells of no network.
        InvalidDescription: if a config.json that resnets wrote is not valid.
        MissingDependency: if a format's library is not installed.
    """
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, stated=stated, averaged=averaged)
    if path.is_file():
        return _read_file(path, stated=stated, averaged=averaged)
    if hub.is_hub_id(source):
        found = _read_folder(hub.download(source), stated=stated, averaged=averaged)
        return replace(found, kind=f"{found.kind} from the hub")
    raise WeightsError(
        f"{source}: no such file or folder (a name on the hub: hf-hub:owner/name; the catalog's "
        "names have no weights)"
    )


def _read_folder(folder: Path, *, stated: bool, averaged: bool) -> Found:
    config = folder / CONFIG
    file = next((folder / name for name in IN_FOLDERS if (folder / name).is_file()), None)
    if not config.is_file():
        held = f"{file.name} alone: name the file" if file else "no weights either"
        raise WeightsError(f"{config}: no such file; a network's folder holds it ({held})")
    ours = read_our_config(folder)
    if ours is not None:
        require_model(folder)
        return Found(
            weights=safetensors_files.read(folder / IN_FOLDERS[0]),
            kind="folder of resnets",
            architecture=ours.architecture,
            preprocessing=ours.preprocessing,
            class_names=ours.class_names,
        )
    if file is None:
        split = " (split weights, model.safetensors.index.json, are not read)"
        also = split if (folder / f"{IN_FOLDERS[0]}.index.json").is_file() else ""
        raise WeightsError(f"{folder}: holds none of {', '.join(IN_FOLDERS)}{also}")
    return _read_foreign_folder(config, file, stated=stated, averaged=averaged)


def read_our_config(folder: Path) -> Config | None:
    """Read the config.json of a folder that resnets wrote; None where it is no such folder."""
    config = folder / CONFIG
    if not config.is_file() or "resnets" not in configs.read_config(config):
        return None
    return load_config(config)


def _read_foreign_folder(config: Path, file: Path, *, stated: bool, averaged: bool) -> Found:
    weights, notes = _read_tensors(file, averaged)
    if stated:
        return Found(weights=weights, kind="folder", notes=notes)
    content = configs.read_config(config)
    who = configs.identify_origin(content, str(config))
    recognised = recognise(_get_shapes(weights)).architecture
    if who == "timm":
        told = configs.apply_timm_config(content, recognised, where=str(config))
    else:
        beside = config.parent / IMAGES
        images = configs.read_config(beside) if beside.is_file() else {}
        told = configs.apply_transformers_config(
            content, images, recognised=recognised, where=str(config)
        )
    return Found(
        weights=weights,
        kind=f"folder of {who}",
        architecture=told.architecture,
        preprocessing=told.preprocessing,
        class_names=told.class_names,
        notes=(*notes, *told.notes),
    )


def _read_file(path: Path, *, stated: bool, averaged: bool) -> Found:
    name = path.name.lower()
    for endings, read in _READERS:
        if name.endswith(endings):
            return read(path, stated=stated, averaged=averaged)
    known = ", ".join(ending for endings, _ in _READERS for ending in endings)
    raise WeightsError(f"{path}: weights are files of {known}, folders, or hub names")


def _read_safetensors(path: Path, *, stated: bool, averaged: bool) -> Found:
    metadata = safetensors_files.read_header(path).metadata
    weights, notes = _read_tensors(path, averaged)
    if OURS in metadata:
        ours = parse_config(metadata[OURS], str(path))
        return Found(
            weights=weights,
            kind="safetensors file of resnets",
            architecture=ours.architecture,
            preprocessing=ours.preprocessing,
            class_names=ours.class_names,
        )
    return _recognise_tensors("safetensors file", weights, notes=notes, stated=stated)


def _read_torch(path: Path, *, stated: bool, averaged: bool) -> Found:
    weights, notes = _read_tensors(path, averaged)
    return _recognise_tensors("PyTorch file", weights, notes=notes, stated=stated)


def _read_keras(path: Path, *, stated: bool, averaged: bool) -> Found:
    from resnets.convert.keras import files

    del averaged
    return _recognise_if_untold(files.read(path), stated)


def _read_gluon(path: Path, *, stated: bool, averaged: bool) -> Found:
    from resnets.convert.gluon import files

    del averaged
    return _recognise_if_untold(files.read(path), stated)


def _recognise_if_untold(found: Found, stated: bool) -> Found:
    """Recognise the network of a file that tells none."""
    if found.architecture is not None:
        return found
    return _recognise_tensors(found.kind, found.weights, notes=found.notes, stated=stated)


class _Reader(Protocol):
    def __call__(self, path: Path, /, *, stated: bool, averaged: bool) -> Found: ...


_READERS: tuple[tuple[tuple[str, ...], _Reader], ...] = (
    ((".safetensors",), _read_safetensors),
    ((".pth", ".pt", ".bin", ".pth.tar", ".ckpt"), _read_torch),
    ((".weights.h5", ".h5", ".hdf5", ".keras"), _read_keras),
    ((".params",), _read_gluon),
)


def _recognise_tensors(
    kind: str, weights: Weights, *, notes: tuple[str, ...], stated: bool
) -> Found:
    """Return what a file of tensors and nothing else holds."""
    if stated:
        return Found(weights=weights, kind=kind, notes=notes)
    recognised = recognise(_get_shapes(weights))
    return Found(
        weights=weights,
        kind=kind,
        architecture=recognised.architecture,
        notes=(*notes, *recognised.notes),
    )


def _read_tensors(path: Path, averaged: bool) -> tuple[Weights, tuple[str, ...]]:
    """Read a file of tensors, under canonical names."""
    if path.name.lower().endswith(".safetensors"):
        if averaged:
            raise WeightsError(f"{path}: a safetensors file holds one set of weights")
        weights, notes = safetensors_files.read(path), ()
    else:
        from resnets.convert import torch_files

        weights, notes = torch_files.read(path, averaged=averaged)
    renamed, whose = find_canonical_names(weights)
    if whose:
        notes = (*notes, f"the tensors have {whose} names")
    return {renamed[name]: array for name, array in weights.items()}, notes


def _get_shapes(weights: Weights) -> Shapes:
    return {name: array.shape for name, array in weights.items()}


def assume_preprocessing(a: Architecture, size: int) -> tuple[Preprocessing, str]:
    """Return the preprocessing assumed where a file states none, and a note that says so."""
    if a.channels == 3:
        note = f"preprocessing assumed: {size} pixels, ImageNet's mean and deviation (torchvision)"
        return Preprocessing(size=size, mean=IMAGENET_MEAN, std=IMAGENET_STD), note
    zero, one = (0.0,) * a.channels, (1.0,) * a.channels
    note = f"preprocessing assumed: {size} pixels, values from 0 to 1 as they are"
    return Preprocessing(size=size, mean=zero, std=one), note


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet, as torchvision, timm and transformers have them."""
