"""How fast networks train and infer on this machine, beside its limit and other projects.

Every row of the table (``contenders``) is a process of its own (``worker``); processes take turns
of a few steps, one at a time, in rounds (``rounds``). Nothing here imports a framework; what
runs in the processes is in ``workers``.
"""

from resnets.bench.measuring import Bench, Interrupted, measure
from resnets.bench.results import Report

__all__ = ["Bench", "Interrupted", "Report", "measure"]
