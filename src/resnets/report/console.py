"""What a person reads at the end of a command: tables for the terminal."""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from resnets.inference.evaluate import NamedEvaluation
from resnets.inference.predict import Prediction
from resnets.networks.network import Network
from resnets.training.growth.pruning import BlockCost
from resnets.training.monitor.series import magnitude

if TYPE_CHECKING:
    from resnets.inference.explain import Mistakes

BAR = 20


def run_report(result: Mapping[str, Any], folder: Path) -> RenderableType:
    """A finished run's figures and its folder."""
    table = Table.grid(padding=(0, 2))
    table.add_row("test accuracy", Text(f"{result['test_accuracy']:.2%}", style="bold green"))
    if "test_accuracy_mirrored" in result:
        both = f"{result['test_accuracy_mirrored']:.2%}, logits of the mirror image averaged in"
        table.add_row("and by --mirror", both)
    table.add_row("test loss", f"{result['test_loss']:.4f}")
    table.add_row("test images", f"{result['test_images']:,}, read once")
    if result["validation_accuracy"] is not None:
        chosen = f"{result['validation_accuracy']:.2%}, epoch {result['best_epoch']}"
        table.add_row("validation accuracy", f"{chosen} of {result['epochs']}, the best")
    recall = {name: share for name, share in result["test_recall"].items() if share is not None}
    if len(recall) > 1:
        weakest = sorted(recall, key=recall.__getitem__)[:3]
        listed = ", ".join(f"{name} {recall[name]:.0%}" for name in weakest)
        table.add_row("hardest classes", listed)
    if "growth" in result:
        steps = (
            f"{_format_blocks(g['depths'])} after epoch {g['epoch']}" for g in result["growth"]
        )
        table.add_row("grown to blocks", ", ".join(steps))
        if found := _describe_kept(result):
            table.add_row("kept", found)
    if result.get("multiply_adds_ungrown"):
        share = result["multiply_adds"] / result["multiply_adds_ungrown"]
        size, name = magnitude(result["multiply_adds"])
        spent = f"{result['multiply_adds'] / size:.3g} {name} of multiply-adds"
        table.add_row("compute", f"{spent}, {share:.0%} of the last network's throughout")
    table.add_row("run folder", str(folder))
    curves = folder / "curves.png"
    if curves.is_file():
        table.add_row("curves", str(curves))
    return Group("", table)


def next_steps(folder: Path) -> str:
    """What to do with a finished run: commands to copy, so never wrapped or cut."""
    place = shlex.quote(str(folder))
    commands = (
        ("name what images show", f"predict {place} IMAGE …"),
        ("every class, and what is taken for what", f"evaluate {place}"),
        ("all of it on one page, with its worst mistakes", f"report {place}"),
        ("the network's layers and costs", f"show {place}"),
    )
    lines = (f"  {program_name()} {command}   # {purpose}" for purpose, command in commands)
    return "\n".join(["", "Next:", *lines])


def program_name() -> str:
    """What a person types to run this program again: its path, if its name alone does not do."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return "python -m resnets"
    found = shutil.which(started.name)
    same = found is not None and Path(found).resolve() == started.resolve()
    return started.name if same else str(started)


def draw_evaluation(found: NamedEvaluation) -> RenderableType:
    """Figures for all classes, and the commonest mistake of each."""
    evaluation, names = found.evaluation, found.class_names
    head = f"{found.network} on the test images of {found.data} ({evaluation.images:,})"
    total = f"accuracy {evaluation.accuracy:.2%}, loss {evaluation.loss:.4f}"
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for heading in ("class", "recall", "precision", "images"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    table.add_column("most often taken for")
    for i, name in enumerate(names):
        row = evaluation.confusion[i].copy()
        images, row[i] = int(row.sum()), 0
        taken = f"{names[row.argmax()]} ({row.max()})" if row.any() else ""
        shares = (_format_percent(evaluation.recall[i]), _format_percent(evaluation.precision[i]))
        table.add_row(name, *shares, f"{images:,}", taken)
    return Group(head, Text(total, style="bold"), "", table)


def draw_mistakes(found: "Mistakes") -> RenderableType:
    """The images that a network is most wrong about, the worst first."""
    head = f"{found.wrong:,} of {found.images:,} images are taken for another class"
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for heading in ("image", "labelled", "taken for", ""):
        table.add_column(heading, overflow="fold")
    for one in found.worst:
        (taken, share), _ = one.classes
        table.add_row(one.image, one.label, taken, f"{share:.1%}")
    return Group(Text(head, style="bold"), *(["", table] if found.worst else []))


def draw_costs(network: Network, costs: Sequence[BlockCost], images: int) -> RenderableType:
    """What taking each block out costs, the cheapest first."""
    table = Table(box=None, padding=(0, 2), header_style="bold")
    for heading in ("block", "loss", "accuracy", "multiply-adds spared"):
        table.add_column(heading, justify="left" if heading == "block" else "right")
    for cost in sorted(costs, key=lambda cost: cost.loss):
        shares = (f"{cost.loss:+.4f}", f"{100 * cost.accuracy:+.2f} points")
        table.add_row(cost.block, *shares, f"{cost.multiply_adds:,}")
    head = f"{network.architecture.name} on {images:,} held-out images, one block taken out"
    return Group(head, "", table)


def format_prediction(prediction: Prediction) -> str:
    """One line for the image, one for each class named."""
    width = max((len(name) for name, _ in prediction.classes), default=0)
    lines = [prediction.image]
    for name, share in prediction.classes:
        bar = "█" * round(share * BAR)
        lines.append(f"  {name:<{width}}  {share:6.1%}  {bar}".rstrip())
    return "\n".join(lines)


def _describe_kept(result: Mapping[str, Any]) -> str:
    """Return that the best epoch came before a growth; empty if it came after all of them."""
    best = result["best_epoch"]
    later = [g["epoch"] for g in result["growth"] if g["epoch"] >= best]
    if not later:
        return ""
    again = " again" if len(later) < len(result["growth"]) else ""
    return f"epoch {best}, {result['network']}, before it grew{again}"


def _format_blocks(depths: Sequence[int]) -> str:
    return "-".join(map(str, depths))


def _format_percent(share: float) -> str:
    return "–" if share != share else f"{share:.1%}"
