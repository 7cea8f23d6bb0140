"""The scripts of ``benchmarks/`` import each other from their folder; so do their tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
