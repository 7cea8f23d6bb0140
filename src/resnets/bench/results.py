"""What a run of ``resnets bench`` found, and its JSON.

The JSON of ``Report.to_json``::

    {
      "date": "2026-11-24",                    UTC
      "resnets": "0.4.0",
      "machine": {"processor", "processors", "memory_bytes", "system", "python", "threads_asked"},
      "network": "resnet18", "size": 96, "channels": 3, "classes": 1000, "batch": 128,
      "parameters": …, "multiply_adds": …,     the latter for one image, forward
      "seconds": …,                            that the whole run took
      "interrupted": false,                    whether it was ended before its last part
      "parts": [                               "training" and "inference"; by framework where
        {                                      memory was short
          "purpose": "training",
          "rounds": 7,                         that the figures are of
          "discarded": 1,                      rounds that were disturbed and repeated
          "disturbed": 0,                      disturbed rounds among those kept
          "limits": [
            {"framework": "torch", "precision": "bf16", "batch": 128,
             "matrix": SPREAD,                 multiply-adds a second of a large matrix product
             "convolutions": SPREAD,           images a second of the convolutions alone
             "seconds": {"3x3 64>64 24x24 kernel": …}}     of one call, median
          ],
          "rows": [
            {"framework": "torch", "name": "plain loop", "ours": false,
             "device": …, "precision": "fp32", "versions": {"torch": "2.13.0"},
             "first_step_seconds": …,          with compilation
             "peak_memory_bytes": …, "device_memory_bytes": null,
             "shares": {"convolutions": 0.8, …} or null, "shares_missing": reason or "",
             "missing": reason or "",          why there are no figures
             "died": false,                    whether it could be had and failed
             "measured": [
               {"batch": 128,
                "images_per_second": SPREAD,
                "ratio": SPREAD, "peer": "plain loop",     round by round
                "of_matrix": …, "of_convolutions": …}      fractions of the limit of the same
             ]}                                precision and framework; null where not measured
          ]
        }
      ]
    }

A SPREAD is ``{"median", "least", "most", "n", "values"}``, the values in the order of the rounds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from resnets.bench.spread import Spread
from resnets.bench.work import Purpose


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A row's figures at one batch.

    Attributes:
        batch: images in a step.
        images_per_second: over the rounds.
        ratio: to the peer, round by round; None where there is no peer.
        peer: whose name that is.
        of_matrix, of_convolutions: fractions of the limits; None where not measured.
    """

    batch: int
    images_per_second: Spread
    ratio: Spread | None = None
    peer: str = ""
    of_matrix: float | None = None
    of_convolutions: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "batch": self.batch,
            "images_per_second": self.images_per_second.to_json(),
            "ratio": None if self.ratio is None else self.ratio.to_json(),
            "peer": self.peer,
            "of_matrix": self.of_matrix,
            "of_convolutions": self.of_convolutions,
        }


@dataclass(frozen=True, kw_only=True)
class RowResult:
    """A row of the table; the module's text says what the fields are."""

    framework: str
    name: str
    ours: bool
    device: str = ""
    precision: str = ""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    first_step_seconds: float | None = None
    peak_memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    shares: Mapping[str, float] | None = None
    shares_missing: str = ""
    missing: str = ""
    died: bool = False
    measured: tuple[Measured, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {**asdict(self), "measured": [one.to_json() for one in self.measured]}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The machine's limit in a framework and a precision; the module's text says what is what."""

    framework: str
    precision: str
    batch: int
    matrix: Spread
    convolutions: Spread
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "framework": self.framework,
            "precision": self.precision,
            "batch": self.batch,
            "matrix": self.matrix.to_json(),
            "convolutions": self.convolutions.to_json(),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that took turns with each other."""

    purpose: Purpose
    rounds: int
    discarded: int
    disturbed: int
    rows: tuple[RowResult, ...]
    limits: tuple[Limit, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "purpose": self.purpose,
            "rounds": self.rounds,
            "discarded": self.discarded,
            "disturbed": self.disturbed,
            "limits": [limit.to_json() for limit in self.limits],
            "rows": [row.to_json() for row in self.rows],
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a run found; the module's text says what the fields are."""

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
    parts: tuple[Part, ...]
    interrupted: bool = False

    @property
    def rows(self) -> list[RowResult]:
        """All rows."""
        return [row for part in self.parts for row in part.rows]

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        return {
            **{name: value for name, value in vars(self).items() if name != "parts"},
            "machine": dict(self.machine),
            "parts": [part.to_json() for part in self.parts],
        }
