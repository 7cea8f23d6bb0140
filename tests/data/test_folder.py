"""Folders of images as users have them, and what is said about those that are none."""

import io
import os
import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from resnets.data import decoding, folder
from resnets.data.cache import pack_cache, packing
from resnets.data.decoding import looks_like_image, open_image
from resnets.errors import DataError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def save(path: Path, colour: "tuple[int, ...] | int" = RED, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


def fill(root: Path, *, count: int = 5, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Every image has its own grey, so that it can be told apart after loading."""
    for label, name in enumerate(classes):
        for number in range(count):
            save(root / name / f"{number}.png", 20 * number + label)
    return root


def held(names: list[str]) -> set[str]:
    """Names of one class that are held out."""
    labels, readable = np.zeros(len(names), np.int64), np.ones(len(names), np.bool_)
    return {
        names[row] for row in np.flatnonzero(folder._hold_out(names, labels, readable=readable))
    }


def greys(images: folder.Images) -> list[int]:
    return images.pixels[:, 0, 0, 0].tolist()


def pattern(size: tuple[int, int]) -> Image.Image:
    """Red above left, green above right, blue below left, white below right."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    width, height = size[0] // 2, size[1] // 2
    draw.rectangle((0, 0, width - 1, height - 1), RED)
    draw.rectangle((width, 0, size[0], height - 1), GREEN)
    draw.rectangle((0, height, width - 1, size[1]), BLUE)
    return image


STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera held so stores the upright image: 6, say, has the scene's top at its left."""


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class TestLayouts:
    def test_classes_alone(self, tmp_path: Path) -> None:
        lines: list[str] = []
        found = folder.load_folder(fill(tmp_path / "pets"), size=8, announce=lines.append)
        assert found.name == "pets"
        assert found.class_names == ("cat", "dog")
        assert found.channels == 3
        test = found.test()
        assert found.training.pixels.shape == (8, 8, 8, 3)
        assert found.training.labels.tolist() == [0] * 4 + [1] * 4
        assert test.labels.tolist() == [0, 1]
        assert test.labels.dtype == np.int64
        assert sorted(greys(found.training) + greys(test)) == sorted(
            20 * number + label for number in range(5) for label in (0, 1)
        )
        assert [grey % 20 for grey in greys(found.training)] == found.training.labels.tolist()
        assert [grey % 20 for grey in greys(test)] == test.labels.tolist()
        assert "2 of 10 images are held out" in lines[0]

    def test_the_same_each_time(self, tmp_path: Path) -> None:
        root = fill(tmp_path, count=9)
        one, two = (folder.load_folder(root, size=8) for _ in range(2))
        np.testing.assert_array_equal(one.training.pixels, two.training.pixels)
        np.testing.assert_array_equal(one.test().pixels, two.test().pixels)

    @pytest.mark.parametrize("change", ["add", "remove", "damage"])
    def test_an_image_beside_them_moves_no_other(self, tmp_path: Path, change: str) -> None:
        root = fill(tmp_path, count=12)
        before = set(greys(folder.load_folder(root, size=8).test()))
        assert 20 not in before
        if change == "add":
            for label, name in enumerate(("cat", "dog")):
                save(root / name / "000.png", 250 + label)
        elif change == "remove":
            (root / "cat" / "1.png").unlink()
        else:
            (root / "cat" / "1.png").write_bytes(b"")
        assert set(greys(folder.load_folder(root, size=8).test())) - {250, 251} == before

    def test_a_folder_that_is_renamed_is_held_out_alike(self, tmp_path: Path) -> None:
        root = fill(tmp_path / "pets", count=12)
        before = greys(folder.load_folder(root, size=8).test())
        (tmp_path / "moved").mkdir()
        moved = root.rename(tmp_path / "moved" / "train").parent
        assert greys(folder.load_folder(moved, size=8).test()) == before

    @given(
        names=st.lists(st.text(min_size=1), min_size=1, max_size=40, unique=True),
        more=st.lists(st.text(min_size=1), max_size=10, unique=True),
    )
    def test_a_share_of_any_names(self, names: list[str], more: list[str]) -> None:
        one = held(names)
        assert abs(len(one) - len(names) / 5) <= max(0.8, len(names) / 20 + 0.5) + 1e-9
        assert bool(one) == (len(names) > 1)
        new = [name for name in more if name not in names]
        two = held([*names, *new])
        assert held(names[::-1]) == one
        assert len((two ^ one) & set(names)) <= len(new)

    @given(st.lists(st.integers(0, 10**6), max_size=40, unique=True))
    def test_of_a_large_class_none_moves(self, more: list[int]) -> None:
        names = [f"cat/IMG_{number}.jpg" for number in range(1000)]
        new = [f"cat/new {number}.jpg" for number in more]
        assert held([*names, *new]) - {*new} == held(names)

    def test_about_a_fifth(self) -> None:
        assert 0.18 < len(held([f"cat/{number}.jpg" for number in range(5000)])) / 5000 < 0.22

    def test_one_image_of_a_class_is_trained_on(self, tmp_path: Path) -> None:
        fill(tmp_path, count=1)
        save(tmp_path / "cat" / "another.png")
        lines: list[str] = []
        found = folder.load_folder(tmp_path, size=8, announce=lines.append)
        assert lines[1:] == ["dog has one image: it is trained on, never tested"]
        assert found.training.labels.tolist() == [0, 1]
        assert found.test().labels.tolist() == [0]

    def test_several_classes_of_one_image(self, tmp_path: Path) -> None:
        fill(tmp_path, count=1, classes=("ant", "bee", "cat", "dog", "emu"))
        save(tmp_path / "bee" / "another.png")
        (tmp_path / "bee" / "damaged.png").write_bytes(b"")
        lines: list[str] = []
        folder.load_folder(tmp_path, size=8, announce=lines.append)
        words = "4 classes have one image, trained on, never tested: ant, cat, dog and 1 more"
        assert lines[-1] == words

    @pytest.mark.parametrize("train", ["train", "training", "Train"])
    @pytest.mark.parametrize("test", ["test", "val", "valid", "validation"])
    def test_parts(self, tmp_path: Path, train: str, test: str) -> None:
        fill(tmp_path / train, count=3)
        fill(tmp_path / test, count=2)
        (tmp_path / "notes").mkdir()
        lines: list[str] = []
        found = folder.load_folder(tmp_path, size=8, announce=lines.append)
        assert greys(found.training) == [0, 20, 40, 1, 21, 41]
        assert greys(found.test()) == [0, 20, 1, 21]
        assert lines == [f"{tmp_path}: training on {train}, testing on {test}; not used: notes"]

    def test_test_is_preferred_to_val(self, tmp_path: Path) -> None:
        fill(tmp_path / "train", count=3)
        fill(tmp_path / "val", count=2)
        fill(tmp_path / "test", count=1)
        assert len(folder.load_folder(tmp_path, size=8).test()) == 2

    def test_train_without_test(self, tmp_path: Path) -> None:
        found = folder.load_folder(fill(tmp_path / "train").parent, size=8)
        assert (len(found.training), len(found.test())) == (8, 2)

    def test_a_class_called_train(self, tmp_path: Path) -> None:
        found = folder.load_folder(fill(tmp_path, classes=("plane", "train")), size=8)
        assert found.class_names == ("plane", "train")

    def test_any_depth_links_and_no_suffix(self, tmp_path: Path) -> None:
        root = fill(tmp_path / "root", count=2)
        save(root / "cat" / "a" / "b" / "deep.png", 100)
        save(root / "cat" / "bare.png", 120).rename(root / "cat" / "bare")
        save(tmp_path / "elsewhere" / "linked.png", 140)
        (root / "cat" / "link").symlink_to(tmp_path / "elsewhere")
        (root / "cat" / "a" / "circle").symlink_to(root / "cat")
        (root / "cat" / "above").symlink_to(root)  # where the dogs are
        found = folder.load_folder(root, size=8)
        both = greys(found.training) + greys(found.test())
        assert sorted(both) == [0, 1, 20, 21, 100, 120, 140]

    def test_hidden_and_other_files_are_counted(self, tmp_path: Path) -> None:
        root = fill(tmp_path)
        save(root / "cat" / ".hidden.png")
        save(root / ".cache" / "x.png")
        save(root / "__MACOSX" / "x.png")
        (root / "dog" / "notes.txt").write_text("not an image")
        (root / "dog" / "Thumbs.db").write_bytes(bytes(100))
        lines: list[str] = []
        found = folder.load_folder(root, size=8, announce=lines.append)
        assert found.class_names == ("cat", "dog")
        assert len(found.training) == 8
        assert lines[0] == f"{root}: ignored 3 files that are hidden or not images"


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Make pipes that whoever opens them does not wait for, but finds no image in."""
    opened: list[int] = []

    def make(name: str) -> Path:
        os.mkfifo(tmp_path / name)
        opened.append(os.open(tmp_path / name, os.O_RDWR))
        os.write(opened[-1], bytes(64))
        return tmp_path / name

    yield make
    for number in opened:
        os.close(number)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes with names")
class TestPipes:
    def test_in_a_folder_are_no_images(
        self, tmp_path: Path, pipe: Callable[[str], Path], packs: Path
    ) -> None:
        root = fill(tmp_path)
        pipe("cat/pipe")
        pipe("dog/pipe.png")
        (root / "dog" / "link.png").symlink_to(root / "cat" / "pipe")
        device = socket.socket(socket.AF_UNIX)
        device.bind(os.path.relpath(root / "cat" / "socket.png"))
        lines: list[str] = []
        assert len(folder.load_folder(root, size=8, announce=lines.append).training) == 8
        device.close()
        assert lines[0] == f"{root}: ignored 4 files that are hidden or not images"
        assert not any("unreadable" in line for line in lines)

    def test_are_not_opened(self, pipe: Callable[[str], Path]) -> None:
        name = pipe("x.png")
        with pytest.raises(DataError, match=re.escape(f"{name}: a pipe, a socket or a device")):
            open_image(name, size=8, channels=3)
        with pytest.raises(DataError, match="/dev/null: a pipe, a socket or a device"):
            open_image(Path("/dev/null"), size=8, channels=3)


class TestDamage:
    def test_damaged_images_are_skipped_and_named(self, tmp_path: Path) -> None:
        root = fill(tmp_path, count=6)
        whole = save(tmp_path / "whole.png", size=(300, 300)).read_bytes()
        for number in range(5):
            (root / "cat" / f"1{number}.jpg").write_bytes(whole[: 60 + number])
        (root / "dog" / "0.png").write_bytes(b"")
        lines: list[str] = []
        found = folder.load_folder(root, size=8, announce=lines.append)
        assert sorted([*found.training.labels, *found.test().labels]) == [0] * 6 + [1] * 5
        assert "skipped 6 unreadable images" in lines[0]
        assert f"{root / 'cat' / '10.jpg'}: not a readable image" in lines[0]
        assert lines[0].endswith("and 3 more; resnets data --json names all")
        (pack,) = pack_cache.list_packs()
        assert [reason.partition(":")[0] for reason in pack.unreadable] == [
            *(str(Path("cat", f"1{number}.jpg")) for number in range(5)),
            str(Path("dog", "0.png")),
        ]
        both = greys(found.training) + greys(found.test())
        assert sorted(both) == [0, 20, 21, 40, 41, 60, 61, 80, 81, 100, 101]

    def test_all_are_named_where_no_pack_keeps_the_list(self, tmp_path: Path, packs: Path) -> None:
        root = fill(tmp_path / "root", count=6)
        for number in range(5):
            (root / "cat" / f"1{number}.jpg").write_bytes(b"")
        packs.write_text("no folder, so that packs cannot be made")
        lines: list[str] = []
        folder.load_folder(root, size=8, announce=lines.append)
        (said,) = (line for line in lines if "unreadable" in line)
        assert all(f"1{number}.jpg: not a readable image" in said for number in range(5))
        assert "more" not in said

    def test_a_class_without_a_readable_image(self, tmp_path: Path) -> None:
        root = fill(tmp_path, count=1)
        (root / "dog" / "0.png").write_bytes(b"no")
        with pytest.raises(DataError, match="no readable image of dog"):
            folder.load_folder(root, size=8)

    @pytest.mark.parametrize("part", ["", "train", "test"])
    def test_a_class_without_a_file_is_refused_before_decoding(
        self, tmp_path: Path, packs: Path, part: str
    ) -> None:
        for name in ("train", "test") if part else ("",):
            fill(tmp_path / name)
        (tmp_path / part / "dog" / "notes.txt").write_text("no image")
        for image in (tmp_path / part / "dog").glob("*.png"):
            image.unlink()
        lines: list[str] = []
        expected = f"{tmp_path / part}: found no images in the folder dog; add some, or remove"
        with pytest.raises(DataError, match=re.escape(expected)):
            folder.load_folder(tmp_path, size=8, announce=lines.append)
        assert lines[-1] == f"{tmp_path}: ignored 1 files that are hidden or not images"
        assert not packs.exists()

    def test_a_test_class_without_a_readable_image(self, tmp_path: Path) -> None:
        fill(tmp_path / "train")
        fill(tmp_path / "test", count=1)
        (tmp_path / "test" / "cat" / "0.png").write_bytes(b"no")
        with pytest.raises(DataError, match=r"test: no readable image of cat"):
            folder.load_folder(tmp_path, size=8)

    def test_a_bomb_is_skipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = fill(tmp_path)
        save(root / "cat" / "bomb.png", size=(20, 11))
        save(root / "cat" / "worse.png", size=(200, 200))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
        lines: list[str] = []
        folder.load_folder(root, size=8, announce=lines.append)
        assert "skipped 2 unreadable images" in lines[0]
        assert "bomb.png: 20×11 pixels; at most 200 are opened" in lines[0]
        assert "worse.png: too many pixels; at most 200 are opened" in lines[0]

    @pytest.mark.parametrize("side", [15, 30])
    def test_a_bomb_where_warnings_are_errors(
        self, monkeypatch: pytest.MonkeyPatch, side: int
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
        with pytest.raises(DataError, match=r"^x: too many pixels; at most 200 are opened"):
            open_image(encoded(Image.new("RGB", (side, side))), size=8, channels=3, name="x")

    def test_more_than_the_memory_that_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = fill(tmp_path)
        huge = save(root / "cat" / "huge.png", size=(70, 60))
        flatten = decoding._flatten

        def full(image: Image.Image, mode: str) -> Image.Image:
            if image.width > 50:
                raise MemoryError
            return flatten(image, mode)

        monkeypatch.setattr(decoding, "_flatten", full)
        lines: list[str] = []
        found = folder.load_folder(root, size=8, announce=lines.append)
        assert len(found.training) + len(found.test()) == 10
        words = "70×60 pixels are more than the memory that is left; make it smaller"
        assert lines[0] == f"skipped 1 unreadable images:\n  {huge}: {words}"

    def test_a_header_that_asks_for_all_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise MemoryError

        monkeypatch.setattr(Image, "open", full)
        with pytest.raises(DataError, match=r"^x: it takes more than the memory that is left$"):
            open_image(b"", size=8, channels=3, name="x")


def empty(root: Path) -> Path:
    root.mkdir()
    return root


def a_file(root: Path) -> Path:
    root.write_bytes(b"")
    return root


def flat(root: Path) -> Path:
    return save(root / "a.png").parent


def one_class(root: Path) -> Path:
    return fill(root, classes=("cat",))


def no_images(root: Path) -> Path:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    return root


def other_classes(root: Path) -> Path:
    fill(root / "train", classes=("cat", "dog"))
    fill(root / "val", classes=("cat", "fox"))
    return root


def test_alone(root: Path) -> Path:
    return fill(root / "test").parent


def two_trains(root: Path) -> Path:
    fill(root / "train")
    return fill(root / "training").parent


test_alone.__test__ = False  # a maker of folders, not a test


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root, "DATA: no such folder"),
        (a_file, "DATA: expected a folder of images, found a file"),
        (empty, "DATA: expected a folder for each class, such as DATA/cat and DATA/dog"),
        (flat, "DATA: expected a folder for each class"),
        (one_class, "DATA: expected at least two classes, found one: cat"),
        (no_images, "DATA: found no images in the folders cat, dog"),
        (
            other_classes,
            "DATA/val: expected the classes of DATA/train; only in DATA/train: dog; "
            "only in DATA/val: fox",
        ),
        (test_alone, "expected one folder of training images (train or training), found DATA/test"),
        (two_trains, "found DATA/train, DATA/training"),
    ],
)
def test_folders_that_are_none(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    root = make(tmp_path / "data")
    with pytest.raises(DataError, match=re.escape(message.replace("DATA", str(root)))):
        folder.load_folder(root, size=8)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_class_that_cannot_be_written_as_text(tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    os.rename(root / "cat", os.fsencode(root) + b"/caf\xe9")  # noqa: PTH104
    with pytest.raises(DataError, match=r"class folder caf\\xe9 has a name that is no UTF-8"):
        folder.load_folder(root, size=8)


def test_more_than_the_memory_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    sources = packing.ImageSources(tmp_path, [tmp_path / "x.png"], 1000, 3)
    monkeypatch.setattr(np, "zeros", full)
    with pytest.raises(DataError, match=r"the disk is full. The memory .* so much is not left"):
        packing._allocate_pixels(sources, "the disk is full")


def test_more_than_the_memory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="GB: choose a smaller size"):
        folder.load_folder(fill(tmp_path), size=10_000_000)


class TestOpening:
    @pytest.mark.parametrize("size", [8, 7, 33])
    @pytest.mark.parametrize("shape", [(40, 30), (30, 41), (8, 8), (5, 90), (301, 200)])
    def test_is_resize_then_crop(self, shape: tuple[int, int], size: int) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (shape[1], shape[0], 3), np.uint8)
        image = Image.fromarray(noise)
        scaled = tuple(max(size, size * side // min(shape)) for side in shape)
        left, top = (round((side - size) / 2) for side in scaled)
        whole = image.resize(scaled, Image.Resampling.BILINEAR)
        expected = np.asarray(whole.crop((left, top, left + size, top + size)))
        found = open_image(encoded(image), size=size, channels=3)
        # One grey level: where the box begins between two pixels, its coordinates are rounded.
        assert np.abs(found.astype(int) - expected).max() <= 1

    def test_a_long_strip_costs_no_more_than_its_middle(self) -> None:
        found = open_image(encoded(Image.new("RGB", (60_000, 1), RED)), size=64, channels=3)
        assert found.shape == (64, 64, 3)
        assert (found == RED).all()

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_is_turned_upright(self, orientation: int, kind: str) -> None:
        upright = pattern((32, 32))
        turn = STORED.get(orientation)
        turned = upright if turn is None else upright.transpose(turn)
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"exif": exif.tobytes()} if kind != "TIFF" else {"exif": exif}
        found = open_image(encoded(turned, kind, **options), size=32, channels=3)
        corners = [found[row, column] for row in (6, 25) for column in (6, 25)]
        for corner, colour in zip(corners, (RED, GREEN, BLUE, (255, 255, 255)), strict=True):
            assert np.abs(corner.astype(int) - colour).max() < 40

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_transparency_is_white(self, mode: str) -> None:
        image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        content = encoded(image.convert(mode))
        assert (open_image(content, size=8, channels=3) == 255).all()
        assert (open_image(content, size=8, channels=1) == 255).all()

    def test_half_transparency(self) -> None:
        content = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))
        np.testing.assert_array_equal(
            open_image(content, size=4, channels=3)[0, 0], (255, 127, 127)
        )

    def test_a_transparent_palette_entry(self) -> None:
        image = Image.new("P", (8, 8), 1)
        image.putpalette([0, 0, 0, 0, 0, 255])
        content = encoded(image, transparency=1)
        assert (open_image(content, size=8, channels=3) == 255).all()
        assert (open_image(encoded(image), size=8, channels=3) == BLUE).all()

    @pytest.mark.parametrize(
        ("values", "kind", "expected"),
        [
            (np.full((4, 4), 65535, np.uint16), "PNG", 255),
            (np.full((4, 4), 32896, np.uint16), "PNG", 128),
            (np.full((4, 4), 51400, np.uint16), "TIFF", 200),
            (np.full((4, 4), 32896, np.int32), "TIFF", 128),
            (np.full((4, 4), 0.5, np.float32), "TIFF", 128),
            (np.full((4, 4), 200.0, np.float32), "TIFF", 200),
            (np.full((4, 4), np.nan, np.float32), "TIFF", 0),
        ],
    )
    @pytest.mark.parametrize("channels", [1, 3])
    def test_deep_greys(self, values: np.ndarray, kind: str, expected: int, channels: int) -> None:
        found = open_image(encoded(Image.fromarray(values), kind), size=4, channels=channels)
        assert found.shape == (4, 4, channels)
        assert (found == expected).all()

    @pytest.mark.parametrize(
        ("image", "kind", "colour"),
        [
            (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
            (Image.new("L", (8, 8), 90), "PNG", (90, 90, 90)),
            (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", RED),
            (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", RED),
            (Image.new("RGB", (8, 8), BLUE), "GIF", BLUE),
            (Image.new("RGB", (8, 8), BLUE), "BMP", BLUE),
            (Image.new("RGB", (8, 8), BLUE), "PPM", BLUE),
        ],
    )
    def test_modes(self, image: Image.Image, kind: str, colour: tuple[int, int, int]) -> None:
        content = encoded(image, kind)
        found = open_image(content, size=8, channels=3).astype(int)
        assert np.abs(found - colour).max() <= 2
        grey = round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2])
        found = open_image(content, size=8, channels=1).astype(int)
        assert np.abs(found - grey).max() <= 2

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "the file: not a readable image: its format is not known"),
            (b"GIF89a", "the file: not a readable image"),
            (encoded(pattern((64, 64)))[:120], "the file: not a readable image"),
            (encoded(pattern((64, 64)), "EPS"), "its format is not known"),
        ],
    )
    def test_refuses(self, content: bytes, message: str) -> None:
        with pytest.raises(DataError, match=message):
            open_image(content, size=8, channels=3, name="the file")

    def test_every_cut_is_refused_or_whole(self) -> None:
        """No cut of a file, wherever it is, gives another error or half a picture."""
        image = pattern((24, 24))
        for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
            content = encoded(image, kind)
            whole = open_image(content, size=24, channels=3)
            for length in range(0, len(content), 7):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of TIFF's metadata
                    try:
                        found = open_image(content[:length], size=24, channels=3)
                    except DataError:
                        continue
                np.testing.assert_array_equal(found, whole, err_msg=f"{kind} cut at {length}")

    def test_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'x.png'}: not a readable")):
            open_image(tmp_path / "x.png", size=8, channels=3)
        with pytest.raises(DataError, match="Is a directory"):
            open_image(tmp_path, size=8, channels=3)

    def test_other_channels(self) -> None:
        with pytest.raises(DataError, match="not at size 8 with 4 channels"):
            open_image(encoded(pattern((8, 8))), size=8, channels=4)

    def test_looks_like_image(self, tmp_path: Path) -> None:
        bare = save(tmp_path / "x.png").rename(tmp_path / "x")
        (tmp_path / "x.txt").write_text("text")
        (tmp_path / "x.JPG").write_text("damaged, but meant as an image")
        assert looks_like_image(bare)
        assert looks_like_image(tmp_path / "x.JPG")
        assert not looks_like_image(tmp_path / "x.txt")
        assert not looks_like_image(tmp_path / "x.eps")
