"""The parts of a TensorFlow network, for ``resnets.chapter.describe``."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from resnets.backends.tensorflow import layers as ours
from resnets.chapter.parts import (
    BatchNormPart,
    BlockPart,
    ConvolutionPart,
    DensePart,
    InspectedModel,
    Part,
    PlainPart,
    TensorSlot,
    make_refusal,
    refuse_dense,
    refuse_pool,
    same_padding,
)
from resnets.errors import ResnetsError

kinds = keras.layers


def initialise_shapes(model: Any, variables: None, channels: int) -> None:
    """Give the layers their shapes by images of so many channels and any size."""
    net = model.net if hasattr(model, "net") else model
    if not _list_layers_with_weights(net) or not all(
        layer.built for layer in _list_layers_with_weights(net)
    ):
        model(keras.Input((None, None, channels)), training=False)


def inspect(model: Any, variables: None = None) -> InspectedModel:
    """List the parts of ``model``.

    Raises:
        InvalidDescription: for a layer that no chapter's network has.
        ResnetsError: if the layers have no shapes yet.
    """
    net, where = (model.net, "net") if hasattr(model, "net") else (model, "")
    layers = _list_layers_with_weights(net)
    empty = isinstance(net, keras.Sequential) and not net.layers
    if not (empty or (layers and all(layer.built for layer in layers))):
        raise ResnetsError(
            f"{type(model).__name__} has no shapes yet: call layer_summary, or fit it"
        )

    def logits(images: Any) -> Any:
        return model(tf.constant(images.transpose(0, 2, 3, 1)), training=False).numpy()

    parts = tuple(_parts(net, where))
    return InspectedModel(parts=parts, logits=logits, finish_writing=lambda: model, size=_size(net))


def _list_layers_with_weights(net: Any) -> list[Any]:
    """List the layers that have weights once they are built."""
    weighted = (kinds.Conv2D, kinds.BatchNormalization, kinds.Dense)
    return [layer for layer in net._flatten_layers() if isinstance(layer, weighted)]


def _size(net: Any) -> tuple[int, int]:
    """Give the only size that a sequence takes, which is that of its first input, or any."""
    while isinstance(net, keras.Sequential) and net.layers:
        if net.built and net.inputs:
            _, height, width, _ = net.inputs[0].shape
            return height or 64, width or 64
        net = net.layers[0]
    return 64, 64


def _parts(layer: Any, where: str) -> Iterator[Part]:
    match layer:
        case keras.Sequential():
            for i, child in enumerate(layer.layers):
                yield from _parts(child, f"{where}[{i}]")
        case kinds.Conv2D():
            yield _convolution(layer, where)
        case kinds.BatchNormalization():
            yield _norm(layer, where)
        case kinds.Dense():
            if layer.bias is None or layer.activation is not keras.activations.linear:
                raise refuse_dense(where)
            slots = {"weight": _slot(layer.kernel, _transpose, _transpose)}
            slots["bias"] = _slot(layer.bias)
            yield DensePart(where=where, width=layer.units, slots=slots)
        case kinds.ReLU():
            if layer.max_value is not None or layer.negative_slope or layer.threshold:
                message = "the ReLU has a max_value, a negative_slope or a threshold"
                raise make_refusal(where, f"{message}, which no Architecture has")
            yield PlainPart(where=where, kind="relu")
        case kinds.Activation() if layer.activation in (keras.activations.relu, tf.nn.relu):
            yield PlainPart(where=where, kind="relu")
        case ours.MaxPool():
            yield PlainPart(where=where, kind="max_pool")
        case kinds.MaxPooling2D():
            if layer.padding == "same":
                same_padding(where, layer.pool_size[0], stride=layer.strides[0])
            given = f"pool_size={layer.pool_size}, strides={layer.strides}"
            raise refuse_pool(where, f"{given}, padding={layer.padding!r}")
        case kinds.GlobalAveragePooling2D():
            yield PlainPart(where=where, kind="mean_pool")
        case kinds.Flatten():
            yield PlainPart(where=where, kind="flatten")
        case _ if hasattr(layer, "conv1") and hasattr(layer, "conv2"):
            yield _block(layer, where)
        case _:
            name = type(layer).__name__
            raise make_refusal(where, f"{name} is no layer of the chapter's networks")


def _block(block: Any, where: str) -> BlockPart:
    convolutions: dict[str, ConvolutionPart] = {}
    norms: dict[str, BatchNormPart] = {}
    names = {id(value): name for name, value in vars(block).items()}
    for child in block.layers:
        name = names.get(id(child), child.name)
        at = f"{where}.{name}"
        if isinstance(child, kinds.Conv2D):
            convolutions[name] = _convolution(child, at)
        elif isinstance(child, kinds.BatchNormalization):
            norms[name] = _norm(child, at)
        elif child.weights:
            message = f"{type(child).__name__} is no layer of the chapter's blocks"
            raise make_refusal(at, message)
    return BlockPart(where=where, convolutions=convolutions, norms=norms)


def _convolution(layer: Any, where: str) -> ConvolutionPart:
    kernel, stride = layer.kernel_size, layer.strides
    if kernel[0] != kernel[1] or stride[0] != stride[1] or set(layer.dilation_rate) != {1}:
        raise make_refusal(where, "the convolution is not square, or dilated")
    if isinstance(layer, ours.Convolution):
        padding = kernel[0] // 2
    else:
        padding = same_padding(where, kernel[0], stride=stride[0]) if layer.padding == "same" else 0
    if layer.activation is not keras.activations.linear:
        raise make_refusal(where, "the convolution has an activation of its own")
    slots = {"weight": _slot(layer.kernel, _to_oihw, _to_hwio)}
    if layer.use_bias:
        slots["bias"] = _slot(layer.bias)
    return ConvolutionPart(
        where=where,
        channels=layer.kernel.shape[2] * layer.groups,
        width=layer.filters,
        kernel=kernel[0],
        stride=stride[0],
        padding=padding,
        groups=layer.groups,
        slots=slots,
    )


def _norm(layer: Any, where: str) -> BatchNormPart:
    if not (layer.scale and layer.center):
        raise make_refusal(where, "the norm has no scale or no shift")
    slots = {
        "weight": _slot(layer.gamma),
        "bias": _slot(layer.beta),
        "running_mean": _slot(layer.moving_mean),
        "running_var": _slot(layer.moving_variance),
    }
    return BatchNormPart(where=where, epsilon=layer.epsilon, decay=layer.momentum, slots=slots)


def _to_oihw(array: Any) -> Any:
    return array.transpose(3, 2, 0, 1)


def _to_hwio(array: Any) -> Any:
    return array.transpose(2, 3, 1, 0)


def _transpose(array: Any) -> Any:
    return array.T


def _slot(
    variable: Any,
    canonical: Callable[[Any], Any] = np.asarray,
    native: Callable[[Any], Any] = np.asarray,
) -> TensorSlot:
    def read() -> Any:
        return canonical(variable.numpy()).astype(np.float32, copy=False)

    return TensorSlot(read, lambda array: variable.assign(native(array)))
