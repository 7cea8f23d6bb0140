"""What a run of ``resnets bench`` found, and its JSON.

The JSON of ``Report.to_json``::

    {
      "date": "2026-11-24",                    UTC
      "resnets": "0.4.0",
      "machine": {"processor", "processors", "memory_bytes", "system", "python", "threads_asked"},
      "network": "resnet18", "size": 96, "channels": 3, "classes": 1000, "batch": 128,
      "parameters": …, "multiply_adds": …,     the latter for one image, forward
      "seconds": …,                            of the whole run
      "interrupted": false,                    whether it was ended before its last part
      "parts": [                               one for each purpose and framework
        {
          "purpose": "training",
          "rounds": 7,                         complete rounds: the n of every SPREAD
          "limits": [
            {"framework": "torch", "precision": "bf16",
             "matrix": SPREAD}                 multiply-adds a second of a large matrix product
          ],
          "rows": [
            {"framework": "torch", "name": "plain loop", "ours": false,
             "device": …, "precision": "fp32", "versions": {"torch": "2.13.0"},
             "first_step_seconds": …,          with compilation
             "peak_memory_bytes": …, "device_memory_bytes": null,
             "missing": reason or "",          why there are no figures
             "died": false,                    whether it was available and failed
             "measured": [
               {"batch": 128,
                "images_per_second": SPREAD,
                "ratio": SPREAD, "peer": "plain loop",     round by round; null without a peer
                "of_matrix": …}                fraction of the limit of the same framework and
             ]}                                precision; null where that was not measured
          ]
        }
      ]
    }

A SPREAD is ``{"median", "least", "most", "n", "values"}``, the values in the order of the rounds.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from resnets.bench.work import Purpose


@dataclass(frozen=True)
class Spread:
    """The values of the rounds, in their order."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a spread of no values")

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest value."""
        return max(self.values)

    def divide(self, other: "Spread") -> "Spread":
        """Divide round by round: a slow minute of the machine slows both."""
        pairs = zip(self.values, other.values, strict=True)
        return Spread(tuple(own / theirs for own, theirs in pairs))

    def to_json(self) -> dict[str, float | int | list[float]]:
        """Return JSON values."""
        return {
            "median": self.median,
            "least": self.least,
            "most": self.most,
            "n": len(self.values),
            "values": list(self.values),
        }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A contender's figures at one batch."""

    batch: int
    images_per_second: Spread
    ratio: Spread | None = None
    peer: str = ""
    of_matrix: float | None = None


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row of the table; the module's docstring describes the fields."""

    framework: str
    name: str
    ours: bool
    device: str = ""
    precision: str = ""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    first_step_seconds: float | None = None
    peak_memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    missing: str = ""
    died: bool = False
    measured: tuple[Measured, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The machine's limit in a framework and a precision: multiply-adds a second."""

    framework: str
    precision: str
    matrix: Spread


@dataclass(frozen=True, kw_only=True)
class Part:
    """Contenders of one framework that took turns with each other."""

    purpose: Purpose
    rounds: int
    limits: tuple[Limit, ...]
    rows: tuple[RowResult, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a run found; the module's docstring describes the fields."""

    date: str
    resnets: str
    machine: Mapping[str, Any]
    network: str
    size: int
    channels: int
    classes: int
    batch: int
    parameters: int
    multiply_adds: int
    seconds: float
    interrupted: bool
    parts: tuple[Part, ...]

    @property
    def rows(self) -> list[RowResult]:
        """All rows."""
        return [row for part in self.parts for row in part.rows]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        found = asdict(self)
        for part, values in zip(self.parts, found["parts"], strict=True):
            for limit, value in zip(part.limits, values["limits"], strict=True):
                value["matrix"] = limit.matrix.to_json()
            for row, value in zip(part.rows, values["rows"], strict=True):
                for one, figures in zip(row.measured, value["measured"], strict=True):
                    figures["images_per_second"] = one.images_per_second.to_json()
                    figures["ratio"] = one.ratio.to_json() if one.ratio else None
        return found
