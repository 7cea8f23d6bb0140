"""Images per second of a training step: ours against each framework's plain way.

The chapter's network, size and batch, by ``resnets bench``, whose figures are kept here with the
date. Rounds that other work disturbed are repeated (``quiet_rounds.py``). By default torch alone,
against the chapter's plain loop and timm; ``--convolutions`` adds the network's convolutions, each
called alone (``convolutions.py``).

    python benchmarks/training_step.py [--rounds 15] [--framework torch jax …] [--network resnet18]
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import convolutions
from quiet_rounds import QuietRounds
from resnets import backends, bench
from resnets.bench import machine, tables
from resnets.networks import catalog
from resnets.terminal import print_note, print_rich

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="chapter_resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--framework", nargs="+", choices=backends.NAMES, default=["torch"])
    parser.add_argument("--precision", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--convolutions", action="store_true", help="measure them alone, too")
    given = parser.parse_args()
    # The processes of bench import ``convolutions`` from this folder.
    paths = (str(RESULTS.parent), os.environ.get("PYTHONPATH", ""))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    alone = [
        contender
        for name in given.framework
        if given.convolutions
        for contender in convolutions.make_contenders(name, "training", given.device)
    ]
    wanted = bench.Bench(
        architecture=catalog.get(given.network, channels=given.channels, classes=given.classes),
        size=given.size,
        batch=given.batch,
        frameworks=tuple(given.framework),
        purposes=("training",),
        precisions=tuple(given.precision),
        device=given.device,
        rounds=given.rounds,
        extra=tuple(alone),
    )
    rounds = QuietRounds([], [])
    report = bench.measure(wanted, print_note, take_rounds=rounds)
    print_rich(tables.draw_report(report))
    print(rounds.describe())
    disturbed = {"set_aside": rounds.set_aside, "disturbed": rounds.disturbed}
    write("training_step", {**report.to_json(), **disturbed})


def write(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures with the date, the machine and the versions."""
    import torch

    now = datetime.now(UTC)
    about = {
        "date": f"{now:%Y-%m-%d}",
        "processor": f"{machine.usable_processors()} cores, {machine.processor()}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}_{name}.json"
    path.write_text(json.dumps({**about, **figures}, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
