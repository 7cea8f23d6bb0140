"""Packs: decoded once, the same pixels, whatever happens meanwhile."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from data.pictures import make_image_folder, make_messy_folder
from resnets import data
from resnets.cli import data as packs_command
from resnets.data import decoding, folder
from resnets.data.cache import decoders, pack_cache, pack_index, pack_key, packing
from resnets.data.cache.pack import Pack, open_pack
from resnets.data.cache.pack_table import pack_table
from resnets.data.images import Dataset, Images
from resnets.errors import DataError
from resnets.networks.named import find_architecture
from resnets.progress_bar import count_bar, ignore_message
from resnets.recipes.recipe import Recipe
from resnets.training.fingerprint import fingerprint
from resnets.training.plan import RunPlan


def sources(root: Path, size: int = 8) -> packing.ImageSources:
    return packing.ImageSources(root, sorted(p for p in root.rglob("*") if not p.is_dir()), size, 3)


def packed(root: Path, size: int = 8, announce: "list[str] | None" = None) -> packing.PackedImages:
    tell = ignore_message if announce is None else announce.append
    return packing.open_or_create_pack(sources(root, size), tell, progress=count_bar)


def pixels(found: packing.PackedImages) -> np.ndarray:
    return found.storage.read(np.arange(found.storage.shape[0]))


def decoded(root: Path, size: int = 8) -> np.ndarray:
    """What ``predict`` makes of the same files; zeros for what cannot be read."""
    made = np.zeros(sources(root, size).shape, np.uint8)
    for row, path in enumerate(sources(root, size).paths):
        try:
            made[row] = decoding.open_image(path, size=size, channels=3)
        except DataError:
            continue
    return made


@pytest.fixture
def decoding_counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images as they are decoded in this process."""
    names: list[str] = []
    open_image = decoding.open_image

    def counted(*given: object, **named: object) -> np.ndarray:
        names.append(str(named["name"]))
        return open_image(*given, **named)

    monkeypatch.setattr("resnets.data.cache.blocks.open_image", counted)
    return names


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_index, "_BLOCK_ROWS", 4)


def the_pack(packs: Path) -> Path:
    (found,) = (path for path in packs.iterdir() if not path.name.startswith("."))
    return found


class TestPixels:
    def test_are_those_of_predict(self, tmp_path: Path) -> None:
        root = make_messy_folder(tmp_path / "pets")
        lines: list[str] = []
        found = folder.load_folder(root, size=16, announce=lines.append)
        assert "skipped 4 unreadable images" in lines[0]
        expected = decoded(root, 16)
        readable = expected.any(axis=(1, 2, 3))
        assert readable.sum() == 16
        both = np.concatenate([found.training.pixels, found.test().pixels])
        ours, theirs = (
            sorted(hashlib.sha256(image.tobytes()).hexdigest() for image in images)
            for images in (both, expected[readable])
        )
        assert ours == theirs

    def test_processes_and_threads_write_the_same(
        self, tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = make_messy_folder(tmp_path / "pets")
        here = packed(root)
        monkeypatch.setattr(decoders, "MIN_IMAGES_FOR_PROCESSES", 0)
        shutil.rmtree(packs)
        apart = packed(root)
        np.testing.assert_array_equal(pixels(here), pixels(apart))
        np.testing.assert_array_equal(pixels(apart), decoded(root))
        assert here.unreadable == apart.unreadable
        assert len(apart.unreadable) == 4

    def test_a_second_time_nothing_is_decoded(
        self, tmp_path: Path, decoding_counted: list[str]
    ) -> None:
        root = make_messy_folder(tmp_path / "pets")
        one = packed(root)
        assert len(decoding_counted) == 20
        two = packed(root)
        assert len(decoding_counted) == 20
        np.testing.assert_array_equal(pixels(one), pixels(two))
        assert one.unreadable == two.unreadable

    def test_numpy_opens_it(self, tmp_path: Path, packs: Path) -> None:
        found = packed(make_image_folder(tmp_path / "x"))
        mapped = np.load(the_pack(packs) / "images.npy", mmap_mode="r")
        np.testing.assert_array_equal(mapped, pixels(found))

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_any_rows_of_any_shape(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        shape = tuple(data.draw(st.integers(1, top)) for top in (9, 5, 7, 3))
        rows = data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=20))
        place = tmp_path_factory.mktemp("pack")
        whole = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        (place / "images.npy").write_bytes(pack_index.npy_header(shape) + whole.tobytes())
        contents = pack_index.PackContents(key="k", root="r", shape=shape, block=2)
        found = Pack(place, contents).read(np.array(rows, np.int64))
        np.testing.assert_array_equal(found, whole[rows].reshape(len(rows), *shape[1:]))


def change_content(root: Path) -> None:
    Image.new("RGB", (3, 3)).save(root / "a" / "0000.png")


def touch(root: Path) -> None:
    os.utime(root / "a" / "0000.png", (1, 1))


def add(root: Path) -> None:
    Image.new("RGB", (3, 3)).save(root / "a" / "new.png")


def remove(root: Path) -> None:
    (root / "a" / "0000.png").unlink()


def rename(root: Path) -> None:
    (root / "a" / "0000.png").rename(root / "a" / "other.png")


def replace_alike(root: Path) -> None:
    """Other pixels of the same size and time, as ``cp -p`` may bring them."""
    path = root / "a" / "0000.png"
    before = path.stat()
    Image.new("RGB", (12, 12), "red").save(path)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange_alike(root: Path) -> None:
    """Two files of the same size and time take each other's names."""
    one, two = root / "a" / "0000.png", root / "a" / "0002.png"
    for path in (one, two):
        path.write_bytes(path.read_bytes().ljust(600, b"\0"))
        os.utime(path, (1, 1))
    packed(root)
    one.rename(root / "kept")
    two.rename(one)
    (root / "kept").rename(two)


def bitmaps(root: Path, seed: int, count: int = 20) -> Path:
    """Files that names, sizes and times do not tell from those of another seed."""
    rng = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(count):
            path = root / name / f"{number}.bmp"
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
            os.utime(path, (315532800, 315532800))
    return root


TICK = 0.05
"""Seconds after which every system's times of change differ."""


class TestKey:
    @pytest.mark.parametrize(
        "change", [change_content, touch, add, remove, rename, replace_alike, exchange_alike]
    )
    def test_follows_the_files(self, tmp_path: Path, change: object) -> None:
        root = make_image_folder(tmp_path / "x", 4)
        packed(root)
        before = sources(root).key()
        change(root)
        assert sources(root).key() != before
        np.testing.assert_array_equal(pixels(packed(root)), decoded(root))

    def test_follows_size_channels_and_pillow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = make_image_folder(tmp_path / "x", 4)
        paths = sources(root).paths
        keys = {packing.ImageSources(root, paths, *s).key() for s in ((8, 3), (9, 3), (8, 1))}
        monkeypatch.setattr("PIL.__version__", "0")
        assert len(keys | {sources(root).key()}) == 4

    def test_stays_where_the_folder_is_moved(self, tmp_path: Path) -> None:
        root = make_image_folder(tmp_path / "x", 4)
        before = sources(root).key()
        assert sources(root.rename(tmp_path / "y")).key() == before

    def test_the_pack_of_a_folder_that_is_moved_is_found(self, tmp_path: Path) -> None:
        root = make_image_folder(tmp_path / "x", 4)
        packed(root)
        (tmp_path / "below").mkdir()
        moved = root.rename(tmp_path / "below" / "y")
        lines: list[str] = []
        packed(moved, announce=lines)
        assert lines == []
        assert len(pack_cache.list_packs()) == 1

    def test_a_copy_is_another_folder(self, tmp_path: Path) -> None:
        root = make_image_folder(tmp_path / "x", 4)
        time.sleep(TICK)
        copy = Path(shutil.copytree(root, tmp_path / "y"))
        assert sources(copy).key() != sources(root).key()
        np.testing.assert_array_equal(pixels(packed(copy)), pixels(packed(root)))

    def test_folders_that_look_alike(self, tmp_path: Path) -> None:
        for seed, name in enumerate("AB"):
            found = folder.load_folder(bitmaps(tmp_path / name, seed), size=32)
            both = np.concatenate([found.training.pixels, found.test().pixels])
            expected = decoded(tmp_path / name, 32)
            assert {image.tobytes() for image in both} == {image.tobytes() for image in expected}
        assert len(pack_cache.list_packs()) == 2

    @pytest.mark.parametrize("silent_part", ["_file_state", "_read_ends"])
    def test_times_tell_and_so_do_contents(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent_part: str
    ) -> None:
        nothing = {"_file_state": lambda _: [], "_read_ends": lambda _: b""}[silent_part]
        monkeypatch.setattr(pack_key, silent_part, nothing)
        one = bitmaps(tmp_path / "A", 0)
        time.sleep(TICK)
        two = bitmaps(tmp_path / "B", 1)
        assert sources(one).key() != sources(two).key()

    def test_few_files_are_read_and_of_those_the_ends(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = bitmaps(tmp_path / "A", 0)
        read: list[Path] = []
        ends = pack_key._read_ends
        monkeypatch.setattr(pack_key, "_SAMPLED", 3)
        monkeypatch.setattr(pack_key, "_read_ends", lambda path: (read.append(path), ends(path))[1])
        sources(root).key()
        paths = sources(root).paths
        assert read == [paths[0], paths[19], paths[39]]
        large = tmp_path / "large"
        large.write_bytes(b"a" * 4096 + b"b" * 10_000 + b"c" * 4096)
        assert ends(large) == b"a" * 4096 + b"c" * 4096
        large.write_bytes(b"a" * 4096 + b"b")
        assert ends(large) == b"a" * 4096 + b"b"
        assert ends(tmp_path) == ends(tmp_path / "none") == b""

    @pytest.mark.parametrize("created", [True, False])
    def test_numbers_of_files_count_where_the_system_keeps_times_of_creation(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, created: bool
    ) -> None:
        path = tmp_path / "x"
        path.touch()
        monkeypatch.setattr(pack_key, "_CREATED", created)
        assert (path.stat().st_ino in pack_key._file_state(path)) == created


class TestDamage:
    @pytest.fixture
    def made(self, tmp_path: Path, packs: Path, small_blocks: None) -> tuple[Path, Path]:
        root = make_image_folder(tmp_path / "x", 10)
        packed(root)
        return root, the_pack(packs)

    def check(self, root: Path, names: list[str], count: int, words: str) -> None:
        """It is noticed by name, only what is damaged is decoded, and then it is as before."""
        lines: list[str] = []
        found = packed(root, announce=lines)
        assert words in lines[0]
        assert len(names) == count
        np.testing.assert_array_equal(pixels(found), decoded(root))
        packed(root)
        assert len(names) == count

    def test_truncated(self, made: tuple[Path, Path], decoding_counted: list[str]) -> None:
        root, place = made
        os.truncate(place / "images.npy", (place / "images.npy").stat().st_size - 1)
        self.check(root, decoding_counted, 2, f"{place / 'images.npy'}: ")

    def test_altered(self, made: tuple[Path, Path], decoding_counted: list[str]) -> None:
        root, place = made
        with (place / "images.npy").open("r+b") as file:
            file.seek(-500, os.SEEK_END)  # the last but one block
            file.write(b"\x00\x01\x02")
        self.check(root, decoding_counted, 4, "altered in 1 of 3 blocks")

    def test_header(self, made: tuple[Path, Path], decoding_counted: list[str]) -> None:
        root, place = made
        with (place / "images.npy").open("r+b") as file:
            file.write(b"xx")
        self.check(root, decoding_counted, 10, "altered in 3 of 3 blocks")

    def test_gone(self, made: tuple[Path, Path], decoding_counted: list[str]) -> None:
        root, place = made
        (place / "images.npy").unlink()
        self.check(root, decoding_counted, 10, f"{place / 'images.npy'}: gone")

    def test_copied(self, made: tuple[Path, Path], decoding_counted: list[str]) -> None:
        root, place = made
        os.utime(place / "images.npy", (1, 1))
        packed(root)
        assert decoding_counted == []
        assert open_pack(place, place.name).contents.modified == 10**9

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[1]", b"\xff", b"[" * 100_000, b'{"sha256": "no", "key": 1}']
    )
    def test_index(
        self, made: tuple[Path, Path], content: bytes, decoding_counted: list[str]
    ) -> None:
        root, place = made
        (place / "index.json").write_bytes(content)
        self.check(root, decoding_counted, 10, f"{place / 'index.json'}: not as it was written")

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_any_byte_of_the_index(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        place = tmp_path_factory.mktemp("pack")
        bad = (pack_index.UnreadableImage(row=1, reason="x"),)
        contents = pack_index.PackContents(
            key="k", root="r", shape=(3, 2, 2, 3), block=2, checksums=(1, 2), unreadable=bad
        )
        pack_index.write_index(place, contents)
        text = bytearray((place / "index.json").read_bytes())
        where = data.draw(st.integers(0, len(text) - 1))
        text[where] = data.draw(st.integers(0, 255))
        (place / "index.json").write_bytes(text)
        try:
            found = pack_index.read_index(place)
        except pack_index.DamagedPack:
            return
        assert found == contents

    def test_reading_an_index_takes_no_more_than_its_size(self, made: tuple[Path, Path]) -> None:
        tracemalloc.start()
        pack_index.read_index(made[1])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000

    def test_an_index_that_is_too_large(
        self, made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pack_index, "_LARGEST_JSON", 100)
        with pytest.raises(pack_index.DamagedPack, match="too large"):
            pack_index.read_index(made[1])

    def test_cut_while_in_use(self, made: tuple[Path, Path]) -> None:
        root, place = made
        found = packed(root)
        os.truncate(place / "images.npy", 200)
        with pytest.raises(DataError, match="it ends before image 9; run again"):
            found.storage.read(np.array([9]))

    def test_cleared_while_in_use(self, made: tuple[Path, Path]) -> None:
        root, _ = made
        found = packed(root)
        pack_cache.clear()
        np.testing.assert_array_equal(pixels(found), decoded(root))


SLOW = """
import sys, time
from pathlib import Path
from resnets.data import folder
from resnets.data.cache import blocks, decoders, pack_cache, pack_index
pack_cache.packs_folder = lambda: Path(sys.argv[2])
pack_index._BLOCK_ROWS = 4
fast = blocks.open_image
def slow(*given, **named):
    time.sleep(float(sys.argv[3]))
    return fast(*given, **named)
blocks.open_image = slow
say = lambda line: print(line, flush=True)
print(folder.load_folder(Path(sys.argv[1]), size=8, announce=say).name)
"""


def packing_process(root: Path, packs: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SLOW, str(root), str(packs), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(what: object, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


class TestProcesses:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_killed_and_gone_on_with(
        self,
        tmp_path: Path,
        packs: Path,
        small_blocks: None,
        decoding_counted: list[str],
        number: int,
    ) -> None:
        root = make_image_folder(tmp_path / "x", 20)
        process = packing_process(
            root, packs, 0.4
        )  # so slow that a busy machine is not too late to kill it

        def lines() -> int:
            return sum(f.read_bytes().count(b"\n") for f in packs.glob("*.part/done.jsonl"))

        wait_for(lambda: lines() >= 2)
        process.send_signal(number)
        process.communicate()
        assert not [path for path in packs.iterdir() if path.is_dir() and path.suffix != ".part"]
        done = lines()
        assert 2 <= done < 5
        (part,) = packs.glob("*.part")
        with (part / "done.jsonl").open("ab") as journal:
            journal.write(b'{"block": 4, "checksum": 1, "unreadable": []}\n{"block": 3, "che')
        said: list[str] = []
        found = packed(root, announce=said)
        assert said == [f"{4 * done} of 20 images were decoded before; going on"]
        assert len(decoding_counted) == 20 - 4 * done
        np.testing.assert_array_equal(pixels(found), decoded(root))
        assert the_pack(packs).suffix == ""

    def test_killed_and_changed_it_is_listed_with_its_folder(
        self, tmp_path: Path, packs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root, other = make_image_folder(tmp_path / "x", 20), make_image_folder(tmp_path / "y", 4)
        packed(other)
        process = packing_process(root, packs, 0.4)
        wait_for(lambda: list(packs.glob("*.part/done.jsonl")))
        process.kill()
        process.communicate()
        touch(root)
        packed(root)
        left = next(pack for pack in pack_cache.list_packs() if pack.state == "unfinished")
        assert (left.root, left.images, left.size) == (str(root), None, 8)
        Console(width=400).print(pack_table(pack_cache.list_packs()))
        assert f"{root} (unfinished)" in capsys.readouterr().out
        removed, busy = pack_cache.clear(root)
        assert ({pack.state for pack in removed}, busy) == ({"whole", "unfinished"}, [])
        assert [pack.root for pack in pack_cache.list_packs()] == [str(other)]

    def test_two_at_once(self, tmp_path: Path, packs: Path, decoding_counted: list[str]) -> None:
        root = make_image_folder(tmp_path / "x", 20)
        process = packing_process(root, packs, 0.1)
        wait_for(lambda: list(packs.glob("*.part/done.jsonl")))
        lines: list[str] = []
        found = folder.load_folder(root, size=8, announce=lines.append)
        assert "another process is decoding these images" in lines[0]
        assert decoding_counted == []
        assert process.communicate()[0].endswith("x\n")
        assert len(found.training) + len(found.test()) == 20

    def test_a_crashing_image(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = make_image_folder(tmp_path / "x", 6)
        crash_on(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
        found = packed(root)
        assert list(found.unreadable) == [3]
        assert found.unreadable[3].startswith("b/0001.png: not a readable image: it crashes")
        expected = decoded(root)
        expected[3] = 0
        np.testing.assert_array_equal(pixels(found), expected)

    def test_a_killed_decoder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = make_image_folder(tmp_path / "x", 6)
        crash_on(monkeypatch, tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
        with pytest.raises(DataError, match=r"ended with signal 9; .* run again to go on"):
            packed(root)

    def test_a_decoder_that_cannot_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decoders, "MIN_IMAGES_FOR_PROCESSES", 0)
        monkeypatch.setattr(sys, "path", [str(broken(tmp_path)), *sys.path])
        with pytest.raises(DataError, match=r"ended with status 1 \(ImportError: broken\)"):
            packed(make_image_folder(tmp_path / "x", 6))

    def test_decoders_end_with_their_parent(self, tmp_path: Path) -> None:
        decoder = decoders.SubprocessDecoder(tmp_path / "none", 0, 8, 3)
        (tmp_path / "none").touch()
        process = decoder._ensure_running()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0
        decoder.close()


def broken(tmp_path: Path) -> Path:
    place = tmp_path / "broken"
    place.mkdir()
    (place / "numpy.py").write_text("raise ImportError('broken')")
    return place


def crash_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str) -> None:
    """Make decoding processes do it when they open the second image of class b."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if 'resnets.data.cache.decoding_worker' in sys.orig_argv:\n"
        "    from PIL import Image\n"
        "    opened = Image.open\n"
        "    def crashing(file, *given, **named):\n"
        f"        {what} if str(file).endswith('0001.png') else None\n"
        "        return opened(file, *given, **named)\n"
        "    Image.open = crashing\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "hook"), *sys.path])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hook"))
    monkeypatch.setattr(decoders, "MIN_IMAGES_FOR_PROCESSES", 0)


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


class TestRefusals:
    def check_memory(self, root: Path, reason: str) -> None:
        lines: list[str] = []
        found = packed(root, announce=lines)
        assert reason in lines[0]
        assert "cannot keep the decoded images" in lines[0]
        assert lines[0].endswith("Going on from memory; the next run decodes them again")
        np.testing.assert_array_equal(pixels(found), decoded(root))

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = make_image_folder(tmp_path / "x", 30)
        with small_disk(tmp_path / "disk", "size=40k") as disk:
            (disk / "filling").write_bytes(bytes(38_000))
            monkeypatch.setattr(pack_cache, "packs_folder", lambda: disk)
            self.check_memory(root, "the disk has no room for 0.1 MB; set RESNETS_DATA")
            assert not list(disk.glob("*.part"))

    def test_full_while_writing(
        self, tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
    ) -> None:
        root = make_image_folder(tmp_path / "x", 12)
        write, written = decoders.InProcessDecoder.__call__, list[int]()

        def refusing(self: decoders.InProcessDecoder, request: object, begin: object) -> object:
            if len(written) > 1 and packs.exists() and self.size == 8 and not memory:
                raise OSError(28, "No space left on device")
            written.append(1)
            return write(self, request, begin)

        memory: list[bool] = []
        allocated = packing._allocate_pixels
        monkeypatch.setattr(
            packing, "_allocate_pixels", lambda *given: (memory.append(True), allocated(*given))[1]
        )
        monkeypatch.setattr(decoders.InProcessDecoder, "__call__", refusing)
        self.check_memory(root, "the disk has no room")

    def test_read_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root, late = make_image_folder(tmp_path / "x", 6), make_image_folder(tmp_path / "y", 4)
        with small_disk(tmp_path / "disk", "size=8m") as disk:
            monkeypatch.setattr(pack_cache, "packs_folder", lambda: disk)
            expected = pixels(packed(root))
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            lines: list[str] = []
            found = packed(root, announce=lines)
            assert lines == []
            np.testing.assert_array_equal(pixels(found), expected)
            assert found.storage.cached("x", lambda: 3) == 3
            self.check_memory(late, "Read-only file system")

    def test_a_file_in_the_way(self, tmp_path: Path, packs: Path) -> None:
        packs.write_bytes(b"")
        self.check_memory(make_image_folder(tmp_path / "x", 4), "File exists")

    def test_neither_disk_nor_memory(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"no room for 1[0-9.]+ GB.*it is .* GB: choose a sm"):
            packed(make_image_folder(tmp_path / "x", 4), size=1_000_000)


class TestImages:
    def dataset(self, tmp_path: Path) -> tuple[Dataset, Dataset]:
        """One set, from a pack and in memory."""
        stored = folder.load_folder(make_image_folder(tmp_path / "x", 40), size=8)
        copies = [Images(i.pixels, i.labels) for i in (stored.training, stored.test())]
        return stored, Dataset("x", stored.class_names, copies[0], lambda: copies[1])

    def test_a_run_starts_from_the_same(self, tmp_path: Path) -> None:
        stored, memory = self.dataset(tmp_path)
        assert fingerprint(stored) == fingerprint(memory)
        digest = hashlib.sha256(repr((("a", "b"), (32, 8, 8, 3))).encode())
        digest.update(memory.training.labels.tobytes() + memory.training.pixels.tobytes())
        assert fingerprint(stored) == digest.hexdigest()
        recipe = Recipe(data="x", size=8, network="cifar_resnet20", validation=0.2)
        architecture = find_architecture(recipe.network)
        plan = RunPlan(recipe=recipe, architecture=architecture, source=None)
        starts = [plan.bind(dataset) for dataset in (stored, memory)]
        one, two = (start.network for start in starts)
        first, second = (start.data for start in starts)
        assert one.preprocessing == two.preprocessing
        assert first.validation is not None
        assert second.validation is not None
        np.testing.assert_array_equal(first.training.pixels, second.training.pixels)
        np.testing.assert_array_equal(first.validation.labels, second.validation.labels)

    def test_figures_are_remembered(
        self, tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored, _ = self.dataset(tmp_path)
        expected = fingerprint(stored), data.mean_and_std(stored.training)
        again = folder.load_folder(tmp_path / "x", size=8)
        monkeypatch.setattr(Images, "iter_chunks", lambda _: pytest.fail("all images were read"))
        assert (fingerprint(again), data.mean_and_std(again.training)) == expected
        monkeypatch.undo()
        (packs_answers,) = packs.glob("*/answers.json")
        packs_answers.write_text(packs_answers.read_text().replace("1", "2"))
        assert (fingerprint(again), data.mean_and_std(again.training)) == expected

    @settings(max_examples=40, deadline=None)
    @given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=12))
    def test_whatever_is_expected_what_is_asked_for_comes(
        self, steps: list[tuple[bool, int]]
    ) -> None:
        from resnets.data.images import ArrayStorage

        whole = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
        images = Images(ArrayStorage(whole), np.arange(6))
        for expected, first in steps:
            index = np.arange(first, 6)
            if expected:
                images.prefetch(index)
            else:
                np.testing.assert_array_equal(images[index].pixels, whole[index])
                np.testing.assert_array_equal(images[index].labels, index)

    def test_nothing_is_read_for_those_who_do_not_ask(self) -> None:
        from resnets.data.images import ArrayStorage

        reads: list[int] = []

        class Counting(ArrayStorage):
            def read(self, rows: np.ndarray) -> np.ndarray:
                reads.append(len(rows))
                return super().read(rows)

        images = Images(Counting(np.zeros((6, 1, 1, 1), np.uint8)), np.arange(6))
        for _ in range(9):
            images.prefetch(np.arange(3))
        assert images._reader is not None
        images._reader.shutdown()
        assert len(reads) == 2

    def test_it_is_read_in_another_thread(self) -> None:
        from resnets.data.images import ArrayStorage

        threads: list[str] = []

        class Telling(ArrayStorage):
            def read(self, rows: np.ndarray) -> np.ndarray:
                threads.append(threading.current_thread().name)
                return super().read(rows)

        images = Images(Telling(np.zeros((6, 1, 1, 1), np.uint8)), np.arange(6))
        images.prefetch(np.arange(3))
        images[np.arange(3)]
        assert len(threads) == 1
        assert threads[0].startswith("reading images")

    def test_whoever_reads_all_has_an_array(self, tmp_path: Path) -> None:
        stored, memory = self.dataset(tmp_path)
        assert (stored.training.in_memory, memory.training.in_memory) == (False, True)
        assert stored.training.shape == memory.training.pixels.shape
        np.testing.assert_array_equal(stored.training.pixels, memory.training.pixels)


class TestCache:
    def test_list_and_clear(self, tmp_path: Path, packs: Path) -> None:
        assert pack_cache.list_packs() == []
        assert pack_cache.clear() == ([], [])
        packed(make_image_folder(tmp_path / "x", 4))
        packed(tmp_path / "x", size=9)
        os.utime(the_index(packs, 8), (1, 1))
        (packs / "1234.part").mkdir()
        (packs / "1234.part" / "images.npy").write_bytes(bytes(10))
        (packs / "5678").mkdir()
        found = {pack.path.name: pack for pack in pack_cache.list_packs()}
        assert len(found) == 4
        assert (found["1234.part"].state, found["1234.part"].bytes) == ("unfinished", 10)
        assert found["5678"].state == "damaged"
        assert pack_cache.list_packs()[-1].size == 8
        whole = found[the_index(packs, 9).parent.name]
        assert (whole.root, whole.images, whole.size) == (str(tmp_path / "x"), 4, 9)
        removed, busy = pack_cache.clear()
        assert (len(removed), busy) == (4, [])
        assert pack_cache.list_packs() == []

    def test_what_a_killed_removal_left_is_removed(self, tmp_path: Path, packs: Path) -> None:
        packed(make_image_folder(tmp_path / "x", 4))
        pack = the_index(packs, 8).parent
        shutil.copytree(pack, packs / f"{pack.name}.gone")
        os.utime(packs / f"{pack.name}.gone" / "index.json", (1, 1))
        removed, busy = pack_cache.clear()
        assert (removed[0].path, busy) == (pack, [])
        assert pack_cache.list_packs() == []

    def test_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        packed(make_image_folder(tmp_path / "x", 4))
        packs_command.data()
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith("packs: 1 pack, 0.0 MB")
        assert lines[2].endswith(str(tmp_path / "x"))
        packs_command.data(json=True)
        found = json.loads(capsys.readouterr().out)
        assert (found["packs"][0]["images"], found["packs"][0]["unreadable"]) == (4, [])
        packs_command.data(clear=True)
        assert capsys.readouterr().out.endswith("packs: removed 1 pack, 0.0 MB\n")
        packs_command.data()
        assert capsys.readouterr().out.endswith("packs: 0 packs, 0.0 MB\n")

    def test_command_of_one_folder(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, two = make_image_folder(tmp_path / "x", 4), make_image_folder(tmp_path / "y", 4)
        packed(one)
        packed(two)
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(one)
        packs_command.data(Path("x"))
        assert f"packs: 1 pack of {one}, " in capsys.readouterr().out
        packs_command.data(Path("x"), clear=True)
        assert f"packs: removed 1 pack of {one}, " in capsys.readouterr().out
        packs_command.data(Path("x"), clear=True)
        assert f"packs: removed 0 packs of {one}, 0.0 MB\n" in capsys.readouterr().out
        assert [pack.root for pack in pack_cache.list_packs()] == [str(two)]

    def test_command_names_what_could_not_be_read(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder.load_folder(make_messy_folder(tmp_path / "pets"), size=8)
        Console(width=400).print(pack_table(pack_cache.list_packs()))
        titles, cells = capsys.readouterr().out.splitlines()
        assert titles.split()[:4] == ["pack", "images", "unreadable", "pixels"]
        assert cells.split()[1:4] == ["16", "4", "8×8"]
        packs_command.data(json=True)
        (pack,) = json.loads(capsys.readouterr().out)["packs"]
        assert pack["images"] == 16
        assert [reason.partition(":")[0] for reason in pack["unreadable"]] == [
            str(Path(*name))
            for name in (
                ("cat", "truncated.jpg"),
                *(("dog", name) for name in ("dangling.png", "empty.png", "text.jpg")),
            )
        ]

    def test_what_is_being_made_stays(self, tmp_path: Path, packs: Path) -> None:
        process = packing_process(make_image_folder(tmp_path / "x", 20), packs, 0.1)
        wait_for(lambda: list(packs.glob("*.part/done.jsonl")))
        removed, busy = pack_cache.clear()
        assert (removed, len(busy)) == ([], 1)
        assert process.communicate()[0].endswith("x\n")


def the_index(packs: Path, size: int) -> Path:
    (found,) = (
        path
        for path in packs.glob("*/index.json")
        if pack_index.read_index(path.parent).shape[1] == size
    )
    return found
