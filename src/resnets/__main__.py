"""``python -m resnets`` is the command ``resnets``."""

from resnets.cli import main

main()
