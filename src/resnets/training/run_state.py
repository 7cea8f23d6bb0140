"""The saved state of a run: everything it needs to continue, in ``state.safetensors``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from resnets.errors import Diverged, WeightsError
from resnets.networks.folder import load_weights, save_weights
from resnets.networks.network import Weights
from resnets.schema import from_json
from resnets.training.events import Progress


@dataclass(frozen=True, kw_only=True)
class State:
    """A saved state.

    Attributes:
        arrays: the session's, and those of the order of the images.
        progress: how far training is.
        threads: number of threads that computed it.
        framework: which one; None in states of older versions.
        best: whether its weights are those of the best epoch so far.
    """

    arrays: Weights
    progress: Progress
    threads: int
    framework: str | None = None
    best: bool = False

    def require_finite(self) -> None:
        """Require finite arrays: after a finite loss, the step it leads to may not be finite.

        Raises:
            Diverged: naming the first array that is not finite.
        """
        for name, array in self.arrays.items():
            if not np.isfinite(array).all():
                raise Diverged(f"{name} is no longer finite after step {self.progress.step}")

    def save(self, path: Path) -> None:
        """Write the state to ``path``, whole or not at all."""
        run = {"progress": asdict(self.progress), "threads": self.threads}
        run |= {"framework": self.framework, "best": self.best}
        save_weights(self.arrays, path, metadata={"run": json.dumps(run)})


def load_state(path: Path) -> State:
    """Read the state that ``State.save`` wrote.

    Raises:
        WeightsError: if the file is not the state of a run.
    """
    arrays, metadata = load_weights(path)
    try:
        run = json.loads(metadata["run"])
        state = State(
            arrays=arrays,
            progress=from_json(Progress, run["progress"], str(path)),
            threads=int(run["threads"]),
            framework=run.get("framework"),
            best=bool(run.get("best", False)),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: not the state of a run ({error})") from error
    progress = state.progress
    if min(progress.step, progress.images, progress.best_epoch) < 0:
        raise WeightsError(f"{path}: not the state of a run (a count is below 0)")
    return state
