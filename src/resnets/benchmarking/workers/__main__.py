"""``python -m resnets.benchmarking.workers``: one process of ``resnets bench``."""

from resnets.benchmarking.worker import main

main()
