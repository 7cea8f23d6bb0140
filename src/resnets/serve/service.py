"""From the bytes of an image to what it shows, and to where the evidence for that is.

Images are decoded by a few threads and computed by one (``computer.py``), whatever the framework
or the engine; the server's own thread waits for neither.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from resnets import backends
from resnets.backends import Evaluator
from resnets.data.decoding import COMMON, open_image
from resnets.data.images import Pixels
from resnets.errors import MissingDependency
from resnets.export.deployment import ENGINE, read_chosen_engine
from resnets.inference.evaluate import load_network, make_evaluator
from resnets.inference.explain import Explainer
from resnets.inference.predict import Prediction, top_classes
from resnets.networks.network import Network
from resnets.report.drawing import to_svg
from resnets.report.drawing.explanations import draw_explanations
from resnets.serve.computer import BATCH_SIZES, Computer
from resnets.serve.decoders import Decoders
from resnets.training.metrics import log_softmax
from resnets.training.run_folder import framework_of

MAX_PIXELS = 50_000_000
"""Pixels of an image: as many as the largest phones take."""

EXPLAINED_CLASSES = 3
"""Classes whose evidence is drawn."""


@dataclass
class Service:
    """A network that answers.

    Attributes:
        network: whose classes and preprocessing count.
        logits: computes; of a framework or of an engine.
        computed_by: what computes, in words.
        framework: explains; None where none is installed.
    """

    network: Network
    logits: Evaluator
    computed_by: str
    framework: str | None
    computer: Computer = field(default_factory=Computer)
    decoders: Decoders = field(default_factory=Decoders)

    def __enter__(self) -> Self:
        self.computer.__enter__()
        self.decoders.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.decoders.__exit__(*error)
        self.computer.__exit__(*error)

    def warm_up(self, sizes: Sequence[int] = BATCH_SIZES) -> None:
        """Compute as many images together as there may be: frameworks compile then.

        Raises:
            ResnetsError: where the network cannot be computed.
        """
        p, a = self.network.preprocessing, self.network.architecture
        blank = np.zeros((p.size, p.size, a.channels), np.uint8)
        for size in sizes:

            def together(pixels: Pixels, size: int = size) -> Sequence[Any]:
                return self._probabilities(pixels.repeat(size, axis=0))

            self.computer.submit(together, blank).result()

    async def predict(self, content: bytes, name: str, *, top: int) -> Prediction:
        """Name what an image shows.

        Raises:
            DataError: where it is none that can be read; Busy: where too many are waiting.
        """
        pixels = await self._decode(content, name)
        shares = await asyncio.wrap_future(self.computer.submit(self._probabilities, pixels))
        return Prediction(name, top_classes(shares, self.network.class_names, top=top))

    async def explain(self, content: bytes, name: str) -> str:
        """Draw where in an image the evidence for its likeliest classes is; give an SVG.

        Raises:
            MissingDependency: where no framework is installed; else as ``predict``.
        """
        if self.framework is None:
            raise MissingDependency("no framework is installed here that could explain")
        pixels = await self._decode(content, name)
        shares, maps = await asyncio.wrap_future(
            self.computer.submit(self._class_activation_maps, pixels)
        )
        drawn = self.decoders.submit(lambda: self._draw(name, pixels, shares=shares, maps=maps))
        return await asyncio.wrap_future(drawn)

    def describe(self) -> dict[str, Any]:
        """Give what there is to know about the network as JSON values."""
        a, p = self.network.architecture, self.network.preprocessing
        return {
            "network": a.name,
            "classes": list(self.network.class_names),
            "size": p.size,
            "channels": a.channels,
            "by": self.computed_by,
            "explains": self.framework is not None,
        }

    async def _decode(self, content: bytes, name: str) -> Pixels:
        size, channels = self.network.preprocessing.size, self.network.architecture.channels

        def decode() -> Pixels:
            return open_image(
                content,
                size=size,
                channels=channels,
                name=name,
                formats=COMMON,
                pixels=MAX_PIXELS,
            )

        return await asyncio.wrap_future(self.decoders.submit(decode))

    def _probabilities(self, pixels: Pixels) -> Sequence[Any]:
        """Give the probabilities of each image."""
        return list(np.exp(log_softmax(self.logits(pixels))))

    def _class_activation_maps(self, pixels: Pixels) -> Sequence[Any]:
        """Give the probabilities, as ``predict`` does, and the maps of evidence of each image."""
        _, maps = self._explainer(pixels)
        return list(zip(self._probabilities(pixels), maps, strict=True))

    @cached_property
    def _explainer(self) -> Explainer:
        """The network in a framework, built in the thread that computes when it is first asked."""
        assert self.framework is not None
        return Explainer(self.network, self.framework)

    def _draw(self, name: str, pixels: Pixels, *, shares: Any, maps: Any) -> str:
        best: list[int] = np.argsort(-shares, kind="stable")[:EXPLAINED_CLASSES].tolist()
        found = self._explainer.explain(name, pixels, found=(shares, maps), shown=best)
        said = "evidence for the likeliest classes"
        return to_svg(draw_explanations([found], "Where it looked", said), "auto")


def load_service(
    source: Path | str,
    framework: str | None = None,
    *,
    engine: str | None = None,
    device: str = "auto",
    mirror: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> Service:
    """Read a network; ``with`` it answers, as does ``application`` of it.

    Without ``framework`` and ``engine`` a folder that ``resnets export`` wrote is computed by the
    engine that was chosen for it, anything else by its own framework; ``source``, ``device`` and
    ``mirror`` are as in ``resnets.inference.predict``.

    Raises:
        WeightsError, RunError, UnknownName, MissingDependency: where that cannot be.
    """
    if framework is None and engine is None and (Path(source) / ENGINE).is_file():
        engine = "auto"
    network = load_network(source, announce)
    framework = framework or framework_of(source)
    logits = make_evaluator(
        network, source, framework=framework, device=device, engine=engine, mirror=mirror
    )
    by = framework if engine is None else engine
    if engine == "auto":
        by = read_chosen_engine(source)
    explains = framework if backends.is_installed(framework) else None
    return Service(network, logits, by, explains)
