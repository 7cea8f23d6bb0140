"""Gluon's files (``.params``) of MXNet: no MXNet is needed to read or to write them.

Two networks are read: the ResNets of ``mxnet.gluon.model_zoo.vision``, and ours from the MXNet
backend, whose parameters have canonical names but for the norms' gamma and beta. What the model
zoo computes is written under its names, so that ``vision.resnet50_v1().load_parameters(FILE)``
opens it; all else as the MXNet backend's model saves it.
"""

from pathlib import Path

import numpy as np

from resnets.convert.found import Found
from resnets.convert.gluon import zoo
from resnets.convert.gluon.params_file import read_arrays, write_arrays
from resnets.convert.keras.hdf5 import Array
from resnets.convert.recognition.matching import require_match
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Weights, check_weights
from resnets.networks.tracing import tensors

KIND = "Gluon file"


def read(path: Path) -> Found:
    """Read a network from a file that ``save_parameters`` or ``export`` wrote.

    Raises:
        WeightsError: if the file is missing, truncated, claims more than it holds, or has other
            arrays than a network that can be described; with names and both shapes.
    """
    arrays, where = read_arrays(path), str(path)
    if not zoo.is_zoo_network(arrays):
        return Found(weights=_rename(arrays, where), kind=KIND)
    arrays = zoo.restore_structural_names(arrays, where)
    shapes = {name: array.shape for name, array in arrays.items()}
    architecture = zoo.read_architecture(shapes, where)
    named = zoo.name_tensors(architecture)
    needed = {name: tensor.shape for name, tensor in named.items() if zoo.has_parameter(name)}
    require_match(shapes, needed, where=where, form=zoo.FORM)
    weights: Weights = {
        tensor.name: arrays[name] if zoo.has_parameter(name) else np.zeros(tensor.shape, np.float32)
        for name, tensor in named.items()
    }
    colour = architecture.channels == 3
    return Found(
        weights=weights,
        kind=KIND,
        architecture=architecture,
        preprocessing=zoo.PREPROCESSING if colour else None,
        notes=_list_notes(architecture, colour),
    )


def write(network: Network, path: Path) -> None:
    """Write a network as ``save_parameters`` does.

    Raises:
        WeightsError: if the weights do not fit, or the file cannot be written.
    """
    check_weights(network.architecture, network.weights)
    compose = _compose_backend_arrays if _explain_difference(network) else _compose_zoo_arrays
    write_arrays(compose(network), path)


def _list_notes(architecture: Architecture, colour: bool) -> tuple[str, ...]:
    notes = ["taken as trained on images prepared as the model zoo's are"] if colour else []
    if architecture.bias:
        notes.append(
            "the model zoo has biases in the first and the last convolution of a block alone; all "
            "others were given zeros, which is the same function"
        )
    return tuple(notes)


def _explain_difference(network: Network) -> str:
    """Return why a network is not written under the model zoo's names; empty where it is."""
    why = zoo.explain_difference(network.architecture)
    if why or not network.architecture.bias:
        return why
    lost = [
        tensor.name
        for name, tensor in zoo.name_tensors(network.architecture).items()
        if not zoo.has_parameter(name) and network.weights[tensor.name].any()
    ]
    return f"biases that are not zero, where the model zoo has none: {lost[0]}" if lost else ""


def _compose_zoo_arrays(network: Network) -> dict[str, Array]:
    named = zoo.name_tensors(zoo.add_biases(network.architecture))
    return {
        name: np.asarray(
            network.weights.get(tensor.name, np.zeros(tensor.shape, np.float32)), np.float32
        )
        for name, tensor in named.items()
        if zoo.has_parameter(name)
    }


def _compose_backend_arrays(network: Network) -> dict[str, Array]:
    return {
        f"{tensor.name.rpartition('.')[0]}.{zoo.VARIABLES[tensor.role]}": np.asarray(
            network.weights[tensor.name], np.float32
        )
        for tensor in tensors(network.architecture)
    }


def _rename(arrays: dict[str, Array], where: str) -> Weights:
    """Return our own parameters by canonical name; whoever recognises them compares shapes."""
    weights: Weights = {}
    for name, array in arrays.items():
        at, _, variable = name.rpartition(".")
        weights[f"{at}.{zoo.CANONICAL.get(variable, variable)}"] = array
    if len(weights) < len(arrays):
        raise WeightsError(f"{where}: has both gamma and weight, or beta and bias, of one part")
    return weights
