"""Engines: each computes the network; the fastest is chosen by what was measured."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends.networks import relative_difference
from export.networks import network, pixels, reference_logits
from resnets import backends
from resnets.backends import Evaluator
from resnets.data.images import Images
from resnets.errors import DataError, MissingDependency, RunError, UnknownName, WeightsError
from resnets.export import (
    ENGINES,
    Engine,
    Prepared,
    build_int8_onnx,
    deploy,
    find_engine,
    measure,
    open_engine,
    select_fastest,
)
from resnets.export.deployment import read_chosen_engine
from resnets.export.measurement import Measured, Table
from resnets.networks import catalog
from resnets.networks.folder import load
from resnets.networks.network import Network
from resnets.recipes.recipe import Recipe

LIMITS = {"fp32": 1e-5, "bf16": 0.05, "int8": 0.2}
"""Largest difference from float64, relative to the largest logit; bf16 has 8 bits, int8 7."""


@pytest.fixture(scope="module")
def slim() -> Network:
    return network(catalog.get("resnet8_slim"), size=28)


@pytest.fixture(scope="module")
def prepared(slim: Network) -> Prepared:
    return Prepared(slim, int8=build_int8_onnx(slim, pixels(slim.architecture, 28, 28, n=40)))


def computes_bf16() -> bool:
    return backends.load("torch").precision(Recipe(), "cpu") == "bf16"


@pytest.mark.parametrize("found", [e for e in ENGINES if not e.patient], ids=lambda e: e.name)
def test_every_engine_computes_the_network(found: Engine, prepared: Prepared) -> None:
    """An engine that is not installed is an error here, never a skip."""
    if found.precision == "bf16" and not computes_bf16():
        with pytest.raises(RunError, match="this CPU does not compute in bf16"):
            found.open(prepared)
        return
    stored = pixels(prepared.network.architecture, 28, 28, n=5)
    evaluator = found.open(prepared)
    logits = evaluator(stored)
    assert logits.dtype == np.float32
    assert (
        relative_difference(logits, reference_logits(prepared.network, stored))
        < LIMITS[found.precision]
    )
    kept = logits.copy()
    one = evaluator(stored[::2])  # another batch, and no contiguous array
    np.testing.assert_array_equal(logits, kept)  # which must not write over the first result
    assert relative_difference(one, logits[::2]) < LIMITS[found.precision]


def test_the_compiled_engine_is_torchs_compiler_on_the_folded_module(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler itself takes a minute; what it is given is what torch-bf16 runs."""
    if not computes_bf16():
        with pytest.raises(RunError, match="does not compute in bf16"):
            find_engine("torch-compiled").open(prepared)
        return
    import torch

    given: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda module: given.append(module) or module)
    stored = pixels(prepared.network.architecture, 28, 28)
    logits = find_engine("torch-compiled").open(prepared)(stored)
    np.testing.assert_array_equal(logits, find_engine("torch-bf16").open(prepared)(stored))
    assert len(given) == 1


def test_int8_really_is(prepared: Prepared) -> None:
    import onnx

    model = onnx.load_from_string(prepared.get_model("int8"))
    kernels = [i for i in model.graph.initializer if i.data_type == onnx.TensorProto.INT8]
    assert sum(np.prod(i.dims) for i in kernels if len(i.dims) == 4) == sum(
        array.size for array in prepared.network.weights.values() if array.ndim == 4
    )
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert told["precision"] == "int8"
    assert told["class_names"] == list(prepared.network.class_names)
    assert model.SerializeToString(deterministic=True).startswith(b"\x08\x08\x12\x07resnets")


def test_int8_is_the_same_bytes_again(prepared: Prepared) -> None:
    made = prepared.network
    again = build_int8_onnx(made, pixels(made.architecture, 28, 28, n=40))
    assert again == prepared.get_model("int8")


def test_int8_refuses_other_images(slim: Network) -> None:
    for shape in ((0, 28, 28, 1), (4, 28, 28, 3), (4, 27, 28, 1)):
        with pytest.raises(DataError, match=r"calibration wants images of shape \(28, 28, 1\)"):
            build_int8_onnx(slim, np.zeros(shape, np.uint8))


def test_names_and_missing_packages(slim: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"no engine is called 'openvine'.*openvino-bf16"):
        find_engine("openvine")
    with pytest.raises(RunError, match="int8 needs a model calibrated on training images"):
        find_engine("openvino-int8").open(Prepared(slim))
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openvino" else there(name)
    )
    with pytest.raises(MissingDependency, match=r'openvino .*: pip install "resnets\[openvino\]"'):
        find_engine("openvino").open(Prepared(slim))


def test_a_package_that_is_broken(slim: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"{name}.so: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(MissingDependency, match="onnxruntime is installed but cannot be imported"):
        find_engine("onnxruntime").open(Prepared(slim))


def test_measuring_compares_with_the_first(prepared: Prepared) -> None:
    a = prepared.network.architecture
    stored = pixels(a, 28, 28, n=9)
    labels = reference_logits(prepared.network, stored).argmax(axis=1)
    labels[:3] = (labels[:3] + 1) % 10
    engines = [find_engine(name) for name in ("onnxruntime", "openvino", "openvino-int8")]
    said: list[str] = []
    table = measure(
        prepared, engines, images=Images(stored, labels), batch=4, rounds=2, announce=said.append
    )
    first, second, whole = table.rows
    assert (first.speedup, first.quickening, first.largest) == (1, 1, 0)
    assert first.agreement == 1
    assert first.accuracy == pytest.approx(6 / 9)
    assert 0 < (second.largest or 0) < 1e-5 < (whole.largest or 0) < 0.2
    assert all((row.rate or 0) > 0 and (row.latency or 0) > 0 for row in table.rows)
    assert table.images == 9
    assert said[-1].startswith("round 2 of 2")


def test_an_engine_that_fails_is_a_line_of_the_table(slim: Network) -> None:
    table = measure(
        Prepared(slim),
        [find_engine("onnxruntime"), find_engine("openvino-int8")],
        batch=2,
        rounds=1,
    )
    assert table.rows[0].error is None
    assert "calibrated" in (table.rows[1].error or "")
    with pytest.raises(RunError, match="no engine can be used: openvino-int8: int8 needs"):
        table.find_fastest(["openvino-int8"])


def test_an_engine_that_fails_later_is_a_line_too(slim: Network) -> None:
    def one_batch(prepared: Prepared, precision: str) -> Evaluator:
        calls = iter([np.zeros((4, 10), np.float32)])
        return lambda pixels: next(calls)

    failing = Engine(name="brief", package="onnxruntime", precision="fp32", build=one_batch)
    images = Images(pixels(slim.architecture, 28, 28, n=9), np.zeros(9, np.int64))
    table = measure(
        Prepared(slim), [find_engine("onnxruntime"), failing], images=images, batch=4, rounds=1
    )
    assert table.rows[1].error == "onnxruntime cannot compute the model: StopIteration()"


def test_a_network_that_is_broken_is_no_engines_fault(slim: Network) -> None:
    weights = {**slim.weights, "fc.bias": np.full(10, np.nan, np.float32)}
    broken = Network(slim.architecture, weights, slim.preprocessing, slim.class_names)
    with pytest.raises(RunError, match="logits that are not finite"):
        select_fastest(broken, engines=["onnxruntime"], batch=2, rounds=1)


def test_the_choice() -> None:
    def row(name: str, rate: float, latency: float, agreement: float, precision: str) -> Measured:
        return Measured(
            engine=name, precision=precision, rate=rate, latency=latency, agreement=agreement
        )

    rows = (
        row("plain", 100, 0.010, 1, "fp32"),
        row("rough", 300, 0.003, 0.98, "bf16"),
        row("good", 250, 0.004, 0.995, "bf16"),
        row("quick", 200, 0.002, 1, "fp32"),
        row("whole", 900, 0.001, 1, "int8"),
        Measured(engine="absent", precision="fp32", error="not installed"),
    )
    table = Table(rows=rows, batch=8, rounds=1, images=100, real=True)
    assert table.faithful == ("plain", "good", "quick", "absent")
    assert table.find_fastest(table.faithful).engine == "good"
    assert table.find_fastest(table.faithful, single=True).engine == "quick"
    assert table.find_fastest(["plain", "whole"]).engine == "whole"
    on_noise = Table(rows=rows, batch=8, rounds=1, images=100, real=False)
    assert on_noise.find_fastest(on_noise.faithful).engine == "rough"


def test_a_folder_remembers_its_engine(slim: Network, tmp_path: Path) -> None:
    a = slim.architecture
    images = Images(pixels(a, 28, 28, n=12), np.zeros(12, np.int64))
    found = select_fastest(
        slim,
        training=images,
        held_out=images,
        engines=["openvino-int8"],
        images=5,
        batch=2,
        rounds=1,
    )
    assert found.chosen.engine == "openvino-int8"
    assert found.table.images == 5
    folder = tmp_path / "made"
    deploy(found, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.json", "engine.json", "model-int8.onnx", "model.onnx", "model.safetensors")
    ]
    assert read_chosen_engine(folder) == "openvino-int8"
    logits = open_engine("auto", load(folder), folder=folder)(images.pixels)
    np.testing.assert_allclose(logits, found.evaluator(images.pixels), rtol=1e-5)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(WeightsError, match="exists; choose another name"):
        deploy(found, folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError, match="--device cuda: engines compute on the CPU"):
        open_engine("auto", slim, folder=folder, device="cuda")


def test_a_deployed_folder_needs_no_onnx(
    slim: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = select_fastest(slim, engines=["onnxruntime"], batch=2, rounds=1)
    deploy(found, tmp_path / "made")
    monkeypatch.setitem(sys.modules, "onnx", None)
    logits = open_engine("onnxruntime", slim, folder=tmp_path / "made")(
        pixels(slim.architecture, 28, 28)
    )
    assert logits.shape == (3, 10)


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from resnets.export.openvino import import_openvino\n"
        "import_openvino().Core()\n"
        "print([name for name in sys.modules if 'telemetry' in name and 'stub' in name])\n"
        "print('openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.stdout == "['openvino.tools.ovc.telemetry_stub']\nFalse\n"
    assert list(tmp_path.iterdir()) == []  # where it keeps whom it tells of


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_damaged_model_gets_a_sentence(name: str, slim: Network) -> None:
    for content in (b"", b"\x08\x08\x12\x07resnets", b"no model at all"):
        with pytest.raises(RunError, match=f"{name} cannot open the model: "):
            find_engine(name).open(Prepared(slim, fp32=content))


def test_without_any_engine(slim: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"no engine is installed: pip install"):
        select_fastest(slim)


def test_a_folder_is_written_whole_or_not_at_all(
    slim: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = select_fastest(slim, engines=["onnxruntime"], batch=2, rounds=1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("resnets.export.deployment.write_text", full)
    with pytest.raises(WeightsError, match=r"cannot write .*: No space left on device"):
        deploy(found, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"format": 2, "engine": "torch"}', '{"format": 1, "engine": 5}']
)
def test_a_damaged_choice_gets_a_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no engine\.json"):
        read_chosen_engine(tmp_path)
    (tmp_path / "engine.json").write_text(text)
    with pytest.raises(RunError, match=r"engine\.json"):
        read_chosen_engine(tmp_path)
