"""How fast folders of images become packs, how fast packs are read, and in how much memory.

    python benchmarks/packs.py [--images 20000] [--limit 512]

``--images``: of the pack that is read, 150,528 bytes each. ``--limit``: megabytes of a memory
cgroup (version 1, as root) in which a set larger than it is read once more.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resnets.data.cache import decoders
from resnets.data.cache.blocks import DecodeRequest, FileTarget
from resnets.data.cache.pack import Pack, open_pack
from resnets.data.cache.pack_index import (
    IMAGES,
    PackContents,
    images_file_size,
    npy_header,
    rows_in_block,
    write_index,
)
from resnets.data.images import Images
from training_step import write

SIZE, BATCH, RATE = 224, 128, 2000
"""Pixels of a side; images in a batch; images a second that training takes."""


def photos(folder: Path, count: int) -> list[str]:
    """Write JPEG files as large as ImageNet's usual ones, 500×375, about 100 kB each."""
    paths: list[str] = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (47, 63, 3), np.uint8)
        image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        noise = np.random.default_rng(number).normal(0, 6, (375, 500, 3))
        rough = (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)
        paths.append(str(folder / f"{number}.jpg"))
        Image.fromarray(rough).save(paths[-1], quality=90)
    return paths


def decoding(folder: Path, count: int = 256) -> dict[str, float]:
    """Images a second that one process decodes, and one thread of this process."""
    paths = photos(folder, count)
    shape = (count, SIZE, SIZE, 3)
    path, start = folder / "decoded", len(npy_header(shape))
    path.write_bytes(bytes(images_file_size(shape)))
    makers: dict[str, Callable[[], decoders.Decoder]] = {
        "process": lambda: decoders.SubprocessDecoder(path, start, SIZE, 3),
        "thread": lambda: decoders.InProcessDecoder(SIZE, 3, FileTarget(path, start)),
    }
    made = {name: make() for name, make in makers.items()}
    taken: dict[str, list[float]] = {name: [] for name in makers}
    for repeat in range(4):
        for name, decoder in made.items():
            began = time.perf_counter()
            decoder(DecodeRequest(0, 0, paths[:64], paths[:64]), lambda _: None)
            if repeat:  # the first starts the process
                taken[name].append(time.perf_counter() - began)
    for decoder in made.values():
        decoder.close()
    return {name: 64 / statistics.median(seconds) for name, seconds in taken.items()}


def synthetic(folder: Path, count: int) -> Pack:
    """Make a pack of noise without decoding anything."""
    shape = (count, SIZE, SIZE, 3)
    contents = PackContents(key="noise", root="-", shape=shape, block=rows_in_block(shape))
    checksums: list[int] = []
    with (folder / IMAGES).open("wb") as file:
        file.write(npy_header(shape))
        for block in contents.blocks():
            pixels = np.random.default_rng(block.number).bytes(block.rows * SIZE * SIZE * 3)
            checksums.append(zlib.crc32(pixels))
            file.write(pixels)
        file.flush()
        os.fsync(file.fileno())
        modified = os.fstat(file.fileno()).st_mtime_ns
    index = {**vars(contents), "checksums": tuple(checksums), "modified": modified}
    write_index(folder, PackContents(**index))
    return open_pack(folder, "noise")


def memory() -> dict[str, int]:
    """Megabytes of this process: its own, and of files that it has mapped."""
    status = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Rss")}
    return {name: int(found[name]) // 1024 for name in ("RssAnon", "RssFile")}


def batches(images: Images, seed: int, steps: int) -> list[np.ndarray]:
    """Random batches, as an epoch draws them; another epoch where one is not enough."""
    rng, order = np.random.default_rng(seed), list[np.ndarray]()
    while len(order) < steps:
        epoch = rng.permutation(len(images))
        order += np.split(epoch, range(BATCH, len(epoch), BATCH))[: len(epoch) // BATCH]
    return order[:steps]


def reading(images: Images, steps: int) -> float:
    """Median images a second, read in random order, a batch at a time."""
    taken: list[float] = []
    for index in batches(images, 0, steps):
        began = time.perf_counter()
        images[index]
        taken.append(time.perf_counter() - began)
    return BATCH / statistics.median(taken)


def waiting(images: Images, steps: int, *, ahead: bool) -> float:
    """Share of a step that waits for its batch, where the step takes ``BATCH / RATE`` seconds.

    The step is a pause: that of a device that computes while the processor reads.
    """
    order = batches(images, 1, steps + 1)
    waited = 0.0
    began = time.perf_counter()
    for now, after in itertools.pairwise(order):
        before = time.perf_counter()
        if ahead:
            images.prefetch(after)
        images[now]
        waited += time.perf_counter() - before
        time.sleep(BATCH / RATE)
    return waited / (time.perf_counter() - began)


def measured(pack: Pack, steps: int) -> dict[str, Any]:
    """All figures of reading a pack, and the memory before and after."""
    images = Images(pack, np.zeros(pack.shape[0], np.int64))
    before = memory()
    return {
        "gigabytes": images_file_size(pack.shape) / 1e9,
        "images_per_second": reading(images, steps),
        "waiting": {
            "ahead": waiting(images, steps, ahead=True),
            "not ahead": waiting(images, steps, ahead=False),
        },
        "memory_before": before,
        "memory_after": memory(),
    }


def within(limit: int, action: Callable[[], Any]) -> Any:
    """Do something in a memory cgroup of ``limit`` megabytes, page cache and all."""
    group, root = Path("/sys/fs/cgroup/memory/resnets-packs"), Path("/sys/fs/cgroup/memory")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(f"{limit}M")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(action).result()
    finally:
        (root / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def main() -> None:
    """Measure, print, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        figures: dict[str, Any] = {"decoded per second": decoding(Path(scratch))}
        print("decoded a second:", figures["decoded per second"])
        sys.stdout.flush()
        pack = synthetic(Path(scratch), given.images)
        figures["read"] = measured(pack, given.steps)
        print("read:", figures["read"])
        if given.limit:
            file = os.open(pack.folder / IMAGES, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
            figures["read within"] = {
                "megabytes": given.limit,
                **within(given.limit, lambda: measured(pack, given.steps)),
            }
            print("read within a limit:", figures["read within"])
    write("packs", {"figures": figures})


if __name__ == "__main__":
    main()
