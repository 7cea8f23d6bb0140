"""MXNet's file of arrays: against MXNet itself, and files that are none."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from resnets.backends.mxnet.importing import mx
from resnets.convert.gluon.params_file import (
    LIST_MAGIC,
    TYPES,
    V1_MAGIC,
    V2_MAGIC,
    V3_MAGIC,
    compose,
    parse,
    read_arrays,
    write_arrays,
)
from resnets.errors import WeightsError

# What mxnet 1.9.1 asks of SciPy whenever it makes an array.
pytestmark = pytest.mark.filterwarnings("ignore:.*scipy.sparse.csr.*:DeprecationWarning")

NAMED_ARRAYS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(list(TYPES.values())).flatmap(
        lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(max_dims=5, max_side=4))
    ),
    max_size=4,
)
FLOATS = np.arange(6, dtype="<f4").reshape(2, 3)
ONES = np.ones(6, "<f4").tobytes()


def content(arrays: dict[str, Any]) -> bytes:
    return b"".join(compose(arrays))


def listed(array: bytes, names: bytes = struct.pack("<QQ", 1, 1) + b"a") -> bytes:
    return struct.pack("<QQQ", LIST_MAGIC, 0, 1) + array + names


def headed(
    magic: int, *, shape: tuple[int, ...] = (2, 3), storage: int = 0, flag: int = 0
) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}q", len(shape), *shape)
    kind = b"" if magic == V1_MAGIC else struct.pack("<i", storage)
    return struct.pack("<I", magic) + kind + dimensions + struct.pack("<iii", 1, 0, flag)


@given(NAMED_ARRAYS)
def test_any_arrays_round_trip(arrays: dict[str, Any]) -> None:
    found = parse(content(arrays), "a file")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.aligned
        assert found[name].flags.writeable


@given(NAMED_ARRAYS, st.data())
def test_a_part_is_never_read_as_the_whole(arrays: dict[str, Any], data: st.DataObject) -> None:
    whole = content(arrays)
    with pytest.raises(WeightsError, match="a file"):
        parse(whole[: data.draw(st.integers(0, len(whole) - 1))], "a file")
    with pytest.raises(WeightsError, match="1 bytes follow"):
        parse(whole + b"\0", "a file")


@given(NAMED_ARRAYS, st.data())
def test_damage_is_refused_or_read_but_nothing_else(
    arrays: dict[str, Any], data: st.DataObject
) -> None:
    damaged = bytearray(content(arrays))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(damaged), "a file")
    except WeightsError as error:
        assert str(error).startswith("a file: ")


def test_equal_to_mxnets(tmp_path: Path) -> None:
    kinds = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool")
    arrays = {f"of {kind}": (np.arange(24).reshape(2, 3, 4) % 2).astype(kind) for kind in kinds}
    theirs, ours = tmp_path / "theirs.params", tmp_path / "ours.params"
    mx.nd.save(str(theirs), {name: mx.nd.array(a, dtype=a.dtype) for name, a in arrays.items()})
    found = read_arrays(theirs)
    assert list(found) == list(arrays)
    write_arrays(arrays, ours)
    loaded = mx.nd.load(str(ours))
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        np.testing.assert_array_equal(loaded[name].asnumpy(), array, strict=True)
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    "array",
    [
        struct.pack("<III", 2, 2, 3) + struct.pack("<iii", 1, 0, 0) + FLOATS.tobytes(),
        headed(V1_MAGIC) + FLOATS.tobytes(),
        headed(V2_MAGIC) + FLOATS.tobytes(),
    ],
    ids=["before 0.11", "v1", "v2"],
)
def test_headers_of_older_versions(tmp_path: Path, array: bytes) -> None:
    path = tmp_path / "old.params"
    path.write_bytes(listed(array))
    np.testing.assert_array_equal(read_arrays(path)["a"], FLOATS, strict=True)
    np.testing.assert_array_equal(mx.nd.load(str(path))["a"].asnumpy(), FLOATS)


def test_arrays_saved_under_numpys_semantics(tmp_path: Path) -> None:
    path = str(tmp_path / "np.params")
    mx.util.set_np()
    try:
        mx.npx.save(path, {"a": mx.np.array(FLOATS), "scalar": mx.np.array(2.0)})
    finally:
        mx.util.reset_np()
    found = read_arrays(Path(path))
    np.testing.assert_array_equal(found["a"], FLOATS, strict=True)
    assert found["scalar"].shape == ()


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (b"", "a magic number of 8 bytes begins at byte 0 of 0"),
        (b"PK\3\4 an archive", "begin with the number 0x112, this with the bytes 50 4b 03 04"),
        (struct.pack("<QQQ", LIST_MAGIC, 0, 2**60), f"{2**60} arrays claimed, 0 bytes left"),
        (listed(headed(V2_MAGIC, shape=(2**20, 2**40)) + ONES), f"of {2**62} bytes"),
        (listed(headed(V2_MAGIC, shape=(2**62, 2**62)) + ONES), "shape"),
        (listed(headed(V2_MAGIC, shape=(-1, 3)) + ONES), r"shape \(-1, 3\)"),
        (listed(headed(V2_MAGIC, shape=()) + ONES), "0 dimensions"),
        (listed(headed(V2_MAGIC, storage=1) + ONES), "sparse"),
        (listed(headed(V2_MAGIC, flag=12) + ONES), "unknown type 12"),
        (listed(struct.pack("<I", 0xDEADBEEF) + bytes(64)), "3735928559 dimensions"),
        (listed(headed(V2_MAGIC) + ONES, struct.pack("<Q", 0)), "0 names for 1 arrays"),
        (listed(headed(V2_MAGIC) + ONES, struct.pack("<QQ", 1, 2**63)), "name 0 of"),
        (listed(headed(V2_MAGIC) + ONES, struct.pack("<QQ", 1, 1) + b"\xff"), "no text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, damaged: bytes, said: str) -> None:
    path = tmp_path / "damaged.params"
    path.write_bytes(damaged)
    with pytest.raises(WeightsError, match=said) as caught:
        read_arrays(path)
    assert str(path) in str(caught.value)


def test_a_name_that_stands_twice_is_refused() -> None:
    array = headed(V3_MAGIC) + FLOATS.tobytes()
    names = struct.pack("<QQ", 2, 1) + b"a" + struct.pack("<Q", 1) + b"a"
    twice = struct.pack("<QQQ", LIST_MAGIC, 0, 2) + array + array + names
    with pytest.raises(WeightsError, match="'a' stands twice"):
        parse(twice, "a file")


def test_a_missing_file_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.params: no such file"):
        read_arrays(tmp_path / "none.params")


@pytest.mark.parametrize("array", [np.float32(1), np.zeros((0, 3), "f4"), np.zeros(2, "c8")])
def test_what_has_no_place_in_the_file_is_not_written(tmp_path: Path, array: Any) -> None:
    path = tmp_path / "kept.params"
    path.write_bytes(b"as it was")
    with pytest.raises(WeightsError, match="second: MXNet's file has no place"):
        write_arrays({"first": FLOATS, "second": np.asarray(array)}, path)
    assert path.read_bytes() == b"as it was"
    assert list(tmp_path.iterdir()) == [path]
