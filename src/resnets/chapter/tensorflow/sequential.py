"""``Sequential(layer)``, which Keras 2 took and Keras 3 does not."""

import functools
from typing import Any

import keras


def accept_single_layers() -> None:
    """Let ``keras.Sequential`` take one layer that is in no list, from now on in this process.

    The chapter's constructor gives it one: ``tf.keras.models.Sequential(self.b1())``. Keras 3
    answers that with a TypeError, so nothing that works today changes.
    """
    original = keras.Sequential.__init__
    if hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def initialise(
        self: Any, layers: Any = None, trainable: bool = True, name: str | None = None
    ) -> None:
        if isinstance(layers, keras.layers.Layer):
            layers = [layers]
        original(self, layers=layers, trainable=trainable, name=name)

    keras.Sequential.__init__ = initialise
