"""The parts of a JAX network (Flax linen), for ``resnets.chapter.describe``."""
# ruff: noqa: N803 (X is the book's name)

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from resnets.chapter.jax.learning import with_training_mode
from resnets.chapter.parts import (
    BatchNormPart,
    BlockPart,
    ConvolutionPart,
    DensePart,
    InspectedModel,
    Part,
    PlainPart,
    TensorSlot,
    first_line,
    make_refusal,
    refuse_dense,
    same_padding,
)
from resnets.errors import ResnetsError

SCALES = (0.01, 1.0, 100.0)
"""Of the features that a function is tried on: some are the same function near zero only."""

Kind = Literal["relu", "max_pool", "mean_pool", "flatten"]


def initialise_shapes(model: Any, variables: Any, channels: int) -> Any:
    """Give the variables, or fresh ones for images of so many channels."""
    if variables is not None or model.scope is not None:
        return variables
    initial = jax.jit(with_training_mode(model, training=False).init)
    return initial(jax.random.PRNGKey(0), jnp.zeros((1, 64, 64, channels)))


def inspect(model: Any, variables: Any = None) -> InspectedModel:
    """List the parts of ``model``.

    Raises:
        InvalidDescription: for a layer that no chapter's network has.
        ResnetsError: without variables.
    """
    if variables is None and model.scope is None:
        raise ResnetsError(
            f"a linen module has no weights in it: give {type(model).__name__}'s variables too, "
            "such as trainer.variables"
        )
    values = model.variables if variables is None else variables
    kept = jax.tree.map(np.array, dict(values))
    evaluating = with_training_mode(
        model.unbind()[0] if model.scope is not None else model, training=False
    )
    bound = evaluating.bind(kept)

    def logits(images: Any) -> Any:
        return np.asarray(_compute(evaluating, kept, jnp.asarray(images.transpose(0, 2, 3, 1))))

    net, where = (bound.net, "net") if hasattr(bound, "net") else (bound, "")
    reader = _Reader(kept)
    return InspectedModel(
        parts=tuple(reader.parts(net, where)), logits=logits, finish_writing=lambda: kept
    )


def _compute(model: Any, variables: Any, X: Any) -> Any:
    """Compile once for a module that can be told from others, else each time."""
    try:
        hash(model)
    except TypeError:
        return jax.jit(model.apply)(variables, X)
    return _apply(model, variables, X)


@partial(jax.jit, static_argnums=0)
def _apply(model: Any, variables: Any, X: Any) -> Any:
    return model.apply(variables, X)


class _Reader:
    """Goes through bound modules; slots read and replace leaves of ``variables``."""

    def __init__(self, variables: dict[str, Any]) -> None:
        self.variables = variables

    def parts(self, layer: Any, where: str) -> Iterator[Part]:
        match layer:
            case nn.Sequential():
                for i, child in enumerate(layer.layers):
                    yield from self.parts(child, f"{where}[{i}]")
            case nn.Conv():
                yield self.convolution(layer, where)
            case nn.BatchNorm():
                yield self.norm(layer, where)
            case nn.Dense():
                if not layer.use_bias:
                    raise refuse_dense(where)
                slots = {"weight": self.slot(layer, "kernel", _transpose, _transpose)}
                slots["bias"] = self.slot(layer, "bias")
                yield DensePart(where=where, width=layer.features, slots=slots)
            case nn.Module():
                layer._try_setup()
                if not (hasattr(layer, "conv1") and hasattr(layer, "conv2")):
                    name = type(layer).__name__
                    raise make_refusal(where, f"{name} is no layer of the chapter's networks")
                yield self.block(layer, where)
            case _:
                yield PlainPart(where=where, kind=_kind_of(layer, where))

    def block(self, block: Any, where: str) -> BlockPart:
        convolutions: dict[str, ConvolutionPart] = {}
        norms: dict[str, BatchNormPart] = {}
        for name, child in vars(block).items():
            at = f"{where}.{name}"
            if isinstance(child, nn.Conv):
                convolutions[name] = self.convolution(child, at)
            elif isinstance(child, nn.BatchNorm):
                norms[name] = self.norm(child, at)
            elif isinstance(child, nn.Module) and name not in ("parent", "_parent_ref"):
                message = f"{type(child).__name__} is no layer of the chapter's blocks"
                raise make_refusal(at, message)
        return BlockPart(where=where, convolutions=convolutions, norms=norms)

    def convolution(self, layer: Any, where: str) -> ConvolutionPart:
        kernel, stride = _square(layer.kernel_size, where), _square(layer.strides, where)
        padding = layer.padding
        if isinstance(padding, str):
            named = padding.upper() == "SAME"
            padding = same_padding(where, kernel, stride=stride) if named else 0
        else:
            padding = _both_sides(padding, where)
        slots = {"weight": self.slot(layer, "kernel", _to_oihw, _to_hwio)}
        if layer.use_bias:
            slots["bias"] = self.slot(layer, "bias")
        return ConvolutionPart(
            where=where,
            channels=slots["weight"].read().shape[1] * layer.feature_group_count,
            width=layer.features,
            kernel=kernel,
            stride=stride,
            padding=padding,
            groups=layer.feature_group_count,
            slots=slots,
        )

    def norm(self, layer: Any, where: str) -> BatchNormPart:
        if not (layer.use_scale and layer.use_bias):
            raise make_refusal(where, "the norm has no scale or no shift")
        slots = {
            "weight": self.slot(layer, "scale"),
            "bias": self.slot(layer, "bias"),
            "running_mean": self.slot(layer, "mean", collection="batch_stats"),
            "running_var": self.slot(layer, "var", collection="batch_stats"),
        }
        return BatchNormPart(where=where, epsilon=layer.epsilon, decay=layer.momentum, slots=slots)

    def slot(
        self,
        layer: Any,
        leaf: str,
        canonical: Callable[[Any], Any] = np.asarray,
        native: Callable[[Any], Any] = np.asarray,
        collection: str = "params",
    ) -> TensorSlot:
        holder = self.variables
        for name in (collection, *layer.path):
            if name not in holder:
                at = "/".join((collection, *layer.path))
                raise make_refusal("variables", f"{at} is missing: they are another network's")
            holder = holder[name]

        def write(array: Any) -> None:
            holder[leaf] = np.ascontiguousarray(native(array))

        return TensorSlot(lambda: canonical(holder[leaf]).astype(np.float32, copy=False), write)


def _kind_of(function: Callable[[Any], Any], where: str) -> Kind:
    """Find out what a function does, by trying it on small, usual and large features."""
    scale = np.asarray(SCALES, np.float32).reshape(-1, 1, 1, 1)
    x = np.random.default_rng(0).normal(size=(len(SCALES), 6, 6, 3)).astype(np.float32) * scale
    try:
        y = np.asarray(function(jnp.asarray(x)))
    except Exception as error:
        message = (
            f"{_function_name(function)} fails for features of shape {x.shape}, so that "
            f"what it computes cannot be told: write it for any shape ({first_line(error)})"
        )
        raise make_refusal(where, message) from error
    pool = {"window_shape": (3, 3), "strides": (2, 2)}
    around = np.asarray(nn.max_pool(jnp.asarray(x), **pool, padding=((1, 1), (1, 1))))
    behind = np.asarray(nn.max_pool(jnp.asarray(x), **pool, padding="SAME"))
    mean = x.mean(axis=(1, 2), keepdims=True)
    candidates: dict[Kind, Any] = {
        "relu": np.maximum(x, 0),
        "max_pool": around,
        "mean_pool": mean if y.ndim == 4 else mean[:, 0, 0],
        "flatten": x.reshape(len(x), -1),
    }

    def equal(expected: Any) -> bool:
        if y.shape != expected.shape:
            return False
        unit = scale.reshape(-1, *[1] * (y.ndim - 1))
        return np.allclose(y / unit, expected / unit, atol=1e-6)

    for kind, expected in candidates.items():
        if equal(expected):
            return kind
    if equal(behind):
        same_padding(where, 3, stride=2)
    raise make_refusal(where, f"{_function_name(function)} is no layer of the chapter's networks")


def _function_name(function: Any) -> str:
    """Name a function without its address."""
    return getattr(function, "__name__", None) or type(function).__name__


def _square(value: Any, where: str) -> int:
    sides = {1} if value is None else {value} if isinstance(value, int) else set(value)
    if len(sides) != 1:
        raise make_refusal(where, f"{value} is not square")
    return int(sides.pop())


def _both_sides(padding: Any, where: str) -> int:
    """Give the pixels of an explicit padding, as Flax takes it in several forms."""
    sides = set(np.ravel(np.asarray(padding)).tolist())
    if len(sides) != 1:
        raise make_refusal(where, f"padding {padding} is not the same on all sides")
    return int(sides.pop())


def _to_oihw(array: Any) -> Any:
    return array.transpose(3, 2, 0, 1)


def _to_hwio(array: Any) -> Any:
    return array.transpose(2, 3, 1, 0)


def _transpose(array: Any) -> Any:
    return array.T
