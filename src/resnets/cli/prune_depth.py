"""``resnets prune-depth``: blocks ranked by what removing them costs, and cut to a budget."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resnets.cli.options import Count, Device, Flag, Framework, refuse_used
from resnets.errors import RunError
from resnets.terminal import print_json, print_note, print_rich

if TYPE_CHECKING:
    from resnets.networks.network import Network
    from resnets.training.growth.pruning import PrunedNetwork


def prune_depth(
    network: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
    blocks: Count = None,
    share: float | None = None,
    data: str | None = None,
    framework: Framework = None,
    device: Device = "auto",
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
    json
        Print the ranking and the cuts as JSON.
    """
    from resnets.inference.evaluate import load_held_out, make_framework_evaluator
    from resnets.networks.folder import load, save
    from resnets.report.console import draw_costs
    from resnets.report.growth import cut_json, format_cut
    from resnets.training.growth.pruning import block_costs, prune, require_budget
    from resnets.training.run_folder import framework_of

    budget = _read_budget(out, blocks, share)
    whole = load(network)
    require_budget(whole, **budget)  # what cannot be is said before images are read
    images = load_held_out(network, whole, name=data, announce=print_note)

    def make(candidate: "Network") -> Any:
        return make_framework_evaluator(
            candidate, network, framework=framework or framework_of(network), device=device
        )

    if out is None:
        found = list(block_costs(whole, images, make_evaluator=make))
        if json:
            print_json([cost.__dict__ for cost in found])
        else:
            print_rich(draw_costs(whole, found, len(images)))
        return
    cuts: list[PrunedNetwork] = []

    def announce(cut: "PrunedNetwork") -> None:
        cuts.append(cut)
        print_note(format_cut(cut, cuts[0]))

    left = prune(whole, images, make_evaluator=make, **budget, announce=announce).network
    save(left, out)
    depths = "-".join(str(stage.depth) for stage in left.architecture.stages)
    if json:
        print_json({"blocks": depths, "folder": str(out), "cuts": [cut_json(cut) for cut in cuts]})
    else:
        print(f"{left.architecture.name}: {depths} blocks, in {out}")


def _read_budget(out: Path | None, blocks: int | None, share: float | None) -> dict[str, Any]:
    """Return the budget, as ``pruning.prune`` takes it.

    Raises:
        RunError: if the options do not state one budget, and a new folder for it.
    """
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
        refuse_used(out)
    return {"blocks": blocks, "share": share}
