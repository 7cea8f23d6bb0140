"""``grow`` and ``prune-depth``: networks made deeper or shallower."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resnets.cli.flags import Count, Flag, Whole, growth_target
from resnets.errors import RunError
from resnets.recipes.recipe import Placement, Start
from resnets.terminal import note, print_drawn, print_json

if TYPE_CHECKING:
    from resnets.data.images import Images
    from resnets.networks.network import Network
    from resnets.training.growth.pruning import Cut, MakeEvaluator


def grow(
    source: str,
    /,
    *,
    to: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    network: str | None = None,
    placement: Placement = "end",
    start: Start = "identity",
    seed: Whole = 0,
    json: Flag = False,
) -> None:
    """Make a trained network deeper without changing what it computes.

    To train it on while new blocks are faded in: resnets train --start SOURCE --grow 0:NETWORK.
    Those of OUT, trained on by --start OUT, stay near the identity.

    Parameters
    ----------
    source
        A run folder, or any weights that convert reads.
    to
        A name (resnets models), an architecture's JSON file, or blocks in each stage: 3-4-6-3.
    out
        The folder to write.
    network
        A name or an architecture's JSON file, in place of what the source tells.
    placement
        Where new blocks stand in their stage.
    start
        What new blocks begin as: the identity, or a copy of the block before them that adds
        nothing yet; stack (all of that block) and random change the function.
    seed
        Of what is drawn.
    json
        Print the outcome as JSON.
    """
    from dataclasses import replace

    from resnets import convert
    from resnets.networks.folder import save
    from resnets.networks.tracing import trace
    from resnets.recipes.recipe import Growth
    from resnets.training.growth.targets import plan_growth

    _refuse_used(out)
    if seed < 0:
        raise RunError(f"--seed {seed}: not a whole number from 0")
    wanted = Growth(epoch=0, **growth_target(to), placement=placement, start=start)
    received = convert.receive(source, network=network)
    for assumed in received.notes:
        note(f"note: {assumed}")
    whole = received.network
    growth = plan_growth(wanted, whole.architecture, seed=seed)
    grown = replace(whole, architecture=growth.target, weights=growth.weights(whole.weights))
    save(grown, out)
    result: dict[str, Any] = {
        "network": growth.target.name,
        "blocks": [stage.depth for stage in growth.target.stages],
        "parameters": trace(growth.target, 32).parameters,
        "exact": not growth.obstacle,
        "difference": growth.difference(whole.weights) if growth.obstacle else 0.0,
        "folder": str(out),
    }
    if json:
        print_json(result)
        return
    blocks = "-".join(map(str, result["blocks"]))
    print(f"{growth.target.name}: {blocks} blocks, {result['parameters']:,} parameters, in {out}")
    if growth.obstacle:
        print(f"not exactly the same function: {growth.obstacle}")
        print(f"logits move by {result['difference']:.1e} of their size on random images")
    else:
        print("the same function, bit for bit")


def prune_depth(
    network: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    blocks: Count = None,
    share: float | None = None,
    data: str | None = None,
    framework: str | None = None,
    device: str = "auto",
    json: Flag = False,
) -> None:
    """Rank a network's blocks by what removing them costs, and cut to a budget.

    Without a budget only the ranking is printed. The images are those that training held out,
    never the test set.

    Parameters
    ----------
    network
        A run folder, or any folder with model.safetensors and config.json.
    out
        The folder to write what is left into.
    blocks
        The budget: blocks to take out.
    share
        The budget: largest share of the multiply-adds that may be left.
    data
        fashion_mnist, or a folder of images, a twentieth of whose training images is held out.
        Default: the run's own held-out images.
    framework
        torch, jax, tensorflow or mxnet. Default: the run's own, or the first that is installed.
    device
        auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check).
    json
        Print the ranking and the cuts as JSON.
    """
    from resnets.inference.evaluate import evaluator_of, held_out
    from resnets.networks.folder import load
    from resnets.training.growth.pruning import require_budget
    from resnets.training.run_folder import framework_of

    budget = _budget(out, blocks, share)
    whole = load(network)
    require_budget(whole, **budget)  # what cannot be is said before images are read
    images = held_out(network, whole, data, note)

    def make(candidate: "Network") -> Any:
        return evaluator_of(candidate, network, framework or framework_of(network), device)

    if out is None:
        _print_costs(whole, images, make, json)
    else:
        _cut_and_save(whole, images, make, budget, out, json)


def _budget(out: Path | None, blocks: int | None, share: float | None) -> dict[str, Any]:
    """Give the budget, as ``pruning.prune`` takes it; refuse what is no budget, or no place."""
    if blocks is not None and share is not None:
        raise RunError("state one budget: --blocks or --share")
    if share is not None and not 0 < share <= 1:
        raise RunError(f"--share {share}: not above 0, up to 1")
    given = blocks is not None or share is not None
    if given and out is None:
        raise RunError("say where to write what is left: --out FOLDER")
    if out is not None:
        if not given:
            raise RunError("say how much to take out: --blocks N or --share 0.7")
        _refuse_used(out)
    return {"blocks": blocks, "share": share}


def _print_costs(whole: "Network", images: "Images", make: "MakeEvaluator", json: bool) -> None:
    from resnets.report.console import cost_report
    from resnets.training.growth.pruning import costs

    found = list(costs(whole, images, make))
    if json:
        print_json([cost.__dict__ for cost in found])
    else:
        print_drawn(cost_report(whole, found, len(images)))


def _cut_and_save(
    whole: "Network",
    images: "Images",
    make: "MakeEvaluator",
    budget: dict[str, Any],
    out: Path,
    json: bool,
) -> None:
    from resnets.networks.folder import save
    from resnets.training.growth.pruning import prune

    steps: list[Cut] = []

    def say(cut: "Cut") -> None:
        steps.append(cut)
        done = f"without {cut.removed}" if cut.removed else "whole network"
        left = f"{cut.multiply_adds / steps[0].multiply_adds:.0%} of the multiply-adds"
        found = f"loss {cut.evaluation.loss:.4f}, accuracy {cut.evaluation.accuracy:.2%}"
        note(f"{done}: {found}, {left}")

    left = prune(whole, images, make, **budget, announce=say).network
    save(left, out)
    depths = "-".join(str(stage.depth) for stage in left.architecture.stages)
    if json:
        cuts = [_cut_json(cut) for cut in steps]
        print_json({"blocks": depths, "folder": str(out), "cuts": cuts})
    else:
        print(f"{left.architecture.name}: {depths} blocks, in {out}")


def _cut_json(cut: "Cut") -> dict[str, Any]:
    return {
        "removed": cut.removed,
        "loss": cut.evaluation.loss,
        "accuracy": cut.evaluation.accuracy,
        "multiply_adds": cut.multiply_adds,
    }


def _refuse_used(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} holds something already; choose a new folder by --out")
