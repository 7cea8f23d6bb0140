"""The ONNX file: the graph of a network, its input and output, and its metadata.

It is written from the description and the weights alone, so it is the same file, byte for byte,
whichever framework trained them.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resnets import __version__
from resnets.errors import MissingDependency, WeightsError
from resnets.export.operations import OPSET, Nodes, add_layer
from resnets.files import explain_os_errors, write_bytes
from resnets.networks.folder import Config, check_config
from resnets.networks.folding import fold_batch_norms, to_program
from resnets.networks.network import Network, Preprocessing, check_weights
from resnets.networks.tracing import trace
from resnets.schema import to_json

Input = Literal["pixels", "normalised"]
"""What goes in: ``pixels``, images as they are stored, uint8 [n, height, width, channels], 0 to
255; ``normalised``, float32 [n, channels, height, width], prepared by the caller."""

INPUT, OUTPUT = "images", "logits"
IR_VERSION = 8
_PRODUCER = b"resnets"
_BEGINNING = bytes([0x08, IR_VERSION, 0x12, len(_PRODUCER)]) + _PRODUCER
"""Of every file written here: the first two fields of a ModelProto, version and producer."""

LARGEST = 2**31 - 2**20
"""Bytes of weights that fit one file: Protocol Buffers have no messages of 2 GB and more."""


def build_onnx(
    network: Network, *, takes: Input = "pixels", fold: bool = True, any_size: bool = False
) -> bytes:
    """Return a network as the bytes of an ONNX model.

    Args:
        network: weights, preprocessing and names of the classes go into the file.
        takes: what the model takes.
        fold: put batch norms into the convolutions before them; otherwise the graph has every
            layer as it was trained.
        any_size: take images of any height and width, not of the network's size alone.

    Raises:
        WeightsError: if the weights do not fit the architecture or one file, or are not finite.
        InvalidDescription: if preprocessing or class names contradict it.
        MissingDependency: without the package onnx.
    """
    check_weights(network.architecture, network.weights)
    check_config(Config.from_network(network), Path("the network"))
    size = sum(array.nbytes for array in network.weights.values())
    if size > LARGEST:
        raise WeightsError(
            f"{network.architecture.name or 'the network'} has {size / 1e9:.1f} GB of weights; "
            "an ONNX file holds less than 2 GB"
        )
    require_onnx()
    graph = _build_graph(network, takes, fold)
    return _serialise(network, graph, takes, any_size)


def write_onnx(
    network: Network,
    path: Path | str,
    *,
    takes: Input = "pixels",
    fold: bool = True,
    any_size: bool = False,
) -> None:
    """Write ``build_onnx`` to a file, whole or not at all.

    Raises:
        As ``build_onnx``; WeightsError also where the file cannot be written.
    """
    path = Path(path)
    refuse_file(path)
    write_file(path, build_onnx(network, takes=takes, fold=fold, any_size=any_size))


def write_file(path: Path, content: bytes) -> None:
    """Write the bytes of a model, whole or not at all.

    Raises:
        WeightsError: if they cannot be written.
    """
    with explain_os_errors(f"cannot write {path}", WeightsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)


def refuse_file(path: Path) -> None:
    """Raise ``WeightsError`` if there is a file at ``path`` that resnets did not write."""
    if not path.exists():
        return
    if path.is_file():
        with explain_os_errors(f"cannot read {path}", WeightsError), path.open("rb") as file:
            if file.read(len(_BEGINNING)) == _BEGINNING:
                return
    raise WeightsError(f"{path}: exists and does not tell that resnets wrote it; remove it first")


def require_onnx() -> None:
    """Raise ``MissingDependency`` if the package onnx cannot be imported."""
    try:
        import onnx  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingDependency(
            f'onnx cannot be imported ({error}): pip install "resnets[onnx]"'
        ) from error


def _build_graph(network: Network, takes: Input, fold: bool) -> Nodes:
    steps = trace(network.architecture, network.preprocessing.size)
    program = (fold_batch_norms if fold else to_program)(steps, network.weights)
    graph = Nodes(program.layers, network.architecture.norm.epsilon)
    names = {program.layers[0].name: INPUT, program.layers[-1].name: OUTPUT}
    if takes == "pixels":
        names[program.layers[0].name] = add_preprocessing(graph, network.preprocessing)
    for layer in program.layers[1:]:
        own = [program.weights[tensor.name] for tensor in layer.tensors]
        add_layer(graph, layer, own)
    for node in graph.nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return graph


def add_preprocessing(graph: Nodes, preprocessing: Preprocessing) -> str:
    """Add the nodes that compute (pixel / 255 - mean) / std, as the backends do."""
    mean, std = (
        np.array(values, np.float64).reshape(-1, 1, 1) * 255
        for values in (preprocessing.mean, preprocessing.std)
    )
    x = graph.put("Transpose", [INPUT], "preprocessing.channels_first", perm=[0, 3, 1, 2])
    x = graph.put("Cast", [x], "preprocessing.float", to=1)
    mean = graph.constant("preprocessing.mean", mean.astype(np.float32))
    x = graph.put("Sub", [x, mean], "preprocessing.centred")
    factor = graph.constant("preprocessing.factor", (1 / std).astype(np.float32))
    return graph.put("Mul", [x, factor], "preprocessing.normalised")


def _serialise(network: Network, graph: Nodes, takes: Input, any_size: bool) -> bytes:
    import onnx
    from onnx import helper, numpy_helper

    a, size = network.architecture, network.preprocessing.size
    extent: list[int | str] = ["height", "width"] if any_size else [size, size]
    if takes == "pixels":
        given = helper.make_tensor_value_info(
            INPUT, onnx.TensorProto.UINT8, ["n", *extent, a.channels]
        )
    else:
        given = helper.make_tensor_value_info(
            INPUT, onnx.TensorProto.FLOAT, ["n", a.channels, *extent]
        )
    put_out = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["n", a.classes])
    used = {name for node in graph.nodes for name in node.input}
    constants = [
        numpy_helper.from_array(np.ascontiguousarray(array), name)
        for name, array in graph.constants.items()
        if name in used
    ]
    made = helper.make_graph(graph.nodes, a.name or "network", [given], [put_out], constants)
    model = helper.make_model(
        made,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name=_PRODUCER.decode(),
        producer_version=__version__,
    )
    helper.set_model_props(model, make_metadata(network, takes))
    checker: Any = onnx.checker
    checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def make_metadata(network: Network, takes: Input) -> dict[str, str]:
    """Return the metadata of the file: JSON texts by key."""
    values: dict[str, Any] = {
        "architecture": network.architecture.to_json(),
        "class_names": list(network.class_names),
        "input": takes,
        "preprocessing": to_json(network.preprocessing),
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
