"""A model in training with stochastic depth: what was drawn is an input of the compiled graph."""

from itertools import chain
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.models import Model
from resnets.networks.naming import block_names


class Dropping(mx.gluon.HybridBlock):
    """Logits from images [n, c, h, w] and what the branches are multiplied by, [blocks, n].

    It calls a model and has nothing of its own; the model stays as it is.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.hybridize(static_alloc=True, static_shape=True)

    def hybrid_forward(self, F: Any, x: Any, branches: Any) -> Any:  # noqa: N803
        blocks = _blocks(self.model)
        for i, block in enumerate(blocks):
            block.branch_scale = F.slice_axis(branches, axis=0, begin=i, end=i + 1)
        try:
            return self.model(x)
        finally:
            for block in blocks:
                block.branch_scale = None


def _blocks(model: Model) -> list[Any]:
    """The residual blocks, in order."""
    found: list[Any] = []
    for name in chain.from_iterable(block_names(model.architecture)):
        block = model
        for part in name.split("."):
            block = block[int(part)] if part.isdigit() else getattr(block, part)
        found.append(block)
    return found
