"""How progress and results are worded: durations, losses, the facts of a run."""

from resnets.training.events import Grown, Started
from resnets.training.monitor.pace import Pace


def format_growth(event: Grown) -> str:
    """Say what the network has become: ``grown to resnet14_slim: 2-2-2 blocks``."""
    return f"grown to {event.network}: {'-'.join(map(str, event.depths))} blocks"


def describe_run(run: Started) -> list[list[str]]:
    """Say what is trained, on what and where: groups of phrases."""
    network = [] if run.network in run.title else [run.network]
    images = [f"{run.training_images:,} training images"]
    if run.epoch_images < run.training_images:
        images.append(f"{run.epoch_images:,} of them an epoch")
    if run.validation_images:
        images.append(f"{run.validation_images:,} validation images")
    steps = [
        f"{_format_count(run.epochs, 'epoch')} of {_format_count(run.steps_per_epoch, 'step')}"
    ]
    if run.done_steps:
        steps.append(f"resumed after step {run.done_steps:,}")
    return [
        [*network, f"{run.parameters:,} parameters", f"{run.multiply_adds:,} multiply-adds"],
        [*images, *steps],
        [run.framework, run.precision, run.device, run.folder],
    ]


def _format_count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def describe_moment(pace: Pace) -> list[str]:
    """Say how it goes right now: phrases."""
    phrases: list[str] = []
    if pace.validating:
        phrases.append("validating")
    elif pace.loss is not None:
        phrases.append(f"loss {format_loss(pace.loss)}")
    if pace.images_per_second is not None:
        phrases.append(f"{pace.images_per_second:,.0f} images/s")
    left = pace.seconds_left
    return phrases if left is None else [*phrases, f"{format_duration(left)} left"]


def format_loss(loss: float) -> str:
    """Write a loss so that it stays narrow: ``0.4321``, ``123.5``."""
    return f"{loss:.4f}" if abs(loss) < 100 else f"{loss:.4g}"


def format_duration(seconds: float) -> str:
    """Write seconds as people do, in two units at most: ``3.4 s``, ``1 m 23 s``, ``2 h 5 m``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
