"""How long the tables of every network of the catalog take, in one process.

    python benchmarks/tables.py

What ``resnets show`` does for a name, imports aside: find and trace the network, make its table and
its JSON (the aim is one second for all networks), and write both as text.
"""

import argparse
import io
import json
import statistics
import time
from itertools import pairwise

from rich.console import Console

from resnets.networks import catalog
from resnets.networks.geometry import default_image_size
from resnets.networks.tracing import trace
from resnets.report.summary import show_json, show_table
from training_step import write

PARTS = ("trace", "table", "JSON", "table as text", "JSON as text")


def show_all() -> dict[str, float]:
    """Show every network once; give the processor's seconds of each part, and of all."""
    parts = dict.fromkeys(PARTS, 0.0)
    for name in catalog.names():
        times = [time.process_time()]
        architecture = catalog.get(name)
        steps = trace(architecture, default_image_size(architecture))
        times.append(time.process_time())
        table = show_table(steps)
        times.append(time.process_time())
        value = show_json(steps)
        times.append(time.process_time())
        _console().print(table)
        times.append(time.process_time())
        json.dumps(value, indent=2)
        times.append(time.process_time())
        for part, (start, end) in zip(PARTS, pairwise(times), strict=True):
            parts[part] += end - start
    first = sum(parts[part] for part in PARTS[:3])
    return {**parts, "first three": first, "all": sum(parts[part] for part in PARTS)}


def _console() -> Console:
    return Console(file=io.StringIO(), width=100, highlight=False, markup=False, emoji=False)


def main() -> None:
    """Print the median and the range of some rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = [show_all() for _ in range(parser.parse_args().rounds)]
    networks, figures = len(catalog.names()), {}
    print(f"{networks} networks, {len(rounds)} rounds, seconds of one processor: median (range)")
    for part in rounds[0]:
        seconds = [one[part] for one in rounds]
        median, low, high = statistics.median(seconds), min(seconds), max(seconds)
        figures[part] = {"median": median, "least": low, "most": high}
        print(f"{part:13} {median:6.3f}  ({low:.3f} to {high:.3f})")
    write("tables", {"networks": networks, "rounds": len(rounds), "seconds": figures})


if __name__ == "__main__":
    main()
