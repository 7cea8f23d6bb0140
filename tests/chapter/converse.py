"""python tests/chapter/converse.py TAB FOLDER: weights into one tab's networks, and out again.

For each network of ``networks``, in the folder: NAME.npz with weights and images before, and
NAME-TAB.npz with logits and weights, NAME-TAB.json with the description after.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from resnets import chapter


def networks(tab: str) -> dict[str, Any]:
    """The helper's own network, and a reader's of each other block."""
    d2l = importlib.import_module(f"resnets.chapter.{tab}")

    def sequence(blocks: list[Any]) -> Any:
        if tab == "torch":
            from torch import nn

            return nn.Sequential(*blocks)
        if tab == "tensorflow":
            import keras

            return keras.Sequential(blocks)
        if tab == "jax":
            from flax import linen

            return linen.Sequential(blocks)
        from mxnet.gluon import nn as gluon

        result = gluon.Sequential()
        result.add(*blocks)
        return result

    def mode(model: Any) -> dict[str, Any]:
        return {"training": model.training} if tab == "jax" else {}

    class Next(d2l.ResNet):
        def block(self, depth: int, width: int, first_block: bool = False) -> Any:
            halves = [i == 0 and not first_block for i in range(depth)]
            return sequence(
                [
                    d2l.ResNeXtBlock(
                        width, 8, 0.5, use_1x1conv=h, strides=2 if h else 1, **mode(self)
                    )
                    for h in halves
                ]
            )

    class Normed(d2l.ResNet):
        def block(self, depth: int, width: int, first_block: bool = False) -> Any:
            strides = 1 if first_block else 2
            more = {"use_1x1conv": not first_block, "norm_shortcut": True, **mode(self)}
            return sequence([d2l.Residual(width, strides=strides, **more)] * depth)

    return {
        "plain": d2l.ResNet(((1, 64), (2, 16)), num_classes=7),
        "next": Next(((1, 64), (2, 32)), num_classes=7),
        "normed": Normed(((1, 64), (1, 16)), num_classes=7),
    }


def logits(tab: str, model: Any, variables: Any, images: Any) -> Any:
    if tab == "torch":
        import torch

        with torch.no_grad():
            return model.eval()(torch.from_numpy(images)).numpy()
    if tab == "tensorflow":
        return model(images.transpose(0, 2, 3, 1), training=False).numpy()
    if tab == "jax":
        import jax

        apply = jax.jit(model.clone(training=False).apply)
        return np.asarray(apply(variables, images.transpose(0, 2, 3, 1)))
    from mxnet import np as mx_np

    return model(mx_np.array(images)).asnumpy()


def main() -> None:
    tab, folder = sys.argv[1], Path(sys.argv[2])
    for name, model in networks(tab).items():
        with np.load(folder / f"{name}.npz") as file:
            given = dict(file)
        images = given.pop("images")
        loaded = chapter.load(model, given)
        variables = loaded if tab == "jax" else None
        after = chapter.weights(model, variables)
        found = logits(tab, model, variables, images)
        np.savez(folder / f"{name}-{tab}.npz", logits=found, **after)
        described = chapter.describe(model, variables).to_json()
        (folder / f"{name}-{tab}.json").write_text(json.dumps(described))


if __name__ == "__main__":
    main()
