"""The names of the ResNet chapter of *Dive into Deep Learning*, on today's frameworks.

``from resnets.chapter import tab, torch as d2l`` in place of ``from d2l import torch as d2l`` runs
the chapter's cells, which ask ``tab`` what they are; in a notebook ``tab`` need not be named.
``tensorflow``, ``jax`` and ``mxnet`` are the other tabs. The functions below let networks of the
chapter's classes, and their weights, move between the tabs, and between them and the rest of this
project.
"""

from resnets.chapter.conversation import describe, load, network, weights

__all__ = ["describe", "load", "network", "weights"]
