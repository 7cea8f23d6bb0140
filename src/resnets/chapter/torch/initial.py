"""Xavier's initial weights, also for layers that have no weights yet."""

from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy


def init_cnn(module: nn.Module) -> None:
    """Draw the weights of a convolution or a dense layer by Xavier's rule, for ``net.apply``.

    A lazy layer has no weights yet: they are drawn when its first input has given them a shape,
    unless weights were loaded by then.
    """
    if not isinstance(module, (nn.Linear, nn.Conv2d)):
        return
    if is_lazy(module.weight):
        # Before torch's own hook, which gives the weights their shape: after it, drawn weights
        # and loaded ones look alike.
        module.register_forward_pre_hook(_draw, prepend=True, with_kwargs=True)
    else:
        nn.init.xavier_uniform_(module.weight)


def _draw(layer: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    """Give a lazy layer its shape and Xavier's weights. A function of a module: it is pickled."""
    hooks = layer._forward_pre_hooks
    for key in [key for key, hook in hooks.items() if hook is _draw]:
        del hooks[key]
        layer._forward_pre_hooks_with_kwargs.pop(key, None)
    if is_lazy(layer.weight):
        layer.initialize_parameters(*inputs, **named)
        nn.init.xavier_uniform_(layer.weight)
