"""The parts of a PyTorch network, for ``resnets.chapter.describe``."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

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
from resnets.chapter.torch.learning import call_in_eval_mode
from resnets.errors import ResnetsError


def initialise_shapes(model: nn.Module, variables: None, channels: int) -> None:
    """Give lazy layers their shapes by an image of so many channels."""
    if _has_lazy_layers(model):
        call_in_eval_mode(model, model, torch.zeros(1, channels, 64, 64))


def inspect(model: nn.Module, variables: None = None) -> InspectedModel:
    """List the parts of ``model``.

    Raises:
        InvalidDescription: for a layer that no chapter's network has.
        ResnetsError: if the layers have no shapes yet.
    """
    name = type(model).__name__
    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise ResnetsError(f"{name} has no shapes yet: call apply_init or layer_summary, or fit it")
    if _has_lazy_layers(model):
        raise ResnetsError(
            f"{name} has weights, but its lazy layers have seen no image yet: it needs one forward "
            "pass, such as apply_init or layer_summary"
        )

    def logits(images: Any) -> Any:
        single = _in_single_precision(model)
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        return call_in_eval_mode(single, single, torch.from_numpy(images).to(device)).cpu().numpy()

    net, where = (model.net, "net") if hasattr(model, "net") else (model, "")
    return InspectedModel(
        parts=tuple(_parts(net, where)), logits=logits, finish_writing=lambda: model
    )


def _has_lazy_layers(model: nn.Module) -> bool:
    """Whether a layer has not become a plain one yet; loaded weights alone do not make it one."""
    return any(isinstance(part, LazyModuleMixin) for part in model.modules())


def _in_single_precision(model: nn.Module) -> nn.Module:
    """Give the model, or a copy in float32 of one that is in another precision."""
    tensors = (*model.parameters(), *model.buffers())
    if all(t.dtype == torch.float32 for t in tensors if t.is_floating_point()):
        return model
    return copy.deepcopy(model).float()


def _parts(layer: Any, where: str) -> Iterator[Part]:
    match layer:
        case nn.Sequential():
            for name, child in layer.named_children():
                yield from _parts(child, f"{where}.{name}".lstrip("."))
        case nn.Conv2d():
            yield _convolution(layer, where)
        case nn.BatchNorm2d():
            yield _norm(layer, where)
        case nn.Linear():
            # A layer without bias has the attribute None.
            if getattr(layer, "bias", None) is None:
                raise refuse_dense(where)
            yield DensePart(where=where, width=layer.out_features, slots=_slots(layer))
        case nn.ReLU():
            yield PlainPart(where=where, kind="relu")
        case nn.MaxPool2d():
            sizes = map(_pair, (layer.kernel_size, layer.stride, layer.padding, layer.dilation))
            if tuple(sizes) != ((3, 3), (2, 2), (1, 1), (1, 1)) or layer.ceil_mode:
                raise refuse_pool(where, layer)
            yield PlainPart(where=where, kind="max_pool")
        case nn.AdaptiveAvgPool2d() if _pair(layer.output_size) == (1, 1):
            yield PlainPart(where=where, kind="mean_pool")
        case nn.Flatten():
            yield PlainPart(where=where, kind="flatten")
        case nn.Module() if hasattr(layer, "conv1") and hasattr(layer, "conv2"):
            yield _block(layer, where)
        case _:
            raise make_refusal(where, f"{layer} is no layer of the chapter's networks")


def _pair(sizes: Any) -> tuple[Any, ...]:
    """Give height and width, as torch takes them together or apart."""
    return (sizes, sizes) if isinstance(sizes, int) else tuple(sizes)


def _block(block: nn.Module, where: str) -> BlockPart:
    convolutions: dict[str, ConvolutionPart] = {}
    norms: dict[str, BatchNormPart] = {}
    for name, child in block.named_children():
        at = f"{where}.{name}"
        if isinstance(child, nn.Conv2d):
            convolutions[name] = _convolution(child, at)
        elif isinstance(child, nn.BatchNorm2d):
            norms[name] = _norm(child, at)
        elif any(True for _ in child.parameters()):
            raise make_refusal(at, f"{child} is no layer of the chapter's blocks")
    return BlockPart(where=where, convolutions=convolutions, norms=norms)


def _convolution(layer: nn.Conv2d, where: str) -> ConvolutionPart:
    kernel, stride = layer.kernel_size, layer.stride
    if kernel[0] != kernel[1] or stride[0] != stride[1] or set(layer.dilation) != {1}:
        raise make_refusal(where, f"{layer} is not square, or dilated")
    if layer.padding == "same":
        padding = same_padding(where, kernel[0], stride=stride[0])
    else:
        sides = {0} if layer.padding == "valid" else set(layer.padding)
        if len(sides) != 1:
            raise make_refusal(where, f"{layer} is not padded alike on all sides")
        (padding,) = sides
    return ConvolutionPart(
        where=where,
        channels=layer.weight.shape[1] * layer.groups,
        width=layer.out_channels,
        kernel=kernel[0],
        stride=stride[0],
        padding=padding,
        groups=layer.groups,
        slots=_slots(layer),
    )


def _norm(layer: nn.BatchNorm2d, where: str) -> BatchNormPart:
    if layer.momentum is None or not layer.affine or not layer.track_running_stats:
        raise make_refusal(where, f"{layer} has no decay, scale or running statistics")
    return BatchNormPart(
        where=where, epsilon=layer.eps, decay=round(1 - layer.momentum, 12), slots=_slots(layer)
    )


def _slots(layer: nn.Module) -> dict[str, TensorSlot]:
    state = layer.state_dict()
    return {name: _slot(value) for name, value in state.items() if name != "num_batches_tracked"}


def _slot(tensor: torch.Tensor) -> TensorSlot:
    def write(array: Any) -> None:
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    return TensorSlot(lambda: tensor.detach().cpu().float().numpy(), write)
