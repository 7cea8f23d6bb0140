"""From images and numbers on the device to the losses of a batch."""

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from resnets.backends.torch.recorded.augmentation import batch_of
from resnets.backends.torch.recorded.images import Placed
from resnets.backends.torch.state import TrainState
from resnets.networks.naming import block_names

LossesOf = Callable[[Tensor, Tensor, dict[str, Tensor]], Tensor]


class Forward:
    """Computes the losses of a batch's images; compiled where it is asked for."""

    def __init__(self, state: TrainState, network: nn.Module) -> None:
        self.plain = _losses_of(state, network)
        self.compiled: LossesOf | None = None
        self.batch = state.recipe.batch
        names = [name for row in block_names(state.model.architecture) for name in row]
        self.blocks = [network.get_submodule(name) for name in names]

    def compile(self, mode: str | None, backend: str) -> None:
        """Compile from now on; None: not."""
        self.compiled = None
        if mode is not None:
            options = {"mode": mode} if backend == "inductor" else {}
            self.compiled = torch.compile(self.plain, backend=backend, dynamic=False, **options)

    def __call__(self, images: Placed, numbers: Mapping[str, Tensor]) -> Tensor:
        """Return each image's loss, [n], on the device."""
        numbers = dict(numbers)
        branches = numbers.pop("branches", None)
        for i, block in enumerate(self.blocks):
            block.branch_scale = None if branches is None else branches[i]
        # A smaller batch at an epoch's end is not worth compiling once more.
        n = len(next(numbers[name] for name in ("index", "labels") if name in numbers))
        if self.compiled is None or n != self.batch:
            return self.plain(images.pixels, images.labels, numbers)
        try:
            return self.compiled(images.pixels, images.labels, numbers)
        except torch._dynamo.exc.TorchDynamoException as error:
            self.compiled = None
            first = str(error).strip().partition("\n")[0]
            warnings.warn(f"the step cannot be compiled and is slower: {first}", stacklevel=2)
            return self.plain(images.pixels, images.labels, numbers)


def _losses_of(state: TrainState, network: nn.Module) -> LossesOf:
    prepare, criterion, border = state.prepare, state.criterion, state.recipe.crop
    kind, bf16 = state.device.type, state.bf16

    def losses_of(pixels: Tensor, labels: Tensor, numbers: dict[str, Tensor]) -> Tensor:
        x = batch_of(pixels, numbers, border=border, prepare=prepare)
        if "index" in numbers:
            labels = labels.index_select(0, numbers["index"])
        with torch.autocast(kind, torch.bfloat16, enabled=bf16, cache_enabled=False):
            logits = network(x)
        logits = logits.float()
        loss = criterion(logits, labels)
        if "partner" not in numbers:
            return loss
        own, others = numbers["shares"].to(loss.dtype).unbind()
        partners = labels.index_select(0, numbers["partner"])
        return own * loss + others * criterion(logits, partners)

    return losses_of
