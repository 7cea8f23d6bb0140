"""Engines: the ways in which a trained network computes its logits fast. They are data.

All take images as they are stored (``Pixels``) and give logits in fp32; all run on the CPU, with
as many threads as OMP_NUM_THREADS says or the engine thinks right.
"""

import contextlib
import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from resnets import backends
from resnets.backends import Evaluator
from resnets.data.images import Pixels
from resnets.errors import MissingDependency, ResnetsError, RunError, UnknownName
from resnets.export.onnx import INPUT, build_onnx
from resnets.networks.network import Network
from resnets.recipes.recipe import Recipe

Precision = Literal["fp32", "bf16", "int8"]


class Prepared:
    """A network in the forms that engines open.

    Attributes:
        network: with its weights.
        int8: the ONNX model in int8 (``quantisation.build_int8_onnx``); None where there is none.
        source: what errors call the model: its file, where it came from one.
    """

    def __init__(
        self,
        network: Network,
        *,
        fp32: bytes | None = None,
        int8: bytes | None = None,
        source: str = "the model",
    ) -> None:
        """Hold a network; ``fp32`` is its ONNX model if there is one already."""
        self.network = network
        self.int8 = int8
        self.source = source
        self._fp32 = fp32

    def get_model(self, precision: Precision) -> bytes:
        """Return the ONNX model of a precision; bf16 engines convert the fp32 model themselves.

        Raises:
            RunError: where int8 is asked for and there is none.
            MissingDependency: without onnx, where the model must be made.
        """
        if precision != "int8":
            if self._fp32 is None:
                self._fp32 = build_onnx(self.network)
            return self._fp32
        if self.int8 is None:
            raise RunError(
                "int8 needs a model calibrated on training images: resnets export RUN --to FOLDER "
                "writes one; for other weights than a run's, --data names images"
            )
        return self.int8


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One way to compute.

    Attributes:
        name: what ``--engine`` calls it.
        package: what must be importable; also the name of our extra.
        precision: of the convolutions.
        build: makes the function from pixels to logits.
        patient: whether opening takes a minute; then ``auto`` leaves it out.
    """

    name: str
    package: Literal["torch", "onnxruntime", "openvino"]
    precision: Precision
    build: Callable[[Prepared, Precision], Evaluator]
    patient: bool = False

    def open(self, prepared: Prepared) -> Evaluator:
        """Return the function from stored images to logits, computed by this engine.

        Raises:
            MissingDependency: if the package is missing; RunError: if this machine, or what was
                prepared, has not the precision, or the model is damaged; the function
                itself raises it if the model cannot be computed, or is another network's.
        """
        self.require()
        source, classes = prepared.source, prepared.network.architecture.classes
        with _explain_errors(self.package, f"open {source}"):
            evaluator = self.build(prepared, self.precision)

        def logits(pixels: Pixels) -> npt.NDArray[np.float32]:
            with _explain_errors(self.package, f"compute {source}"):
                found = evaluator(pixels)
            shape = np.shape(found)
            if shape != (len(pixels), classes):
                raise RunError(
                    f"{source} gives logits of shape {shape} for {len(pixels)} images of a "
                    f"network of {classes} classes; it is another network's"
                )
            return found

        return logits

    def require(self) -> None:
        """Raise ``MissingDependency`` if the package is not installed."""
        if not self.installed:
            raise MissingDependency(
                f"{self.name} needs {self.package}, which is not installed: "
                f'pip install "resnets[{EXTRAS[self.package]}]"'
            )

    @property
    def installed(self) -> bool:
        """Whether the package is installed."""
        return importlib.util.find_spec(self.package) is not None


EXTRAS = {"torch": "torch", "onnxruntime": "onnx", "openvino": "openvino"}


def find_engine(name: str) -> Engine:
    """Return the engine called ``name``.

    Raises:
        UnknownName: if there is none; lists them.
    """
    for found in ENGINES:
        if found.name == name:
            return found
    known = [found.name for found in ENGINES]
    raise UnknownName(
        f"no engine is called {name!r} (there are {', '.join(known)})",
        name=name,
        suggestions=known,
    )


@contextlib.contextmanager
def _explain_errors(package: str, doing: str) -> Generator[None]:
    """Turn what a package raises inside the block into our errors, saying what it cannot do."""
    try:
        yield
    except (ResnetsError, MemoryError):
        raise
    except ImportError as error:
        raise MissingDependency(
            f"{package} is installed but cannot be imported: {error}"
        ) from error
    except Exception as error:  # each package has classes of its own for a damaged model
        raise RunError(f"{package} cannot {doing}: {_find_reason(error)}") from error


def _find_reason(error: Exception) -> str:
    """Return the first line that says what is wrong: OpenVINO's first lines name its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not _PLACE.match(line)]
    return (telling or lines[-1:] or [repr(error)])[0]


_PLACE = re.compile(r"Exception from \S+:\d+:?$|Check '.*' failed at \S+:\d+:?$")


def _read_threads() -> int | None:
    """Return the value of OMP_NUM_THREADS, which not every engine reads by itself."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isascii() and said.isdigit() and int(said) > 0 else None


def _build_torch(prepared: Prepared, precision: Precision) -> Evaluator:
    backend, network = backends.load("torch"), prepared.network
    model = backend.build(network.architecture, weights=network.weights)
    return backend.evaluator(model, network.preprocessing, device="cpu")


def _build_torch_plain(prepared: Prepared, precision: Precision) -> Evaluator:
    backend, network = backends.load("torch"), prepared.network
    from resnets.backends.torch import folding

    model = backend.build(network.architecture, weights=network.weights)
    return folding.plain_evaluator(model, network.preprocessing)


def _build_torch_bf16(compiled: bool) -> Callable[[Prepared, Precision], Evaluator]:
    def build(prepared: Prepared, precision: Precision) -> Evaluator:
        backend, network = backends.load("torch"), prepared.network
        from resnets.backends.torch import folding

        if backend.precision(Recipe(), "cpu") != "bf16":
            raise RunError("this CPU does not compute in bf16")
        model = backend.build(network.architecture, weights=network.weights)
        return folding.fast_evaluator(model, network.preprocessing, compiled=compiled)

    return build


def _build_onnxruntime(prepared: Prepared, precision: Precision) -> Evaluator:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors: what it says below concerns its own optimiser
    options.intra_op_num_threads = _read_threads() or 0
    session = runtime.InferenceSession(
        prepared.get_model(precision), options, providers=["CPUExecutionProvider"]
    )
    return lambda pixels: session.run(None, {INPUT: np.ascontiguousarray(pixels)})[0]


def _build_openvino(prepared: Prepared, precision: Precision) -> Evaluator:
    from resnets.export import openvino

    return openvino.build_evaluator(
        prepared.get_model(precision), precision, threads=_read_threads()
    )


ENGINES = (
    Engine(name="torch-plain", package="torch", precision="fp32", build=_build_torch_plain),
    Engine(name="torch", package="torch", precision="fp32", build=_build_torch),
    Engine(
        name="torch-bf16",
        package="torch",
        precision="bf16",
        build=_build_torch_bf16(compiled=False),
    ),
    Engine(
        name="torch-compiled",
        package="torch",
        precision="bf16",
        build=_build_torch_bf16(compiled=True),
        patient=True,
    ),
    Engine(name="onnxruntime", package="onnxruntime", precision="fp32", build=_build_onnxruntime),
    Engine(
        name="onnxruntime-int8", package="onnxruntime", precision="int8", build=_build_onnxruntime
    ),
    Engine(name="openvino", package="openvino", precision="fp32", build=_build_openvino),
    Engine(name="openvino-bf16", package="openvino", precision="bf16", build=_build_openvino),
    Engine(name="openvino-int8", package="openvino", precision="int8", build=_build_openvino),
)
"""The first is the yardstick: what a plain PyTorch program does."""
