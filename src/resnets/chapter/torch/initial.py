"""Xavier's initial weights, also for layers that have no weights yet."""

from typing import Any

from torch import nn


def init_cnn(module: nn.Module) -> None:
    """Draw the weights of a convolution or a dense layer by Xavier's rule, for ``net.apply``.

    A lazy layer has no weights yet: they are drawn when its first input has given them a shape.
    """
    if isinstance(module, nn.modules.lazy.LazyModuleMixin) and module.has_uninitialized_params():

        def once(layer: nn.Module, _: Any) -> None:
            handle.remove()
            init_cnn(layer)

        # torch's own hook comes first: it gives the weights their shape.
        handle = module.register_forward_pre_hook(once)
    elif isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(module.weight)
