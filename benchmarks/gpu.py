"""Everything that is claimed for a GPU, measured on one, in some ten minutes.

    python benchmarks/gpu.py [--data FOLDER] [--recipe steady] [--seeds 3] [--out gpu.json]
    python benchmarks/gpu.py --small --device cpu        # tries the script itself

It needs torch with CUDA and this package's own dependencies, and fetches nothing. Fashion-MNIST is
read where it lies (``--data``: a folder with its four files); without it the images are random and
what needs real ones is left out. The result is written after each part: what is not known yet is
missing, what failed says why. Compiling comes late, its time is stated apart; the longest part, for
accuracy, is last, and none begins after ``--budget`` seconds.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from gpu_checks import accuracy, accurate, others, parity
from gpu_speed import job, large, limit, step
from gpu_work import Measurement, Plan, data_of
from resnets.backends.torch.devices import available_devices, describe_device, find_device

Part = Callable[[Measurement], dict[str, Any]]


def machine(m: Measurement) -> dict[str, Any]:
    """The device, versions, and what torch finds."""
    device = m.plan.device
    words = {
        "device": describe_device(device),
        "found": available_devices(),
        "torch": torch.__version__,
    }
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        words |= {"memory": whole, "free": free, "cuda": torch.version.cuda}
        words |= {"cudnn": torch.backends.cudnn.version()}
    words["data"] = "Fashion-MNIST" if m.data.real else "random images of the same shapes"
    return words


PARTS: dict[str, Part] = {
    "machine": machine,
    "parity": parity,
    "limit": limit,
    "step": step,
    "job": job,
    "large": large,
    "accuracy": accuracy,
    "others": others,
    "step, compiled": lambda m: step(m, compiled=True),
    "job, compiled": lambda m: job(m, compiled=True),
    "large, compiled": lambda m: large(m, compiled=True),
    "accurate": accurate,
}


def main() -> int:
    """Take the parts one after the other; write what is known after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's files")
    parser.add_argument("--recipe", default="steady", help="for the time to 94%%")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts; all unless named")
    parser.add_argument("--budget", type=float, default=420, help="seconds; no part begins after")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    given = parser.parse_args()
    began = time.perf_counter()
    plan = Plan.of(find_device(given.device), small=given.small)
    m = Measurement(plan, data_of(given.data, plan), given.recipe, given.seeds)
    m.found["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    failed = False
    for name in given.only or PARTS:
        started = time.perf_counter()
        if started - began > given.budget:
            m.found[name] = {"left out": "no time"}
        else:
            try:
                m.found[name] = PARTS[name](m)
            except Exception as error:  # one part must not lose the others
                failed = True
                m.found[name] = {"failed": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
        m.found[name]["part_seconds"] = round(time.perf_counter() - started, 1)
        given.out.write_text(json.dumps(m.found, indent=2) + "\n")
        print(f"{name}: {json.dumps(m.found[name])}", flush=True)
        if plan.device.type == "cuda":
            torch.cuda.empty_cache()
    print(f"{time.perf_counter() - began:.0f} s, written to {given.out}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
