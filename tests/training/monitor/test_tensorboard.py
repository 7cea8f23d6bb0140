import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event as Written
from tensorboardX.record_writer import masked_crc32c

from resnets.errors import MissingDependency
from resnets.training.events import Epoch, Progress, Started, Step
from resnets.training.monitor.tensorboard import TensorBoard, is_available


def step(number: int, loss: float) -> Step:
    return Step(step=number, epoch=1, rate=0.1, loss=loss, images=8, progress=None)


def epoch(step: int, accuracy: float | None = 0.75) -> Epoch:
    return Epoch(
        epoch=1,
        step=step,
        rate=0.05,
        training_loss=2.0,
        validation_loss=None if accuracy is None else 1.5,
        validation_accuracy=accuracy,
        best=True,
        seconds=1.0,
        images_per_second=640.0,
        progress=Progress(step=step),
    )


def started(folder: Path, done_steps: int = 0) -> Started:
    return Started(
        title="resnet8_slim on fashion_mnist",
        network="resnet8_slim",
        parameters=1,
        multiply_adds=1,
        device="cpu",
        framework="torch",
        precision="fp32",
        training_images=640,
        epoch_images=640,
        validation_images=0,
        epochs=2,
        steps_per_epoch=10,
        done_steps=done_steps,
        folder=str(folder),
    )


def written(folder: Path) -> list[Written]:
    """Read the records back: length, checksum, event, checksum."""
    events: list[Written] = []
    for path in sorted((folder / "tensorboard").iterdir()):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            body = content[12 : 12 + length]
            assert int.from_bytes(content[12 + length : 16 + length], "little") == masked_crc32c(
                body
            )
            events.append(Written.FromString(body))
            content = content[16 + length :]
    return events


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    return [
        (value.tag, event.step, pytest.approx(value.simple_value))
        for event in written(folder)
        for value in event.summary.value
    ]


def test_losses_are_means_of_ten_steps_and_epochs_are_whole(tmp_path: Path):
    with TensorBoard() as board:
        board(started(tmp_path))
        for number in range(1, 14):
            board(step(number, float(number)))
        board(epoch(13))
    assert scalars(tmp_path) == [
        ("loss/training", 10, 5.5),
        ("rate", 10, 0.1),
        ("loss/training", 13, 12.0),
        ("rate", 13, 0.05),
        ("loss/training_epoch", 13, 2.0),
        ("loss/validation", 13, 1.5),
        ("accuracy/validation", 13, 0.75),
        ("images_per_second", 13, 640.0),
    ]


def test_without_validation_there_are_no_such_scalars(tmp_path: Path):
    with TensorBoard() as board:
        board(started(tmp_path))
        board(epoch(10, accuracy=None))
    assert [tag for tag, _, _ in scalars(tmp_path)] == ["loss/training_epoch", "images_per_second"]


def test_resumed_run_hides_what_happens_again(tmp_path: Path):
    with TensorBoard() as board:
        board(started(tmp_path))
    assert not any(event.HasField("session_log") for event in written(tmp_path))
    resumed = tmp_path / "resumed"
    with TensorBoard() as board:
        board(started(resumed, done_steps=20))
    starts = [event.step for event in written(resumed) if event.HasField("session_log")]
    assert starts == [21]


def test_missing_tensorboard_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert is_available()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingDependency, match=r'pip install "resnets\[tensorboard\]"'):
        TensorBoard()(started(tmp_path))
    assert not is_available()
