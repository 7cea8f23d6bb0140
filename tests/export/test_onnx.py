"""The ONNX file: the same function in every runtime, the same bytes always, and what it tells."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings

from backends.networks import relative_difference
from export.networks import network, pixels, preprocess, reference_logits
from resnets.errors import InvalidDescription, MissingDependency, WeightsError
from resnets.export import build_onnx, openvino, write_onnx
from resnets.export.operations import OPSET
from resnets.files import replace_file
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import tensors
from strategies import architectures


def run(content: bytes, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


def test_pixels_to_logits(small: Architecture) -> None:
    made, stored = network(small), pixels(small, 17, 17)
    logits = run(build_onnx(made), stored)
    assert logits.dtype == np.float32
    assert relative_difference(logits, reference_logits(made, stored)) < 1e-5


def test_unfolded_normalised_and_of_any_size(small: Architecture) -> None:
    made = network(small)
    content = build_onnx(made, takes="normalised", fold=False, any_size=True)
    for size in ((9, 14), (1, 1), (33, 5)):
        stored = pixels(small, *size, n=2)
        logits = run(content, preprocess(made, stored).astype(np.float32))
        assert relative_difference(logits, reference_logits(made, stored)) < 1e-5


def test_openvino_computes_the_same(small: Architecture) -> None:
    made, stored = network(small), pixels(small, 17, 17)
    logits = openvino.build_evaluator(build_onnx(made), "fp32", threads=1)(stored)
    assert relative_difference(logits, reference_logits(made, stored)) < 1e-5


@settings(deadline=None, max_examples=25)
@given(architectures())
def test_any_network(a: Architecture) -> None:
    made, stored = network(dataclasses.replace(a, name="any"), size=13), pixels(a, 13, 13, n=2)
    want = reference_logits(made, stored)
    assert relative_difference(run(build_onnx(made), stored), want) < 2e-5


@pytest.mark.parametrize("size", [9, 10, 11])
def test_averages_over_windows_that_lie_apart(size: int) -> None:
    block = Block(kind="basic", shortcut="average_projection")
    stem = Stem(width=3, kernel=3, stride=1, pool=False)
    stages = (Stage(depth=1, width=4, stride=3, block=block),)
    a = Architecture(name="apart", channels=1, classes=3, stem=stem, stages=stages)
    made = network(a, size=size)
    stored = pixels(a, size, size, n=2)
    logits = run(build_onnx(made), stored)
    assert relative_difference(logits, reference_logits(made, stored)) < 1e-5


@pytest.mark.parametrize("name", ["resnet18", "resnetv2_50", "seresnext50_32x4d", "regnet_y_400mf"])
def test_full_size_networks(name: str) -> None:
    a = catalog.get(name, classes=7)
    made, stored = network(a, size=64), pixels(a, 64, 64, n=1)
    assert relative_difference(run(build_onnx(made), stored), reference_logits(made, stored)) < 1e-5


def test_the_batch_is_the_callers(small: Architecture) -> None:
    made = network(small)
    content = build_onnx(made)
    many = pixels(small, 17, 17, n=5)
    together = run(content, many)
    apart = np.concatenate([run(content, many[i : i + 1]) for i in range(5)])
    assert relative_difference(together, apart) < 1e-5


def test_a_folded_graph_has_no_batch_norms_where_convolutions_come_first() -> None:
    kinds = {
        fold: [node.op_type for node in onnx.load_from_string(content).graph.node]
        for fold in (True, False)
        for content in [build_onnx(network(catalog.get("resnet8_slim"), size=28), fold=fold)]
    }
    assert kinds[True].count("BatchNormalization") == 0
    assert kinds[False].count("BatchNormalization") == 9
    assert kinds[True].count("Conv") == kinds[False].count("Conv") == 9


def test_equal_networks_give_equal_bytes(small: Architecture) -> None:
    shuffled = network(small)
    reordered = dict(reversed(shuffled.weights.items()))
    again = Network(small, reordered, shuffled.preprocessing, shuffled.class_names)
    assert build_onnx(network(small)) == build_onnx(again)


def test_the_bytes_are_the_same_in_another_process() -> None:
    program = (
        "import hashlib, sys\nfrom resnets.networks import catalog\n"
        "from resnets.export.onnx import *\n"
        "from resnets.networks.initialization import initial_weights\n"
        "from resnets.networks.folder import *\n"
        "a = catalog.get('resnet8_slim')\n"
        "p = Preprocessing(size=28, mean=(0.5,), std=(0.5,))\n"
        "n = Network(a, initial_weights(a), p, tuple('abcdefghij'))\n"
        "print(hashlib.sha256(build_onnx(n)).hexdigest())\n"
        "print({'torch', 'jax', 'tensorflow', 'mxnet', 'onnxruntime'} & set(sys.modules))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(said) == 1
    assert said.pop().splitlines()[1] == "set()"


def test_what_the_file_tells(small: Architecture) -> None:
    made = network(small)
    model = onnx.load_from_string(build_onnx(made))
    told = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert Architecture.from_json(told["architecture"]) == small
    assert told["class_names"] == list(made.class_names)
    assert told["preprocessing"]["mean"] == list(made.preprocessing.mean)
    assert told["input"] == "pixels"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    (given_input,) = model.graph.input
    extent = [d.dim_param or d.dim_value for d in given_input.type.tensor_type.shape.dim]
    assert extent == ["n", 17, 17, small.channels]
    known = {tensor.name for tensor in tensors(small)}
    kept = {constant.name for constant in model.graph.initializer}
    assert {name for name in known if name.endswith(".weight") and "conv" in name} <= kept | known


def test_more_than_an_onnx_file_holds_is_refused() -> None:
    a = catalog.get("regnet_y_128gf")
    weights = {t.name: np.broadcast_to(np.float32(0), t.shape) for t in tensors(a)}
    made = network(catalog.get("resnet8_slim"))
    preprocessing = dataclasses.replace(made.preprocessing, mean=(0.0,) * 3, std=(1.0,) * 3)
    names = tuple(map(str, range(1000)))
    with pytest.raises(WeightsError, match=r"2\.6 GB of weights; an ONNX file holds"):
        build_onnx(Network(a, weights, preprocessing, names))


def test_weights_and_names_that_do_not_fit_are_refused() -> None:
    made = network(catalog.get("resnet8_slim"))
    with pytest.raises(InvalidDescription, match="class_names: 2 names for 10 classes"):
        build_onnx(dataclasses.replace(made, class_names=("a", "b")))
    lacking = {name: array for name, array in made.weights.items() if name != "fc.bias"}
    with pytest.raises(WeightsError, match=r"fc\.bias: missing"):
        build_onnx(dataclasses.replace(made, weights=lacking))


def test_a_file_is_replaced_only_if_it_was_written_here(tmp_path: Path) -> None:
    made, path = network(catalog.get("resnet8_slim")), tmp_path / "sub" / "model.onnx"
    write_onnx(made, path)
    first = path.read_bytes()
    write_onnx(made, path, fold=False)
    assert path.read_bytes() != first
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(WeightsError, match="does not tell that resnets wrote it"):
        write_onnx(made, path)
    assert path.read_bytes() == b"\x08\x07\x12\x07pytorch"
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, path = network(catalog.get("resnet8_slim")), tmp_path / "model.onnx"
    write_onnx(made, path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{replace_file.__module__}.os.fsync", full)
    with pytest.raises(WeightsError, match=r"cannot write .*model\.onnx: No space left"):
        write_onnx(made, path, fold=False)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


def test_without_the_package_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependency, match=r'pip install "resnets\[onnx\]"'):
        build_onnx(network(catalog.get("resnet8_slim")))
