"""How steps are taken on a GPU, and when compiling them pays."""

from dataclasses import dataclass

from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe

PAYS = 2e16
"""Operations of a whole training from which on it is compiled.

Compiling takes 17 seconds beside an H200 with 16 cores, up to a minute on fewer, and saves a
quarter of a step (benchmarks/README.md). At 1.1e14 operations a second, what recorded steps reach
there, that is even after one to four minutes. The bound depends on the run alone, not on a clock:
a resumed run must compute as the uninterrupted one does.
"""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How steps are taken on a GPU; the defaults are what ``resnets train`` does.

    Attributes:
        record: whether the device's work of a step is recorded (a CUDA graph) and replayed, so
            that the processor starts one thing a step and not some hundreds.
        compile: a mode of ``torch.compile``; ``auto``: ``default`` where it pays, None: never.
        compiler: the backend of ``torch.compile``.
        repeatable: whether cuDNN may only take algorithms that add in a fixed order, chosen by
            rule; otherwise it times several at the first step and takes the fastest.
        held: largest share of the device's free memory that the training images may fill; where
            they are larger, each batch is gathered by the processor.
    """

    record: bool = True
    compile: str | None = "auto"
    compiler: str = "inductor"
    repeatable: bool = True
    held: float = 0.5

    def mode(
        self, architecture: Architecture, recipe: Recipe, *, images: int, size: tuple[int, int]
    ) -> str | None:
        """Resolve ``compile`` for a training on ``images`` images; None: not compiled."""
        if self.compile != "auto":
            return self.compile
        # A multiply-add is two operations, and the backward pass is twice the forward pass.
        operations = 6 * trace(architecture, size).multiply_adds * images * recipe.epochs
        return "default" if operations >= PAYS else None
