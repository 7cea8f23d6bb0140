"""What is exported, and the images that int8 is calibrated and engines are judged on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from resnets import catalog
from resnets.checkpoint import RECIPE
from resnets.data.images import Images
from resnets.errors import InvalidDescription, Problem, RunError
from resnets.exchange import receive
from resnets.exchange.fitting import numbered
from resnets.exchange.sources import assumed_preprocessing
from resnets.inference import parted
from resnets.initial import initial_weights
from resnets.summary import natural_size
from resnets.weights import Network

Say = Callable[[str], None]


def exported(source: str, size: int | None, announce: Say) -> Network:
    """Read the network of a run or whatever convert reads; a catalog's name has random weights.

    ``size`` takes the place of the images' height and width in pixels.

    Raises:
        As ``receive``; InvalidDescription if the size is none.
    """
    if source in catalog.names() and not Path(source).exists():
        a = catalog.get(source)
        preprocessing, note = assumed_preprocessing(a, natural_size(a))
        announce(f"note: {source} is the catalog's, with random weights: to try speed, not to use")
        announce(f"note: {note}")
        network = Network(a, initial_weights(a), preprocessing, numbered(a.classes))
    else:
        received = receive(source)
        for note in received.notes:
            announce(f"note: {note}")
        network = received.network
    if size is None:
        return network
    if not 1 <= size <= 2**15:
        problem = Problem("size", f"{size} is not a number of pixels from 1 to {2**15}")
        raise InvalidDescription("export", [problem])
    return replace(network, preprocessing=replace(network.preprocessing, size=size))


def pictures(
    source: str, network: Network, data: str | None, announce: Say
) -> tuple[Images, Images] | None:
    """Give training and held-out images: the run's, or a data set's; None where none are named.

    Raises:
        DataError, RunError: where the data cannot be had, or is not the network's.
    """
    if data is None and not (Path(source) / RECIPE).is_file():
        return None
    try:
        return parted(Path(source), network, data, announce)
    except RunError:
        if data is not None:
            raise
        announce(f"note: the run in {source} held no images out")
        return None
