"""Where a step's time goes in JAX: each operation of the compiled step, by XLA's own profile.

What an operation is for is read off the compiled program: what it computes, what it was made of.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from profiles.session_time import add_data_outside, measure_data_share

STEPS = 3
CONVOLUTIONS, OPTIMISER, DATA = "convolutions", "optimiser", "data"
NETWORK = "norms, activations"

_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = ")
_CALLED = re.compile(r"(?:calls|to_apply|body)=%?([\w.-]+)")
_LAYOUT = re.compile(r"\b(?:parameter|copy|transpose|bitcast|reshape)\(")
_PRODUCT = re.compile(r"\b(?:convolution|dot)\(|(?:conv_general_dilated|dot_general)")


def split_step(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Return each kind's share, by XLA's profile; on other devices the share of the data alone."""
    if jax.devices()[0].platform == "cpu":
        return add_data_outside(profile_steps(take), take, session)
    return measure_data_share(
        take, session, lambda pixels, draws: jax.block_until_ready(session.prepare(pixels, draws))
    )


def profile_steps(take: Callable[[int], Any]) -> Counter[str]:
    """Take a few steps; return the time of each kind, summed over threads."""
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            take(STEPS)
        (path,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(path))
        events = [
            event for plane in profile.planes for line in plane.lines for event in line.events
        ]
        times: Counter[tuple[str, str]] = Counter()
        for event in events:
            about = dict(event.stats)
            if "hlo_op" in about:
                times[str(about["hlo_module"]), str(about["hlo_op"])] += event.duration_ns
    kinds = {name: find_kinds(texts) for name, texts in list_programs().items()}
    found: Counter[str] = Counter()
    for (program, operation), time in times.items():
        step = "prepared" not in program
        found[kinds.get(program, {}).get(operation, NETWORK) if step else DATA] += time
    return found


def list_programs() -> dict[str, list[str]]:
    """Return the texts of all compiled programs, by name; several may share one."""
    found: dict[str, list[str]] = {}
    for executable in jax.devices()[0].client.live_executables():
        for module in executable.hlo_modules():
            found.setdefault(module.name, []).append(module.to_string())
    return found


def find_kinds(texts: Iterable[str]) -> dict[str, str]:
    """Return what each operation of compiled programs is for."""
    lines: dict[str, str] = {}
    bodies: dict[str, list[str]] = {}
    for text in texts:
        body: list[str] = []
        for line in text.splitlines():
            if head := _HEAD.match(line):
                body = bodies.setdefault(head[1], [])
            elif instruction := _INSTRUCTION.match(line):
                body.append(line)
                lines[instruction[1]] = line
    return {name: _find_kind(line, bodies) for name, line in lines.items()}


def _find_kind(line: str, bodies: Mapping[str, list[str]]) -> str:
    whole = [line]
    for part in whole:  # grows: what it calls, and what that calls
        for called in _CALLED.findall(part):
            whole += [inner for inner in bodies.get(called, []) if inner not in whole]
    if any(_PRODUCT.search(part) for part in whole):
        return CONVOLUTIONS
    if all(_LAYOUT.search(part) for part in whole[1:] or whole):
        return CONVOLUTIONS  # nothing else needs its arrays in another layout
    if any("/optimiser/" in part for part in whole):
        return OPTIMISER
    return NETWORK
