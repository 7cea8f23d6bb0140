"""safetensors from anywhere: the header is held against the file before anything is read by it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from safetensors.torch import save_file

from resnets.convert import safetensors_files
from resnets.errors import WeightsError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def written(
    path: Path, header: Any, content: bytes = b"\0" * 64, length: int | None = None
) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = (len(text) if length is None else length).to_bytes(8, "little")
    path.write_bytes(size + text + content)


def entry(shape: list[Any], start: Any = 0, end: Any = None, dtype: Any = "F32") -> dict[str, Any]:
    stop = 4 * int(np.prod(shape)) if end is None else end
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def test_what_the_library_writes_is_read(path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "wide": rng.normal(size=(3, 4)),
        "usual": rng.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "scalar": np.array(np.nan, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "bn1.num_batches_tracked": np.array(3, np.int64),
    }
    safetensors.numpy.save_file(arrays, path, {"format": "pt"})
    header = safetensors_files.read_header(path)
    assert header.metadata == {"format": "pt"}
    found = safetensors_files.read(path)
    del arrays["bn1.num_batches_tracked"]
    assert found.keys() == arrays.keys() == header.shapes.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert header.shapes[name] == array.shape
    found["usual"][:] = 0  # a mapped array may be changed; the file stays
    np.testing.assert_array_equal(safetensors_files.read(path)["usual"], arrays["usual"])


def test_bfloat16_is_widened_exactly(path: Path) -> None:
    tensor = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    save_file({"a": tensor}, path)
    np.testing.assert_array_equal(safetensors_files.read(path)["a"], tensor.float().numpy())


def test_truncated_anywhere(path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(4, np.float32), "b": np.ones(3, np.float16)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.safetensors"):
            safetensors_files.read(path)


@pytest.mark.parametrize("length", [2**60, 2**63, 2**64 - 1, 101 * 2**20, 0, 1])
def test_a_header_whose_length_lies(path: Path, length: int) -> None:
    written(path, {}, length=length)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        safetensors_files.read_header(path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"a": entry([2**58], end=64)}, r"a has 64 bytes for shape \(288230376151711744,\)"),
        ({"a": entry([2**60])}, "a claims bytes 0 to"),
        ({"a": entry([4], 60, 76)}, "a claims bytes 60 to 76 of 64"),
        ({"a": entry([4], 16, 0)}, "a claims bytes 16 to 0"),
        ({"a": entry([16]), "b": entry([4], 8, 24)}, "a and b lie on the same bytes"),
        ({"a": entry([2], -8, 0)}, "describes no tensor at 'a'"),
        ({"a": entry([-1, -2], 0, 8)}, "describes no tensor at 'a'"),
        ({"a": entry([2.0], 0, 8)}, "describes no tensor at 'a'"),
        ({"a": entry([1] * 9, 0, 4)}, "describes no tensor at 'a'"),
        ({"a": entry([2], 0, 16, "I64")}, "a is I64; weights are floats"),
        ({"a": entry([2], 0, 2, "F8_E4M3")}, "a is F8_E4M3"),
        ({"a": entry([2], 0, 8, 5)}, "describes no tensor at 'a'"),
        ({"a": {}}, "describes no tensor at 'a'"),
        ({"a": [1]}, "describes no tensor at 'a'"),
        ({"a": entry([2], 0, [8])}, "describes no tensor at 'a'"),
        ({"__metadata__": 3}, "metadata"),
        ([1], "no object"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff\xfe", "not a whole safetensors file"),
        (b"[" * 100_000, "not"),
    ],
)
def test_headers_that_lie(path: Path, header: Any, said: str) -> None:
    written(path, header)
    with pytest.raises(WeightsError, match=said):
        safetensors_files.read_header(path)


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        safetensors_files.read(path)
