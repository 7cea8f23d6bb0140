"""A trained network as others take it: an ONNX file, or the fastest engine of this machine.

>>> from resnets import export
>>> export.write_onnx(network, "model.onnx")                              # doctest: +SKIP
>>> found = export.fastest(network, training=images, held_out=others)     # doctest: +SKIP
>>> logits = found.evaluator(pixels)                                      # doctest: +SKIP
"""

from resnets.export.choice import Choice, fastest
from resnets.export.deployment import deploy, opened
from resnets.export.engines import ENGINES, Engine, Prepared, engine
from resnets.export.measurement import Measured, Table, measure
from resnets.export.model import onnx_bytes, write_onnx
from resnets.export.quantisation import int8_bytes

__all__ = [
    "ENGINES",
    "Choice",
    "Engine",
    "Measured",
    "Prepared",
    "Table",
    "deploy",
    "engine",
    "fastest",
    "int8_bytes",
    "measure",
    "onnx_bytes",
    "opened",
    "write_onnx",
]
