"""Images a second and waiting times of ``resnets serve``, against a server written by hand.

The peer is what tutorials write: a Starlette route on uvicorn that opens the image with Pillow,
makes a tensor of it and calls the module, one image at a time, in a thread of its own. Both serve
the same network with the same weights, in processes that take turns; clients are in a third one,
each sends its next JPEG when the last one is answered.

    python benchmarks/serving.py [--network resnet18] [--size 224] [--engine openvino-bf16 …]
"""

import argparse
import contextlib
import http.client
import io
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from resnets.convert.fitting import number_classes
from resnets.networks import catalog
from resnets.networks.folder import load, save
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing
from training_step import write

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PHOTOS = 16
BY_HAND = "by hand"


def photos() -> list[bytes]:
    """JPEGs of 500 by 375 with structure at all scales, as photos have."""
    found: list[bytes] = []
    for seed in range(PHOTOS):
        random = np.random.default_rng(seed)
        layers = [
            np.asarray(
                Image.fromarray(random.integers(0, 256, (3 * k, 4 * k, 3), np.uint8)).resize(
                    (500, 375), Image.Resampling.BICUBIC
                ),
                np.float32,
            )
            / k
            for k in (1, 4, 16, 64)
        ]
        mixed = np.sum(layers, axis=0)
        file = io.BytesIO()
        scaled = 255 * (mixed - mixed.min()) / np.ptp(mixed)
        Image.fromarray(scaled.astype(np.uint8)).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


def by_hand(folder: Path) -> None:
    """Serve as tutorials do; print the port, and never return."""
    import torch
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from resnets import backends
    from resnets.serve.running import listen

    network = load(folder)
    size, names = network.preprocessing.size, network.class_names
    model = backends.load("torch").build(network.architecture, weights=network.weights).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))

    def named(content: bytes) -> list[dict[str, Any]]:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        scale = size / min(image.size)
        image = image.resize([max(size, round(side * scale)) for side in image.size])
        left, top = ((side - size) // 2 for side in image.size)
        image = image.crop((left, top, left + size, top + size))
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            shares = model(((x - mean) / std)[None]).softmax(1)[0]
        best = shares.topk(min(5, len(names)))
        return [
            {"class": names[k], "probability": share}
            for share, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    async def predict(request: Request) -> JSONResponse:
        content = await request.body()
        return JSONResponse({"classes": await run_in_threadpool(named, content)})

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
    place = listen("127.0.0.1", 0)
    print(f"http://127.0.0.1:{place.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="h11", log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[place])


@contextlib.contextmanager
def served(command: Sequence[str]) -> Iterator[int]:
    """Start a server; give its port, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield int(line.rsplit(":", 1)[1])
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Turn:
    """What clients saw: images a second, and the times that answers took."""

    rate: float
    waits: list[float]


def asked(port: int, clients: int, seconds: float, images: Sequence[bytes]) -> Turn:
    """Let clients ask for so many seconds, each over a connection that stays."""
    waits: list[float] = []
    until = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        own: list[float] = []
        while (began := time.perf_counter()) < until:
            connection.request("POST", "/predict", images[(number + len(own)) % len(images)])
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {content[:200]!r}")
            own.append(time.perf_counter() - began)
        waits.extend(own)
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Turn(len(waits) / (time.perf_counter() - began), waits)


def measured(
    servers: dict[str, Sequence[str]], clients: Sequence[int], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Let servers take turns; give a line for each and each number of clients."""
    images = photos()
    turns: dict[tuple[str, int], list[Turn]] = {}
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(served(c)) for name, c in servers.items()}
        for name, port in ports.items():  # to warm up
            asked(port, max(clients), min(seconds, 2.0), images)
            print(f"{name} answers", file=sys.stderr)
        for number in clients:
            for k in range(rounds):
                for name, port in ports.items():
                    turn = asked(port, number, seconds, images)
                    turns.setdefault((name, number), []).append(turn)
                print(f"{number} clients: round {k + 1} of {rounds}", file=sys.stderr)
    lines: list[dict[str, Any]] = []
    for (name, number), found in turns.items():
        first = turns[BY_HAND, number]
        ratios = [own.rate / peer.rate for own, peer in zip(found, first, strict=True)]
        waits = sorted(wait for turn in found for wait in turn.waits)
        lines.append(
            {
                "server": name,
                "clients": number,
                "images_per_second": round(median(turn.rate for turn in found), 2),
                "rates": [round(turn.rate, 2) for turn in found],
                "ratio": round(median(ratios), 3),
                "ratios": [round(ratio, 3) for ratio in ratios],
                "milliseconds_median": round(1000 * median(waits), 2),
                "milliseconds_99": round(1000 * waits[int(0.99 * (len(waits) - 1))], 2),
                "answers": len(waits),
            }
        )
    return lines


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--engine", nargs="*", default=["torch-bf16", "openvino-bf16"])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--by-hand", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.by_hand:
        by_hand(given.by_hand)
        return
    a = catalog.get(given.network)
    with tempfile.TemporaryDirectory() as place:
        folder = str(Path(place) / "network")
        preprocessing = Preprocessing(size=given.size, mean=MEAN, std=STD)
        save(Network(a, initial_weights(a), preprocessing, number_classes(a.classes)), folder)
        own = [sys.executable, "-m", "resnets", "serve", folder, "--port", "0"]
        servers = {BY_HAND: [sys.executable, __file__, "--by-hand", folder]}
        servers["resnets serve, torch"] = [*own, "--framework", "torch"]
        for engine in given.engine:
            servers[f"resnets serve, {engine}"] = [*own, "--engine", engine]
        lines = measured(servers, given.clients, given.rounds, given.seconds)
    for line in lines:
        low, high = min(line["ratios"]), max(line["ratios"])
        print(
            f"{line['clients']:3} clients  {line['server']:28} {line['images_per_second']:7.1f} "
            f"images/s  {line['ratio']:5.2f} ({low:.2f} to {high:.2f})  "
            f"{line['milliseconds_median']:7.1f} ms, 99%: {line['milliseconds_99']:7.1f} ms"
        )
    about = {"network": given.network, "size": given.size, "seconds": given.seconds}
    write("serving", {**about, "rounds": given.rounds, "lines": lines})


if __name__ == "__main__":
    main()
