"""Our networks against torchvision's and timm's, both ways: logits and the features of each stage.

The peer makes a network; all its weights and running statistics are random. Its state dict is
saved as a .pth file, read by ``resnets.convert`` (which recognises the network by its tensors)
and built; both compute for the same two images of 97×80 pixels, in float32 on the CPU. Then our
folder is opened by the peer (timm by ``create_model("local-dir:…")``, torchvision by
``load_state_dict``) and compared again.

    pip install --no-deps torchvision==0.28.0 timm==1.0.31 huggingface_hub pyyaml
    python benchmarks/peers.py [NAME …]
"""

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any

from training_step import write


def main() -> None:
    """Compare all, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="compare these alone, and write no figures")
    parser.add_argument("--largest", type=float, default=700e6, help="parameters at most")
    options = parser.parse_args()
    import torch  # only now: help must not wait for it

    from peer_networks import compare, empty, import_torchvision, peers

    torchvision = import_torchvision()
    import timm  # which imports torchvision

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    figures: dict[str, Any] = {}
    for peer in peers(torchvision, timm):
        if options.names and peer.name not in options.names:
            continue
        parameters = sum(p.numel() for p in empty(peer.make).parameters())
        label = f"{peer.where} {peer.name}"
        if parameters > options.largest:
            figures[label] = "skipped: too large"
            print(f"{label:34} skipped: {parameters:,} parameters", flush=True)
            continue
        with tempfile.TemporaryDirectory() as place:
            taken_for, there, back = compare(peer, Path(place))
        figures[label] = {"taken_for": taken_for, "read_by_us": there, "opened_by_peer": back}
        opened = "" if back is None else f", opened by the peer {back:.1e}"
        print(f"{label:34} taken for {taken_for or 'no entry':18} {there:.1e}{opened}", flush=True)
    versions = {"torchvision": torchvision.__version__, "timm": timm.__version__}
    if not options.names:
        write("peers", {"versions": versions, "figures": figures})


if __name__ == "__main__":
    main()
