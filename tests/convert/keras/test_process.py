"""Keras's files are read in a process of its own, whose crash is an error like any other."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from resnets.convert.keras import process
from resnets.convert.keras.layers import read_here
from resnets.convert.keras.process import read_layers
from resnets.errors import MissingDependency, WeightsError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        for k, name in ((0, "conv2d"), (1, "conv2d_1")):
            file[f"layers/{name}/vars/0"] = np.full((1, 2, 3, 4), k, "f4")
            file[f"layers/{name}/vars"].attrs["name"] = f"of {name}"
        file["layers/dense/vars/0"] = np.arange(6, dtype=">f2").reshape(2, 3)
        file["layers/dense/vars"].attrs["name"] = "é"
        file["resnets"] = np.arange(256, dtype="u1")
    return path


def other_h5py(folder: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Put another h5py before the installed one, for processes that start from now on."""
    (folder / "h5py.py").write_text(content)
    monkeypatch.syspath_prepend(folder)


def test_what_comes_back_is_what_was_read(saved: Path) -> None:
    there, here = read_layers(saved), read_here(saved)
    assert there.names == here.names == ["of conv2d", "of conv2d_1", "é"]
    assert (there.named, there.description) == (here.named, bytes(range(256)))
    assert list(there.arrays) == list(here.arrays)
    for name, array in here.arrays.items():
        np.testing.assert_array_equal(there.arrays[name], array, strict=True)


def test_errors_come_back_too(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent)
    saved.write_bytes(saved.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"^net\.weights\.h5: not a whole HDF5 file \(.*trunc"):
        read_layers(Path(saved.name))
    with pytest.raises(WeightsError, match=r"^none: no such file"):
        read_layers(Path("none"))


def test_without_h5py_it_says_what_to_install(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_h5py(tmp_path, monkeypatch, "raise ImportError('none here')")
    with pytest.raises(MissingDependency, match=r"resnets\[hdf5\].*none here"):
        read_layers(saved)


def test_a_crash_is_an_error(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_h5py(tmp_path, monkeypatch, "import os; os.abort()")
    with pytest.raises(WeightsError, match=r"net\.weights\.h5: not a whole HDF5 file \(its reader"):
        read_layers(saved)


def test_a_file_without_an_end_is_an_error(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_h5py(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(process, "LONGEST", 0.1)
    with pytest.raises(WeightsError, match="not read within"):
        read_layers(saved)


def test_what_is_no_answer_is_an_error(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_h5py(tmp_path, monkeypatch, "import os; os.write(1, b'greetings'); os._exit(0)")
    with pytest.raises(WeightsError, match=r"net\.weights\.h5: not a whole HDF5 file \(what came"):
        read_layers(saved)
