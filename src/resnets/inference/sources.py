"""What is exported, and the images that int8 is calibrated and engines are judged on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from resnets.convert import receive
from resnets.convert.fitting import number_classes
from resnets.convert.sources import assume_preprocessing
from resnets.data.images import Images
from resnets.errors import DataError, InvalidDescription, Problem, RunError
from resnets.inference.evaluate import load_split, require_held_out
from resnets.networks import catalog
from resnets.networks.geometry import default_image_size
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network
from resnets.schema import list_some
from resnets.training.run_folder import RECIPE

Say = Callable[[str], None]


def resolve_network(
    source: str, size: int | None, *, announce: Say, network: str | None = None
) -> Network:
    """Read the network of a run or whatever convert reads; a catalog's name has random weights.

    ``size`` takes the place of the images' height and width in pixels, ``network``, a name or a
    JSON file, that of the architecture that the source tells.

    Raises:
        As ``receive``; InvalidDescription if the size is none.
    """
    if network is None and source in catalog.names() and not Path(source).exists():
        a = catalog.get(source)
        preprocessing, note = assume_preprocessing(a, default_image_size(a))
        announce(f"note: {source} is the catalog's, with random weights: to try speed, not to use")
        announce(f"note: {note}")
        found = Network(a, initial_weights(a), preprocessing, number_classes(a.classes))
    else:
        received = receive(source, network=network)
        for note in received.notes:
            announce(f"note: {note}")
        found = received.network
    if size is None:
        return found
    if not 1 <= size <= 2**15:
        problem = Problem("size", f"{size} is not a number of pixels from 1 to {2**15}")
        raise InvalidDescription("export", [problem])
    return replace(found, preprocessing=replace(found.preprocessing, size=size))


@dataclass(frozen=True)
class CalibrationImages:
    """Images to calibrate and to judge on; ``labelled`` if their classes are the network's."""

    training: Images
    held_out: Images
    labelled: bool = True


def load_calibration_images(
    source: str, network: Network, *, data: str | None, announce: Say, needs_held_out: bool = True
) -> CalibrationImages | None:
    """Give the run's images, or a data set's, whose classes may be others than the network's.

    None where no data is named and there is no run, or its images cannot be had; says why.
    Unless engines are to be ``needs_held_out``, none need be held out.

    Raises:
        DataError, RunError: where the data named cannot be had, or has other channels.
    """
    if data is None and not (Path(source) / RECIPE).is_file():
        return None
    try:
        dataset, trained, held = load_split(
            Path(source), network, name=data, announce=announce, labelled=data is None
        )
        if needs_held_out:
            require_held_out(held, Path(source), name=data)
    except (DataError, RunError) as error:
        if data is not None:
            raise
        announce(f"note: no images of the run: {error}")
        return None
    labelled = dataset.class_names == network.class_names
    if not labelled:
        announce(
            f"note: {data} has the classes {list_some(dataset.class_names)}; the network in "
            f"{source} knows {list_some(network.class_names)}: its images are used without "
            "labels, for no accuracy"
        )
    return CalibrationImages(
        dataset.training.subset(trained), dataset.training.subset(held), labelled
    )
