"""The MXNet tab's own: Gluon's losses, forgotten weights, other precisions."""

import json
import subprocess
import sys
from pathlib import Path


def test_readers_models_work_or_meet_a_sentence() -> None:
    script = Path(__file__).with_name("mxnet_models.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["float64"] == 8
    assert "its weights are float16: cast('float32') it first" in found["float16"]
    assert "the end: a convolution has to stand here" in found["empty"]
    assert "[5]: the dense layer has no bias" in found["no bias"]
    losses, points = found["book"]
    assert all(0 < training < 5 and 0 < validation < 5 for training, validation in losses)
    assert points == {"train_loss": 2, "val_loss": 2}
    assert "the loss: it has the shape [8, 10], not one number" in found["square"]
    for name in ("forgotten", "summary"):
        assert found[name].startswith("Book has no weights: call self.net.initialize()")
