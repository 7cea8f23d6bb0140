"""A session's convolutions and their gradients on the processor, against JAX's own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from resnets.backends import jax as backend
from resnets.backends.jax.canonical import variables
from resnets.backends.jax.kernels.convolution import convolve
from resnets.backends.jax.step import Network
from resnets.networks import catalog

# Height, channels in and out, kernel, stride, groups.
FASTER = [
    (5, 4, 6, 1, 1, 1),
    (6, 4, 8, 1, 2, 1),
    (7, 4, 8, 1, 2, 2),
    (7, 6, 9, 3, 2, 3),
    (8, 68, 68, 3, 1, 34),
    (7, 64, 3, 3, 2, 1),
    (8, 64, 3, 7, 2, 1),
    (2, 64, 3, 3, 3, 1),
    (5, 256, 3, 3, 1, 1),
    # Maps smaller than the kernel, before or after it.
    (2, 4, 6, 3, 1, 1),
    (2, 4, 6, 3, 1, 2),
    (2, 3, 4, 3, 2, 1),
    (3, 4, 6, 3, 2, 1),
    (4, 4, 6, 3, 2, 2),
    (6, 4, 6, 3, 3, 1),
    (8, 3, 4, 7, 2, 1),
    (1, 4, 6, 3, 1, 1),
    (1, 64, 3, 3, 2, 1),
    (2, 3, 4, 5, 1, 1),
    (3, 3, 4, 7, 2, 1),
]
AS_IS = [(7, 4, 6, 3, 1, 1), (7, 4, 6, 3, 2, 1), (4, 256, 3, 3, 1, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("height, c_in, out, size, stride, groups", FASTER + AS_IS)
def test_gradients_are_jaxs(
    height: int, c_in: int, out: int, size: int, stride: int, groups: int
) -> None:
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        layer = nnx.Conv(
            c_in,
            out,
            (size, size),
            stride,
            padding=size // 2,
            feature_group_count=groups,
            param_dtype=jnp.float64,
            rngs=nnx.Rngs(0),
        )
        x = jnp.asarray(rng.normal(size=(3, height, height + 1, c_in)))
        definition, state = nnx.split(layer)

        def gradients(definition: nnx.GraphDef[nnx.Conv]) -> tuple[jax.Array, ...]:
            def function(x: jax.Array, state: nnx.State) -> jax.Array:
                return nnx.merge(definition, state)(x)

            @jax.jit
            def taken(x: jax.Array, state: nnx.State) -> tuple[jax.Array, ...]:
                y, back = jax.vjp(function, x, state)
                return y, *jax.tree.leaves(back(jnp.cos(jnp.arange(y.size).reshape(y.shape))))

            return taken(x, state)

        expected = gradients(definition)
        layer.conv_general_dilated = convolve
        own, _ = nnx.split(layer)
        found = gradients(own)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == jnp.float64
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())
        text = str(jax.make_jaxpr(nnx.merge(own, state))(x))
    case = (height, c_in, out, size, stride, groups)
    assert ("custom_vjp" in text) == (case in FASTER)
    assert "conv_general_dilated" in text


def test_dilation_stays_jaxs() -> None:
    layer = nnx.Conv(64, 2, (3, 3), 2, padding=2, kernel_dilation=2, rngs=nnx.Rngs(0))
    layer.conv_general_dilated = convolve
    assert "custom_vjp" not in str(jax.make_jaxpr(layer)(jnp.ones((1, 8, 8, 64))))


def test_a_map_smaller_than_the_kernel_is_bordered_behind_a_barrier() -> None:
    layer = nnx.Conv(2, 2, (3, 3), padding=1, rngs=nnx.Rngs(0))
    layer.conv_general_dilated = convolve
    for pixels, small in ((2, True), (3, False)):
        text = str(jax.make_jaxpr(layer)(jnp.ones((1, pixels, 5, 2))))
        assert ("optimization_barrier" in text) == small


def test_only_the_processor_takes_them() -> None:
    model: Any = backend.build(catalog.get("resnet18", classes=4))
    arrays = {name: variable[...] for name, variable in variables(model).items()}
    x = jnp.ones((1, 32, 32, 3))

    def own(**settings: bool) -> int:
        return str(jax.make_jaxpr(Network.of(model, **settings))(arrays, x)).count("name=_plain")

    # Two 3×3 and three 1×1 that halve the image, and the seven others of stages 3 and 4.
    assert own(training=True, on_processor=True) == own(training=False, on_processor=True) == 12
    assert own(training=True) == own(training=False) == 0
    assert model.conv1.conv_general_dilated is jax.lax.conv_general_dilated
