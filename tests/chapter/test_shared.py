"""What the four tabs share: hyperparameters, tabs, data, the loop, its views and its errors."""
# ruff: noqa: N806 (X and Y are the book's names)

import json
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnets import data as sources
from resnets.chapter import tab, views
from resnets.chapter.arguments import block_widths, check_same_channels, parse_stages
from resnets.chapter.board import ProgressBoard
from resnets.chapter.data import FashionMNIST, Loader
from resnets.chapter.hyperparameters import HyperParameters, add_to_class
from resnets.chapter.measures import read_measures, unwrap_scalar
from resnets.chapter.plotting import Plots
from resnets.chapter.requirements import require_framework
from resnets.chapter.trainer import Trainer
from resnets.data.images import Dataset, Images
from resnets.errors import (
    DataError,
    Diverged,
    InvalidDescription,
    MissingDependency,
    ResnetsError,
    UnknownName,
)
from resnets.training.events import Epoch, Progress, Step


class Model(HyperParameters):
    def __init__(self, width: int, *, names: Sequence[str] = ("a",), _hidden: int = 3) -> None:
        computed = width + 1
        self.save_hyperparameters(ignore=["names"])
        del computed

    def configure_optimizers(self) -> None: ...


def test_hyperparameters_are_kept_but_for_the_ignored_and_the_private() -> None:
    model: Any = Model(4)
    assert model.hparams == {"width": 4, "computed": 5}
    assert (model.width, hasattr(model, "names"), hasattr(model, "_hidden")) == (4, False, False)


def test_methods_can_be_added_later() -> None:
    model: Any = Model(4)

    @add_to_class(Model)
    def twice(self: Any) -> int:
        return 2 * self.width

    assert model.twice() == twice(model) == 8


def test_a_tab_is_selected_by_name_only() -> None:
    tab.interact_select(["mxnet", "pytorch"])
    assert tab.selected("mxnet")
    assert not tab.selected("pytorch", "jax")
    assert tab.selected("all")
    with pytest.raises(UnknownName, match="the book has mxnet, pytorch, tensorflow, jax"):
        tab.selected("torch")


def test_the_notebooks_magic_leaves_out_other_tabs() -> None:
    ran: list[str] = []
    magics: dict[str, Any] = {}
    shell = types.SimpleNamespace(
        push=lambda names: magics.update(names),
        register_magic_function=lambda function, magic_kind, magic_name: magics.update(
            {magic_name + magic_kind: function}
        ),
        run_cell=lambda cell: types.SimpleNamespace(raise_error=lambda: ran.append(cell)),
    )
    tab.load_ipython_extension(shell)
    magics["tab"].select("jax")
    magics["tabcell"]("pytorch, mxnet", "x = 1")
    magics["tabcell"](" tensorflow, jax", "x = 2")
    assert ran == ["x = 2"]


def test_importing_a_helper_gives_a_notebook_its_tab(monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Any] = {}
    shell = types.SimpleNamespace(
        user_ns=space, push=space.update, register_magic_function=lambda *_, **__: None
    )
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    tab.enter("jax")
    assert space["tab"] is tab
    assert tab.selected("jax")
    space["tab"] = "the book's own"
    tab.enter("pytorch")
    assert space["tab"] == "the book's own"


def test_samples_are_shuffled_not_batches() -> None:
    loader = Loader(lambda index: [index], 1000, 100, np.asarray, shuffle=True, seed=1)
    first = [batch[0] for batch in loader]
    second = [batch[0] for batch in loader]
    assert len(loader) == len(first) == 10
    assert sorted(np.concatenate(first)) == list(range(1000))
    assert all(np.ptp(batch) > 500 for batch in first)
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    again = Loader(lambda index: [index], 1000, 100, np.asarray, shuffle=True, seed=1)
    assert np.array_equal(next(iter(again))[0], first[0])


@pytest.fixture
def few(fashion: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST with 400 images, resized as asked."""

    def load(name: str, *, size: int, announce: Any) -> Dataset:
        found = Dataset(name, tuple("0123456789"), fashion, lambda: fashion[:50])
        return sources.resize_dataset(found, size)

    monkeypatch.setattr(sources, "load_dataset", load)


def test_images_are_scaled_resized_and_named(few: None) -> None:
    module = FashionMNIST(batch_size=64, resize=(32, 32))
    X, Y = next(iter(module.get_dataloader(train=False)))
    assert (X.shape, X.dtype) == ((50, 1, 32, 32), np.float32)
    assert X.min() == 0
    assert 0.9 < X.max() <= 1
    assert np.array_equal(X[:, 0], module.val.pixels[..., 0] / np.float32(255))
    assert len(module.text_labels(Y)) == 50
    figure = module.visualize([X, Y], nrows=2, ncols=3)
    assert [axes.get_title() for axes in figure.axes] == module.text_labels(Y[:6])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"resize": (96, 64)}, "resize: (96, 64) is not square"),
        ({"resize": (0, 0)}, "resize: 0 is not a whole number from 1 on"),
        ({"resize": 10**9}, "resize: 1000000000 is not a whole number from 1 to 1,024"),
        ({"resize": "a"}, "resize: 'a' is not a whole number from 1 on"),
        ({"resize": 2.5}, "resize: 2.5 is not a whole number"),
        ({"batch_size": 0}, "batch_size: 0 is not a whole number from 1 on"),
        ({"batch_size": 1.5}, "batch_size: 1.5"),
    ],
)
def test_impossible_data_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDescription) as caught:
        FashionMNIST(**arguments)
    assert words in str(caught.value)


def test_no_resizing_and_numpys_numbers(few: None) -> None:
    assert FashionMNIST(np.int64(8), None).train.pixels.shape[1:3] == (28, 28)
    assert FashionMNIST(8, np.int64(32)).train.pixels.shape[1:3] == (32, 32)


def test_a_missing_data_set_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "file"
    missing.write_text("no folder")
    monkeypatch.setenv("RESNETS_DATA", str(missing))
    with pytest.raises(DataError, match="expected a folder for data sets"):
        FashionMNIST()


class Counting(Trainer):
    """A trainer whose losses are given, to look at the loop alone."""

    framework = "counting"

    def __init__(self, losses: Sequence[float], *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.losses = iter(losses)

    def gpus(self) -> int:
        return 0

    def device_in_words(self) -> str:
        return "a hand"

    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        return 7

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        loss = next(self.losses)
        if loss < 0:
            raise KeyboardInterrupt
        return loss

    def validate(self, batch: tuple[Any, ...]) -> tuple[float, float | None]:
        return float(len(batch[0])), 1.0 if len(batch[0]) == 2 else 0.5

    def rate(self) -> float:
        return 0.1


class Pairs:
    def train_dataloader(self) -> list[Any]:
        return [([1, 2], [1, 2]), ([3], [3])]

    def val_dataloader(self) -> list[Any]:
        return [([1, 2], [1, 2]), ([3], [3])]


def test_figures_are_means_over_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Counting([1, 4, 1, 1], 2, num_gpus=1, folder=tmp_path)
    trainer.fit(Model(4), Pairs())
    first = trainer.epochs[0]
    assert first.training_loss == pytest.approx((2 * 1 + 4) / 3)
    assert first.validation_loss == pytest.approx((2 * 2 + 1) / 3)
    assert first.validation_accuracy == pytest.approx((2 + 0.5) / 3)
    assert [e.best for e in trainer.epochs] == [True, False]
    said = capsys.readouterr().err
    assert "counting finds no GPU here: training on the CPU" in said
    assert "Model: 7 parameters, counting, a hand" in said
    run = tmp_path / "chapter-model-counting"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["step", "step", "epoch"] * 2
    assert "<svg" in (run / "curves.svg").read_text()


class Plotting(Counting):
    """A trainer whose model plots its loss, and in validation does nothing else."""

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        loss = super().train_step(batch)
        self.seen = (self.epoch, self.train_batch_idx, self.val_batch_idx)
        self.model.plot("loss", np.float32(loss), train=True)
        return loss

    def validate(self, batch: tuple[Any, ...]) -> Any:
        self.model.plot("loss", 2.0 * len(batch[0]), train=False)
        self.model.plot("own", 1, train=False)


def test_a_model_plots_itself_and_its_validation_step_gives_nothing() -> None:
    model: Any = type("Plotted", (Model, Plots), {})(4)
    model.set_points(2, 1)
    trainer = Plotting([1, 4, 1, 1], 2, folder=None)
    trainer.fit(model, Pairs())
    assert trainer.board.lines == {
        "train_loss": [(0.5, 1), (1.0, 4), (1.5, 1), (2.0, 1)],
        "val_loss": [(1, 3), (2, 3)],
        "val_own": [(1, 1), (2, 1)],
    }
    assert trainer.epochs[0].validation_loss == pytest.approx((2 * 4 + 2) / 3)
    assert trainer.epochs[0].validation_accuracy is None
    assert trainer.seen == (1, 3, 2)
    assert (trainer.epoch, trainer.train_batch_idx, trainer.val_batch_idx) == (1, 4, 4)
    assert (trainer.num_train_batches, trainer.num_val_batches) == (2, 2)
    with pytest.raises(ResnetsError, match=r"while Trainer\.fit trains a model"):
        model.plot("loss", 1, train=True)
    with pytest.raises(InvalidDescription, match="plot_train_per_epoch: 0 is not a whole number"):
        model.set_points(0, 1)


def test_what_a_validation_step_gives_is_read() -> None:
    assert read_measures((np.ones(()), None), {}) == (1.0, None)
    assert read_measures(np.ones((1, 1)), {"val_acc": 0.5}) == (1.0, 0.5)
    assert read_measures(None, {"val_loss": 3}) == (3.0, None)
    assert read_measures(None, {}) == (None, None)
    with pytest.raises(InvalidDescription, match=r"validation loss: it has the shape \[3\], not"):
        read_measures(np.ones(3), {})
    with pytest.raises(InvalidDescription, match="validation_step: 3 values; return the loss, or"):
        read_measures((1, 2, 3), {})
    with pytest.raises(InvalidDescription, match="the loss: the model gives NoneType, not an"):
        unwrap_scalar("the loss", None)


def test_a_plotted_line_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    board = ProgressBoard(display=False)
    show(views.NotebookView(board, {"train_loss", "val_loss"}))
    assert board.lines == {"val_acc": [(1, 0.5)]}


def test_what_is_no_model_or_no_data_is_a_sentence() -> None:
    with pytest.raises(InvalidDescription) as caught:
        Counting([], 1).fit(None, None)
    assert str(caught.value).splitlines()[1:] == [
        "  model: NoneType has no configure_optimizers, as d2l.Module has",
        "  data: NoneType has no train_dataloader, as d2l.DataModule has",
    ]


def test_a_loss_that_is_no_number_ends_training_with_a_sentence(tmp_path: Path) -> None:
    trainer = Counting([1, float("nan")], 2, folder=tmp_path)
    with pytest.raises(Diverged, match=r"step 2 \(epoch 1\) is nan: a learning rate below 0.1"):
        trainer.fit(Model(4), Pairs())


def test_an_interrupted_run_keeps_its_numbers(tmp_path: Path) -> None:
    trainer = Counting([1, 2, 3, -1], 9, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(Model(4), Pairs())
    lines = (tmp_path / "chapter-model-counting" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["step", "step", "epoch"]
    assert (tmp_path / "chapter-model-counting" / "curves.png").is_file()


def test_a_run_that_cannot_be_saved_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    trainer = Counting([1] * 4, 2, folder=tmp_path / "file")
    trainer.fit(Model(4), Pairs())
    assert len(trainer.epochs) == 2
    assert capsys.readouterr().err.count("cannot save the run: Not a directory") == 1


def test_no_folder_saves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Counting([1] * 2, 1, folder=None).fit(Model(4), Pairs())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_epochs": 0}, "max_epochs: 0 is not a whole number from 1 on"),
        ({"max_epochs": 2, "num_gpus": -1}, "num_gpus: -1 is not a whole number from 0 on"),
        ({"max_epochs": 2, "gradient_clip_val": -2}, "gradient_clip_val: -2 is no norm"),
        ({"max_epochs": 2, "gradient_clip_val": "x"}, "gradient_clip_val: 'x' is no norm"),
        ({"max_epochs": True}, "max_epochs: True is not a whole number from 1 on"),
    ],
)
def test_impossible_training_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDescription) as caught:
        Trainer(**arguments)
    assert words in str(caught.value)


def test_numpys_whole_numbers_are_taken() -> None:
    assert Trainer(np.int64(2), np.int32(1), np.float32(0.5)).max_epochs == 2
    assert block_widths(32, np.int64(16), bot_mul=1, cardinality=None) == (32, 2)


def test_a_framework_that_is_missing_is_a_sentence() -> None:
    with (
        pytest.raises(MissingDependency, match=r'jax tab needs jax: pip install "resnets\[jax\]"'),
        require_framework("jax"),
    ):
        raise ImportError("No module named 'jax'")


def test_groups_are_the_chapters_or_the_papers() -> None:
    assert block_widths(32, 16, bot_mul=1, cardinality=None) == (32, 2)
    assert block_widths(32, None, bot_mul=1, cardinality=16) == (32, 16)
    assert block_widths(64, 4, bot_mul=0.5, cardinality=None) == (32, 8)
    with pytest.raises(InvalidDescription, match="groups: 12 does not divide the 32 inner"):
        block_widths(32, 12, bot_mul=1, cardinality=None)
    with pytest.raises(InvalidDescription, match="cardinality: 5 does not divide"):
        block_widths(32, None, bot_mul=1, cardinality=5)
    with pytest.raises(InvalidDescription, match=r"groups: 16\.0 is not a whole number from 1 on"):
        block_widths(32, 16.0, bot_mul=1, cardinality=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidDescription, match="num_channels: 'a' is not a whole number"):
        block_widths("a", 16, bot_mul=1, cardinality=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidDescription, match="bot_mul: 'x' is not a number above 0"):
        block_widths(32, 16, bot_mul="x", cardinality=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidDescription, match="state one of groups"):
        block_widths(32, 4, bot_mul=1, cardinality=4)


@pytest.mark.parametrize("arch", [(), 3, ((0, 64),), ((1, 64), (0, 128)), ((1, "a"),), ((1,),)])
def test_stages_that_cannot_be_are_a_sentence(arch: Any) -> None:
    with pytest.raises(InvalidDescription, match="ResNet is not valid:\n  arch"):
        parse_stages(arch)
    assert parse_stages([[np.int64(2), 64]]) == ((2, 64),)


def test_an_identity_shortcut_needs_the_same_shape() -> None:
    check_same_channels("Residual", 8, width=8, strides=(1, 1))
    with pytest.raises(InvalidDescription, match="has 4 channels, the identity shortcut needs 8"):
        check_same_channels("Residual", 4, width=8, strides=1)
    with pytest.raises(InvalidDescription, match="strides=2 makes the output smaller"):
        check_same_channels("Residual", 8, width=8, strides=(2, 2))


def test_a_boards_line_is_of_means() -> None:
    board = ProgressBoard(xlabel="epoch", ylim=(0, 4))
    for x in range(6):
        board.draw(x, 2 * x, "loss", every_n=3)
    board.draw(1, 0.5, "accuracy")
    assert board.lines == {"loss": [(1, 2), (4, 8)], "accuracy": [(1, 0.5)]}
    (axes,) = board.figure().axes
    assert [line.get_label() for line in axes.lines] == ["loss", "accuracy"]
    assert axes.get_ylim() == (0, 4)
    assert board.png().startswith(b"\x89PNG")


def events() -> list[Step | Epoch]:
    done = Progress(step=2)
    steps = [Step(step=i, epoch=1, rate=0.1, loss=3.0 - i, images=2, progress=None) for i in (1, 2)]
    epoch = Epoch(
        epoch=1,
        step=2,
        rate=0.1,
        training_loss=1.5,
        validation_loss=1.25,
        validation_accuracy=0.5,
        best=True,
        seconds=2.0,
        images_per_second=2.0,
        progress=done,
    )
    return [*steps, epoch]


def show(view: views.FitView) -> None:
    view.start(views.FitInfo(title="Model", epochs=1, steps=2))
    for event in events():
        view.epoch(event) if isinstance(event, Epoch) else view.step(event)
    view.stop()


def test_a_notebook_sees_one_picture_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, bytes]] = []
    handle = types.SimpleNamespace(update=lambda image: shown.append(("update", image)))

    def display(image: bytes, *, display_id: bool) -> Any:
        shown.append(("display", image))
        return handle

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())  # type: ignore[attr-defined]
    pictures = types.ModuleType("IPython.display")
    pictures.display = display  # type: ignore[attr-defined]
    pictures.Image = lambda data, format: data  # type: ignore[attr-defined]  # noqa: A006
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", pictures)
    board = ProgressBoard()
    view = views.choose_fit_view(board)
    show(view)
    assert board.lines == {
        "train_loss": [(0.5, 2.0), (1.0, 1.0)],
        "val_loss": [(1, 1.25)],
        "val_acc": [(1, 0.5)],
    }
    assert [kind for kind, _ in shown] == ["display"] + ["update"] * (len(shown) - 1)
    assert len(shown) >= 2
    assert all(image.startswith(b"\x89PNG") for _, image in shown)


def test_a_log_has_a_line_for_each_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    show(views.choose_fit_view(ProgressBoard()))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Model"
    assert lines[1].split() == [
        "epoch",
        "train",
        "loss",
        "val.",
        "loss",
        "val.",
        "accuracy",
        "images/s",
        "time",
    ]
    assert lines[2].split() == ["1", "1.5000", "1.2500", "50.00%", "2", "2.0", "s"]


def test_a_terminal_has_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, height=20, no_color=True)
    monkeypatch.setattr(views, "REFRESH", 0.0)
    show(views.TerminalView(console))
    assert "step 1/2  loss 2.0000" in written.getvalue()
    assert "50.00%" in written.getvalue().splitlines()[-2]
