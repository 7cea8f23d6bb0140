"""Runs one tab of the chapter on a few real images, and writes down what came of it.

python tests/chapter/run_cells.py TAB FOLDER: first all cells of cells/TAB.txt as they are but for
the helper's name, then the reader's own ``ResNet``, narrow, for long enough to learn.
"""
# ruff: noqa: N806 (X and Y are the book's names)

import ast
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from resnets import chapter, data
from resnets.chapter.data import as_numpy
from resnets.data.images import Dataset, Images
from resnets.errors import ResnetsError

HERE = Path(__file__).parent
HELPERS = {"pytorch": "torch"}


def images() -> Images:
    """400 real images of Fashion-MNIST, 40 a class."""
    with np.load(HERE.parent / "samples" / "fashion_400.npz") as file:
        shuffled = np.random.default_rng(0).permutation(400)
        pixels, labels = file["pixels"][..., None], file["labels"].astype(np.int64)
        return Images(pixels[shuffled], labels[shuffled])


def patch_data(training: int, test: int, asked: list[int]) -> None:
    """Let the data set be the first images to train on and the last to test, at 28 pixels."""
    found = images()

    def load(name: str, *, size: int, announce: Any) -> Dataset:
        assert name == "fashion_mnist"
        asked.append(size)
        return Dataset(name, tuple("0123456789"), found[:training], lambda: found[-test:])

    data.load_dataset = load


def run(tab: str) -> tuple[dict[str, Any], list[str]]:
    """Run the cells as a notebook does; give their names and the last value of each cell."""
    helper = HELPERS.get(tab, tab)
    text = (HERE / "cells" / f"{tab}.txt").read_text(encoding="utf-8")
    line = f"from d2l import {helper} as d2l"
    assert text.count(line) == 1
    text = text.replace(line, f"from resnets.chapter import tab, {helper} as d2l")
    space: dict[str, Any] = {"__name__": "__main__"}
    shown: list[str] = []
    for cell in text.split("# %%\n")[1:]:
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), space)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), space)
            shown += [] if value is None else [str(tuple(value))]
    return space, shown


def train_reader_class(tab: str, space: dict[str, Any]) -> dict[str, Any]:
    """Train the reader's own class for 280 steps, and look at its norms."""
    d2l = space["d2l"]
    importlib.import_module("looking").seed(tab)
    model = space["ResNet"](((1, 64), (1, 16)), lr=0.1)
    module = d2l.FashionMNIST(batch_size=16, resize=(28, 28))
    trainer = d2l.Trainer(max_epochs=14, num_gpus=0, gradient_clip_val=2)
    X, _ = next(iter(module.get_dataloader(False)))
    if tab == "pytorch":
        model.apply_init([X], d2l.init_cnn)
    trainer.fit(model, module)
    look = importlib.import_module("looking").LOOKING[tab]
    logits, statistics = look(model, trainer)
    return {
        "epochs": [
            [e.training_loss, e.validation_loss, e.validation_accuracy] for e in trainer.epochs
        ],
        "statistics": [[float(np.abs(a).min()), float(np.abs(a - 1).max())] for a in statistics],
        "alone": relative(logits(X[:1]), logits(X)[:1]),
        "validation_loss": mean_loss(logits, module.get_dataloader(False)),
        "absent": error_message(lambda: d2l.gpu(99)),
        "described": describe_or_explain(model, getattr(trainer, "variables", None)),
    }


def describe_or_explain(model: Any, variables: Any) -> Any:
    """Give the architecture's JSON, or why the network has none."""
    try:
        return chapter.describe(model, variables).to_json()
    except ResnetsError as error:
        return str(error)


def error_message(call: Callable[[], Any]) -> str:
    """Give the sentence of an error that is the user's to mend."""
    try:
        call()
    except ResnetsError as error:
        return str(error)
    return ""


def relative(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def mean_loss(logits: Any, batches: Any) -> float:
    """Cross-entropy by the running statistics, in NumPy: what validation should have found."""
    losses: list[float] = []
    for X, Y in batches:
        values = logits(X).astype(np.float64)
        values -= values.max(axis=1, keepdims=True)
        chosen = values[np.arange(len(values)), as_numpy(Y)]
        losses += (np.log(np.exp(values).sum(axis=1)) - chosen).tolist()
    return float(np.mean(losses))


def main() -> None:
    tab, folder = sys.argv[1], Path(sys.argv[2])
    sys.path.insert(0, str(HERE))
    asked: list[int] = []
    patch_data(16, 16, asked)
    space, shown = run(tab)
    trainer = space["trainer"]
    outcome = {
        "shown": shown,
        "asked": asked,
        "parameters": importlib.import_module("looking").parameters(tab, space),
        "losses": [epoch.training_loss for epoch in trainer.epochs],
    }
    patch_data(320, 80, asked)
    outcome["learned"] = train_reader_class(tab, space)
    (folder / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
