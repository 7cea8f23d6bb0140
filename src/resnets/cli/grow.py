"""``resnets grow``: a trained network made deeper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from resnets.cli.flags import growth_target
from resnets.cli.options import Flag, OtherNetwork, Source, Whole, refuse_used
from resnets.errors import RunError
from resnets.recipes.recipe import Placement, Start
from resnets.terminal import print_json, print_note

if TYPE_CHECKING:
    pass


def grow(
    source: Source,
    /,
    *,
    to: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    network: OtherNetwork = None,
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
    to
        A name (resnets models), an architecture's JSON file, or blocks in each stage: 3-4-6-3.
    out
        The folder to write.
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
    from resnets.recipes.recipe import Growth
    from resnets.report.growth import format_growth, growth_json
    from resnets.training.growth.targets import plan_growth

    refuse_used(out)
    if seed < 0:
        raise RunError(f"--seed {seed}: not a whole number from 0")
    wanted = Growth(epoch=0, **growth_target(to), placement=placement, start=start)
    received = convert.receive(source, network=network)
    for assumed in received.notes:
        print_note(f"note: {assumed}")
    whole = received.network
    growth = plan_growth(wanted, whole.architecture, seed=seed)
    grown = replace(whole, architecture=growth.target, weights=growth.grow_weights(whole.weights))
    save(grown, out)
    result = growth_json(growth, whole.weights, folder=out)
    if json:
        print_json(result)
    else:
        print(format_growth(result, obstacle=growth.obstacle))
