"""From a folder of weights to a PyTorch module ready to compute: ours against timm's.

Both open the same folder, which ``resnets.networks.folder.save`` wrote: timm by
``create_model("local-dir:…", pretrained=True)``, ours by ``exchange.read`` and ``build``. They
take turns in one process, the file in the system's cache; each module then computes for one
image, so that what was only mapped has been read.

    python benchmarks/reading.py [--network resnet152] [--rounds 15]
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resnets import convert
from resnets.networks import catalog
from resnets.networks.folder import save
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing
from training_step import write


def timed(make: Callable[[], Any], image: Any) -> tuple[float, Any]:
    """Seconds to make the module, and its logits."""
    import torch

    start = time.perf_counter()
    model = make().eval()
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        return seconds, model(image)


def main() -> None:
    """Take turns, print medians and the ratio, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="resnet152")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    import torch  # only now: help must not wait for it

    from peer_networks import import_torchvision
    from resnets.backends import torch as backend

    import_torchvision()
    import timm  # which imports torchvision

    warnings.simplefilter("ignore")
    architecture = catalog.get(options.network)
    preprocessing = Preprocessing(size=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    names = tuple(map(str, range(architecture.classes)))
    image = torch.randn(1, 3, 64, 64)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save(Network(architecture, initial_weights(architecture), preprocessing, names), folder)

        def theirs() -> Any:
            return timm.create_model(f"local-dir:{folder}", pretrained=True)

        def ours() -> Any:
            network = convert.read(folder)
            return backend.build(network.architecture, weights=network.weights)

        rounds = [[timed(make, image) for make in (theirs, ours)] for _ in range(options.rounds)]
    assert all(torch.equal(one[1], other[1]) for one, other in rounds)
    seconds = {
        name: [round_[k][0] for round_ in rounds[1:]] for k, name in enumerate(("timm", "ours"))
    }
    ratios = [mine / other for other, mine in zip(*seconds.values(), strict=True)]
    figures: dict[str, Any] = {"rounds": len(ratios), "network": options.network}
    for name, values in (*seconds.items(), ("ratio", ratios)):
        median, low, high = statistics.median(values), min(values), max(values)
        figures[name] = {"median": median, "range": [low, high]}
        unit = "" if name == "ratio" else " s"
        print(f"{name:6} {median:.3f}{unit} ({low:.3f} to {high:.3f})")
    write("reading", {"versions": {"timm": timm.__version__}, **figures})


if __name__ == "__main__":
    main()
