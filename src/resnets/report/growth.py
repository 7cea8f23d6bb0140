"""What ``resnets grow`` and ``resnets prune-depth`` print: for people, and as JSON values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnets.networks.network import Weights
from resnets.networks.tracing import trace
from resnets.training.growth.deepening import Deepening
from resnets.training.growth.pruning import PrunedNetwork


def growth_json(growth: Deepening, weights: Weights, *, folder: Path) -> dict[str, Any]:
    """Return what became of a network with these weights, written into ``folder``."""
    return {
        "network": growth.target.name,
        "blocks": [stage.depth for stage in growth.target.stages],
        "parameters": trace(growth.target, 32).parameters,
        "exact": not growth.obstacle,
        "difference": growth.measure_difference(weights) if growth.obstacle else 0.0,
        "folder": str(folder),
    }


def format_growth(result: Mapping[str, Any], *, obstacle: str) -> str:
    """Return ``growth_json`` as lines of text; ``obstacle`` is why the function is not exact."""
    blocks = "-".join(map(str, result["blocks"]))
    head = f"{result['network']}: {blocks} blocks, {result['parameters']:,} parameters"
    lines = [f"{head}, in {result['folder']}"]
    if obstacle:
        lines.append(f"not exactly the same function: {obstacle}")
        moved = f"{result['difference']:.1e} of their size on random images"
        lines.append(f"logits move by {moved}")
    else:
        lines.append("the same function, bit for bit")
    return "\n".join(lines)


def cut_json(cut: PrunedNetwork) -> dict[str, Any]:
    """Return a cut as JSON values."""
    return {
        "removed": cut.removed,
        "loss": cut.evaluation.loss,
        "accuracy": cut.evaluation.accuracy,
        "multiply_adds": cut.multiply_adds,
    }


def format_cut(cut: PrunedNetwork, whole: PrunedNetwork) -> str:
    """Return a cut in one line, compared with the whole network."""
    removed = f"without {cut.removed}" if cut.removed else "whole network"
    left = f"{cut.multiply_adds / whole.multiply_adds:.0%} of the multiply-adds"
    found = f"loss {cut.evaluation.loss:.4f}, accuracy {cut.evaluation.accuracy:.2%}"
    return f"{removed}: {found}, {left}"
