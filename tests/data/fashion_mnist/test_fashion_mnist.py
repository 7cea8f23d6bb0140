"""Where the four files are found, and that none but the true ones pass.

Small files stand in for the real ones, and servers on this machine for the mirrors.
"""

import gzip
import hashlib
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnets.data.fashion_mnist import loading
from resnets.data.fashion_mnist.download import PublishedFile
from resnets.data.images import Dataset
from resnets.errors import DataError

SHAPES = {
    "train-images-idx3-ubyte": (6, 4, 4),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (3, 4, 4),
    "t10k-labels-idx1-ubyte": (3,),
}
NOWHERE = "http://127.0.0.1:9/"
"""A port that nobody listens on: refused at once."""


def values_of(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 10, SHAPES[name], np.uint8)


def content_of(name: str) -> bytes:
    shape = SHAPES[name]
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return header + values_of(name).tobytes()


FILES = tuple(
    PublishedFile(
        name=name,
        size=len(content_of(name)),
        sha256=hashlib.sha256(content_of(name)).hexdigest(),
    )
    for name in SHAPES
)
IMAGES, LABELS = FILES[:2]


def fill(folder: Path, *, packed: bool = False, names: "list[str] | None" = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHAPES if names is None else names:
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content_of(name)))
        else:
            (folder / name).write_bytes(content_of(name))
    return folder


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty RESNETS_DATA, small files in place of the real ones, and no mirror at all."""
    monkeypatch.setattr(loading, "FILES", FILES)
    monkeypatch.setattr(loading, "MIRRORS", ())
    monkeypatch.setattr(loading, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("RESNETS_DATA", str(tmp_path / "data"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "data"


def assert_whole(dataset: Dataset) -> None:
    test = dataset.test()
    for images, kind in ((dataset.training, "train"), (test, "t10k")):
        pixels = values_of(f"{kind}-images-idx3-ubyte")
        np.testing.assert_array_equal(images.pixels, pixels[..., None])
        np.testing.assert_array_equal(images.labels, values_of(f"{kind}-labels-idx1-ubyte"))
        assert images.pixels.dtype == np.uint8
        assert images.pixels.flags.writeable
        assert images.labels.dtype == np.int64


class TestCache:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("place", ["fashion-mnist", ".", "FashionMNIST/raw", "../debian"])
    def test_is_found(self, data: Path, place: str, packed: bool) -> None:
        data.mkdir()
        fill(data / place, packed=packed)
        dataset = loading.load()
        assert_whole(dataset)
        assert dataset.name == "fashion_mnist"
        assert dataset.channels == 1
        assert len(dataset.class_names) == 10

    def test_needs_neither_pooch_nor_the_network(self, data: Path) -> None:
        """In a process of its own; the digests are replaced as in the fixture."""
        fill(data)
        program = (
            "import sys; from resnets.data.fashion_mnist import loading as f\n"
            f"from resnets.data.fashion_mnist.download import PublishedFile\n"
            f"f.FILES = {FILES!r}; f.load(); print({{'pooch', 'requests'}} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert (done.stdout.strip(), done.stderr) == ("set()", "")

    def test_is_the_users_without_the_variable(
        self, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESNETS_DATA", "")
        monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "mine" / name)
        fill(tmp_path / "mine" / "resnets" / "fashion-mnist")
        assert_whole(loading.load())

    def test_survives_being_emptied_after_loading(self, data: Path) -> None:
        folder = fill(data)
        dataset = loading.load()
        for name in SHAPES:
            (folder / name).unlink()
        assert_whole(dataset)

    def test_swapped_files_are_rejected(self, data: Path) -> None:
        fill(data)
        (data / IMAGES.name).write_bytes(content_of("t10k-images-idx3-ubyte"))
        with pytest.raises(DataError) as caught:
            loading.load()
        assert f"{data / IMAGES.name}: expected 112 bytes, found 64" in str(caught.value)
        assert f"Remove {data / IMAGES.name}" in str(caught.value)

    def test_damage_is_not_downloaded_over(
        self, data: Path, monkeypatch: pytest.MonkeyPatch, serve: "Serve"
    ) -> None:
        fill(data / "fashion-mnist")
        monkeypatch.setattr(loading, "MIRRORS", [serve(fill(data.parent / "server", packed=True))])
        damaged = data / "fashion-mnist" / LABELS.name
        damaged.write_bytes(damaged.read_bytes()[:-2])
        with pytest.raises(DataError, match=r"expected 14 bytes, found 12"):
            loading.load()
        assert damaged.stat().st_size == 12

    def test_a_file_in_place_of_the_folder(self, data: Path) -> None:
        data.write_bytes(b"")
        with pytest.raises(DataError, match="expected a folder for data sets"):
            loading.load()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Cut(Quiet):
    """Promises the whole file and hangs up in the middle."""

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        outputfile.write(source.read()[:20])


class CutOnce(Cut):
    """Hangs up in the middle of the first answer alone."""

    answered = 0

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        CutOnce.answered += 1
        if CutOnce.answered == 1:
            super().copyfile(source, outputfile)
        else:
            Quiet.copyfile(self, source, outputfile)


class Endless(Quiet):
    """Sends gzip's header, then stored blocks of no bytes for as long as anyone listens."""

    sent = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(gzip.compress(b"")[:10])
        block = b"\0\0\0\xff\xff" * 10_000
        try:
            while Endless.sent < 1 << 28:
                Endless.sent += self.wfile.write(block)
        except OSError:
            self.close_connection = True


Serve = Callable[..., str]
"""Takes a folder, and how to serve it; returns the address."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[ThreadingHTTPServer] = []

    def start(folder: Path, handler: type[Quiet] = Quiet) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestDownload:
    @pytest.fixture
    def server(self, data: Path) -> Path:
        return fill(data.parent / "server", packed=True)

    def test_fills_the_cache_unpacked(
        self,
        data: Path,
        server: Path,
        serve: Serve,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        address = serve(server)
        monkeypatch.setattr(loading, "MIRRORS", [address])
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert lines == [f"downloading {address}{name}.gz" for name in SHAPES]
        assert capfd.readouterr() == ("", "")
        cached = list((data / "fashion-mnist").iterdir())
        assert {path.name: path.read_bytes() for path in cached} == {
            name: content_of(name) for name in SHAPES
        }
        # As any file that this user writes: other users of a shared folder can read it.
        (data / "other").touch()
        assert {path.stat().st_mode for path in cached} == {(data / "other").stat().st_mode}
        assert not list((data.parent / "temporary").iterdir())
        monkeypatch.setattr(loading, "MIRRORS", ())
        assert_whole(loading.load())

    def test_only_what_is_missing(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(data, names=[IMAGES.name])
        (server / f"{IMAGES.name}.gz").unlink()
        monkeypatch.setattr(loading, "MIRRORS", [serve(server)])
        assert_whole(loading.load())
        assert not (data / "fashion-mnist" / IMAGES.name).exists()

    def test_mirrors_are_asked_in_turn(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        empty, wrong = serve(data.parent / "temporary"), data.parent / "wrong"
        fill(wrong, packed=True)
        altered = content_of(LABELS.name)[:-1] + b"\x63"
        (wrong / f"{LABELS.name}.gz").write_bytes(gzip.compress(altered))
        mirrors = [NOWHERE, empty, serve(wrong), serve(server)]
        monkeypatch.setattr(loading, "MIRRORS", mirrors)
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        asked = [line.split()[1] for line in lines if line.startswith("downloading")]
        assert asked == [
            # Those that do not answer or have no such file are not asked again.
            *(f"{mirror}{IMAGES.name}.gz" for mirror in mirrors[:3]),
            *(f"{mirror}{LABELS.name}.gz" for mirror in mirrors[2:]),
            *(f"{mirrors[2]}{file.name}.gz" for file in FILES[2:]),
        ]

    def test_a_cut_connection_is_tried_again(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(CutOnce, "answered", 0)
        monkeypatch.setattr(loading, "MIRRORS", [serve(server, CutOnce)])
        assert_whole(loading.load())
        assert CutOnce.answered == 5

    def test_no_mirror_has_it(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(data, names=[IMAGES.name])
        cut, missing, wrong = serve(server, Cut), serve(data), serve(server)
        monkeypatch.setattr(loading, "MIRRORS", [NOWHERE, cut, missing, wrong])
        (server / f"{LABELS.name}.gz").write_bytes(gzip.compress(bytes(1000)))
        with pytest.raises(DataError) as caught:
            loading.load()
        message = str(caught.value)
        assert f"cannot download {LABELS.name}" in message
        assert f"{NOWHERE}: Connection refused" in message
        assert f"{cut}: IncompleteRead" in message
        assert f"{missing}: 404" in message
        assert f"{wrong}: sends more than the 14 bytes" in message
        assert all(name in message for name in SHAPES)
        assert str(data / "fashion-mnist") in message
        assert "RESNETS_DATA" in message
        assert not (data / "fashion-mnist").exists()

    def test_an_endless_answer_is_cut_off(
        self, data: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Endless, "sent", 0)
        monkeypatch.setattr(loading, "MIRRORS", [serve(data, Endless)])
        with pytest.raises(DataError, match="sends more than the 112 bytes"):
            loading.load()
        assert Endless.sent < 1 << 27

    def test_a_cache_that_cannot_be_written(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loading, "MIRRORS", [serve(server)])
        data.mkdir()
        (data / "fashion-mnist").write_bytes(b"in the way, even of root")
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert sum(f"cannot keep {LABELS.name} in {data}" in line for line in lines) == 1

    def test_a_full_disk(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, content: bytes) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(loading, "MIRRORS", [serve(server)])
        monkeypatch.setattr(loading.files, "write_bytes", full)
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert any("No space left on device" in line for line in lines)

    def test_many_fill_one_cache_at_once(
        self, data: Path, server: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loading, "MIRRORS", [serve(server)])
        failures: list[BaseException] = []

        def work() -> None:
            try:
                assert_whole(loading.load())
            except BaseException as problem:
                failures.append(problem)

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert failures == []
        assert sorted(path.name for path in (data / "fashion-mnist").iterdir()) == sorted(SHAPES)


class TestAlteration:
    """Nothing but the published content is ever returned."""

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_plain_file(self, tmp_path: Path, draws: st.DataObject) -> None:
        path = tmp_path / IMAGES.name
        path.write_bytes(altered(content_of(IMAGES.name), draws))
        with pytest.raises(DataError) as caught:
            loading.read(IMAGES, path)
        assert str(caught.value).startswith(f"{path}: ")

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_packed_file(self, tmp_path: Path, draws: st.DataObject) -> None:
        """Gzip has bits that are not content (time, system, padding): changed, they may pass."""
        path = tmp_path / f"{IMAGES.name}.gz"
        path.write_bytes(altered(gzip.compress(content_of(IMAGES.name), mtime=0), draws))
        try:
            found = loading.read(IMAGES, path)
        except DataError as refusal:
            assert str(refusal).startswith(f"{path}: ")
        else:
            assert found == content_of(IMAGES.name)

    def test_a_bomb_is_left_packed(self, tmp_path: Path) -> None:
        path = tmp_path / f"{IMAGES.name}.gz"
        header = content_of(IMAGES.name)[:16]
        path.write_bytes(gzip.compress(header + bytes(50_000_000)))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=f"expected {IMAGES.size} bytes, found more"):
                loading.read(IMAGES, path)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


def altered(content: bytes, draws: st.DataObject) -> bytes:
    """Cut short, one byte changed, or bytes added."""
    place = draws.draw(st.integers(0, len(content) - 1))
    kind = draws.draw(st.sampled_from(["cut", "change", "add"]))
    if kind == "cut":
        return content[:place]
    if kind == "change":
        other = content[place] ^ draws.draw(st.integers(1, 255))
        return content[:place] + bytes([other]) + content[place + 1 :]
    return content + draws.draw(st.binary(min_size=1, max_size=30))


def test_sizes_are_those_of_the_dimensions() -> None:
    shapes = [(60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,)]
    expected = [4 + 4 * len(shape) + int(np.prod(shape)) for shape in shapes]
    assert [file.size for file in loading.FILES] == expected
