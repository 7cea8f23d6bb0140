"""The parts of an MXNet network, for ``resnets.chapter.describe``."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from resnets.backends.mxnet.importing import mx
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
)
from resnets.errors import ResnetsError

nn = mx.gluon.nn


def initialise_shapes(model: Any, variables: None, channels: int) -> None:
    """Give the layers their shapes by an image of so many channels."""
    for parameter in [*model.collect_params().values()][:1]:
        given = {"ctx": parameter.list_ctx()[0], "dtype": parameter.dtype}
        model(mx.np.zeros((1, channels, 64, 64), **given))


def inspect(model: Any, variables: None = None) -> InspectedModel:
    """List the parts of ``model``.

    Raises:
        InvalidDescription: for a layer that no chapter's network has.
        ResnetsError: if the layers have no shapes yet.
    """
    try:
        parameters = [p.data() for p in model.collect_params().values()]
    except (RuntimeError, mx.gluon.parameter.DeferredInitializationError):
        raise ResnetsError(
            f"{type(model).__name__} has no shapes yet: initialize it and call layer_summary, "
            "or fit it"
        ) from None
    given = {"ctx": parameters[0].ctx, "dtype": parameters[0].dtype} if parameters else {}
    if np.dtype(given.get("dtype", "float32")).itemsize < 4:
        message = f"its weights are {np.dtype(given['dtype'])}: cast('float32') it first"
        raise make_refusal(type(model).__name__, message)

    def logits(images: Any) -> Any:
        return model(mx.np.array(images, **given)).asnumpy()

    net, where = (model.net, "net") if hasattr(model, "net") else (model, "")
    return InspectedModel(
        parts=tuple(_parts(net, where)), logits=logits, finish_writing=lambda: model
    )


def _parts(layer: Any, where: str) -> Iterator[Part]:
    match layer:
        case nn.Sequential() | nn.HybridSequential():
            for i, child in enumerate(layer):
                yield from _parts(child, f"{where}[{i}]")
        case nn.Conv2D():
            yield _convolution(layer, where)
        case nn.BatchNorm():
            yield _norm(layer, where)
        case nn.Dense():
            yield _dense(layer, where)
        case nn.Activation() if layer._act_type == "relu":
            yield PlainPart(where=where, kind="relu")
        case nn.MaxPool2D():
            if _pool_settings(layer) != ((3, 3), (2, 2), (1, 1), "valid"):
                raise refuse_pool(where, layer)
            yield PlainPart(where=where, kind="max_pool")
        case nn.GlobalAvgPool2D():
            yield PlainPart(where=where, kind="mean_pool")
        case nn.Flatten():
            yield PlainPart(where=where, kind="flatten")
        case _ if hasattr(layer, "conv1") and hasattr(layer, "conv2"):
            yield _block(layer, where)
        case _:
            raise make_refusal(where, f"{layer} is no layer of the chapter's networks")


def _pool_settings(layer: Any) -> tuple[Any, ...]:
    return tuple(layer._kwargs[name] for name in ("kernel", "stride", "pad", "pooling_convention"))


def _block(block: Any, where: str) -> BlockPart:
    convolutions: dict[str, ConvolutionPart] = {}
    norms: dict[str, BatchNormPart] = {}
    for name, child in block._children.items():
        at = f"{where}.{name}"
        if isinstance(child, nn.Conv2D):
            convolutions[name] = _convolution(child, at)
        elif isinstance(child, nn.BatchNorm):
            norms[name] = _norm(child, at)
        elif child.collect_params():
            raise make_refusal(at, f"{child} is no layer of the chapter's blocks")
    return BlockPart(where=where, convolutions=convolutions, norms=norms)


def _convolution(layer: Any, where: str) -> ConvolutionPart:
    given = layer._kwargs
    for name in ("kernel", "stride", "pad"):
        if len(set(given[name])) != 1:
            raise make_refusal(where, f"{name} {given[name]} is not square")
    if set(given["dilate"]) != {1} or layer.act is not None:
        raise make_refusal(where, "the convolution is dilated, or has an activation of its own")
    slots = {"weight": _slot(layer.weight)}
    if layer.bias is not None:
        slots["bias"] = _slot(layer.bias)
    return ConvolutionPart(
        where=where,
        channels=layer.weight.shape[1] * given["num_group"],
        width=given["num_filter"],
        kernel=given["kernel"][0],
        stride=given["stride"][0],
        padding=given["pad"][0],
        groups=given["num_group"],
        slots=slots,
    )


def _norm(layer: Any, where: str) -> BatchNormPart:
    given = layer._kwargs
    if given["fix_gamma"] or given["use_global_stats"]:
        raise make_refusal(where, "the norm has no scale, or never uses a batch's statistics")
    slots = {
        "weight": _slot(layer.gamma),
        "bias": _slot(layer.beta),
        "running_mean": _slot(layer.running_mean),
        "running_var": _slot(layer.running_var),
    }
    return BatchNormPart(where=where, epsilon=given["eps"], decay=given["momentum"], slots=slots)


def _dense(layer: Any, where: str) -> DensePart:
    if layer.bias is None or layer.act is not None:
        raise refuse_dense(where)
    slots = {"weight": _slot(layer.weight), "bias": _slot(layer.bias)}
    return DensePart(where=where, width=layer.weight.shape[0], slots=slots)


def _slot(parameter: Any) -> TensorSlot:
    def write(array: Any) -> None:
        parameter.set_data(mx.np.array(array, dtype=parameter.dtype))

    return TensorSlot(lambda: parameter.data().asnumpy().astype(np.float32, copy=False), write)
