"""The content of Keras's weight files, in forms 1 and 2 of ``layers``.

Beside the layers lies our own description, which Keras does not look for.
"""

import io
import zipfile
from collections import Counter
from collections.abc import Mapping

import numpy as np

from resnets.convert.keras.hdf5 import Array, Writer
from resnets.convert.keras.layers import ARCHIVE, DESCRIPTION


def compose_grouped(arrays: Mapping[str, Array], description: bytes) -> bytes:
    """Return the content of a file of form 1, its layers in the order of ``arrays``."""
    writer = Writer()
    layers = _group_by_layer(arrays)
    writer.note_all("", "layer_names", values=list(layers))
    for layer, variables in layers.items():
        names = [f"{layer}/{variable}" for variable in variables]
        writer.note_all(layer, "weight_names", values=names)
        for name in names:
            writer.put(f"{layer}/{name}", arrays[name])
    writer.put(DESCRIPTION, np.frombuffer(description, np.uint8))
    return writer.content()


def compose_counted(arrays: Mapping[str, Array], description: bytes) -> bytes:
    """Return the content of a file of form 2, its layers in the order of ``arrays``."""
    writer = Writer()
    seen: Counter[str] = Counter()
    for layer, variables in _group_by_layer(arrays).items():
        first = arrays[f"{layer}/{variables[0]}"]
        kind = {4: "conv2d", 2: "dense"}.get(first.ndim, "batch_normalization")
        group = f"layers/{kind}_{seen[kind]}" if seen[kind] else f"layers/{kind}"
        seen[kind] += 1
        writer.note(f"{group}/vars", "name", value=layer)
        for k, variable in enumerate(variables):
            writer.put(f"{group}/vars/{k}", arrays[f"{layer}/{variable}"])
    writer.put(DESCRIPTION, np.frombuffer(description, np.uint8))
    return writer.content()


def add_description(content: bytes, description: bytes) -> bytes:
    """Put our description into a file of form 2 or 3 that Keras wrote."""
    if not content.startswith(ARCHIVE):
        writer = Writer(content)
        writer.put(DESCRIPTION, np.frombuffer(description, np.uint8))
        return writer.content()
    memory = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(memory, "w") as new:
        for entry in old.infolist():
            part = old.read(entry)
            weights = entry.filename == "model.weights.h5"
            new.writestr(entry, add_description(part, description) if weights else part)
    return memory.getvalue()


def _group_by_layer(arrays: Mapping[str, Array]) -> dict[str, list[str]]:
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layer, _, variable = name.rpartition("/")
        layers.setdefault(layer, []).append(variable)
    return layers
