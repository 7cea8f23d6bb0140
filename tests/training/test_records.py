"""Events as lines of the logs, and back."""

import json

from resnets.training import records
from resnets.training.events import Epoch, Progress, Step

EPOCH = Epoch(
    epoch=2,
    step=8,
    rate=0.1,
    training_loss=0.1 + 0.2,
    validation_loss=None,
    validation_accuracy=None,
    best=True,
    seconds=1.5,
    images_per_second=99.0,
    progress=Progress(step=8),
)


def test_what_repeats_and_what_does_not_are_kept_apart() -> None:
    line, timing = records.epoch_record(EPOCH), records.timing_record(EPOCH)
    assert not {"seconds", "images_per_second", "progress"} & line.keys()
    assert {"seconds", "images_per_second"} < timing.keys()


def test_epochs_come_back_through_json() -> None:
    lines = [
        json.loads(json.dumps(of(EPOCH))) for of in (records.epoch_record, records.timing_record)
    ]
    step = Step(step=1, epoch=1, rate=0.1, loss=2.0, images=4, progress=None)
    metrics = [records.step_record(step), lines[0]]
    assert records.read_epochs(metrics, [lines[1]], progress=EPOCH.progress) == (EPOCH,)
    (untimed,) = records.read_epochs(metrics, [], progress=EPOCH.progress)
    assert untimed.seconds == 0.0
