"""The chapter's MXNet tab: ``from resnets.chapter import tab, mxnet as d2l``.

It has to be imported before ``mxnet`` itself, as the chapter does: MXNet 1.9.1, the last release,
reads names that NumPy has since removed, and this import lends them
(``resnets.backends.mxnet.importing``). ``npx.set_np()`` is called here too, as the book's helper
did: in this process MXNet computes with NumPy-like arrays from then on, which
``resnets.backends.mxnet`` does not; use that in another process, through files.

Names and arguments are those of *Dive into Deep Learning*, chapter 8.6. Where the chapter errs:

- Its ``ResNeXtBlock(groups=...)`` is the width of a group; see there for ``cardinality``.
- Its ``Residual`` has no norm on the shortcut, unlike He et al. 2015; see there for
  ``norm_shortcut``.
"""

from resnets.chapter import tab
from resnets.chapter.board import ProgressBoard
from resnets.chapter.hyperparameters import HyperParameters, add_to_class
from resnets.chapter.requirements import require_framework

with require_framework("mxnet"):
    from resnets.backends.mxnet.importing import mx

from resnets.chapter.mxnet.blocks import Residual, ResNet, ResNet18, ResNeXtBlock
from resnets.chapter.mxnet.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from resnets.chapter.mxnet.learning import Classifier, DataModule, FashionMNIST, Module, Trainer

mx.npx.set_np()
randn, normal, zeros, ones = mx.np.random.randn, mx.np.random.normal, mx.np.zeros, mx.np.ones

tab.enter("mxnet")

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
    "normal",
    "num_gpus",
    "ones",
    "randn",
    "try_all_gpus",
    "try_gpu",
    "zeros",
]
