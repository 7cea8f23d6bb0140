"""Batch norm by the architecture's definition, which differs from Flax's in two places."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax


class BatchNorm(nnx.BatchNorm):
    """Flax's module, with an exact variance and the unbiased one in the running statistics.

    Flax takes the variance as a difference of means by default, which costs digits, and keeps
    the biased one (``Norm`` in the architecture says what is kept here). Parameters, statistics
    and modes are ``nnx.BatchNorm``'s: ``scale``, ``bias``, ``mean``, ``var``, ``train``, ``eval``.

    Attributes:
        first_order: whether the gradient is written out, which is faster and can then not be
            differentiated again in forward mode; sessions set it.
    """

    first_order: bool = False

    def __init__(self, channels: int, *, epsilon: float, momentum: float, rngs: nnx.Rngs) -> None:
        super().__init__(
            channels, epsilon=epsilon, momentum=momentum, use_fast_variance=False, rngs=rngs
        )

    def __call__(self, x: Array, use_running_average: bool | None = None, **_: Any) -> Array:
        """Normalise ``x`` [n, …, channels]; in training, by its own mean and variance.

        Statistics are computed in float32 at least; the result has the type of ``x``.
        """
        fixed = self.use_running_average if use_running_average is None else use_running_average
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        scale, bias = self.scale[...], self.bias[...]
        if fixed:
            factor = lax.rsqrt(self.var[...] + self.epsilon) * scale
            return ((wide - self.mean[...]) * factor + bias).astype(x.dtype)
        normalise = _normalise_first_order if self.first_order else _normalise
        y, mean, variance = normalise(wide, scale, bias, self.epsilon)
        self._keep(mean, variance, x.size // x.shape[-1])
        return y.astype(x.dtype)

    def _keep(self, mean: Array, variance: Array, count: int) -> None:
        """Update the running statistics by those of ``count`` values a channel."""
        decay, unbiased = self.momentum, variance * (count / max(count - 1, 1))
        for running, new in ((self.mean, mean), (self.var, unbiased)):
            running[...] = decay * running[...] + (1 - decay) * lax.stop_gradient(new)


def _normalise(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """Return the result, and the mean and the biased variance of each channel."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = jnp.square(x - mean).mean(axes)
    return (x - mean) * (lax.rsqrt(variance + epsilon) * scale) + bias, mean, variance


_normalise_first_order = jax.custom_vjp(_normalise, nondiff_argnums=(3,))


def _forward(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple[Any, Any]:
    y, mean, variance = _normalise(x, scale, bias, epsilon)
    return (y, mean, variance), (x, mean, lax.rsqrt(variance + epsilon), scale)


def _backward(_: float, kept: Any, gradients: Any) -> tuple[Array, Array, Array]:
    """Ioffe and Szegedy 2015 (arXiv:1502.03167), section 3, with the terms that cancel left out."""
    (x, mean, inverse, scale), dy = kept, gradients[0]
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    centred = x - mean
    of_bias = dy.sum(axes)
    of_scale = (centred * dy).sum(axes) * inverse
    dx = (scale * inverse) * (dy - of_bias / count - centred * (inverse * of_scale / count))
    return dx, of_scale, of_bias


_normalise_first_order.defvjp(_forward, _backward)
