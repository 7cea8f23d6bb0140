"""How each framework's trained networks are looked into: logits and running statistics."""
# ruff: noqa: N803 (X and Y are the book's names)

from typing import Any

import numpy as np


def seed(tab: str) -> None:
    """Fix the initial weights; JAX's keys are the same in every process anyway."""
    match tab:
        case "pytorch":
            import torch

            torch.manual_seed(0)
        case "tensorflow":
            import keras

            keras.utils.set_random_seed(0)
        case "mxnet":
            import mxnet

            mxnet.random.seed(0)
        case _:
            pass


def _torch(model: Any, trainer: Any) -> Any:
    import torch

    def logits(X: Any) -> Any:
        model.eval()
        with torch.no_grad():
            return model(X).numpy()

    return logits, [b.numpy() for name, b in model.named_buffers() if "running" in name]


def _tensorflow(model: Any, trainer: Any) -> Any:
    found = [v.numpy() for v in model.non_trainable_variables if "moving" in v.path]
    return lambda X: model(X, training=False).numpy(), found


def _jax(model: Any, trainer: Any) -> Any:
    import jax

    apply = jax.jit(model.clone(training=False).apply)
    found = [np.asarray(a) for a in jax.tree.leaves(trainer.variables["batch_stats"])]
    return lambda X: np.asarray(apply(trainer.variables, X)), found


def _mxnet(model: Any, trainer: Any) -> Any:
    parameters = model.collect_params().items()
    found = [p.data().asnumpy() for name, p in parameters if "running" in name]
    return lambda X: model(X).asnumpy(), found


LOOKING = {"pytorch": _torch, "tensorflow": _tensorflow, "jax": _jax, "mxnet": _mxnet}


def parameters(tab: str, space: dict[str, Any]) -> int:
    """Count what the chapter's ResNet-18 learns."""
    model, trainer = space["model"], space["trainer"]
    match tab:
        case "pytorch":
            return sum(p.numel() for p in model.parameters())
        case "tensorflow":
            return sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        case "jax":
            import jax

            return sum(a.size for a in jax.tree.leaves(trainer.variables["params"]))
        case _:
            found = model.collect_params().values()
            return sum(int(np.prod(p.shape)) for p in found if p.grad_req != "null")
