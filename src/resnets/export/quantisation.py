"""The ONNX model in int8: convolutions and sums in whole numbers of eight bits.

Kernels have a scale for each output channel; what layers read has one scale, from the smallest
and largest value that the calibration images give (Jacob et al. 2018, arXiv:1712.05877;
Krishnamoorthi 2018, arXiv:1806.08342, section 3). The dense layer stays in floats: it costs no
time, and most of the error came from it. ONNX Runtime's own quantiser writes the graph; OpenVINO
reads it too.
"""

import contextlib
import importlib
import logging
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np

from resnets import __version__
from resnets.data.images import Pixels
from resnets.errors import DataError, MissingDependency
from resnets.export.model import INPUT, metadata, onnx_bytes
from resnets.networks.network import Network

CALIBRATION_BATCH = 32
QUANTISED = ("Conv", "Add")


def int8_bytes(network: Network, calibration: Pixels) -> bytes:
    """Give the ONNX model in int8, calibrated on images [n, height, width, channels].

    Its input, output and metadata are those of ``onnx_bytes(network)``. A few hundred training
    images are enough; never test images.

    Raises:
        DataError: without images, or with images of another shape.
        MissingDependency: without the packages onnx and onnxruntime.
        WeightsError, InvalidDescription: as ``onnx_bytes``.
    """
    size = network.preprocessing.size
    shape = (size, size, network.architecture.channels)
    if not len(calibration) or calibration.shape[1:] != shape:
        raise DataError(f"calibration wants images of shape {shape}, got {calibration.shape}")
    content = onnx_bytes(network)
    try:
        import onnx

        library = importlib.import_module("onnxruntime.quantization")
    except ImportError as error:
        raise MissingDependency(
            f'int8 needs onnxruntime ({error}): pip install "resnets[onnx]"'
        ) from error

    class Reader(library.CalibrationDataReader):
        """The calibration images, a batch at a time, as the quantiser asks for them."""

        def __init__(self) -> None:
            self.batches: Iterator[Pixels] = (
                calibration[start : start + CALIBRATION_BATCH]
                for start in range(0, len(calibration), CALIBRATION_BATCH)
            )

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: np.ascontiguousarray(batch)}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        floats, integers = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        floats.write_bytes(content)
        library.quantize_static(
            floats,
            integers,
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            per_channel=True,
            activation_type=library.QuantType.QUInt8,
            weight_type=library.QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
        )
        model = onnx.ModelProto.FromString(integers.read_bytes())
    model.producer_name, model.producer_version = "resnets", __version__
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**metadata(network, "pixels"), "precision": '"int8"'})
    return model.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep advice off the terminal: it concerns models that were not folded."""
    root = logging.getLogger()
    before = root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
