"""Our networks against torchvision's and timm's: names, shapes, parameters and logits.

The peer makes random weights and random running statistics; our module loads its ``state_dict``
strictly, and both compute logits in float32 on the CPU for the same images of 97×80 pixels.

    pip install --no-deps torchvision==0.28.0 timm==1.0.31 huggingface_hub pyyaml
    python benchmarks/peers.py
"""

from collections.abc import Callable
from typing import Any

import torch

from resnets import catalog
from resnets.backends import torch as backend
from training_step import write

TORCHVISION = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    *("wide_resnet50_2", "wide_resnet101_2"),
)
TIMM = (
    *("resnext101_32x4d", "resnet18d", "resnet34d", "resnet50c", "resnet50d", "resnet101d"),
    *("seresnet18", "seresnet34", "seresnet50", "seresnet101", "seresnet152"),
    *("seresnext50_32x4d", "seresnext101_32x8d"),
    *("resnetv2_18", "resnetv2_34", "resnetv2_50", "resnetv2_101", "resnetv2_152"),
)
CLASSES = 13


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


def difference(name: str, peer: torch.nn.Module) -> float:
    """The logits' largest difference, relative to their size; raises where names differ."""
    for module in peer.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    ours = backend.build(catalog.get(name, classes=CLASSES))
    ours.load_state_dict(peer.state_dict(), strict=True)
    x = torch.randn(2, 3, 97, 80)
    with torch.no_grad():
        expected, found = peer.eval()(x), ours.eval()(x)
    return float((found - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Compare all, print the table, write the figures."""
    torchvision = import_torchvision()
    import timm

    torch.manual_seed(0)
    makers = [
        *((n, "torchvision", getattr(torchvision.models, n)) for n in TORCHVISION),
        *((n, "timm", lambda n=n, **o: timm.create_model(n, **o)) for n in TIMM),
    ]
    figures: dict[str, float] = {}
    for name, where, make in makers:
        figures[f"{where} {name}"] = difference(name, make(num_classes=CLASSES))
        print(f"{where:12} {name:22} relative difference {figures[f'{where} {name}']:.1e}")
    versions = {"torchvision": torchvision.__version__, "timm": timm.__version__}
    write("peers", {"versions": versions, "figures": figures})


if __name__ == "__main__":
    main()
