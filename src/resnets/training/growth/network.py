"""A run's network, which becomes deeper as the recipe says.

All but the network itself is a pure function of the recipe and the step, so a run that goes on
after a kill, or in another framework, needs nothing beside the state: not which tensors are new,
nor how far their warm-up is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from resnets.errors import RunError
from resnets.networks.initialization import last_scales
from resnets.networks.network import Network, Weights
from resnets.networks.tracing import trace
from resnets.recipes.schedule import Schedule
from resnets.training.growth.deepening import Deepening, added_tensors


@dataclass
class GrowingNetwork:
    """The network that a run trains, and what it becomes.

    Attributes:
        network: at first the one that the run begins with.
        plans: its growths, one after the other.
        schedule: of the run, whose recipe has the settings of each growth.
    """

    network: Network
    plans: Sequence[Deepening]
    schedule: Schedule

    def advance(self, grown: int) -> None:
        """Become the network after so many growths, as it is before a state is restored.

        Raises:
            RunError: if there are not so many.
        """
        if grown > len(self.plans):
            raise RunError(f"the saved state has grown {grown} times, the recipe less")
        for plan in self.plans[:grown]:
            self._apply(plan, self.network.weights)

    def grow(self, index: int, state: Weights, *, note: Callable[[str], None]) -> Weights:
        """Make the growth of that index; give the new network's state.

        ``note`` is told where the function does not stay exactly the same.
        """
        plan = self.plans[index]
        weights = {n: state[f"weights/{n}"].astype(np.float32) for n in self.network.weights}
        if plan.obstacle:
            note(
                f"not exactly the same function: {plan.obstacle}; its logits move by "
                f"{plan.measure_difference(weights):.1e} of their size"
            )
        self._apply(plan, weights)
        return plan.grow_state(state)

    def lr_scales(self, step: int) -> Mapping[str, float]:
        """Give the shares of the rate that new tensors take in ``step``, from 0, where not 1.

        Less in their warm-up; more where their growth's ``scale_rate`` says so.
        """
        growths = self.schedule.recipe.grow
        if not any(growth.warmup or growth.scale_rate != 1 for growth in growths):
            return {}
        new, ends = self._added_before(step)
        shares: dict[str, float] = {}
        for name, (i, _) in new.items():
            share = self.schedule.growth_warmup(growths[i], step)
            share *= growths[i].scale_rate if name in ends else 1
            if share != 1:
                shares[name] = share
        return shares

    def parameter_additions(self, step: int) -> Weights:
        """Give what is added before ``step``, from 0, to new tensors that began at zero.

        In float64; together it makes of them what they would have been drawn as.
        """
        shares = [self.schedule.fade_in(growth, step) for growth in self.schedule.recipe.grow]
        if not any(shares):
            return {}
        new, ends = self._added_before(step)
        return {
            name: shares[i] * self.plans[i].fade_in_values[then]
            for name, (i, then) in new.items()
            if name in ends and shares[i] and then in self.plans[i].fade_in_values
        }

    def _added_before(self, step: int) -> tuple[Mapping[str, tuple[int, str]], frozenset[str]]:
        """What growths before ``step`` have added, as ``_find_added``."""
        growths = self.schedule.recipe.grow
        grown = sum(self.schedule.first_step(growth) <= step for growth in growths)
        return _find_added(tuple(self.plans[:grown])) if grown else ({}, frozenset())

    def _apply(self, plan: Deepening, weights: Weights) -> None:
        grown = plan.grow_weights(weights)
        self.network = replace(self.network, architecture=plan.target, weights=grown)


@lru_cache(maxsize=2)
def _find_added(
    plans: tuple[Deepening, ...],
) -> tuple[dict[str, tuple[int, str]], frozenset[str]]:
    """What growths have added, and which of the last network's tensors end a branch."""
    return added_tensors(plans), last_scales(trace(plans[-1].target, 32))
