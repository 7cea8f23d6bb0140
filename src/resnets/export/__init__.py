"""A trained network as others take it: an ONNX file, or the fastest engine of this machine.

>>> from resnets import export
>>> export.write_onnx(network, "model.onnx")                              # doctest: +SKIP
>>> found = export.select_fastest(network, training=images, held_out=others)     # doctest: +SKIP
>>> logits = found.evaluator(pixels)                                      # doctest: +SKIP
"""

from resnets.export.deployment import deploy, open_engine
from resnets.export.engines import ENGINES, Engine, Prepared, find_engine
from resnets.export.measurement import Measured, Table, measure
from resnets.export.onnx import build_onnx, write_onnx
from resnets.export.quantisation import build_int8_onnx
from resnets.export.selection import Selection, select_fastest

__all__ = [
    "ENGINES",
    "Engine",
    "Measured",
    "Prepared",
    "Selection",
    "Table",
    "build_int8_onnx",
    "build_onnx",
    "deploy",
    "find_engine",
    "measure",
    "open_engine",
    "select_fastest",
    "write_onnx",
]
