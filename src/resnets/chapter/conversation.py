"""Networks of the chapter's classes described as ``Architecture``; their weights out and in.

That the description is the network's is not believed but computed: its logits for random images
have to be those of the NumPy definition (``resnets.networks.reference``) with the same weights.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.chapter.arguments import check_whole
from resnets.chapter.parts import InspectedModel, first_line, make_refusal
from resnets.chapter.recognition import RecognisedModel, recognise
from resnets.convert.fitting import number_classes
from resnets.data.fashion_mnist.loading import CLASS_NAMES
from resnets.errors import InvalidDescription, Problem, ResnetsError, WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.naming import RESNET, RESNET_V2
from resnets.networks.network import Network, Preprocessing, Weights, check_weights
from resnets.networks.reference import forward
from resnets.networks.tracing import LARGEST_SIZE

FAMILIES = (RESNET, RESNET_V2)
"""Whose tensor names the chapter's networks have."""

TOLERANCE = 1e-4
"""Largest difference of logits, relative to the largest: rounding in fp32 stays below a tenth."""

SCALES = (1.0, 100.0)
"""Of the images that a network is tried on: some activations differ for large features only."""

FRAMEWORKS = {"torch": "torch", "keras": "tensorflow", "flax": "jax", "mxnet": "mxnet"}
"""The tab of a model by the package that its base class is from."""


@dataclass(frozen=True)
class _ExaminedModel:
    inspected: InspectedModel
    recognised: RecognisedModel


def describe(model: Any, variables: Any = None) -> Architecture:
    """Describe a network of the chapter's classes, a reader's or the helper's own.

    Args:
        model: with its layers in ``net``, or a sequence of layers itself; of any tab.
        variables: of a JAX module, such as ``trainer.variables``; none in the other tabs, nor
            for a module that is bound.

    Raises:
        InvalidDescription: saying which layer is none that an ``Architecture`` has, or that the
            network computes something else than its layers suggest.
        ResnetsError: where the model is of no tab, or has no weights yet.
    """
    return _examine(model, variables).recognised.architecture


def weights(model: Any, variables: Any = None) -> Weights:
    """Copy the canonical weights out of a network that ``describe`` describes.

    Raises:
        As ``describe``.
    """
    slots = _examine(model, variables).recognised.slots
    return {name: np.array(slot.read(), order="C") for name, slot in slots.items()}


def load(
    model: Any, source: Mapping[str, npt.NDArray[Any]] | Network, variables: Any = None
) -> Any:
    """Copy canonical weights into a network that ``describe`` describes.

    A model that has no shapes yet gets them. Given a ``Network``, its architecture has to be the
    model's; bare weights do not tell the norms' epsilon, nor strides.

    Returns:
        The model, or in JAX its new variables: modules hold none there.

    Raises:
        As ``describe``; WeightsError if the weights do not fit.
    """
    given = source.weights if isinstance(source, Network) else source
    tab = _import_inspection(model)
    stems = [given[f"{names.stem}.weight"] for names in FAMILIES if f"{names.stem}.weight" in given]
    if not stems:
        raise WeightsError("conv1.weight is missing: these are no network's canonical weights")
    variables = tab.initialise_shapes(model, variables, stems[0].shape[1])
    examined = _examine(model, variables)
    architecture = examined.recognised.architecture
    if isinstance(source, Network):
        _require_equal(architecture, source.architecture)
    check_weights(architecture, given)
    for name, slot in examined.recognised.slots.items():
        slot.write(np.asarray(given[name]))
    return examined.inspected.finish_writing()


def network(
    model: Any,
    variables: Any = None,
    *,
    size: int = 96,
    class_names: Sequence[str] | None = None,
) -> Network:
    """Give description and weights together, to save, export, evaluate or train on.

    Pixels from 0 to 1 are the chapter's preprocessing; ``size`` is its ``resize``. Without
    ``class_names`` ten classes have Fashion-MNIST's, others are numbered.

    Raises:
        As ``describe``; InvalidDescription for a size that no image has, or another number of
            names than of classes.
    """
    size = check_whole("network", "size", value=size, most=LARGEST_SIZE)
    examined = _examine(model, variables)
    a = examined.recognised.architecture
    if class_names is None:
        class_names = CLASS_NAMES if a.classes == len(CLASS_NAMES) else number_classes(a.classes)
    if isinstance(class_names, str) or len(class_names) != a.classes:
        message = f"{class_names!r} are not {a.classes} names, one for each class"
        raise InvalidDescription("network", [Problem("class_names", message)])
    preprocessing = Preprocessing(size=size, mean=(0.0,) * a.channels, std=(1.0,) * a.channels)
    values = {name: np.array(s.read(), order="C") for name, s in examined.recognised.slots.items()}
    return Network(a, values, preprocessing, tuple(class_names))


def _examine(model: Any, variables: Any) -> _ExaminedModel:
    inspected: InspectedModel = _import_inspection(model).inspect(model, variables)
    recognised = recognise(inspected.parts, type(model).__name__)
    _require_same_function(inspected, recognised)
    return _ExaminedModel(inspected, recognised)


def _import_inspection(model: Any) -> Any:
    """Import the inspection of the tab that the model is of; its framework is imported already."""
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in FRAMEWORKS:
            return importlib.import_module(f"resnets.chapter.{FRAMEWORKS[package]}.inspection")
    raise ResnetsError(
        f"{type(model).__name__} is no model of PyTorch, Keras, Flax (linen) or MXNet's Gluon"
    )


def _require_same_function(inspected: InspectedModel, recognised: RecognisedModel) -> None:
    """Compare the model with the NumPy definition, on random images, small and large."""
    a = recognised.architecture
    shape = (len(SCALES), a.channels, *inspected.size)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    images *= np.asarray(SCALES, np.float32)[:, None, None, None]
    values = {name: slot.read() for name, slot in recognised.slots.items()}
    check_weights(a, values)
    expected = forward(a, values, images).logits
    found = _logits(inspected, images)
    if found.shape != expected.shape:
        message = f"it puts out {found.shape} for images {shape}, not logits {expected.shape}"
        raise make_refusal("forward", message)
    scale = np.abs(expected).max(axis=1, keepdims=True)
    difference = float((np.abs(found - expected) / np.where(scale > 0, scale, 1)).max())
    if not difference <= TOLERANCE:
        message = (
            f"its logits differ by {difference:.2g} of their size from those of the residual "
            "network that its layers suggest: it computes something else"
        )
        raise make_refusal("forward", message)


def _logits(inspected: InspectedModel, images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    """Call the model; what fails there is its own, and said to be."""
    try:
        return inspected.logits(images)
    except ResnetsError:
        raise
    except Exception as error:
        message = f"it fails for images {images.shape}, float32: {first_line(error)}"
        raise make_refusal("forward", message) from error


def _require_equal(own: Architecture, given: Architecture) -> None:
    own, given = replace(own, name=""), replace(given, name="")
    if own == given:
        return
    differing = [
        f"{name}: {getattr(own, name)!r} here, {getattr(given, name)!r} there"
        for name in vars(own)
        if getattr(own, name) != getattr(given, name)
    ]
    raise WeightsError("\n  ".join(["the weights are another network's:", *differing]))
