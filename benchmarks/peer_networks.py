"""What ``peers.py`` and ``reading.py`` compare with: other projects' networks, run beside ours."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from resnets import convert
from resnets.backends import torch as backend
from resnets.convert.timm_names import READABLE
from resnets.networks.catalog import names
from resnets.networks.folder import TIMM_NAMES, save

TORCHVISION = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
    *names("regnet_*"),
)
CLASSES = 13
FEATURES = ("stem", "stage1", "stage2", "stage3", "stage4", "logits")
STAGES = ("layer{}", "stages.{0}", "s{}", "trunk_output.block{}")
"""What peers call their stages; resnetv2 counts from 0."""


def import_torchvision() -> Any:
    """Import torchvision; beside a torch without its operators, only its models are usable."""
    registered = torch.library.register_fake

    def tolerant(*names: Any, **options: Any) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            try:
                return registered(*names, **options)(function)
            except RuntimeError:  # an operator that this torchvision does not bring
                return function

        return register

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library.register_fake = tolerant
        import torchvision
    return torchvision


@dataclass(frozen=True)
class Peer:
    """A network of another project: how it is made, and opens our folder (None: it does not)."""

    where: str
    name: str
    make: Callable[[], torch.nn.Module]
    opened: Callable[[Path], torch.nn.Module] | None


def peers(torchvision: Any, timm: Any) -> Iterator[Peer]:
    """Yield torchvision's and timm's networks that ours are compared with."""
    for name in TORCHVISION:

        def make(name: str = name) -> torch.nn.Module:
            return getattr(torchvision.models, name)(num_classes=CLASSES)

        def opened(folder: Path, make: Callable[[], torch.nn.Module] = make) -> torch.nn.Module:
            model = empty(make)
            model.load_state_dict(load_file(folder / "model.safetensors"))
            return model

        yield Peer("torchvision", name, make, opened)
    opens = {*TIMM_NAMES.values()}
    for name in sorted(READABLE):

        def make(name: str = name) -> torch.nn.Module:
            return timm.create_model(name, num_classes=CLASSES)

        def opened(folder: Path) -> torch.nn.Module:
            return timm.create_model(f"local-dir:{folder}", pretrained=True)

        yield Peer("timm", name, make, opened if name in opens else None)


def empty(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Make a network without its initial weights, which would take most of the time."""
    try:
        with torch.device("meta"):
            return make().to_empty(device="cpu")
    except NotImplementedError:  # torchvision's RegNets compute their widths with tensors
        return make()


def random_network(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Make a network whose every weight and statistic is random; nothing is zero or one."""
    model = empty(make)
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.zero_()
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.ndim == 4:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif tensor.ndim == 1 and name.endswith("weight"):
            tensor.uniform_(0.3, 0.9)
        else:
            tensor.normal_(0, 0.3)
    return model.eval()


def computed(model: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The peer's logits and features, by our names."""
    modules = dict(model.named_modules())
    found: dict[str, torch.Tensor] = {}
    watched = {"stem": modules["maxpool"] if "maxpool" in modules else modules["stem"]}
    for k in range(1, 5):
        known = (text.format(k - 1 if "{0}" in text else k) for text in STAGES)
        watched[f"stage{k}"] = next(modules[name] for name in known if name in modules)
    for name, module in watched.items():
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: found.__setitem__(name, output.clone())
        )
    with torch.inference_mode():
        found["logits"] = model.eval()(x)
    return found


def difference(found: dict[str, Any], expected: dict[str, torch.Tensor]) -> float:
    """The largest difference of any feature, relative to the feature's size."""
    worst = 0.0
    for name in FEATURES:
        theirs = expected[name]
        apart = (torch.from_numpy(found[name]) - theirs).abs().max() / theirs.abs().max()
        worst = max(worst, float(apart))
    return worst


def compare(peer: Peer, folder: Path) -> tuple[str, float, float | None]:
    """Compare both ways: what it was recognised as, theirs read by us, ours opened by them."""
    theirs = random_network(peer.make)
    x = torch.randn(2, 3, 97, 80)
    expected = computed(theirs, x)
    torch.save(theirs.state_dict(), folder / "peer.pth")
    del theirs
    network = convert.read(folder / "peer.pth")
    ours = backend.build(network.architecture, weights=network.weights)
    found = backend.features(ours, x.numpy(), wanted=FEATURES)
    del ours
    there, back = difference(found, expected), None
    if peer.opened is not None:
        save(network, folder / "ours")
        back = difference(found, computed(peer.opened(folder / "ours"), x))
    return network.architecture.name, there, back


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/peers.py")
