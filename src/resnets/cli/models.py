"""``resnets models``: the networks of the catalog."""

from resnets.cli.options import Flag
from resnets.terminal import print_json, print_rich


def models(pattern: str = "*", /, *, json: Flag = False) -> None:
    """List the catalog's networks.

    Parameters
    ----------
    pattern
        A shell pattern such as 'resnext*'.
    json
        Print the list as JSON.
    """
    from resnets.errors import UnknownName
    from resnets.networks import catalog
    from resnets.report import summary

    found = catalog.names(pattern)
    if not found:
        raise UnknownName(f"no network matches {pattern!r} (all: resnets models)", name=pattern)
    if json:
        print_json(summary.models_json(found))
    else:
        print_rich(summary.models_table(found))
