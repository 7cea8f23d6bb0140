"""What a network is, by whatever names it: the catalog, a JSON file, or any weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resnets.networks.architecture import Architecture
from resnets.networks.geometry import default_image_size


def resolve_architecture(
    network: str,
    *,
    channels: int | None = None,
    classes: int | None = None,
    announce: Callable[[str], None],
) -> tuple[Architecture, int]:
    """Return an architecture and the input size it is made for.

    Nothing but weights needs NumPy, and nothing needs a framework.

    Args:
        network: a name of the catalog, an architecture's JSON file, or any weights.
        channels: of the input, in place of the architecture's own.
        classes: in place of the architecture's own.
        announce: is called with what had to be assumed about weights.

    Raises:
        UnknownName, InvalidDescription, WeightsError, RunError: where it cannot be read.
    """
    path = Path(network)
    if path.name == "config.json" and path.is_file():
        from resnets.convert.sources import read_our_config

        if read_our_config(path.parent) is not None:  # it stands for its folder
            path, network = path.parent, str(path.parent)
    if path.suffix == ".json":
        from resnets.networks.named import find_architecture

        architecture = find_architecture(network)
        size = default_image_size(architecture)
    elif path.exists() or len(path.parts) > 1 or path.suffix or ":" in network:
        from resnets import convert

        found = convert.describe(network)
        architecture, size = found.architecture, found.size
        for text in found.notes:
            announce(f"note: {text}")
    else:
        from resnets.networks import catalog

        architecture = catalog.get(network)
        size = default_image_size(architecture)
    changes = {"channels": channels, "classes": classes}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(architecture, **given), size
