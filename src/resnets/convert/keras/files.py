"""Keras's files: ``.h5``, ``.weights.h5`` and ``.keras``; read by h5py, without Keras.

Two networks are read: the ResNets of ``keras.applications``, and ours from the TensorFlow
backend, whose layers have canonical names. What ``keras.applications`` computes is written under
its names, so that ``keras.applications.ResNet50(weights=FILE)`` opens it; all else is written by
the TensorFlow backend's own model.
"""

import json
import math
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resnets import backends
from resnets.convert.found import Found
from resnets.convert.keras import applications
from resnets.convert.keras.content import add_description, compose_counted, compose_grouped
from resnets.convert.keras.hdf5 import Array
from resnets.convert.keras.layers import Layers, parse_json_object
from resnets.convert.keras.process import read_layers
from resnets.convert.recognition.matching import require_match
from resnets.errors import WeightsError
from resnets.files import explain_os_errors, write_bytes
from resnets.networks.architecture import Architecture
from resnets.networks.folder import parse_config, to_config
from resnets.networks.layers import Tensor
from resnets.networks.network import Network, Weights, check_weights
from resnets.networks.tracing import tensors

KIND = "Keras file"
ENDINGS = (".weights.h5", ".keras", ".h5", ".hdf5")
OURS = "resnets>ResNet"
"""The class of the TensorFlow backend's models, as Keras registers it."""

TURNED = (
    "taken as trained on what keras.applications.resnet.preprocess_input gives: the first kernel's "
    "channels are turned from blue, green, red to red, green, blue"
)

CANONICAL = {
    "kernel": "weight",
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read(path: Path) -> Found:
    """Read a network from a Keras file.

    A ResNet of ``keras.applications`` expects its channels as blue, green, red; they are turned
    in the first kernel, so that what is read expects red, green, blue as all networks here.

    Raises:
        WeightsError: if the file is missing, truncated, claims more than it holds, or has
            other layers than a network that can be described; with names and both shapes.
        MissingDependency: if h5py cannot be imported.
    """
    layers, where = read_layers(path), str(path)
    if layers.description:
        return _read_described(layers, where)
    if not layers.named:
        arrays = applications.name_by_order(layers.arrays, where)
        names = [name.rpartition("/")[0] for name in arrays]
        found = _read_application(replace(layers, arrays=arrays, names=names), where)
        note = "the file does not name its layers: they are taken in keras.applications' order"
        return replace(found, notes=(note, *found.notes))
    if applications.is_application(layers.names):
        return _read_application(layers, where)
    known = _read_configured_architecture(layers.configuration, where)
    if known is not None:
        needed = name_tensors(known)
        return Found(weights=_fit(layers, needed, where=where), kind=KIND, architecture=known)
    return Found(weights=_rename(layers), kind=KIND)


def write(network: Network, path: Path) -> None:
    """Write a network as a Keras file of the form that the path's ending says.

    ``.h5`` and ``.weights.h5`` of what ``keras.applications`` computes have its names. If its
    images are prepared as Keras prepares them, the first kernel's channels are turned to blue,
    green, red, as ``preprocess_input`` gives them; else the file expects what the network does.

    Raises:
        WeightsError: if the ending is no Keras file's, the weights do not fit, or it is ``.h5``
            and ``keras.applications`` has no such network; says why.
        MissingDependency: if h5py, or what the TensorFlow backend needs, cannot be imported.
    """
    check_weights(network.architecture, network.weights)
    ending = next((e for e in ENDINGS if path.name.endswith(e)), None)
    if ending is None:
        raise WeightsError(f"{path}: a Keras file ends in {', '.join(ENDINGS)}")
    why = applications.explain_difference(network.architecture)
    if why and ending in (".h5", ".hdf5"):
        title = network.architecture.name or "the network"
        raise WeightsError(
            f"{path}: {title} is none that keras.applications computes ({why}), and only such "
            "have this form; .weights.h5 and .keras hold any network"
        )
    with explain_os_errors(f"cannot write {path}", WeightsError):
        if why or ending == ".keras":
            content = _compose_native(network, ending)
        else:
            content = _compose_application(network, counted=ending == ".weights.h5")
        write_bytes(path, content)


def _read_application(layers: Layers, where: str) -> Found:
    """Read what was not written here."""
    layers = _rename_head(layers)
    shapes = {name: array.shape for name, array in layers.arrays.items()}
    architecture = applications.read_architecture(shapes, layers.names, where=where)
    needed = applications.name_tensors(architecture)
    notes: tuple[str, ...] = ()
    if applications.HEAD not in shapes:
        needed = {name: tensor for name, tensor in needed.items() if "predictions/" not in name}
        notes = (applications.NO_HEAD,)
    weights = _fit(layers, needed, where=where)
    if architecture.channels != 3:
        return Found(weights=weights, kind=KIND, architecture=architecture, notes=notes)
    return Found(
        weights=_reverse_channels(weights),
        kind=KIND,
        architecture=architecture,
        preprocessing=applications.PREPROCESSING,
        notes=(*notes, TURNED),
    )


def _rename_head(layers: Layers) -> Layers:
    """Files of Keras 2 and before call the head ``probs``."""
    arrays = {re.sub("^probs/", "predictions/", name): a for name, a in layers.arrays.items()}
    names = ["predictions" if name == "probs" else name for name in layers.names]
    return replace(layers, arrays=arrays, names=names)


def _read_described(layers: Layers, where: str) -> Found:
    """Read what was written here: the file says what it is."""
    known = parse_config(layers.description, where)
    turned = parse_json_object(layers.description, where).get("image_channels") == "bgr"
    named = applications.is_application(layers.names)
    names = applications.name_tensors if named else name_tensors
    weights = _fit(layers, names(known.architecture), where=where)
    return Found(
        weights=_reverse_channels(weights) if turned else weights,
        kind=KIND,
        architecture=known.architecture,
        preprocessing=known.preprocessing,
        class_names=known.class_names,
    )


def _read_configured_architecture(
    configuration: Mapping[str, Any], where: str
) -> Architecture | None:
    """Return the architecture that the TensorFlow backend's model notes in its configuration."""
    if configuration.get("registered_name") != OURS:
        return None
    try:
        return Architecture.from_json(configuration["config"]["architecture"])
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{where}: config.json does not describe a model") from error


def name_tensors(architecture: Architecture) -> dict[str, Tensor]:
    """Return the tensors by the names that the TensorFlow backend's model has for them."""
    return {
        f"{tensor.name.rpartition('.')[0]}/{applications.VARIABLES[tensor.role]}": tensor
        for tensor in tensors(architecture)
    }


def _fit(layers: Layers, needed: Mapping[str, Tensor], *, where: str) -> Weights:
    shapes = {name: array.shape for name, array in layers.arrays.items()}
    form = applications.FORM if "conv1_conv/kernel" in needed else "the network that it describes"
    require_match(
        shapes,
        {name: _get_keras_shape(tensor) for name, tensor in needed.items()},
        where=where,
        form=form,
    )
    return {
        tensor.name: np.ascontiguousarray(_to_canonical_layout(layers.arrays[name])).reshape(
            tensor.shape
        )
        for name, tensor in needed.items()
    }


def _rename(layers: Layers) -> Weights:
    """Rename alone; whoever recognises the network compares the shapes."""
    weights: Weights = {}
    for name, array in layers.arrays.items():
        layer, _, variable = name.rpartition("/")
        array = _to_canonical_layout(array)
        if array.ndim == 2 and layer != "fc":
            array = array[:, :, None, None]  # all other dense layers are 1×1 convolutions
        weights[f"{layer}.{CANONICAL.get(variable, variable)}"] = np.ascontiguousarray(array)
    return weights


def _reverse_channels(weights: Weights) -> Weights:
    """Turn the channels of the images around."""
    return {**weights, "conv1.weight": np.ascontiguousarray(weights["conv1.weight"][:, ::-1])}


def _compose_application(network: Network, *, counted: bool) -> bytes:
    """Return the content of a file with the names of ``keras.applications``."""
    # Without biases it is the same network as with zeros, which Keras's layers need.
    architecture = replace(network.architecture, bias=True)
    zeros = {t.name: np.zeros(t.shape, np.float32) for t in tensors(architecture)}
    weights = {**zeros, **network.weights}
    turned = _is_prepared_as_keras_does(network)
    weights = _reverse_channels(weights) if turned else weights
    arrays = {
        name: _to_keras_layout(tensor, weights[tensor.name])
        for name, tensor in applications.name_tensors(architecture).items()
    }
    description = _compose_description(replace(network, architecture=architecture), turned=turned)
    return (compose_counted if counted else compose_grouped)(arrays, description)


def _is_prepared_as_keras_does(network: Network) -> bool:
    ours, keras = network.preprocessing, applications.PREPROCESSING
    pairs = list(zip((*ours.mean, *ours.std), (*keras.mean, *keras.std), strict=False))
    same = all(math.isclose(a, b, rel_tol=1e-6) for a, b in pairs)
    return network.architecture.channels == 3 and same


def _compose_native(network: Network, ending: str) -> bytes:
    """Return the content of the file that the TensorFlow backend's model saves."""
    backend = backends.load("tensorflow")
    model = backend.build(network.architecture, weights=network.weights)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{ending}"
        with warnings.catch_warnings():
            # What keras 3.15 asks of NumPy 2 whenever it saves an array.
            warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
            (model.save if ending == ".keras" else model.save_weights)(path)
        return add_description(path.read_bytes(), _compose_description(network, turned=False))


def _compose_description(network: Network, *, turned: bool) -> bytes:
    order = "bgr" if turned else "rgb"
    content = {"resnets": to_config(network)["resnets"], "image_channels": order}
    return json.dumps(content).encode()


def _get_keras_shape(tensor: Tensor) -> tuple[int, ...]:
    shape = tensor.shape
    if tensor.role == "kernel":
        return (*shape[2:], shape[1], shape[0])
    return (shape[1], shape[0]) if tensor.role == "dense" else shape


def _to_canonical_layout(array: Array) -> Array:
    """Return a kernel [h, w, in, out] as [out, in, h, w], a dense one [in, out] as [out, in]."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def _to_keras_layout(tensor: Tensor, array: Array) -> Array:
    if tensor.role == "kernel":
        array = array.transpose(2, 3, 1, 0)
    elif tensor.role == "dense":
        array = array.reshape(len(array), -1).T
    return np.ascontiguousarray(array, np.float32)
