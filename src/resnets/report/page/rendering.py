"""A run's page as HTML: values into words, pictures into the page, the template around them."""

import base64
import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.errors import MissingDependency
from resnets.recipes.recipe import Recipe
from resnets.report.drawing import draw_part, to_svg
from resnets.report.drawing.explanations import draw_explanations
from resnets.report.drawing.labels import format_brief, format_count
from resnets.report.page.contents import Contents
from resnets.schema import to_json
from resnets.training.metrics import confidence_interval
from resnets.training.monitor import curves
from resnets.training.monitor.phrases import format_duration

MOST_CLASSES = 30
"""Classes up to which the whole table of who is taken for whom is shown."""

MOST_PAIRS = 12
"""Pairs of classes, the most often mistaken ones, that are listed."""


@dataclass(frozen=True)
class Class:
    """A line of the table of classes; shares are None where there are no images."""

    name: str
    images: int
    recall: float | None
    precision: float | None
    tested: float | None


@dataclass(frozen=True)
class Pair:
    """How many images of one class are taken for another."""

    label: str
    taken: str
    images: int
    share: float


def render(contents: Contents) -> str:
    """Return the page. The same run gives the same text.

    Raises:
        MissingDependency: without Jinja or matplotlib; says how to install them.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        message = f'pages are written by Jinja: pip install "resnets[report]" ({error})'
        raise MissingDependency(message) from error
    environment = Environment(
        # Names of classes and files come from anywhere: all that is put in is escaped.
        autoescape=True,
        loader=PackageLoader("resnets.report.page", ""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html")
    text = template.render(
        contents=contents,
        percent=format_percent,
        picture=encode_picture,
        headline=make_headline(contents),
        facts=list_facts(contents),
        curves=_draw_curves(contents),
        network=to_svg(draw_part(contents.trace), "auto"),
        mistakes=_draw_mistakes(contents),
        classes=list_classes(contents),
        table=_make_table(contents),
        pairs=list_pairs(contents),
        changes=list_changes(contents.recipe),
        recipe=json.dumps(to_json(contents.recipe), indent=2),
        commands=list_commands(contents),
    )
    return _to_text(text)  # a path may have bytes that are no text


def make_headline(contents: Contents) -> tuple[str, str]:
    """Return the one figure that counts, and what it is."""
    result, kept = contents.result, contents.kept
    if result is not None:
        low, high = confidence_interval(result["test_accuracy"], result["test_images"])
        return format_percent(result["test_accuracy"], 2), (
            f"of {result['test_images']:,} test images are right, which were read once "
            f"(95% confidence: {format_percent(low)} to {format_percent(high)})"
        )
    if kept is not None and kept.validation_accuracy is not None:
        return format_percent(kept.validation_accuracy, 2), (
            f"of the held-out images are right after epoch {kept.epoch}; the run has not ended"
        )
    return f"epoch {len(contents.epochs)}", "of a run that has not ended"


def list_facts(contents: Contents) -> list[tuple[str, str]]:
    """Return what else there is to know: names and values."""
    result, kept, steps = contents.result, contents.kept, contents.trace
    found: list[tuple[str, str]] = []
    if result is not None and "test_accuracy_mirrored" in result:
        mirrored = format_percent(result["test_accuracy_mirrored"], 2)
        found.append(("test, mirror image averaged in", mirrored))
    if kept is not None and kept.validation_accuracy is not None:
        of = f"epoch {kept.epoch} of {len(contents.epochs)}, the best"
        found.append(("held out", f"{format_percent(kept.validation_accuracy, 2)}, {of}"))
    channels, *size = steps.layers[0].shape
    found += [
        ("images", f"{' × '.join(map(str, size))} pixels, {format_count(channels, 'channel')}"),
        ("parameters", f"{steps.parameters:,}"),
        ("multiply-adds", f"{format_brief(steps.multiply_adds)} an image"),
    ]
    seconds = sum(epoch.seconds for epoch in contents.epochs)
    if seconds:
        found.append(
            (
                "training",
                f"{format_duration(seconds)}, {format_count(len(contents.epochs), 'epoch')}",
            )
        )
    if contents.start:
        where = f"{contents.start.get('framework')}, {contents.start.get('device')}"
        found.append(("by", where))
    return found


def list_classes(contents: Contents) -> list[Class]:
    """Return the table of classes, the one found least often first."""
    result = contents.result or {}
    tested: dict[str, float | None] = result.get("test_recall", {})
    if contents.mistakes is None:
        rows = [Class(n, 0, None, None, tested.get(n)) for n in contents.class_names]
        return sorted(rows, key=lambda row: row.tested or 0.0) if tested else []
    held = contents.mistakes.evaluation
    counts, recall, precision = held.confusion.sum(axis=1), held.recall, held.precision
    rows = [
        Class(name, int(counts[i]), _drop_nan(recall[i]), _drop_nan(precision[i]), tested.get(name))
        for i, name in enumerate(contents.class_names)
    ]
    return sorted(rows, key=lambda row: 2.0 if row.recall is None else row.recall)


def list_pairs(contents: Contents) -> list[Pair]:
    """Return the classes that are most often taken for others."""
    if contents.mistakes is None:
        return []
    confusion, names = contents.mistakes.evaluation.confusion, contents.class_names
    wrong = confusion - np.diag(confusion.diagonal())
    order: list[int] = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS].tolist()
    found: list[Pair] = []
    for label, taken in (divmod(place, len(names)) for place in order):
        images = int(wrong[label, taken])
        if images:
            share = images / int(confusion[label].sum())
            found.append(Pair(names[label], names[taken], images, share))
    return found


def list_changes(recipe: Recipe) -> list[tuple[str, Any]]:
    """Return the settings of a recipe that are not the defaults."""
    asked, plain = to_json(recipe), to_json(Recipe())
    return [(k, v) for k, v in asked.items() if k != "name" and v != plain.get(k)]


def list_commands(contents: Contents) -> list[tuple[str, str]]:
    """Return what to do next: commands and what they are for."""
    place = shlex.quote(str(contents.folder))
    return [
        (f"resnets predict {place} IMAGE …", "name what images show"),
        (f"resnets explain {place} IMAGE …", "where in them the evidence is"),
        (f"resnets export {place} --to deployed", "deploy: engines measured, the fastest chosen"),
        (f"resnets train --recipe {place}/recipe.json", "train it again"),
    ]


def format_percent(share: float | None, digits: int = 1) -> str:
    """Return a share as text; a dash for none."""
    return "–" if share is None else f"{share:.{digits}%}"


def encode_picture(svg: str) -> str:
    """Return the address of an SVG that is part of the page; as an image it can run no script."""
    return f"data:image/svg+xml;base64,{base64.b64encode(_to_text(svg).encode()).decode()}"


def _draw_curves(contents: Contents) -> str:
    with tempfile.TemporaryDirectory() as folder:
        svg, _ = curves.draw_curves(contents.records, Path(folder), title=contents.name)
        return svg.read_text(encoding="utf-8")


def _draw_mistakes(contents: Contents) -> str | None:
    found = contents.mistakes
    if found is None or not found.worst:
        return None
    said = f"the {len(found.worst)} of the largest loss, the worst first"
    return to_svg(draw_explanations(found.worst, "The worst mistakes", said), "auto")


def _make_table(contents: Contents) -> list[tuple[str, list[tuple[int, float]]]] | None:
    """Return for each class how many images are taken for each: numbers and shares."""
    if contents.mistakes is None or len(contents.class_names) > MOST_CLASSES:
        return None
    confusion: npt.NDArray[np.int64] = contents.mistakes.evaluation.confusion
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return [
        (name, list(zip(confusion[i].tolist(), shares[i].tolist(), strict=True)))
        for i, name in enumerate(contents.class_names)
    ]


def _to_text(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _drop_nan(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
