"""The chapter's TensorFlow tab: ``from resnets.chapter import tab, tensorflow as d2l``.

Names and arguments are those of *Dive into Deep Learning*, chapter 8.6. Where the chapter errs:

- Its blocks' ``call`` has no argument ``training``. Keras drops ``training=True`` there and says
  nothing, so its norms never saw a batch's statistics and their running mean stayed 0. Here
  ``Trainer`` sets the mode for every layer inside, whatever arguments ``call`` has.
- Its data module shuffled batches: the images of a batch stayed together. Here it shuffles images.
- Its stride-2 layers pad ``same``, which puts the odd pixel behind: another function than in the
  PyTorch and MXNet tabs. Its cells run so; ``Residual``, ``ResNet`` and ``ResNet18`` of this tab
  pad on both sides alike, and have the other tabs' epsilon (0.00001, Keras: 0.001) and decay (0.9,
  Keras: 0.99) in the norms.
- Its norms keep Keras's decay of 0.99: after 100 steps a running variance is still a third of the
  1 that it began with, so validation says little before some 400 steps.
- Its ``ResNeXtBlock(groups=...)`` is the width of a group; see there for ``cardinality``.
- Its ``Residual`` has no norm on the shortcut, unlike He et al. 2015; see there for
  ``norm_shortcut``.
- ``tf.keras.models.Sequential(layer)``, as in its constructor, is a TypeError in Keras 3. Importing
  this tab makes ``Sequential`` take one layer again, in the whole process.
"""

from resnets.chapter import tab
from resnets.chapter.board import ProgressBoard
from resnets.chapter.hyperparameters import HyperParameters, add_to_class
from resnets.chapter.requirements import require_framework

with require_framework("tensorflow"):
    import tensorflow as tf

    import resnets.backends.tensorflow  # noqa: F401


from resnets.chapter.tensorflow.blocks import Residual, ResNet, ResNet18, ResNeXtBlock
from resnets.chapter.tensorflow.devices import cpu, gpu, num_gpus, try_all_gpus, try_gpu
from resnets.chapter.tensorflow.learning import (
    Classifier,
    DataModule,
    FashionMNIST,
    Module,
    Trainer,
)
from resnets.chapter.tensorflow.sequential import accept_single_layers

accept_single_layers()
normal, zeros, ones = tf.random.normal, tf.zeros, tf.ones

tab.enter("tensorflow")

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
    "try_all_gpus",
    "try_gpu",
    "zeros",
]
