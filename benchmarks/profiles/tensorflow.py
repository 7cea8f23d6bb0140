"""Where a step's time goes in TensorFlow: each operation, by TensorFlow's own profile.

Operations are called by the layer they belong to, gradients too; the step calls its other parts.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from profiles.session_time import add_data_outside, measure_data_share
from resnets.backends.tensorflow.augmentation import tensors_of

import tensorflow as tf  # isort: skip  # after the backend, which keeps TensorFlow quiet

STEPS = 3

# What an operation belongs to, by its name and type; the first that fits.
KINDS = (
    ("data", ("prepare/",)),
    ("optimiser", ("optimiser/",)),
    ("convolutions", ("conv",)),
    ("other", ("/fc", "softmax")),  # the last layer and the loss
)
NETWORK = "norms, activations"

_OPERATION = re.compile(r"[\w./-]+:\w+")
"""Name and type; the executor's own events have other names."""


def split_step(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Return each kind's share, by TensorFlow's profile; off the CPU that of the data alone."""
    if session.where.startswith("CPU"):
        return add_data_outside(profile_steps(take), take, session)

    def prepare(pixels: Any, draws: Any) -> Any:
        return session.prepare(tf.constant(pixels), tensors_of(draws)).numpy()

    return measure_data_share(take, session, prepare)


def profile_steps(take: Callable[[int], Any]) -> Counter[str]:
    """Take a few steps; return the time of each kind, summed over threads."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=2, python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            take(STEPS)
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace()
        space.ParseFromString(path.read_bytes())
    found: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if _OPERATION.fullmatch(name):
                    found[find_kind(name)] += event.duration_ps
    return found


def find_kind(name: str) -> str:
    """Return what an operation belongs to, by its name."""
    lowered = name.lower()
    for kind, parts in KINDS:
        if any(part in lowered for part in parts):
            return kind
    return NETWORK
