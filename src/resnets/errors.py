"""The errors that are the user's to mend.

Each says what is wrong, where, and what would be right. The command line prints the message
alone, without a traceback, and exits with status 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class ResnetsError(Exception):
    """Base of every error below: catch this one to catch them all."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a description: where it is, and what would be right."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidDescription(ResnetsError, ValueError):
    """A description (architecture, recipe, configuration) that cannot be; lists every problem."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{subject} is not valid:{lines}")


def summarise_error(error: BaseException) -> str:
    """Say in one line what another library raised; its kind, where that is not the obvious one."""
    said = " ".join(str(error).split())
    if said and isinstance(error, ImportError):
        return said
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


class UnknownName(ResnetsError, LookupError):
    """A name that nothing has.

    Attributes:
        name: the name.
        suggestions: names that exist, the most similar first.
    """

    def __init__(self, message: str, *, name: str, suggestions: Sequence[str] = ()) -> None:
        self.name = name
        self.suggestions = tuple(suggestions)
        super().__init__(message)


class DataError(ResnetsError):
    """Data that is missing, damaged or not what it claims to be."""


class WeightsError(ResnetsError):
    """Weights that do not fit the network, or a file that is not a weight file.

    Attributes:
        missing, unexpected, misshapen: names of tensors, where their comparison with a network
            is what failed.
    """

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        misshapen: Sequence[str] = (),
    ) -> None:
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.misshapen = tuple(misshapen)
        super().__init__(message)


class GrowthError(ResnetsError, ValueError):
    """A network that cannot become the other one by adding or removing blocks."""


class RunError(ResnetsError):
    """A run folder that cannot be used as asked."""


class Diverged(RunError):
    """The loss became infinite or not a number."""


class MissingDependency(ResnetsError, ImportError):
    """An optional package that was asked for and cannot be imported."""
