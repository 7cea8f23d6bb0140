"""What the parts of ``gpu.py`` share."""

import argparse
from dataclasses import dataclass, field
from typing import Any

from gpu_work import Data, Plan
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe


@dataclass
class Measurement:
    """What the parts share."""

    plan: Plan
    data: Data
    recipe: str
    seeds: int
    found: dict[str, Any] = field(default_factory=dict)

    def chapter(self, precision: str) -> Recipe:
        """The chapter's recipe at the plan's size."""
        plan = self.plan
        changes = {"size": plan.chapter_size, "epochs": plan.epochs, "precision": precision}
        batch = {"batch": 32} if plan.small else {}
        return presets.named("chapter").changed(**changes, **batch)

    def fraction(self, operations_a_second: float) -> float | None:
        """Share of what a large matrix product in bf16 reaches; None where it was not measured."""
        most = self.found.get("limit", {}).get("bf16")
        return operations_a_second / most if most else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
