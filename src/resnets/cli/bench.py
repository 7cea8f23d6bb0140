"""``bench``: how fast a network trains and infers, beside the machine's limit and others."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resnets.cli.options import Count, Flag, Whole
from resnets.terminal import print_json, print_note, print_rich

if TYPE_CHECKING:
    from resnets.bench import Bench, Report

Several = Parameter(consume_multiple=True, negative=())


def bench(
    network: str = "resnet10d_narrow",
    /,
    *,
    framework: Annotated[tuple[str, ...], Several] = (),
    training: Flag = False,
    inference: Flag = False,
    size: Count = None,
    batch: Count = None,
    channels: Count = None,
    classes: Count = None,
    precision: Annotated[tuple[Literal["auto", "fp32", "bf16"], ...], Several] = ("auto",),
    device: str = "auto",
    rounds: Whole = 7,
    json: Flag = False,
) -> None:
    """Measure how fast a network trains and infers on this machine.

    For each framework, processes take turns of a few steps: our own ways, the framework's plain
    ones (a plain loop in PyTorch, timm's network in it, Keras fit, a plain nnx step with optax,
    Gluon's Trainer), and a large matrix product, which is the machine's limit. Ratios are to the
    first plain way, round by round. Let nothing else run meanwhile. If interrupted, it prints
    what the complete rounds tell.

    Parameters
    ----------
    network
        A name (resnets models), an architecture's JSON file, or any weights that convert reads.
    framework
        torch, jax, tensorflow, mxnet. Default: those that are installed.
    training
        Measure training alone.
    inference
        Measure inference alone: one image, and the batch.
    size
        Height and width of the images in pixels. Default: what the network is made for.
    batch
        Images in a step. Default: 128 up to 96 pixels, 32 above.
    channels
        Of the images.
    classes
        Logits.
    precision
        Of our own training: auto, fp32, bf16.
    device
        auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check).
    rounds
        Of turns; 3 at least.
    json
        Print everything as JSON.
    """
    from resnets import bench
    from resnets.inference.description import resolve_architecture
    from resnets.training.plan import require_two_values

    architecture, made_for = resolve_architecture(
        network, channels=channels, classes=classes, announce=print_note
    )
    pixels = made_for if size is None else size
    both = training == inference
    wanted = bench.Bench(
        architecture=architecture,
        size=pixels,
        batch=batch if batch is not None else 128 if pixels <= 96 else 32,
        frameworks=_find_frameworks(framework),
        purposes=("training", "inference")
        if both
        else ("training",)
        if training
        else ("inference",),
        precisions=tuple(dict.fromkeys(precision)),
        device=device,
        rounds=rounds,
    )
    if "training" in wanted.purposes:
        mend = "use --batch 2 or a larger --size"
        require_two_values(architecture, wanted.size, batch=wanted.batch, remedy=mend)
    report = _measure(wanted, json=json)
    _print(report, json=json)
    if any(row.died for row in report.rows):
        raise SystemExit(1)


def _measure(wanted: "Bench", *, json: bool) -> "Report":
    """Measure; if interrupted, print what is complete."""
    from resnets import bench

    try:
        with _interrupt_on_sigterm():
            return bench.measure(wanted, print_note)
    except bench.Interrupted as stopped:
        if json or stopped.report.rows:
            _print(stopped.report, json=json)
        raise


def _print(report: "Report", *, json: bool) -> None:
    from resnets.bench import tables

    if json:
        print_json(report.to_json())
    else:
        print_rich(tables.draw_report(report))


@contextmanager
def _interrupt_on_sigterm() -> Generator[None]:
    """Let SIGTERM do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _find_frameworks(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return the frameworks to measure; one that is asked for must be installed."""
    from resnets import backends
    from resnets.errors import RunError

    for name in asked:
        if name not in backends.NAMES:
            known = ", ".join(backends.NAMES)
            raise RunError(f"no framework is called {name} (there are {known})")
        if not backends.is_installed(name):
            backends.load(name)  # says how to install it
    return tuple(dict.fromkeys(asked)) or tuple(filter(backends.is_installed, backends.NAMES))
