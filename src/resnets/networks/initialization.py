"""Initial weights, drawn in NumPy so that every framework starts from the same ones.

Each tensor has a generator of its own, seeded by the seed and the tensor's name: adding a layer
to a network does not change the draws of the others.
"""

import zlib
from typing import Literal

import numpy as np

from resnets.networks.architecture import Architecture
from resnets.networks.layers import Tensor, Trace
from resnets.networks.network import Weights
from resnets.networks.tracing import trace

Scheme = Literal["he", "xavier"]


def initial_weights(
    architecture: Architecture,
    *,
    seed: int = 0,
    scheme: Scheme = "he",
    zero_last_scale: bool = False,
) -> Weights:
    """Draw all tensors of a network, float32, by canonical name.

    ``he``: kernels normal with variance 2 / fan-out (He et al. 2015, arXiv:1502.01852, in the
    fan-out form of torchvision), dense layers uniform within 1 / sqrt(fan-in), biases of
    convolutions zero. ``xavier``: kernels and dense weights uniform within
    sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010; the chapter's ``init_cnn``), biases
    uniform within 1 / sqrt(fan-in), as torch leaves them.

    With ``zero_last_scale`` what ends every residual branch starts at zero, the last norm's scale
    or, where a convolution ends it, its kernel, so that each block starts as its shortcut (Goyal
    et al. 2017, arXiv:1706.02677, section 5.1).
    """
    steps = trace(architecture, 32)
    zeroed = last_scales(steps) if zero_last_scale else frozenset[str]()
    weights: Weights = {}
    for layer in steps.layers:
        fan_in = layer.tensors[0].size // layer.tensors[0].shape[0] if layer.tensors else 1
        for tensor in layer.tensors:
            if tensor.name in zeroed:
                weights[tensor.name] = np.zeros(tensor.shape, np.float32)
            else:
                weights[tensor.name] = _draw(
                    tensor, fan_in, seed=seed, scheme=scheme, operation=layer.operation
                )
    return weights


def last_scales(steps: Trace) -> frozenset[str]:
    """Names of what ends the residual branches: scales of the norms that sums read first.

    Where a convolution ends them, as in pre-activation blocks, its kernel.
    """
    ends = [layer.inputs[0] for layer in steps.layers if layer.operation in ("add", "gated_add")]
    # An excited branch ends in a scaling; what can be zeroed is what is scaled.
    scaled = {layer.name: layer.inputs[0] for layer in steps.layers if layer.operation == "scale"}
    return frozenset(f"{scaled.get(name, name)}.weight" for name in ends)


def _draw(tensor: Tensor, fan_in: int, *, seed: int, scheme: Scheme, operation: str) -> np.ndarray:
    generator = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    match tensor.role:
        case "scale" | "variance":
            return np.ones(tensor.shape, np.float32)
        case "shift" | "mean":
            return np.zeros(tensor.shape, np.float32)
        case "gate_bias":  # at first the shortcut weighs more: Srivastava et al. 2015, section 2.2
            return np.full(tensor.shape, -1, np.float32)
        case "kernel" if scheme == "he":
            fan_out = tensor.shape[0] * tensor.shape[2] * tensor.shape[3]
            values = generator.standard_normal(tensor.shape, np.float32)
            values *= np.float32(np.sqrt(2 / fan_out))
            return values
        case "kernel" | "dense" if scheme == "xavier":
            fan_out = tensor.size // tensor.shape[1]
            return _uniform(generator, tensor, bound=np.sqrt(6 / (fan_in + fan_out)))
        case "bias" if scheme == "he" and operation == "convolution":
            return np.zeros(tensor.shape, np.float32)
        case _:
            return _uniform(generator, tensor, bound=1 / np.sqrt(fan_in))


def _uniform(generator: np.random.Generator, tensor: Tensor, *, bound: float) -> np.ndarray:
    values = generator.random(tensor.shape, np.float32)
    return (values * np.float32(2) - np.float32(1)) * np.float32(bound)
