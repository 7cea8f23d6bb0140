"""Where the four files are found, and that none but the true ones pass.

Small files stand in for the real ones: the table of files and the sources are replaced.
"""

import gzip
import hashlib
import os
import subprocess
import sys
import threading
import time
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

from resnets.data.fashion_mnist import idx, loading, published, sources
from resnets.data.fashion_mnist.published import PublishedFile
from resnets.data.images import Dataset
from resnets.errors import DataError

SHAPES = {
    "train-images-idx3-ubyte": (6, 4, 4),
    "train-labels-idx1-ubyte": (6,),
    "t10k-images-idx3-ubyte": (3, 4, 4),
    "t10k-labels-idx1-ubyte": (3,),
}


def content_of(name: str) -> bytes:
    shape = SHAPES[name]
    values = np.random.default_rng(list(name.encode())).integers(0, 10, shape, np.uint8)
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    return header + values.tobytes()


FILES = tuple(
    PublishedFile(name=name, dimensions=shape, sha256=hashlib.sha256(content_of(name)).hexdigest())
    for name, shape in SHAPES.items()
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
    """An empty RESNETS_DATA, small files in place of the real ones, and no source at all."""
    monkeypatch.setattr(loading, "FILES", FILES)
    monkeypatch.setattr(loading, "SOURCES", ())
    monkeypatch.setenv("RESNETS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def use(monkeypatch: pytest.MonkeyPatch, *asked: sources.Source) -> None:
    monkeypatch.setattr(loading, "SOURCES", asked)


def assert_whole(dataset: Dataset) -> None:
    test = dataset.test()
    for images, kind in ((dataset.training, "train"), (test, "t10k")):
        pixels = idx.parse(content_of(f"{kind}-images-idx3-ubyte"), "")
        np.testing.assert_array_equal(images.pixels, pixels[..., None])
        labels = idx.parse(content_of(f"{kind}-labels-idx1-ubyte"), "")
        np.testing.assert_array_equal(images.labels, labels)
        assert images.pixels.dtype == np.uint8
        assert images.labels.dtype == np.int64


class TestCache:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("place", ["fashion-mnist", ".", "FashionMNIST/raw"])
    def test_is_found(self, data: Path, place: str, packed: bool) -> None:
        fill(data / place, packed=packed)
        dataset = loading.load()
        assert_whole(dataset)
        assert dataset.name == "fashion_mnist"
        assert dataset.channels == 1
        assert len(dataset.class_names) == 10

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

    def test_swapped_files_are_refused(self, data: Path) -> None:
        fill(data)
        (data / IMAGES.name).write_bytes(content_of("t10k-images-idx3-ubyte"))
        with pytest.raises(DataError) as caught:
            loading.load()
        assert f"{data / IMAGES.name}: expected dimensions 6×4×4, found 3×4×4" in str(caught.value)
        assert f"Remove {data / IMAGES.name} and run again" in str(caught.value)

    def test_labels_as_images_are_refused(self, data: Path) -> None:
        fill(data, packed=True)
        path = data / f"{IMAGES.name}.gz"
        path.write_bytes(gzip.compress(content_of(LABELS.name)))
        with pytest.raises(DataError, match=r"expected 3 dimensions \(6×4×4\), found 1 \(6\)"):
            loading.load()

    def test_damage_is_not_fetched_over(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(data / "fashion-mnist")
        use(monkeypatch, sources.installed(fill(data.parent / "package", packed=True)))
        damaged = data / "fashion-mnist" / LABELS.name
        damaged.write_bytes(damaged.read_bytes()[:-2])
        with pytest.raises(DataError) as caught:
            loading.load()
        assert f"{damaged}: expected 14 bytes, found 12" in str(caught.value)
        assert damaged.stat().st_size == 12

    def test_a_file_in_place_of_the_folder(self, data: Path) -> None:
        data.write_bytes(b"")
        with pytest.raises(DataError, match="expected a folder for data sets"):
            loading.load()

    def test_abandoned_parts_go_and_fresh_ones_stay(self, data: Path) -> None:
        cache = fill(data / "fashion-mnist")
        old, fresh = cache / f".{IMAGES.name}.aa.part", cache / f".{IMAGES.name}.bb.part"
        for part in (old, fresh):
            part.write_bytes(b"half")
        an_hour_ago = time.time() - 3600
        os.utime(old, (an_hour_ago, an_hour_ago))
        loading.load()
        assert not old.exists()
        assert fresh.exists()


class TestFetching:
    def test_fills_the_cache_unpacked(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, sources.installed(fill(data.parent / "package", packed=True)))
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert lines == [f"reading {data.parent / 'package'}"]
        found = {path.name: path.read_bytes() for path in (data / "fashion-mnist").iterdir()}
        assert found == {name: content_of(name) for name in SHAPES}
        use(monkeypatch)
        assert_whole(loading.load())

    def test_fetches_only_what_is_missing(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(data, names=[IMAGES.name])
        package = fill(data.parent / "package", names=[name for name in SHAPES if name[0] != "t"])
        rest = fill(
            data.parent / "rest", packed=True, names=[n for n in SHAPES if n != IMAGES.name]
        )
        use(monkeypatch, sources.installed(package), sources.installed(rest))
        assert_whole(loading.load())
        assert not (data / "fashion-mnist" / IMAGES.name).exists()

    def test_a_bad_source_is_passed_over(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        bad = fill(data.parent / "bad", packed=True)
        bad_file = bad / f"{LABELS.name}.gz"
        bad_file.write_bytes(gzip.compress(content_of(LABELS.name)[:-1] + b"\x63"))
        use(monkeypatch, sources.installed(bad), sources.installed(fill(data.parent / "good")))
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert any(f"{bad_file}: altered: expected SHA-256" in line for line in lines)

    def test_nothing_answers(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        partly = fill(data.parent / "partly", names=[IMAGES.name, LABELS.name])
        use(
            monkeypatch,
            sources.installed(data.parent / "nowhere"),
            sources.installed(partly),
            # A port that nobody listens on: refused at once.
            sources.publisher("http://127.0.0.1:9/"),
        )
        with pytest.raises(DataError) as caught:
            loading.load()
        message = str(caught.value)
        assert "no source has t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte" in message
        assert f"{data}: no such file or directory" in message
        assert f"{data.parent / 'nowhere'}: no such folder" in message
        assert f"{partly / 't10k-images-idx3-ubyte'} and" in message
        assert "http://127.0.0.1:9/: Connection refused" in message
        assert "Set RESNETS_DATA to a folder" in message
        assert all(message.count(name) >= 1 for name in SHAPES)

    def test_a_cache_that_cannot_be_written(
        self, data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, sources.installed(fill(data.parent / "package")))
        data.mkdir()
        (data / "fashion-mnist").write_bytes(b"in the way, even of root")
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert sum("going on from memory" in line for line in lines) == 1

    def test_a_full_disk(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(path: Path, content: bytes) -> None:
            raise OSError(28, "No space left on device")

        use(monkeypatch, sources.installed(fill(data.parent / "package")))
        monkeypatch.setattr(loading.files, "write_bytes", full)
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert any("No space left on device; going on from memory" in line for line in lines)

    def test_many_fill_one_cache_at_once(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, sources.installed(fill(data.parent / "package", packed=True)))
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(5):
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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Cut(Quiet):
    """Promises the whole file and hangs up in the middle."""

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:
        outputfile.write(source.read()[:20])


Serve = Callable[..., str]
"""Takes a folder, and how to serve it; gives the address."""


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


class TestPublisher:
    def test_downloads(self, data: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
        address = serve(fill(data.parent / "server", packed=True))
        use(monkeypatch, sources.publisher(address))
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert lines == [f"downloading {address}{name}.gz" for name in SHAPES]

    def test_a_cut_connection(
        self, data: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
    ) -> None:
        address = serve(fill(data.parent / "server", packed=True), Cut)
        use(monkeypatch, sources.publisher(address))
        with pytest.raises(DataError, match="expected a whole gzip file, found the end of it"):
            loading.load()
        assert not (data / "fashion-mnist").exists()

    def test_a_missing_file(
        self, data: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
    ) -> None:
        address = serve(fill(data.parent / "server"))
        use(monkeypatch, sources.publisher(address))
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: the server answers 404"):
            loading.load()


class TestApt:
    """A stand-in for apt-get: what it is asked, and that nothing is asked of the user."""

    @pytest.fixture
    def tools(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "tools"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        package = fill(tmp_path / "package", packed=True)
        self.script(folder / "dpkg-deb", f'mkdir -p "$3/usr" && cp -r {package} "$3/usr/files"')
        return folder

    @pytest.fixture
    def eager(self) -> Iterator[None]:
        """A user at the keyboard, who would answer yes to anything."""
        kept = os.dup(0)
        reading, writing = os.pipe()
        os.write(writing, b"yes\n" * 9)
        os.dup2(reading, 0)
        yield
        os.dup2(kept, 0)
        for descriptor in (kept, reading, writing):
            os.close(descriptor)

    def script(self, path: Path, body: str) -> None:
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    @pytest.mark.usefixtures("eager")
    def test_falls_back_to_lists_of_its_own(
        self, data: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = tools / "log"
        self.script(
            tools / "apt-get",
            f'echo "$@" >> {log}; if read line; then echo "E: asked" >&2; exit 9; fi\n'
            'case "$*" in *Dir::State::Lists=*download*) touch p_1_all.deb;; *update) ;;\n'
            '*) echo "E: Unable to locate package p" >&2; exit 100;; esac',
        )
        use(monkeypatch, sources.apt("p", Path("/usr/files")))
        lines: list[str] = []
        assert_whole(loading.load(announce=lines.append))
        assert any("E: Unable to locate package p (exit status 100)" in line for line in lines)
        asked = log.read_text().splitlines()
        assert [line.split()[-1] for line in asked] == ["p", "update", "p"]
        assert "Dir::State" not in asked[0]
        private = [part for part in asked[1].split() if part.startswith("Dir::")]
        assert all(part in asked[2] for part in private)
        assert not any(Path(part.split("=")[1]).exists() for part in private)

    def test_says_why_not(self, data: Path, tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script(tools / "apt-get", 'echo "W: odd" >&2; echo "E: no network" >&2; exit 100')
        use(monkeypatch, sources.apt("p", Path("/usr/files")))
        with pytest.raises(DataError, match=r"apt-get download p: E: no network \(exit status 100"):
            loading.load()

    def test_one_list_out_of_reach(
        self, data: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.script(
            tools / "apt-get",
            'case "$*" in *Dir::State::Lists=*download*) touch p_1_all.deb;; '
            '*) echo "E: out of reach" >&2; exit 100;; esac',
        )
        use(monkeypatch, sources.apt("p", Path("/usr/files")))
        assert_whole(loading.load())

    def test_no_such_tool(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        use(monkeypatch, sources.apt("p", Path("/usr/files")))
        with pytest.raises(DataError, match="apt-get is not on this machine"):
            loading.load()


class TestAlteration:
    """Nothing but the published content is ever given out."""

    @given(st.data())
    def test_plain(self, draws: st.DataObject) -> None:
        content = content_of(IMAGES.name)
        with pytest.raises(DataError, match=r"^here: "):
            published.check(IMAGES, altered(content, draws), "here")

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_plain_file(self, tmp_path: Path, draws: st.DataObject) -> None:
        path = tmp_path / IMAGES.name
        path.write_bytes(altered(content_of(IMAGES.name), draws))
        with pytest.raises(DataError) as caught:
            published.read(IMAGES, path)
        assert str(caught.value).startswith(f"{path}: ")

    @given(st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_packed_file(self, tmp_path: Path, draws: st.DataObject) -> None:
        """Gzip has bits that are not content (time, system, padding): changed, they may pass."""
        path = tmp_path / f"{IMAGES.name}.gz"
        packed = gzip.compress(content_of(IMAGES.name), mtime=0)
        changed = altered(packed, draws)
        path.write_bytes(changed)
        try:
            found = published.read(IMAGES, path)
        except DataError as refusal:
            assert str(refusal).startswith(f"{path}: ")
        else:
            assert found == content_of(IMAGES.name)
            assert len(changed) == len(packed), "cut short or added to, and not refused"

    def test_a_bomb_is_left_packed(self, tmp_path: Path) -> None:
        path = tmp_path / f"{IMAGES.name}.gz"
        header = content_of(IMAGES.name)[:16]
        path.write_bytes(gzip.compress(header + bytes(50_000_000)))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match=f"expected {IMAGES.size} bytes, found more"):
                published.read(IMAGES, path)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()

    def test_endless_nothing_is_not_read_for_ever(self, tmp_path: Path) -> None:
        class Endless:
            taken = 0

            def read(self, count: int) -> bytes:
                # After the header: stored blocks of no bytes, none of them the last.
                block = b"\0\0\0\xff\xff" * (count // 5)
                start = gzip.compress(b"")[:10] if self.taken == 0 else b""
                self.taken += len(start + block)
                return start + block

        stream = Endless()
        with pytest.raises(DataError, match="found no end to it"):
            published.unpack(IMAGES, stream, "there")
        assert stream.taken < 1_000_000


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


def test_table_is_the_publishers() -> None:
    sizes = {file.name: file.size for file in loading.FILES}
    assert sizes == {
        "train-images-idx3-ubyte": 47_040_016,
        "train-labels-idx1-ubyte": 60_008,
        "t10k-images-idx3-ubyte": 7_840_016,
        "t10k-labels-idx1-ubyte": 10_008,
    }


@pytest.mark.network
def test_the_real_set_through_whichever_source_answers(tmp_path: Path) -> None:
    """In a fresh process, as a user's first run is."""
    program = (
        "from resnets.data.fashion_mnist import loading as f; import numpy as np\n"
        "d = f.load(announce=print); t = d.test()\n"
        "print(d.training.pixels.shape, t.pixels.shape, np.bincount(t.labels).tolist())"
    )
    for _ in range(2):  # fetched, then cached
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "RESNETS_DATA": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        last = done.stdout.splitlines()[-1]
        assert last == f"(60000, 28, 28, 1) (10000, 28, 28, 1) {[1000] * 10}"
    assert done.stdout.count("\n") == 1, "the second run fetched again"
