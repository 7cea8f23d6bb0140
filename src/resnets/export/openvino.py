"""The engine OpenVINO: fp32, bf16 and int8 on CPUs, from our ONNX model as it is."""

import importlib
import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends import Evaluator
from resnets.data.images import Pixels
from resnets.errors import RunError
from resnets.export.onnx import INPUT

TELEMETRY = "openvino_telemetry"


def import_openvino() -> Any:
    """Import openvino without the part of it that tells its makers of every import.

    That part is a package of its own; without it openvino does the same and tells nothing.
    """
    absent = object()
    before = sys.modules.get(TELEMETRY, absent)
    sys.modules[TELEMETRY] = None  # pyright: ignore[reportArgumentType]  # cannot be import_openvino
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[TELEMETRY]
        if before is not absent:
            sys.modules[TELEMETRY] = before  # pyright: ignore[reportArgumentType]


def build_evaluator(content: bytes, precision: str, *, threads: int | None = None) -> Evaluator:
    """Return the function from stored images to logits of an ONNX model.

    Raises:
        RunError: if this CPU does not compute in that precision.
    """
    core = import_openvino().Core()
    capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision != "fp32" and precision.upper() not in capable:
        raise RunError(f"this CPU does not compute in {precision} with OpenVINO")
    # What an int8 model leaves in floats may be bf16 where the CPU has it.
    floats = "f32" if precision == "fp32" or "BF16" not in capable else "bf16"
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": floats,
        **({} if threads is None else {"INFERENCE_NUM_THREADS": threads}),
    }

    @cache
    def compile_for(single: bool) -> Any:
        """Compile for any batch, or for one image alone: a seventh faster."""
        model = core.read_model(content)
        if single:
            model.reshape({INPUT: [1, *model.input(INPUT).partial_shape[1:]]})
        return core.compile_model(model, "CPU", settings)

    def logits(pixels: Pixels) -> npt.NDArray[np.float32]:
        found = compile_for(len(pixels) == 1)(np.ascontiguousarray(pixels))[0]
        return np.array(found, np.float32)  # the next call writes over what this one gave

    compile_for(False)
    return logits
