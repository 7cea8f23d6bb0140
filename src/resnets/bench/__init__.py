"""How fast a network trains and infers on this machine, beside the machine's limit.

Each contender, a row of the table (``contenders``), runs in a process of its own (``worker``). The
processes of a framework take turns of a few steps (``measurement``), so that a slow minute of the
machine slows all of them. Nothing here imports a framework; what the processes run is in
``workers``. The scripts in ``benchmarks/`` measure more with the same timing code.
"""

from resnets.bench.measurement import Bench, Interrupted, measure
from resnets.bench.results import Report

__all__ = ["Bench", "Interrupted", "Report", "measure"]
