"""One layer of a network as ONNX nodes: for every operation of ``layout`` the same function.

Only operators of opset 17 (ONNX 1.12, 2022), whose meaning no later opset changes; none
depends on the size of the image. Where an operator has been read differently by different
runtimes, plainer ones stand: group norms, shifts.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.networks.layers import Layer

OPSET = 17
LAST = 2**63 - 1
"""To the end, whatever the size."""


class Nodes:
    """The nodes and constants of a graph, in order; and what they are made of."""

    def __init__(self, layers: Sequence[Layer], epsilon: float) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.epsilon = epsilon
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def put(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node, named as its output; give the name."""
        from onnx import helper

        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Add a constant; give its name."""
        self.constants[name] = value
        return name

    def whole(self, name: str, *values: int) -> str:
        """Add a constant of whole numbers: sizes, axes, places."""
        return self.constant(name, np.array(values, np.int64))


def add_layer(graph: Nodes, layer: Layer, weights: Sequence[npt.NDArray[Any]]) -> None:
    """Add the nodes of a layer; the last puts out the layer's name."""
    own = [
        graph.constant(tensor.name, array)
        for tensor, array in zip(layer.tensors, weights, strict=True)
    ]
    _OPERATIONS[layer.operation](graph, layer, own)


def _convolution(graph: Nodes, layer: Layer, own: list[str]) -> None:
    graph.put(
        "Conv",
        [*layer.inputs, *own],
        layer.name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
        dilations=[layer.dilation] * 2,
        group=layer.groups,
    )


def _norm(graph: Nodes, layer: Layer, own: list[str]) -> None:
    graph.put("BatchNormalization", [*layer.inputs, *own], layer.name, epsilon=graph.epsilon)


def _group_norm(graph: Nodes, layer: Layer, own: list[str]) -> None:
    """Normalise groups as instances: GroupNormalization means two things in two opsets."""
    (x,), at = layer.inputs, layer.name
    rows = graph.put("Reshape", [x, graph.whole(f"{at}.rows", 0, layer.groups, -1)], f"{at}.split")
    kind = graph.constants[own[0]].dtype
    one = graph.constant(f"{at}.one", np.ones(layer.groups, kind))
    zero = graph.constant(f"{at}.zero", np.zeros(layer.groups, kind))
    rows = graph.put(
        "InstanceNormalization", [rows, one, zero], f"{at}.normalised", epsilon=graph.epsilon
    )
    shape = graph.put("Shape", [x], f"{at}.shape")
    y = graph.put("Reshape", [rows, shape], f"{at}.joined")
    for name in own:
        graph.constants[name] = graph.constants[name].reshape(-1, 1, 1)
    y = graph.put("Mul", [y, own[0]], f"{at}.scaled")
    graph.put("Add", [y, own[1]], at)


def _silu(graph: Nodes, layer: Layer, own: list[str]) -> None:
    share = graph.put("Sigmoid", layer.inputs, f"{layer.name}.sigmoid")
    graph.put("Mul", [*layer.inputs, share], layer.name)


def _gelu(graph: Nodes, layer: Layer, own: list[str]) -> None:
    """x * (1 + erf(x / sqrt 2)) / 2: the operator Gelu is of opset 20."""
    (x,), at = layer.inputs, layer.name
    values = {"root": math.sqrt(2), "one": 1.0, "half": 0.5}
    root, one, half = (
        graph.constant(f"{at}.{name}", np.array(value, np.float32))
        for name, value in values.items()
    )
    y = graph.put("Div", [x, root], f"{at}.divided")
    y = graph.put("Add", [graph.put("Erf", [y], f"{at}.erf"), one], f"{at}.twice")
    y = graph.put("Mul", [x, y], f"{at}.product")
    graph.put("Mul", [y, half], at)


def _shift(graph: Nodes, layer: Layer, own: list[str]) -> None:
    """Nine runs of channels, each cut out of the bordered maps at another place."""
    (x,), at, reach, channels = layer.inputs, layer.name, layer.dilation, layer.shape[0]
    run = channels // 9
    border = graph.whole(f"{at}.border", 0, 0, reach, reach, 0, 0, reach, reach)
    padded = graph.put("Pad", [x, border], f"{at}.padded")
    parts: list[str] = []
    axes = graph.whole(f"{at}.axes", 1, 2, 3)
    for k in range(9 if run else 0):
        places = [reach * (k // 3), reach * (k % 3)]
        ends = [place - 2 * reach or LAST for place in places]
        starts = graph.whole(f"{at}.{k}.starts", k * run, *places)
        stops = graph.whole(f"{at}.{k}.stops", (k + 1) * run, *ends)
        parts.append(graph.put("Slice", [padded, starts, stops, axes], f"{at}.{k}"))
    if 9 * run < channels:
        bounds = [graph.whole(f"{at}.rest.{n}", v) for n, v in (("start", 9 * run), ("stop", LAST))]
        channel = graph.whole(f"{at}.rest.axis", 1)
        parts.append(graph.put("Slice", [x, *bounds, channel], f"{at}.rest"))
    graph.put("Concat", parts, at, axis=1)


def _gated_add(graph: Nodes, layer: Layer, own: list[str]) -> None:
    branch, shortcut, gate = layer.inputs
    y = graph.put("Sub", [branch, shortcut], f"{layer.name}.difference")
    y = graph.put("Mul", [gate, y], f"{layer.name}.weighed")
    graph.put("Add", [shortcut, y], layer.name)


def _max_pool(graph: Nodes, layer: Layer, own: list[str]) -> None:
    graph.put(
        "MaxPool",
        layer.inputs,
        layer.name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
    )


def _average_pool(graph: Nodes, layer: Layer, own: list[str]) -> None:
    """Windows from the edge on, one for each stride begun; one that hangs over: what it covers.

    Where windows lie apart, engines would pad by less than nothing: every window is averaged, and
    those that begin a stride are kept.
    """
    apart = layer.stride > layer.kernel
    averaged = graph.put(
        "AveragePool",
        layer.inputs,
        f"{layer.name}.all" if apart else layer.name,
        kernel_shape=[layer.kernel] * 2,
        strides=[1 if apart else layer.stride] * 2,
        auto_pad="SAME_UPPER",
    )
    if apart:
        _keep_every(graph, averaged, layer.stride, layer.name, layer.name)


def _mean_pool(graph: Nodes, layer: Layer, own: list[str]) -> None:
    mean = graph.put("GlobalAveragePool", layer.inputs, f"{layer.name}.mean")
    graph.put("Flatten", [mean], layer.name)


def _keep_every(graph: Nodes, x: str, stride: int, at: str, result: str) -> str:
    """Keep every stride-th pixel."""
    bounds = [
        graph.whole(f"{at}.{name}", value, value)
        for name, value in (("starts", 0), ("stops", LAST))
    ]
    axes = graph.whole(f"{at}.axes", 2, 3)
    steps = graph.whole(f"{at}.steps", stride, stride)
    return graph.put("Slice", [x, *bounds, axes, steps], result)


def _pad_shortcut(graph: Nodes, layer: Layer, own: list[str]) -> None:
    """Keep every stride-th pixel; add channels of zeros behind (option A)."""
    (x,), at = layer.inputs, layer.name
    x_kept = _keep_every(graph, x, layer.stride, at, f"{at}.kept")
    added = layer.shape[0] - graph.layers[x].shape[0]
    border = graph.whole(f"{at}.border", 0, 0, 0, 0, 0, added, 0, 0)
    graph.put("Pad", [x_kept, border], at)


def _scale(graph: Nodes, layer: Layer, own: list[str]) -> None:
    x, s = layer.inputs
    axes = graph.whole(f"{layer.name}.axes", 2, 3)
    s = graph.put("Unsqueeze", [s, axes], f"{layer.name}.maps")
    graph.put("Mul", [x, s], layer.name)


def _dense(graph: Nodes, layer: Layer, own: list[str]) -> None:
    weight = graph.constants[own[0]]
    graph.constants[own[0]] = weight.reshape(len(weight), -1)  # some families': 1×1 kernels
    graph.put("Gemm", [*layer.inputs, *own], layer.name, transB=1)


def _plain(operator: str, **attributes: Any) -> "_Operation":
    def add(graph: Nodes, layer: Layer, own: list[str]) -> None:
        graph.put(operator, layer.inputs, layer.name, **attributes)

    return add


_Operation = Callable[[Nodes, Layer, list[str]], None]
_OPERATIONS: dict[str, _Operation] = {
    "convolution": _convolution,
    "norm": _norm,
    "group_norm": _group_norm,
    "relu": _plain("Relu"),
    "leaky_relu": _plain("LeakyRelu", alpha=0.01),
    "elu": _plain("Elu", alpha=1.0),
    "silu": _silu,
    "gelu": _gelu,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "mean_pool": _mean_pool,
    "pad_shortcut": _pad_shortcut,
    "add": _plain("Add"),
    "dense": _dense,
    "sigmoid": _plain("Sigmoid"),
    "scale": _scale,
    "shift": _shift,
    "gated_add": _gated_add,
}
