"""What a model's steps give: one loss; in validation perhaps an accuracy, or nothing."""

from collections.abc import Mapping
from typing import Any, cast

from resnets.errors import InvalidDescription, Problem


def unwrap_scalar(what: str, value: Any) -> Any:
    """Give back an array of one number, such as a mean loss.

    Raises:
        InvalidDescription: for anything else; ``what`` says what it was to be.
    """
    shape = getattr(value, "shape", None)
    if shape is None:
        message = f"the model gives {type(value).__name__}, not an array: return {what}"
        raise InvalidDescription("Trainer.fit", [Problem(what, message)])
    if any(side != 1 for side in shape):
        sides = ", ".join(str(side or "n") for side in shape)
        message = f"it has the shape [{sides}], not one number: take its mean"
        raise InvalidDescription("Trainer.fit", [Problem(what, message)])
    return value


def to_float(what: str, value: Any) -> float:
    """Read one number, an array's or Python's.

    Raises:
        InvalidDescription: as ``unwrap_scalar``.
    """
    if not isinstance(value, (int, float)):
        for _ in unwrap_scalar(what, value).shape:
            value = value[0]
    return float(value)


def read_measures(given: Any, figures: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Read the loss and the accuracy of a batch that was validated; None where there is none.

    ``given`` is what the model's step gave: both, the loss alone, or nothing, as the book's own
    steps, which plot both instead: ``figures`` are those.

    Raises:
        InvalidDescription: where a value is no single number.
    """
    pair: tuple[Any, ...] = (given, None)
    if isinstance(given, (tuple, list)):
        pair = tuple(cast("Any", given))
    if len(pair) != 2:
        message = f"{len(pair)} values; return the loss, or the loss and the accuracy, or nothing"
        raise InvalidDescription("Trainer.fit", [Problem("validation_step", message)])
    found: list[float | None] = []
    for value, key, what in zip(
        pair, ("val_loss", "val_acc"), ("the validation loss", "the accuracy"), strict=True
    ):
        chosen = figures.get(key) if value is None else value
        found.append(None if chosen is None else to_float(what, chosen))
    loss, accuracy = found
    return loss, accuracy


class RunningMeans:
    """Means over images of what is known of every batch; None of what is not."""

    def __init__(self) -> None:
        self._sums: list[float | None] = [0.0, 0.0]
        self._images = 0

    def add(self, count: int, values: tuple[float | None, float | None]) -> None:
        """Take a batch of ``count`` images with their mean loss and accuracy."""
        known = zip(self._sums, values, strict=True)
        self._sums = [None if None in (s, v) else (s or 0) + (v or 0) * count for s, v in known]
        self._images += count

    def read(self) -> tuple[float | None, float | None]:
        """Give the mean loss and accuracy."""
        images = self._images
        loss, accuracy = (s / images if images and s is not None else None for s in self._sums)
        return loss, accuracy
