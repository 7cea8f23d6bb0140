"""Where the time of our training step goes: convolutions, norms, optimiser, data, and the rest.

Each framework is profiled in a process of its own, by its own profiler.

    python benchmarks/profile_step.py [--framework torch jax …] [--network resnet18] [--size 96]
"""

import argparse
import importlib
import subprocess
import sys

from resnets import backends
from resnets.bench.work import Work
from resnets.networks import catalog

WARM_STEPS = 3


def split_step(work: Work, framework: str) -> dict[str, float]:
    """Train a few steps in this process; return each kind's share of their time."""
    from resnets.bench.workers.ours import start_training

    take, session, _ = start_training(work, framework=framework)
    take(WARM_STEPS)
    return importlib.import_module(f"profiles.{framework}").split_step(take, session)


def main() -> None:
    """Print a line for each framework."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--framework", nargs="+", choices=backends.NAMES, default=["torch"])
    parser.add_argument("--network", default="chapter_resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    if len(given.framework) > 1:
        options = ("network", "size", "batch", "precision", "device")
        same = [text for name in options for text in (f"--{name}", str(getattr(given, name)))]
        for name in given.framework:
            subprocess.run([sys.executable, __file__, "--framework", name, *same], check=True)
        return
    (framework,) = given.framework
    work = Work(
        architecture=catalog.get(given.network),
        size=given.size,
        batch=given.batch,
        purpose="training",
        precision=given.precision,
        device=given.device,
    )
    shares = split_step(work, framework)
    print(f"{framework:10}", "  ".join(f"{kind} {share:.0%}" for kind, share in shares.items()))


if __name__ == "__main__":
    main()
