"""Keras's files: ``keras.applications`` gives the same logits here, and ours open in Keras."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from backends.networks import relative_difference
from convert.keras_models import (
    CAFFE,
    EPSILON,
    FORMS,
    PIXELS,
    TENSORFLOW,
    V1,
    build_narrow,
    keras,
    keras_logits,
    legacy_h5_format,
    logits,
    network,
    preprocess,
    randomise,
    save_archive,
    save_counted,
    save_grouped,
    save_unnamed,
)
from resnets import backends, convert
from resnets.convert.keras import files as keras_files
from resnets.convert.keras import hdf5
from resnets.convert.keras.layers import read_here
from resnets.errors import WeightsError
from resnets.networks.network import Network, Preprocessing, check_weights
from resnets.networks.spec import Block, Norm, Stage, Stem
from strategies import SMALL_ARCHITECTURES

# What keras 3.15 asks of NumPy 2 whenever it saves or returns an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process: one of its own takes half a second a file."""
    monkeypatch.setattr(keras_files, "read_layers", read_here)


@pytest.fixture(scope="module")
def model() -> Any:
    return build_narrow()


@pytest.mark.parametrize("form", FORMS)
def test_kerass_logits_for_the_same_images(
    tmp_path: Path, model: Any, form: Callable[[Any, Path], Path]
) -> None:
    found = keras_files.read(form(model, tmp_path / "x"))
    a = found.architecture
    assert a is not None
    check_weights(a, found.weights)
    assert (a.channels, a.classes, a.bias, a.norm) == (3, 5, True, EPSILON)
    assert [(stage.depth, stage.width, stage.stride) for stage in a.stages] == [
        (2, 16, 1),
        (1, 32, 2),
    ]
    assert a.stages[0].block == Block(kind="bottleneck", stride_in="1x1")
    assert relative_difference(logits(found), keras_logits(model)) < 1e-5
    assert "blue, green, red" in found.notes[-1]
    assert any("does not name" in note for note in found.notes) == (form is save_unnamed)


@pytest.mark.filterwarnings("ignore:This model usually expects 1 or 3 input channels")
def test_another_number_of_channels_is_not_turned(tmp_path: Path) -> None:
    grey = build_narrow(input_shape=(41, 41, 2))
    found = keras_files.read(save_counted(grey, tmp_path / "x"))
    images = PIXELS[..., :2].astype(np.float32) / 255
    expected = np.asarray(grey(images))
    assert relative_difference(logits(found, images.transpose(0, 3, 1, 2)), expected) < 1e-5
    assert found.preprocessing is None


def test_a_resnet50_is_called_so_and_goes_back_and_forth(tmp_path: Path) -> None:
    given = {"input_shape": (41, 41, 3), "classes": 7, "classifier_activation": None}
    model = randomise(keras.applications.ResNet50(weights=None, **given))
    network = convert.read(save_counted(model, tmp_path / "x"))
    assert network.architecture.name == "keras_resnet50"
    assert [stage.depth for stage in network.architecture.stages] == [3, 4, 6, 3]
    expected, torch = keras_logits(model), backends.load("torch")
    ours = torch.build(network.architecture, weights=network.weights)
    assert (
        relative_difference(
            torch.features(ours, preprocess(network.preprocessing))["logits"], expected
        )
        < 1e-5
    )
    keras_files.write(network, tmp_path / "back.h5")
    again = keras.applications.ResNet50(weights=str(tmp_path / "back.h5"), **given)
    np.testing.assert_array_equal(keras_logits(again), expected)


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5", "net.hdf5"])
@pytest.mark.parametrize("p", [CAFFE, None], ids=["prepared as Keras does", "otherwise"])
def test_what_keras_computes_opens_in_keras(
    tmp_path: Path, name: str, p: Preprocessing | None
) -> None:
    before, path = network(V1, p), tmp_path / name
    keras_files.write(before, path)
    model = build_narrow()
    if name.endswith(".hdf5"):
        with h5py.File(path) as file:
            legacy_h5_format.load_weights_from_hdf5_group_by_name(file, model)
    else:
        model.load_weights(path)
    expected = logits(before)
    if p is CAFFE:
        assert relative_difference(keras_logits(model), expected) < 1e-5
    else:
        images = preprocess(before.preprocessing).transpose(0, 2, 3, 1)
        assert relative_difference(np.asarray(model(images)), expected) < 1e-5
    same_as(keras_files.read(path), before)


def same_as(found: Any, before: Network) -> None:
    assert found.architecture == before.architecture
    assert found.preprocessing == before.preprocessing
    assert found.class_names == before.class_names
    assert found.weights.keys() == before.weights.keys()
    for name, array in before.weights.items():
        np.testing.assert_array_equal(found.weights[name], array, strict=True)


def test_without_biases_it_is_keras_with_zeros(tmp_path: Path) -> None:
    before = network(replace(V1, bias=False), CAFFE)
    keras_files.write(before, tmp_path / "net.weights.h5")
    model = build_narrow()
    model.load_weights(tmp_path / "net.weights.h5")
    assert relative_difference(keras_logits(model), logits(before)) < 1e-5
    found = keras_files.read(tmp_path / "net.weights.h5")
    assert found.architecture == V1
    assert not found.weights["layer1.0.conv2.bias"].any()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"norm": Norm()}, "epsilon 1e-05, not 1.001e-05"),
        ({"norm": Norm(kind="group", groups=4)}, "the norms"),
        ({"stages": (replace(V1.stages[0], block=Block(kind="bottleneck")),)}, None),
        ({"stages": (V1.stages[0], replace(V1.stages[1], block=Block(kind="bottleneck")))}, "1×1"),
        ({"stages": (Stage(depth=1, width=64),)}, "other blocks"),
        ({"stages": (replace(V1.stages[0], width=64),)}, "without projection"),
        ({"stages": (replace(V1.stages[0], stride=2),)}, "other strides"),
        ({"stem": Stem(pool=False)}, "another stem"),
        ({"activation": "silu"}, "another activation"),
        ({"preactivation": True}, "pre-activation"),
        ({"output_stride": 4}, "dilated"),
    ],
)
def test_the_old_form_is_keras_applications_alone_and_says_why(
    tmp_path: Path, changed: dict[str, Any], why: str | None
) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(b"as it was")
    with pytest.raises(WeightsError, match=why or "1×1") as caught:
        keras_files.write(network(replace(V1, **changed)), path)
    assert str(path) in str(caught.value)
    assert ".weights.h5 and .keras hold any network" in str(caught.value)
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
@pytest.mark.parametrize("name", ["basic", "before_bottleneck", "group_norm_deep", "regnet_y"])
def test_all_other_networks_open_in_the_backends_model(
    tmp_path: Path, name: str, ending: str
) -> None:
    small = next(a for a in SMALL_ARCHITECTURES if a.name == name)
    before, path = network(small), tmp_path / f"net{ending}"
    keras_files.write(before, path)
    same_as(keras_files.read(path), before)
    if ending == ".keras":
        model = keras.saving.load_model(path)
    else:
        model = TENSORFLOW.build(small)
        model.load_weights(path)
    images = np.random.default_rng(3).random((2, 9, 9, small.channels), np.float32)
    expected = logits(before, images.transpose(0, 3, 1, 2))
    assert relative_difference(np.asarray(model(images, training=False)), expected) < 1e-5


def test_a_model_that_its_user_saved(tmp_path: Path) -> None:
    a = replace(V1, norm=Norm(), bias=False)
    before = network(a)
    model = TENSORFLOW.build(a, weights=before.weights)
    found = keras_files.read(save_archive(model, tmp_path / "x"))
    assert found.architecture == a
    told_nothing = keras_files.read(save_counted(model, tmp_path / "x"))
    assert told_nothing.architecture is None
    for weights in (found.weights, told_nothing.weights):
        assert weights.keys() == before.weights.keys()
        for name, array in before.weights.items():
            np.testing.assert_array_equal(weights[name], array, strict=True)


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"ends in \.weights\.h5, \.keras, \.h5"):
        keras_files.write(network(V1), tmp_path / "net.onnx")


def test_weights_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    before = network(V1)
    del before.weights["fc.bias"]
    with pytest.raises(WeightsError, match=r"fc\.bias: missing"):
        keras_files.write(before, tmp_path / "net.h5")
    assert not list(tmp_path.iterdir())


def test_without_a_head_a_new_one_is_offered(tmp_path: Path) -> None:
    path = save_counted(build_narrow(include_top=False), tmp_path / "x")
    found = keras_files.read(path)
    assert "no head" in found.notes[0]
    assert not {"fc.weight", "fc.bias"} & found.weights.keys()
    with pytest.raises(WeightsError, match="--reset-head"):
        convert.receive(path)
    assert convert.receive(path, classes=4, new_head=True).network.weights["fc.bias"].shape == (4,)


def test_the_head_of_older_files(tmp_path: Path, model: Any) -> None:
    path = save_grouped(model, tmp_path / "x")
    with h5py.File(path, "r+") as file:
        file["predictions"].move("predictions", "probs")
        file.move("predictions", "probs")
        file["probs"].attrs["weight_names"] = [b"probs/kernel:0", b"probs/bias:0"]
        for name in ("kernel", "bias"):
            file["probs/probs"].move(name, f"{name}:0")
        names = [n.replace("predictions", "probs") for n in file.attrs["layer_names"]]
        file.attrs["layer_names"] = names
    assert relative_difference(logits(keras_files.read(path)), keras_logits(model)) < 1e-5


def test_long_lists_of_names_are_cut_as_keras_cuts_them(tmp_path: Path) -> None:
    names = [f"layer {k:050}" for k in range(3000)]
    writer = hdf5.Writer()
    writer.note_all("", "layer_names", values=names)
    path = tmp_path / "net.h5"
    path.write_bytes(writer.content())
    with h5py.File(path) as file:
        assert legacy_h5_format.load_attributes_from_hdf5_group(file, "layer_names") == names
    with (
        path.open("rb") as file,
        hdf5.open_hdf5(file, path.stat().st_size, where="net.h5") as reader,
    ):
        assert reader.texts("", "layer_names") == names


def test_nothing_is_left_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "none" / "net.h5"
    with pytest.raises(WeightsError, match="cannot write"):
        keras_files.write(network(V1), path)
    assert not list(tmp_path.iterdir())
