"""IDX content is read exactly, or refused with what was expected and what was found."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.data.fashion_mnist import idx
from resnets.errors import DataError


def packed(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def numbered(*shape: int) -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 256).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (3, 4, 2), (0, 28, 28)])
def test_reads_what_was_written(shape: tuple[int, ...]) -> None:
    array = numbered(*shape)
    found = idx.parse(packed(array), "a file", expected=shape)
    assert found.dtype == np.uint8
    assert found.shape == shape
    np.testing.assert_array_equal(found, array)


def test_array_is_writable_and_its_own() -> None:
    content = packed(numbered(2, 3))
    found = idx.parse(content, "a file")
    found[:] = 9
    assert content == packed(numbered(2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x/y: expected an IDX file, found 0 bytes"),
        (b"\0\0\x08", "found 3 bytes"),
        (b"<!DOCTYPE html>", "starts with the bytes 00 00; found 3c 21 44 4f"),
        (b"\0\0\x0d\x01\0\0\0\0", "type 0x08 (unsigned bytes), found 0x0d"),
        (b"\0\0\x08\x00", "1 to 8 dimensions in the IDX header, found 0"),
        (b"\0\0\x08\xff" + bytes(9999), "found 255"),
        (b"\0\0\x08\x03\0\0\0\x01", "header of 16 bytes for 3 dimensions, found 8 bytes"),
        (
            packed(numbered(4))[:-1],
            "expected 12 bytes for the dimensions 4 in its header, found 11",
        ),
        (packed(numbered(2, 2)) + b"\0", "expected 16 bytes for the dimensions 2×2"),
        (b"\0\0\x08\x04" + b"\xff" * 16, "4294967295×4294967295"),
    ],
)
def test_refuses(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        idx.parse(content, "x/y")
    assert "x/y" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ((3, 2), "x: expected dimensions 3×2, found 2×3"),
        ((6,), "x: expected 1 dimensions (6), found 2 (2×3)"),
    ],
)
def test_refuses_other_dimensions(expected: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        idx.parse(packed(numbered(2, 3)), "x", expected=expected)
    assert str(caught.value) == message


@given(st.binary(max_size=40))
def test_noise_never_escapes_as_another_error(content: bytes) -> None:
    for start in (b"", b"\0\0\x08\x01", b"\0\0\x08\x02\0\0\0\x01"):
        try:
            found = idx.parse(start + content, "noise")
        except DataError:
            continue
        assert packed(found) == start + content
