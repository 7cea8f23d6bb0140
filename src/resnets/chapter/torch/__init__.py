"""The chapter's PyTorch tab: ``from resnets.chapter import tab, torch as d2l``.

Names and arguments are those of *Dive into Deep Learning*, chapter 8.6. Where the chapter errs:

- Its ``self.net.apply(d2l.init_cnn)`` meets lazy layers, which have no weights yet, so nothing is
  initialised. Here ``init_cnn`` waits for the weights and then draws them.
- Its ``layer_summary`` and ``apply_init`` let the norms' running statistics take a step, by
  random images or by one batch. Here they stay as they are.
- Its ``ResNeXtBlock(groups=...)`` is the width of a group; see there for ``cardinality``.
- Its ``Residual`` has no norm on the shortcut, unlike He et al. 2015; see there for
  ``norm_shortcut``.
- Its convolutions have biases, which the norms after them take out again. Kept: they change no
  output of a trained network.
"""

from resnets.chapter import tab
from resnets.chapter.board import ProgressBoard
from resnets.chapter.hyperparameters import HyperParameters, add_to_class
from resnets.chapter.requirements import require_framework

with require_framework("torch"):
    import torch

from resnets.chapter.torch.blocks import Residual, ResNet, ResNet18, ResNeXtBlock
from resnets.chapter.torch.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from resnets.chapter.torch.initial import init_cnn
from resnets.chapter.torch.learning import Classifier, DataModule, FashionMNIST, Module, Trainer

randn, rand, zeros, ones, normal = torch.randn, torch.rand, torch.zeros, torch.ones, torch.normal

tab.enter("pytorch")

__all__ = [
    "Classifier",
    "DataModule",
    "FashionMNIST",
    "HyperParameters",
    "Module",
    "ProgressBoard",
    "ResNeXtBlock",
    "ResNet",
    "ResNet18",
    "Residual",
    "Trainer",
    "add_to_class",
    "cpu",
    "gpu",
    "init_cnn",
    "normal",
    "num_gpus",
    "ones",
    "rand",
    "randn",
    "try_all_gpus",
    "try_gpu",
    "zeros",
]
