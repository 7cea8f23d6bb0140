"""Keras's files that are none, that are damaged, or that hold what cannot be described."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convert.keras_models import (
    V1,
    build,
    build_narrow,
    keras,
    network,
    resnet,
    save_archive,
    save_counted,
    save_grouped,
    save_unnamed,
    save_unnamed_archive,
    save_whole_and_grouped,
)
from resnets import convert
from resnets.convert.keras import files as keras_files
from resnets.convert.keras.layers import read_here
from resnets.errors import ResnetsError, WeightsError

# What keras 3.15 asks of NumPy 2 whenever it saves or returns an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process: one of its own takes half a second a file."""
    monkeypatch.setattr(keras_files, "read_layers", read_here)


@pytest.fixture(scope="module")
def model() -> Any:
    return build_narrow()


def test_pre_activation_is_refused_and_why(tmp_path: Path) -> None:
    def blocks(x: Any) -> Any:
        return resnet.stack_residual_blocks_v2(x, 4, 2, name="conv2")

    version_2 = build(blocks, preact=True)
    for form in (save_counted, save_grouped, save_archive, save_unnamed_archive):
        with pytest.raises(WeightsError, match="max-pool as shortcut"):
            keras_files.read(form(version_2, tmp_path / "x"))
    with pytest.raises(WeightsError, match="not in the order of"):
        keras_files.read(save_unnamed(version_2, tmp_path / "x"))


def test_other_layers_are_refused(tmp_path: Path, model: Any) -> None:
    inputs = keras.Input((41, 41, 3))
    scaled = keras.Model(inputs, model(keras.layers.Rescaling(2.0)(inputs)))
    with pytest.raises(WeightsError, match="a model inside the model"):
        keras_files.read(save_counted(scaled, tmp_path / "x"))
    with pytest.raises(WeightsError, match="a model inside the model"):
        keras_files.read(save_whole_and_grouped(scaled, tmp_path / "x"))
    body = build_narrow(include_top=False, pooling="max")
    maximal = keras.Model(body.input, keras.layers.Dense(5, name="predictions")(body.output))
    with pytest.raises(WeightsError, match="the layers max_pool are not of"):
        keras_files.read(save_counted(maximal, tmp_path / "x"))
    vgg = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    )
    with pytest.raises(WeightsError):
        convert.receive(save_counted(vgg, tmp_path / "x"))


def test_what_does_not_fit_is_named_with_both_shapes(tmp_path: Path, model: Any) -> None:
    path = save_grouped(model, tmp_path / "x")
    with h5py.File(path, "r+") as file:
        at = file["conv2_block2_2_conv"]
        del at["conv2_block2_2_conv/kernel"]
        at["conv2_block2_2_conv/kernel"] = np.zeros((3, 3, 4, 7), "f4")
        file["conv3_block1_0_conv"].attrs["weight_names"] = ["conv3_block1_0_conv/kernel"]
        file["predictions/predictions/more"] = np.zeros(2, "f4")
        names = [f"predictions/{v}" for v in ("kernel", "bias", "more")]
        file["predictions"].attrs["weight_names"] = names
    with pytest.raises(WeightsError) as caught:
        keras_files.read(path)
    said = str(caught.value)
    assert f"{path}: not whole as a ResNet of keras.applications" in said
    assert "conv2_block2_2_conv/kernel: shape (3, 3, 4, 7), expected (3, 3, 4, 4)" in said
    assert "conv3_block1_0_conv/bias: missing, shape (32,)" in said
    assert "predictions/more: unknown, shape (2,)" in said


KERNEL = "conv1_conv/conv1_conv/kernel"


def another_file(file: Any, path: Path) -> None:
    file[KERNEL] = h5py.ExternalLink(str(path.with_name("secret.h5")), "/secret")


def another_place(file: Any, path: Path) -> None:
    file[KERNEL] = h5py.SoftLink("/conv1_conv/conv1_conv/bias")


def stored_elsewhere(file: Any, path: Path) -> None:
    place = [(str(path.with_name("secret.bin")), 0, 7 * 7 * 3 * 64 * 4)]
    file.create_dataset(KERNEL, (7, 7, 3, 64), "f4", external=place)


def virtual(file: Any, path: Path) -> None:
    layout = h5py.VirtualLayout((7, 7, 3, 64), "f4")
    layout[:] = h5py.VirtualSource(str(path.with_name("secret.h5")), "secret", (7, 7, 3, 64))
    file.create_virtual_dataset(KERNEL, layout)


def compressed(file: Any, path: Path) -> None:
    file.create_dataset(KERNEL, data=np.zeros((7, 7, 3, 64), "f4"), compression="gzip")


def terabytes(file: Any, path: Path) -> None:
    file.create_dataset(KERNEL, (2**14, 2**14, 2**10, 2**10), "f4", chunks=(1, 1, 16, 16))


def never_written(file: Any, path: Path) -> None:
    file.create_dataset(KERNEL, (7, 7, 3, 64), "f4")


def objects(file: Any, path: Path) -> None:
    file.create_dataset(KERNEL, data=[b"any", b"thing"], dtype=h5py.special_dtype(vlen=bytes))


def a_group(file: Any, path: Path) -> None:
    file.create_group(KERNEL)


def nothing(file: Any, path: Path) -> None:
    pass


def many_times(file: Any, path: Path) -> None:
    """One array of the file under the names of many, to be read again and again."""
    file[KERNEL] = np.zeros((7, 7, 3, 64), "f4")
    names = [f"conv1_conv/k{k}" for k in range(99)]
    for name in names:
        file[f"conv1_conv/{name}"] = file[KERNEL]
    file["conv1_conv"].attrs["weight_names"] = names


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (another_file, "a link elsewhere"),
        (another_place, "a link elsewhere"),
        (stored_elsewhere, "lies in another file"),
        (virtual, "lies in another file"),
        (compressed, "is compressed"),
        (terabytes, "claims 1,125,899,906,842,624 bytes"),
        (never_written, "never wholly written"),
        (objects, "not numbers"),
        (a_group, "is no array"),
        (nothing, "is missing"),
        (many_times, "more than the"),
    ],
)
def test_what_hdf5_can_do_beside_holding_arrays_is_refused(
    tmp_path: Path, model: Any, put: Callable[[Any, Path], None], said: str
) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["secret"] = np.zeros((7, 7, 3, 64), "f4")
    (tmp_path / "secret.bin").write_bytes(bytes(7 * 7 * 3 * 64 * 4))
    path = save_grouped(model, tmp_path / "x")
    with h5py.File(path, "r+") as file:
        del file[KERNEL]
        put(file, path)
    with pytest.raises(WeightsError, match=said) as caught:
        keras_files.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("form", [save_counted, save_grouped, save_archive])
def test_a_part_is_never_read_as_the_whole(
    tmp_path: Path, model: Any, form: Callable[[Any, Path], Path]
) -> None:
    path = form(model, tmp_path / "x")
    whole = path.read_bytes()
    ends = {*range(0, len(whole), len(whole) // 40), *range(9), len(whole) - 1}
    for end in sorted(ends - {len(whole)}):
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError) as caught:
            keras_files.read(path)
        assert str(path) in str(caught.value)


def archive(path: Path, compression: int = zipfile.ZIP_STORED, **parts: bytes) -> None:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name.replace("_", "."), content)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"metadata_json": b"{}"}, "config.json"),
        ({"config_json": b"{}"}, "model.weights.h5"),
        ({"config_json": b"{", "model_weights_h5": b""}, "no JSON"),
        ({"config_json": b"[]", "model_weights_h5": b""}, "no JSON object"),
        ({"config_json": b"[" * 10**5, "model_weights_h5": b""}, "no JSON"),
        ({"config_json": b"{}", "model_weights_h5": b"no HDF5"}, "not a whole HDF5 file"),
    ],
)
def test_archives_that_are_none_of_keras(
    tmp_path: Path, parts: dict[str, bytes], said: str
) -> None:
    path = tmp_path / "net.keras"
    archive(path, **parts)
    with pytest.raises(WeightsError, match=said) as caught:
        keras_files.read(path)
    assert str(path) in str(caught.value)


def test_an_archive_that_would_grow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    archive(path, zipfile.ZIP_DEFLATED, config_json=b"{}", model_weights_h5=bytes(10**7))
    with pytest.raises(WeightsError, match=r"config\.json is compressed"):
        keras_files.read(path)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(200)])
def test_files_that_are_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.h5"
    with pytest.raises(WeightsError, match="no such file"):
        keras_files.read(path)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.h5: not a whole HDF5 file"):
        keras_files.read(path)
    with h5py.File(path, "w") as file:
        file["some"] = np.zeros(3)
    with pytest.raises(WeightsError, match="not Keras's"):
        keras_files.read(path)


def test_a_description_that_lies_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.weights.h5"
    keras_files.write(network(V1), path)
    other = json.dumps({"resnets": {"architecture": 3}}).encode()
    for content in (b"no JSON", b"[]", b"{}", other):
        with h5py.File(path, "r+") as file:
            del file["resnets"]
            file["resnets"] = np.frombuffer(content, np.uint8)
        with pytest.raises(ResnetsError, match=r"net\.weights\.h5|architecture"):
            keras_files.read(path)
