"""The chapter's JAX tab: ``from resnets.chapter import tab, jax as d2l``, with Flax linen.

Names and arguments are those of *Dive into Deep Learning*, chapter 8.6. Where the chapter errs:

- ``training`` is a field of its modules, and its trainer set it to False on a module that was
  compiled already: validation went on with the statistics of the batch. Here ``Trainer`` trains
  one copy of the module and validates another, and refuses a network one of whose norms would
  still take a batch's statistics in validation.
- Its stride-2 layers pad ``same``, which puts the odd pixel behind: another function than in the
  PyTorch and MXNet tabs. Its cells run so; ``Residual``, ``ResNet`` and ``ResNet18`` of this tab
  pad on both sides alike, and have the other tabs' decay (0.9, Flax: 0.99) in the norms.
- Its norms keep Flax's decay of 0.99: after 100 steps a running variance is still a third of the 1
  that it began with, so validation says little before some 400 steps.
- Its ``ResNeXtBlock(groups=...)`` is the width of a group; see there for ``cardinality``.
- Its ``Residual`` has no norm on the shortcut, unlike He et al. 2015; see there for
  ``norm_shortcut``.
- ``ResNet18(training=False)`` has to be said in its ``layer_summary`` cell; here it need not.

A linen module has no weights in it: after ``trainer.fit`` they are ``trainer.variables``.
"""

from resnets.chapter import tab
from resnets.chapter.board import ProgressBoard
from resnets.chapter.hyperparameters import HyperParameters, add_to_class
from resnets.chapter.requirements import require_framework

with require_framework("jax"):
    import flax.linen  # noqa: F401
    import optax  # noqa: F401
    from jax import numpy as jnp

from resnets.chapter.jax.blocks import Residual, ResNet, ResNet18, ResNeXtBlock
from resnets.chapter.jax.devices import cpu, get_key, gpu, num_gpus, try_all_gpus, try_gpu
from resnets.chapter.jax.learning import Classifier, DataModule, FashionMNIST, Module, Trainer

zeros, ones = jnp.zeros, jnp.ones

tab.enter("jax")

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
    "get_key",
    "gpu",
    "num_gpus",
    "ones",
    "try_all_gpus",
    "try_gpu",
    "zeros",
]
