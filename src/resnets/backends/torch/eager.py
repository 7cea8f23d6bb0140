"""Training steps whose operations the processor starts one by one."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from resnets.backends.protocol import Batch
from resnets.backends.state import MeasuredLoss
from resnets.backends.torch.kernels import use_fast_convolutions
from resnets.backends.torch.state import TrainState
from resnets.data.augmentation import AugmentationParameters, Mix
from resnets.networks.naming import block_names


class EagerStep:
    """Takes ordinary steps."""

    def __init__(self, state: TrainState) -> None:
        self.state = state

    def take(self, batch: Batch) -> MeasuredLoss:
        """Take one step, at the learning rates that the optimiser's groups have."""
        state = self.state
        state.model.train()
        x = state.prepare(batch.images.pixels, batch.augmentation)
        labels = torch.from_numpy(batch.images.labels).to(state.device)
        with (
            use_fast_convolutions(state.device, precision=state.precision),
            self._scale_branches(batch.augmentation),
            state.redundant_biases.leave_out(),
            torch.autocast(state.device.type, torch.bfloat16, enabled=state.bf16),
        ):
            logits = state.model(x)
        losses = self._losses(
            logits.float() if state.bf16 else logits, labels, batch.augmentation.mix
        )
        loss = losses.mean()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.redundant_biases.settle()
        if state.settings.clip is not None:
            nn.utils.clip_grad_norm_(state.model.parameters(), state.settings.clip)
        state.optimiser.step()
        state.steps += 1
        self._average()
        losses = losses.detach()
        return MeasuredLoss(loss.detach().item, lambda: losses.float().cpu().numpy())

    @contextmanager
    def _scale_branches(self, draws: AugmentationParameters) -> Generator[None]:
        """Let the blocks scale their residual branches by the drawn factors."""
        if draws.drop_path_scales is None:
            yield
            return
        state = self.state
        names = [name for row in block_names(state.model.architecture) for name in row]
        blocks = [state.model.get_submodule(name) for name in names]
        scales = torch.from_numpy(draws.drop_path_scales).to(state.device)
        for block, scale in zip(blocks, scales, strict=True):
            block.branch_scale = scale
        try:
            yield
        finally:
            for block in blocks:
                block.branch_scale = None

    def _losses(self, logits: Tensor, labels: Tensor, mix: Mix | None) -> Tensor:
        """Return the loss of each image, [n]."""
        criterion = self.state.criterion
        loss = criterion(logits, labels)
        if mix is None:
            return loss
        other = labels[torch.from_numpy(mix.partner).to(self.state.device)]
        return mix.share * loss + (1 - mix.share) * criterion(logits, other)

    @torch.no_grad()
    def _average(self) -> None:
        """Move the average, if there is one, towards the weights."""
        state = self.state
        if state.averaged is None:
            return
        old, new = (
            [value for value in module.state_dict().values() if value.is_floating_point()]
            for module in (state.averaged, state.model)
        )
        torch._foreach_lerp_(old, new, state.average_share)
