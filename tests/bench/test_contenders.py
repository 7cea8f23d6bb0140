"""Every contender can be prepared and takes steps, in this process."""

import io
import json
from typing import get_args

import pytest

from resnets import Architecture, Stage, Stem, backends
from resnets.bench import worker
from resnets.bench.contenders import Contender, find_contenders
from resnets.bench.work import Purpose, Work

ARCHITECTURE = Architecture(
    channels=1,
    classes=4,
    stem=Stem(width=8, kernel=3, stride=1, pool=False),
    stages=(Stage(depth=1, width=8),),
)
ONE_ENGINE = "export, onnxruntime"


def is_tested(contender: Contender) -> bool:
    """Whether a contender differs from others in more than its options, and is available."""
    others = contender.options.get("precision") or contender.name.startswith("timm")
    return not others and (contender.name == ONE_ENGINE or "export" not in contender.name)


CONTENDERS = [
    contender
    for framework in backends.NAMES
    for purpose in get_args(Purpose)
    for contender in find_contenders(framework, purpose)
    if is_tested(contender) and (contender.name != "limit" or purpose == "training")
]


def serve(contender: Contender, device: str = "cpu") -> list[dict[str, float]]:
    """Load and prepare a contender and take a turn; return the answers."""
    work = Work(
        architecture=ARCHITECTURE, size=8, batch=2, purpose=contender.purpose, device=device
    )
    task = "matrix fp32" if contender.name == "limit" else "batch 2"
    same = {"maker": contender.maker, "framework": contender.framework}
    prepare = {
        "do": "prepare",
        "options": dict(contender.options),
        "work": work.to_json(),
        "turn_seconds": 1e-3,
    }
    orders = [{"do": "load", **same}, {**prepare, **same}, {"do": "turn", "task": task, "steps": 2}]
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda c: f"{c.framework}, {c.name}")
def test_a_contender_takes_steps(contender: Contender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resnets.bench.workers.limit.PRODUCT_SECONDS", 0.0)
    loaded, ready, told = serve(contender)
    assert loaded == {}
    assert ready["precision"] and ready["device"] and ready["versions"]
    assert told["rate"] > 0
    assert told["peak_memory_bytes"] > 1e7


@pytest.mark.parametrize("framework", backends.NAMES)
def test_a_device_that_is_not_here(framework: str) -> None:
    _, told = serve(find_contenders(framework, "training")[0], "gpu:7")
    assert "gpu:7" in told["unavailable"]
