"""A network's parameters and running statistics by canonical name."""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.models import Model
from resnets.backends.mxnet.transfer import to_device
from resnets.networks.tracing import tensors

_CANONICAL = {"gamma": "weight", "beta": "bias"}


def parameters(model: Model) -> dict[str, Any]:
    """Return each ``gluon.Parameter`` of ``model`` by its canonical name, in canonical order."""
    found: dict[str, Any] = {}
    # The names that ``save_parameters`` writes; Gluon offers them in no public way.
    for name, parameter in model._collect_params_with_prefix().items():
        owner, _, kind = name.rpartition(".")
        found[f"{owner}.{_CANONICAL.get(kind, kind)}"] = parameter
    return {tensor.name: found[tensor.name] for tensor in tensors(model.architecture)}


def arrays(model: Model) -> dict[str, npt.NDArray[Any]]:
    """Copy all tensors out of ``model``, in its own precision, by canonical name in order."""
    # Copies of all are under way before the first one is waited for.
    copies = {n: p.data().as_in_context(mx.cpu()) for n, p in parameters(model).items()}
    return {name: copy.asnumpy() for name, copy in copies.items()}


def assign(model: Model, values: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy all tensors into ``model``, in its own precision."""
    for name, parameter in parameters(model).items():
        parameter.set_data(to_device(values[name], mx.cpu(), parameter.dtype))
