"""Networks made shallower: the blocks that are missed least are taken out.

A residual network is a sum over many paths, and most of its blocks can be taken out one by one
with little harm (Veit et al. 2016, "Residual Networks Behave Like Ensembles of Relatively Shallow
Networks", arXiv:1605.06431, section 4.1). Which ones, held-out images say.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from resnets.backends import Evaluator
from resnets.data.images import Images
from resnets.errors import GrowthError
from resnets.networks.architecture import Architecture
from resnets.networks.naming import block_names
from resnets.networks.network import Network, Weights, check_weights
from resnets.networks.spec import Stage
from resnets.networks.tracing import trace
from resnets.training.metrics import Evaluation, evaluate

MakeEvaluator = Callable[[Network], Evaluator]


@dataclass(frozen=True)
class PrunedNetwork:
    """A network after some of its blocks have been taken out.

    Attributes:
        removed: the block taken out last, by its name in the whole network; empty for that.
        network: what is left.
        evaluation: of it, on the held-out images.
        multiply_adds: of it, for one image of the network's size.
    """

    removed: str
    network: Network
    evaluation: Evaluation
    multiply_adds: int


@dataclass(frozen=True)
class BlockCost:
    """What taking one block out of the whole network costs.

    Attributes:
        block: its canonical name.
        loss, accuracy: without it, minus those with it, on the held-out images.
        multiply_adds: that it spares.
    """

    block: str
    loss: float
    accuracy: float
    multiply_adds: int


def block_costs(
    network: Network, images: Images, *, make_evaluator: MakeEvaluator
) -> Iterator[BlockCost]:
    """Yield what each block costs to take out, in the network's order."""
    whole = _evaluate_pruned("", network, images=images, make_evaluator=make_evaluator)
    for block in removable_blocks(network.architecture):
        without = _evaluate_pruned(
            block, _remove(network, [block]), images=images, make_evaluator=make_evaluator
        )
        yield BlockCost(
            block,
            without.evaluation.loss - whole.evaluation.loss,
            without.evaluation.accuracy - whole.evaluation.accuracy,
            whole.multiply_adds - without.multiply_adds,
        )


def prune_stepwise(
    network: Network, images: Images, *, make_evaluator: MakeEvaluator
) -> Iterator[PrunedNetwork]:
    """Yield the whole network, then each time with one more block taken out: the cheapest.

    After each the blocks that are left are ranked again: two blocks may stand in for one another.
    It ends where only the first blocks of the stages are left.
    """
    cut = _evaluate_pruned("", network, images=images, make_evaluator=make_evaluator)
    yield cut
    gone: list[str] = []
    blocks = removable_blocks(network.architecture)
    while left := [block for block in blocks if block not in gone]:
        # Of equal losses the block that spares most, then the last.
        cut = min(
            (
                _evaluate_pruned(
                    block,
                    _remove(network, [*gone, block]),
                    images=images,
                    make_evaluator=make_evaluator,
                )
                for block in reversed(left)
            ),
            key=lambda found: (found.evaluation.loss, found.multiply_adds),
        )
        gone.append(cut.removed)
        yield cut


def prune(
    network: Network,
    images: Images,
    *,
    make_evaluator: MakeEvaluator,
    blocks: int | None = None,
    share: float | None = None,
    announce: Callable[[PrunedNetwork], None] = lambda _: None,
) -> PrunedNetwork:
    """Take out ``blocks`` blocks, or as many as leave at most ``share`` of the multiply-adds.

    Raises:
        GrowthError: where there are not so many, or what must stay is more than the share.
    """
    require_budget(network, blocks=blocks, share=share)
    whole: PrunedNetwork | None = None
    for taken, cut in enumerate(prune_stepwise(network, images, make_evaluator=make_evaluator)):
        whole = whole or cut
        announce(cut)
        if blocks == taken or (
            blocks is None
            and _is_within_budget(cut.multiply_adds, whole.multiply_adds, share=share)
        ):
            return cut
    raise AssertionError("a budget that can be met is met by the last cut")


def require_budget(network: Network, *, blocks: int | None, share: float | None) -> None:
    """Refuse a budget that cannot be met, before anything is evaluated.

    Raises:
        GrowthError: as ``prune``.
    """
    a, size = network.architecture, network.preprocessing.size
    most = len(removable_blocks(a))
    if blocks is not None and not 0 <= blocks <= most:
        name = a.name or "the network"
        raise GrowthError(
            f"{blocks} blocks to take out; {name} has {most} that can be, 0 the least"
        )
    shortest = replace(a, stages=tuple(replace(stage, depth=1) for stage in a.stages))
    whole, least = (trace(one, size).multiply_adds for one in (a, shortest))
    if not _is_within_budget(least, whole, share=share):
        raise GrowthError(
            f"what must stay is {least / whole:.1%} of the multiply-adds, over {share:.1%}"
        )


def remove_blocks(
    architecture: Architecture, weights: Weights, *, removed: Collection[str]
) -> tuple[Architecture, Weights]:
    """Take blocks out of a network, by their canonical names such as ``layer3.4``.

    Raises:
        GrowthError: for a name that is no block, or the first block of a stage, which changes the
            shape.
    """
    check_weights(architecture, weights)
    rows = block_names(architecture)
    unknown = set(removed) - {name for row in rows for name in row[1:]}
    if unknown:
        raise GrowthError(
            f"{', '.join(sorted(unknown))}: not blocks that can be removed; "
            "a stage's first block changes the shape and stays"
        )
    kept = [[name for name in row if name not in removed] for row in rows]
    stages = tuple(
        replace(stage, depth=len(row)) for stage, row in zip(architecture.stages, kept, strict=True)
    )
    target = replace(architecture, stages=stages, name=_pruned_name(architecture, stages))
    pairs = zip(block_names(target), kept, strict=True)
    blocks = {new: old for row, old_row in pairs for new, old in zip(row, old_row, strict=True)}
    found: Weights = {}
    for layer in trace(target, 32).layers:
        for tensor in layer.tensors:
            suffix = tensor.name.removeprefix(layer.block)
            found[tensor.name] = weights[blocks.get(layer.block, "") + suffix]
    return target, found


def removable_blocks(architecture: Architecture) -> list[str]:
    """List the blocks that can be taken out: all but each stage's first."""
    return [name for row in block_names(architecture) for name in row[1:]]


def _pruned_name(a: Architecture, stages: Collection[Stage]) -> str:
    depths = "-".join(str(stage.depth) for stage in stages)
    return f"{a.name.partition(' ')[0]} {depths}" if a.name else ""


def _is_within_budget(multiply_adds: int, whole: int, *, share: float | None) -> bool:
    return share is None or multiply_adds <= share * whole


def _remove(network: Network, blocks: Collection[str]) -> Network:
    a, weights = remove_blocks(network.architecture, network.weights, removed=blocks)
    return replace(network, architecture=a, weights=weights)


def _evaluate_pruned(
    removed: str, network: Network, *, images: Images, make_evaluator: MakeEvaluator
) -> PrunedNetwork:
    steps = trace(network.architecture, network.preprocessing.size)
    return PrunedNetwork(
        removed, network, evaluate(make_evaluator(network), images), steps.multiply_adds
    )
