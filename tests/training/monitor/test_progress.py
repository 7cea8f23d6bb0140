import io
import re
import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from resnets.training.events import Epoch, Event, Progress, Started, Step
from resnets.training.monitor.live import LiveView
from resnets.training.monitor.pace import Pace
from resnets.training.monitor.phrases import format_duration
from resnets.training.monitor.progress import PlainView, choose_view


@dataclass
class Clock:
    """Stands still until a test moves it."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Screen:
    """A terminal, or a file, of which everything written is kept."""

    terminal: bool
    width: int = 80
    height: int = 24
    file: io.StringIO = field(default_factory=io.StringIO)

    def console(self, **options: object) -> Console:
        options = {"force_terminal": self.terminal, "width": self.width, **options}
        return Console(file=self.file, height=self.height, legacy_windows=False, **options)

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def frame(self) -> list[str]:
        """Lines of the last frame, without control codes."""
        last = self.text.rpartition("\x1b[2K")[2]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last).splitlines()


def plan(**changes: object) -> Started:
    return Started(
        **{
            "title": "resnet18_small on fashion_mnist",
            "network": "resnet18_small",
            "parameters": 11_175_370,
            "multiply_adds": 457_730_048,
            "device": "cpu",
            "framework": "torch",
            "precision": "bf16",
            "training_images": 400,
            "epoch_images": 400,
            "validation_images": 120,
            "epochs": 5,
            "steps_per_epoch": 10,
            "done_steps": 0,
            "folder": "runs/one",
            **changes,
        }
    )


def step(number: int, loss: float = 1.0, settled: bool = True) -> Step:
    return Step(
        step=number,
        epoch=(number - 1) // 10 + 1,
        rate=0.1,
        loss=loss,
        images=40,
        progress=Progress(step=number) if settled else None,
    )


def epoch(number: int, *, accuracy: float | None = 0.5, best: bool = True) -> Epoch:
    return Epoch(
        epoch=number,
        step=10 * number,
        rate=0.05,
        training_loss=0.4321,
        validation_loss=None if accuracy is None else 0.3512,
        validation_accuracy=accuracy,
        best=best,
        seconds=83.0,
        images_per_second=1234.5,
        progress=Progress(step=10 * number),
    )


def run(clock: Clock, pace: Pace, first: int, last: int, seconds: float) -> None:
    for number in range(first, last + 1):
        clock.now += seconds
        pace.record_step(step(number))


def test_time_left_is_of_steps_measured_and_a_third_of_their_work_for_validation():
    clock = Clock()
    pace = Pace(plan(), clock)
    assert pace.seconds_left is None
    clock.now += 60  # compiling does not count
    pace.record_step(step(1))
    assert pace.seconds_left is None
    run(clock, pace, 2, 6, seconds=2.0)
    assert pace.images_per_second == pytest.approx(20)
    # 44 steps of 2 s; five validations of 120 images, each a third of 1/20 s.
    assert pace.seconds_left == pytest.approx(88 + 5 * 2.0)


def test_pauses_are_measured_and_do_not_slow_the_speed():
    clock = Clock()
    pace = Pace(plan(), clock)
    run(clock, pace, 1, 10, seconds=2.0)
    assert pace.validating
    clock.now += 0.5  # of the 2 s expected
    assert pace.seconds_left == pytest.approx(80 + 5 * 2.0 - 0.5)
    clock.now += 6.5
    pace.record_epoch(epoch(1))
    assert not pace.validating
    assert pace.seconds_left == pytest.approx(80 + 4 * 7.0)
    run(clock, pace, 11, 12, seconds=2.0)
    assert pace.images_per_second == pytest.approx(20)
    assert pace.seconds_left == pytest.approx(76 + 4 * 7.0)


def test_resumed_run_counts_only_its_own_steps():
    clock = Clock()
    pace = Pace(plan(done_steps=30, validation_images=0), clock)
    run(clock, pace, 31, 35, seconds=4.0)
    assert pace.seconds_left == pytest.approx(15 * 4.0)


def test_steps_that_come_in_bursts_are_not_taken_for_fast_ones():
    clock = Clock()
    pace = Pace(plan(validation_images=0), clock)
    for burst in ((1,), (2, 3, 4)):
        clock.now += 2.0 * len(burst)
        for number in burst:
            pace.record_step(step(number, settled=number == burst[-1]))
    assert pace.images_per_second == pytest.approx(20)
    assert pace.seconds_left == pytest.approx(46 * 2.0)


def test_old_speed_is_forgotten():
    clock = Clock()
    pace = Pace(plan(steps_per_epoch=1000, validation_images=0), clock)
    run(clock, pace, 1, 5, seconds=10.0)
    run(clock, pace, 6, 45, seconds=1.0)
    assert pace.images_per_second == pytest.approx(40)


def test_nothing_is_left_at_the_end():
    clock = Clock()
    pace = Pace(plan(epochs=1), clock)
    run(clock, pace, 1, 10, seconds=1.0)
    pace.record_epoch(epoch(1))
    assert pace.seconds_left == pytest.approx(0)


def test_loss_follows_the_latest_and_starts_at_the_first():
    pace = Pace(plan(), Clock())
    assert pace.loss is None
    pace.record_step(step(1, loss=2.0))
    assert pace.loss == pytest.approx(2.0)
    for number in range(2, 10):
        pace.record_step(step(number, loss=1.0))
    assert 1.0 < pace.loss < 1.1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (3.44, "3.4 s"),
        (9.96, "10 s"),
        (59.6, "1 m 0 s"),
        (83, "1 m 23 s"),
        (3599.7, "1 h 0 m"),
        (7500, "2 h 5 m"),
        (86_399, "1 d 0 h"),
        (100_000, "1 d 4 h"),
    ],
)
def test_duration(seconds: float, text: str):
    assert format_duration(seconds) == text


def show(screen: Screen, events: list[Event], clock: Clock, a_plan: Started, step_seconds: float):
    view = (LiveView if screen.terminal else PlainView)(screen.console(), clock)
    with view:
        view.show(a_plan)
        for event in events:
            clock.now += step_seconds
            view.show(event)
        if screen.terminal:
            return screen.frame
    return screen.text.splitlines()


def test_plain_lines_speak_every_ten_seconds_and_for_each_epoch():
    events = [*map(step, range(1, 11)), epoch(1), *map(step, range(11, 14))]
    lines = show(Screen(terminal=False), events, Clock(), plan(), step_seconds=4.0)
    assert lines[0] == "resnet18_small on fashion_mnist"
    assert lines[1] == "  11,175,370 parameters, 457,730,048 multiply-adds"
    assert lines[4:] == [
        "epoch 1/5  step 3/50  loss 1.0000  10 images/s  3 m 28 s left",
        "epoch 1/5  step 6/50  loss 1.0000  10 images/s  3 m 16 s left",
        "epoch 1/5  step 9/50  loss 1.0000  10 images/s  3 m 4 s left",
        "epoch 1/5  loss 0.4321  val. loss 0.3512  val. accuracy 50.00%  rate 0.05"
        "  1,234 images/s  1 m 23 s  best",
        "epoch 2/5  step 13/50  loss 1.0000  10 images/s  2 m 44 s left",
    ]


def test_plain_lines_have_no_colour_even_where_it_is_forced():
    screen = Screen(terminal=False)
    with PlainView(screen.console(force_terminal=True, color_system="truecolor"), Clock()) as view:
        view.show(plan())
        view.show(epoch(1))
        view.note("saved [bold]runs/one[/bold]")
    assert "\x1b" not in screen.text
    assert "saved [bold]runs/one[/bold]\n" in screen.text


def test_plain_says_that_a_long_validation_begins():
    events = list(map(step, range(1, 11)))
    lines = show(
        Screen(terminal=False), events, Clock(), plan(validation_images=4000), step_seconds=1.0
    )
    assert lines[-1] == "epoch 1/5  validating"


def test_live_shows_the_plan_the_epochs_the_bar_and_the_moment():
    events = [
        *map(step, range(1, 11)),
        epoch(1, accuracy=0.8),
        epoch(2, accuracy=0.7, best=False),
        *map(step, range(21, 26)),
    ]
    frame = show(Screen(terminal=True), events, Clock(), plan(), step_seconds=2.0)
    assert frame[0] == "resnet18_small on fashion_mnist"
    assert "11,175,370 parameters · 457,730,048 multiply-adds" in frame
    table = [" ".join(line.split()) for line in frame[5:8]]
    assert table == [
        "epoch loss val. loss val. accuracy rate images/s time",
        "1 0.4321 0.3512 80.00% 0.05 1,234 1 m 23 s best",
        "2 0.4321 0.3512 70.00% 0.05 1,234 1 m 23 s",
    ]
    assert frame[-2].endswith("50%") and "━" in frame[-2]
    assert frame[-1].startswith("epoch 3 of 5 · step 25 of 50 · loss 1.0000 · ")
    assert frame[-1].endswith(" left")


def test_live_says_what_it_waits_for():
    screen = Screen(terminal=True)
    frame = show(screen, [], Clock(), plan(done_steps=25), 1.0)
    assert frame[-1] == "epoch 3 of 5 · step 25 of 50 · waiting for the first step"
    assert frame[-2].endswith(" 50%")
    assert any(line.endswith("resumed after step 25") for line in frame)
    frame = show(screen, list(map(step, range(1, 11))), Clock(), plan(), 1.0)
    assert "validating" in frame[-1]


@pytest.mark.parametrize("width", [50, 60, 79, 80, 120])
@pytest.mark.parametrize("height", [6, 10, 20, 40])
def test_live_fits_the_terminal_and_keeps_the_last_and_the_best(width: int, height: int):
    events = [epoch(i, accuracy=0.9 - i / 100, best=i == 1) for i in range(1, 31)]
    screen = Screen(terminal=True, width=width, height=height)
    frame = show(screen, [step(1), *events], Clock(), plan(epochs=30), 1.0)
    assert len(frame) < height + 1
    assert all(len(line) <= width for line in frame)
    epochs = [line.split()[0] for line in frame if "%" in line and "━" not in line]
    assert "" not in epochs
    if height >= 10:
        assert epochs[-1] == "30"
        assert epochs[0] == "1"
        assert any(line.endswith("best") for line in frame)
    if width >= 60:
        assert "images/s" in "".join(frame)


def test_live_leaves_every_epoch_on_screen_and_the_cursor_visible():
    screen = Screen(terminal=True, height=12)
    with pytest.raises(KeyboardInterrupt), LiveView(screen.console(), Clock()) as view:
        view.show(plan(epochs=30))
        for i in range(1, 26):
            view.show(epoch(i))
        view.show(step(251))
        raise KeyboardInterrupt
    shown = [line.split()[0] for line in screen.frame if "1 m 23 s" in line]
    assert shown == [str(i) for i in range(1, 26)]
    assert "ended after step 251 of 300" in screen.frame[-1]
    assert screen.text.rindex("\x1b[?25h") > screen.text.rindex("\x1b[?25l")


def test_live_without_validation_has_no_such_columns():
    frame = show(
        Screen(terminal=True),
        [epoch(1, accuracy=None)],
        Clock(),
        plan(validation_images=0),
        1.0,
    )
    assert not any("val" in line or "best" in line for line in frame)
    assert "0.4321" in "".join(frame)


def test_live_draws_at_most_eight_frames_a_second():
    clock, screen = Clock(), Screen(terminal=True)
    events = [step(i) for i in range(1, 1000)]
    show(screen, events, clock, plan(steps_per_epoch=1000), step_seconds=0.001)
    assert screen.text.count("resnet18_small on") <= 10


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen(terminal=True)
    show(screen, [step(1), epoch(1)], Clock(), plan(), 1.0)
    assert "\x1b[32m" not in screen.text and "\x1b[1;32m" not in screen.text
    monkeypatch.delenv("NO_COLOR")
    coloured = Screen(terminal=True)
    with LiveView(coloured.console(color_system="standard"), Clock()) as live:
        live.show(plan())
        live.show(epoch(1))
    assert "\x1b[1;32m" in coloured.text


def test_an_ascii_terminal_gets_ascii():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    with LiveView(Console(file=file, force_terminal=True, width=80, height=24), Clock()) as live:
        live.show(plan())
        for i in range(1, 30):
            live.show(epoch(i))
    file.flush()
    assert b"11,175,370 parameters | 457,730,048" in raw.getvalue()


def test_notes_stand_above_the_table_as_they_are():
    screen = Screen(terminal=True)
    with LiveView(screen.console(), Clock()) as live:
        live.show(plan())
        live.note("kept [red]as is[/red]")
    assert "kept [red]as is[/red]" in screen.text


def test_results_in_a_pipe_are_not_drawn_into_the_table(capsys: pytest.CaptureFixture[str]):
    screen = Screen(terminal=True)
    with LiveView(screen.console(), Clock()) as live:
        live.show(plan())
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in screen.text


def test_view_is_live_on_terminals_only(monkeypatch: pytest.MonkeyPatch):
    assert isinstance(choose_view(quiet=False, console=Screen(terminal=True).console()), LiveView)
    assert isinstance(choose_view(quiet=False, console=Screen(terminal=False).console()), PlainView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_view(quiet=False, console=Screen(terminal=True).console()), PlainView)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(choose_view(quiet=False, console=Console(file=io.StringIO())), PlainView)


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]):
    with choose_view(quiet=True) as silent:
        silent.show(plan())
        silent.show(step(1))
        silent.show(epoch(1))
        silent.note("not even this")
    assert capsys.readouterr() == ("", "")


def test_default_view_writes_to_standard_error(capsys: pytest.CaptureFixture[str]):
    with choose_view(quiet=False) as plain:
        plain.note("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_views_import_no_framework():
    code = (
        "import sys\n"
        "from resnets.training.monitor import live, progress\n"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_resumed_run_shows_the_epochs_of_earlier_processes():
    past = (epoch(1, accuracy=0.625), epoch(2, accuracy=0.5, best=False))
    screen = Screen(terminal=True)
    resumed = LiveView(screen.console(), Clock())
    with resumed:
        resumed.show(plan(history=past))
    assert "62.50%" in screen.text and "50.00%" in screen.text
