"""PyTorch's files: usual nestings are unwrapped, what is hostile or damaged is refused unrun."""

import argparse
import io
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resnets.backends import torch as backend
from resnets.convert import torch_files
from resnets.errors import WeightsError
from resnets.networks import catalog

TENSORS = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.tensor([float("nan")])}
OTHERS = {name: tensor + 1 for name, tensor in TENSORS.items()}


def saved(value: Any, path: Path, *, legacy: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def assert_holds(path: Path, expected: dict[str, torch.Tensor], **options: Any) -> tuple[str, ...]:
    arrays, notes = torch_files.read(path, **options)
    assert list(arrays) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(arrays[name], tensor.float().numpy())
    return notes


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrapped",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3, "optimizer": {"state": {}, "rates": [0.1]}},
        {"model": {"state_dict": TENSORS}},
        {f"module.{name}": tensor for name, tensor in TENSORS.items()},
        {"model": {f"_orig_mod.module.{name}": tensor for name, tensor in TENSORS.items()}},
        {"state_dict": TENSORS, "args": argparse.Namespace(lr=0.1, model="resnet18")},
        {**TENSORS, "bn1.num_batches_tracked": torch.tensor(7)},
        {name: torch.nn.Parameter(tensor) for name, tensor in TENSORS.items()},
    ],
)
def test_usual_nestings_and_prefixes(path: Path, wrapped: Any, legacy: bool) -> None:
    assert_holds(saved(wrapped, path, legacy=legacy), TENSORS)


def test_averaged_weights_are_a_choice(path: Path) -> None:
    both = {"state_dict": TENSORS, "state_dict_ema": OTHERS}
    notes = assert_holds(saved(both, path), TENSORS)
    assert any("'state_dict_ema': --averaged" in note for note in notes)
    assert_holds(path, OTHERS, averaged=True)
    assert_holds(saved({"model_ema": OTHERS}, path), OTHERS)
    saved({"state_dict": TENSORS}, path)
    with pytest.raises(WeightsError, match="no averaged weights"):
        torch_files.read(path, averaged=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_read(path: Path, dtype: torch.dtype) -> None:
    tensors = {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
    assert_holds(saved(tensors, path), tensors)


class Hostile:
    """What a pickle may do: call anything."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> Any:
        return (Path.touch, (self.ran,))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("where", ["top", "beside", "plain pickle"])
def test_code_is_never_run(path: Path, tmp_path: Path, where: str, legacy: bool) -> None:
    ran = tmp_path / "ran"
    hostile = Hostile(ran)
    if where == "plain pickle":
        path.write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        value = hostile if where == "top" else {"state_dict": TENSORS, "more": hostile}
        saved(value, path, legacy=legacy)
    with pytest.raises(WeightsError, match=r"weights\.pth.*nothing.*was executed"):
        torch_files.read(path)
    assert not ran.exists()
    if where != "plain pickle":
        torch.load(path, weights_only=False)
        assert ran.exists(), "the file was not hostile: this test proves nothing"


def test_a_pickled_module_is_named(path: Path) -> None:
    saved(torch.nn.Linear(2, 2), path)
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        torch_files.read(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_anywhere(path: Path, legacy: bool) -> None:
    whole = saved({"state_dict": TENSORS}, path, legacy=legacy).read_bytes()
    lengths = {0, 1, 3, 4, 5, 30, 64, 128, *range(150, len(whole), 97), len(whole) - 22}
    for length in sorted(lengths | {len(whole) - 1}):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"weights\.pth"):
            torch_files.read(path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 2], "holds list, no state dict"),
        ({"a": 1}, "a is no tensor but int"),
        ({}, "no state dict"),
        ({"state_dict": {}}, "no state dict"),
        ({3: torch.ones(1)}, "no state dict"),
        ({"a": torch.ones(2, dtype=torch.int64)}, "a is int64"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a is complex64"),
        ({"a": torch.ones(2).to_sparse()}, "a is sparse_coo"),
        ({"a": torch.ones(2), "b": "text"}, "b is no tensor but str"),
    ],
)
def test_what_is_no_state_dict(path: Path, value: Any, said: str) -> None:
    saved(value, path)
    with pytest.raises(WeightsError, match=said):
        torch_files.read(path)


def test_a_stretched_tensor_claims_more_than_the_file(path: Path) -> None:
    saved({"a": torch.ones(1).expand(2**40)}, path)
    with pytest.raises(WeightsError, match="a claims more bytes"):
        torch_files.read(path)


def rewritten(path: Path, change: Any, compression: int = zipfile.ZIP_STORED) -> None:
    """Write an archive anew, its pickle changed."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


@pytest.mark.parametrize("numbers", [1, 2])
def test_a_pickle_that_claims_terabytes(path: Path, numbers: int) -> None:
    """Of a storage of 77 numbers it says that they are 2**31 - 1, or says so of the tensor too."""
    saved({"a": torch.ones(77)}, path)
    large = b"J" + (2**31 - 1).to_bytes(4, "little")

    def change(content: bytes) -> bytes:
        assert content.count(b"K\x4d") == 2
        return content.replace(b"K\x4d", large, numbers)

    rewritten(path, lambda content: content)
    assert_holds(path, {"a": torch.ones(77)})
    rewritten(path, change)
    if numbers == 1:  # what the tensor needs is there
        assert_holds(path, {"a": torch.ones(77)})
        return
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        torch_files.read(path)


def test_an_old_pickle_that_claims_terabytes(path: Path) -> None:
    content = saved({"a": torch.ones(77)}, path, legacy=True).read_bytes()
    assert content.count(b"K\x4d") == 2
    path.write_bytes(content.replace(b"K\x4d", b"\x8a\x06" + (2**42).to_bytes(6, "little")))
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        torch_files.read(path)


def test_a_zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 2**24)
    assert path.stat().st_size < 2**16
    with pytest.raises(WeightsError, match="compressed; PyTorch's never are"):
        torch_files.read(path)


def test_a_name_that_stands_twice_in_the_archive(path: Path) -> None:
    saved(TENSORS, path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"other")
    with pytest.raises(WeightsError, match="stands twice"):
        torch_files.read(path)


def test_entries_that_overlap(path: Path) -> None:
    """Two entries of the directory at one place: each is within the file, both are not."""
    saved({"a": torch.ones(4000)}, path)
    content = bytearray(path.read_bytes())
    start = content.rfind(b"PK\x01\x02")
    for k in range(start, 0, -1):  # let the last small entry claim the large one's size
        if content[k : k + 4] == b"PK\x01\x02" and b"data/0" in content[k + 46 : k + 80]:
            content[start + 20 : start + 28] = content[k + 20 : k + 28]
            break
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        torch_files.read(path)


def test_old_tar_files_are_refused(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps({"protocol_version": 1000, "little_endian": True})
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with pytest.raises(WeightsError, match=r"weights\.pth"):
        torch_files.read(path)


def test_a_whole_network(path: Path) -> None:
    model = backend.build(catalog.get("resnet8_slim"), seed=4)
    arrays, _ = torch_files.read(saved(model.state_dict(), path))
    weights = backend.dump(model)
    assert arrays.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        torch_files.read(tmp_path / "gone.pth")
