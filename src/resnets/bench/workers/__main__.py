"""``python -m resnets.bench.workers``: one process of ``resnets bench``."""

from resnets.bench.worker import main

main()
