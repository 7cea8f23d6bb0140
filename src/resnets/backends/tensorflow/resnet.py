"""Residual networks of all families as a ``keras.Model``: images [n, height, width, channels].

The layers of an architecture (``tracing.trace``) are a program already: each names what it reads.
A functional Keras model is that program, one Keras layer a line, under the same canonical names.
"""

import re
from collections.abc import Sequence
from typing import Any

import keras

from resnets.backends.tensorflow.layers import (
    BatchNorm,
    Convolution,
    GatedAdd,
    Gelu,
    MaxPool,
    PaddingShortcut,
    Shift,
    registered,
)
from resnets.networks.architecture import Architecture
from resnets.networks.layers import Layer
from resnets.networks.tracing import trace


@registered
class ResNet(keras.Model):
    """A functional model from images to logits [n, classes].

    ``get_layer`` finds layers by canonical name, such as ``layer2.0.conv1``; the features of
    ``trace(architecture).features`` are the outputs of layers.

    ``save("NAME.keras")`` is what ``keras.saving.load_model`` opens. Keras's old HDF5 format knows
    no registered classes: for ``NAME.h5`` it is told ``custom_objects={"ResNet": ResNet}``.

    Attributes:
        architecture: what it computes.
    """

    def __init__(
        self,
        architecture: Architecture | dict[str, Any],
        *,
        dtype: Any = None,
        name: str | None = None,
        frozen: Sequence[str] = (),
        **others: Any,
    ) -> None:
        """Build the layers, with weights as Keras initialises them.

        ``dtype`` is Keras's policy, such as ``float32`` or ``mixed_bfloat16``; None is the global
        one. Means over pixels and the logits have the precision of the weights in any case.
        ``frozen`` names layers that are not trained.
        """
        if isinstance(architecture, dict):
            architecture = Architecture.from_json(architecture)
        policy = keras.dtype_policies.get(dtype)
        outputs: dict[str, Any] = {}
        layers = trace(architecture, 32).layers
        for layer in layers:
            if layer.operation == "input":
                given = {"name": layer.name, "dtype": policy.compute_dtype}
                outputs[layer.name] = keras.Input((None, None, architecture.channels), **given)
                continue
            inputs = [outputs[name] for name in layer.inputs]
            own = make_layer(layer, architecture, policy, last=layer is layers[-1])
            own.trainable = layer.name not in frozen
            outputs[layer.name] = own(inputs if len(inputs) > 1 else inputs[0])
        super().__init__(
            outputs[layers[0].name],
            outputs[layers[-1].name],
            name=name or _scope(architecture.name) or "resnet",
            **others,
        )
        self.architecture = architecture
        self.dtype_policy = policy

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor as JSON values."""
        return {
            "architecture": self.architecture.to_json(),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            "frozen": [layer.name for layer in self.layers if not layer.trainable],
        }


def _scope(name: str) -> str:
    """Return ``name`` as a valid name of a TensorFlow scope."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip("_-")


def make_layer(
    layer: Layer, a: Architecture, policy: keras.DTypePolicy, *, last: bool
) -> keras.layers.Layer:
    """Return the Keras layer that computes a layer of the trace; ``last`` gives the logits."""
    given: dict[str, Any] = {"name": layer.name, "dtype": policy}
    order = {"data_format": "channels_last"}  # whatever Keras is set to
    match layer.operation:
        case "convolution":
            return Convolution(
                layer.shape[0],
                layer.kernel,
                strides=layer.stride,
                padding="same",
                dilation_rate=layer.dilation,
                groups=layer.groups,
                use_bias=len(layer.tensors) > 1,
                **order,
                **given,
            )
        case "norm":
            return BatchNorm(momentum=a.norm.decay, epsilon=a.norm.epsilon, **given)
        case "group_norm":
            return keras.layers.GroupNormalization(layer.groups, epsilon=a.norm.epsilon, **given)
        case "leaky_relu":
            return keras.layers.LeakyReLU(negative_slope=0.01, **given)
        case "gelu":
            return Gelu(**given)
        case "relu" | "elu" | "silu" | "sigmoid":
            return keras.layers.Activation(layer.operation, **given)
        case "max_pool":
            return MaxPool(**given)
        case "average_pool":
            # Its windows begin at the edge, and one that hangs over means what it covers.
            return keras.layers.AveragePooling2D(2, layer.stride, padding="same", **order, **given)
        case "mean_pool":
            given["dtype"] = policy.variable_dtype
            kept = layer.part != "head"
            return keras.layers.GlobalAveragePooling2D(keepdims=kept, **order, **given)
        case "pad_shortcut":
            return PaddingShortcut(layer.shape[0], layer.stride, **given)
        case "shift":
            return Shift(layer.dilation, **given)
        case "add":
            return keras.layers.Add(**given)
        case "gated_add":
            return GatedAdd(**given)
        case "scale":
            return keras.layers.Multiply(**given)
        case "dense":
            given["dtype"] = policy.variable_dtype if last else policy
            return keras.layers.Dense(layer.shape[0], **given)
        case _:
            raise AssertionError(layer.operation)
