"""Convolutions on a CPU that are faster than XLA's."""

from flax import nnx

from resnets.backends.jax.kernels.convolution import convolve


def use_fast_convolutions(model: nnx.Module) -> None:
    """Let the convolutions of a model take the fastest known way on a CPU.

    They compute the same function. Gradients are of first order.
    """
    model.set_attributes(nnx.Conv, conv_general_dilated=convolve, raise_if_not_found=False)
