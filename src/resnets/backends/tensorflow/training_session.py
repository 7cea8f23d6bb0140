"""A Keras model in training: one compiled step, evaluation, and the state that resumes it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from resnets.backends import Batch, Evaluator
from resnets.backends.tensorflow import devices
from resnets.backends.tensorflow.augmentation import Preparation, Tensors, tensors_of
from resnets.backends.tensorflow.canonical import canonical, native, variables
from resnets.backends.tensorflow.kernel_gradients import fast_kernel_gradients
from resnets.backends.tensorflow.optimiser import Variables, clipped, optimiser
from resnets.backends.tensorflow.resnet import ResNet
from resnets.data.images import Pixels
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folding import idle_biases
from resnets.networks.layers import Tensor
from resnets.networks.naming import block_names
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe


@dataclass(frozen=True)
class MeasuredLoss:
    """A step's losses, still on the device until they are read."""

    value: Any
    of_images: Any

    @property
    def loss(self) -> float:
        return float(self.value.numpy())

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return self.of_images.numpy().astype(np.float32)


def evaluator(model: ResNet, preprocessing: Preprocessing, device: str = "auto") -> Evaluator:
    """Put the model on a device; give the function from stored images to logits."""
    where = devices.device_called(device)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, model.variable_dtype)
    return _compiled(placed(model, where, model.dtype_policy.name), prepare, where)


def _compiled(model: ResNet, prepare: Preparation, where: str) -> Evaluator:
    shape = [None, None, None, model.architecture.channels]

    def traced(pixels: Any) -> Any:
        return tf.cast(model(prepare(pixels), training=False), tf.float32)

    signature = [tf.TensorSpec(shape, tf.uint8)]
    logits: Any = tf.function(traced, input_signature=signature, autograph=False)
    # Each network is traced once; TensorFlow would warn of the fifth, and pruning evaluates many.
    logits._omit_frequent_tracing_warning = True

    def evaluate(pixels: Pixels) -> npt.NDArray[np.float32]:
        with tf.device(where):
            return logits(tf.constant(pixels)).numpy()

    return evaluate


def placed(model: ResNet, where: str, policy: str) -> ResNet:
    """Give the model itself if it is on that device and computes so, otherwise a copy that is."""
    here = all(v.value.device.endswith(where) for v in model.variables)
    return model if here and model.dtype_policy.name == policy else copy_of(model, where, policy)


def copy_of(model: ResNet, where: str, policy: str) -> ResNet:
    """Make a model of the same weights."""
    with tf.device(where):
        copy = ResNet(model.architecture, dtype=policy)
        for new, old in zip(variables(copy).values(), variables(model).values(), strict=True):
            new.assign(tf.cast(old.value, new.dtype))
    return copy


@contextmanager
def computing_in_bf16(model: keras.Model) -> Generator[None]:
    """Let layers that are called meanwhile compute in bf16, with weights in fp32.

    Means over pixels and the logits stay as they are.
    """
    means = keras.layers.GlobalAveragePooling2D
    kept = [(one, one.dtype_policy) for one in model.layers[:-1] if not isinstance(one, means)]
    for layer, _ in kept:
        layer.dtype_policy = "mixed_bfloat16"
    try:
        yield
    finally:
        for layer, policy in kept:
            layer.dtype_policy = policy


def _dropping(model: ResNet, x: Any, branches: Any) -> Any:
    """Give the logits in training; each block's branch is multiplied by ``branches`` [blocks, n].

    The model's own layers are called one by one, as it calls them.
    """
    blocks = chain.from_iterable(block_names(model.architecture))
    scales = dict(zip(blocks, tf.unstack(branches), strict=True))
    outputs: dict[str, Any] = {}
    for layer in trace(model.architecture, 32).layers:
        if layer.operation == "input":
            outputs[layer.name] = x
            continue
        inputs = [outputs[name] for name in layer.inputs]
        if layer.operation in ("add", "gated_add"):
            # Of a gated block it is the gate: what it lets through is what the block adds.
            at = 0 if layer.operation == "add" else 2
            scale = tf.cast(scales[layer.block], inputs[at].dtype)
            inputs[at] *= scale[:, None, None, None]
        own = model.get_layer(layer.name)
        outputs[layer.name] = own(inputs if len(inputs) > 1 else inputs[0], training=True)
    return outputs[layer.name]


class TensorFlowSession:
    """The model on a device, with its optimiser and the average of its weights.

    It trains the model it is given; in fp64, or where that model is on another device, a copy.
    """

    def __init__(
        self, model: ResNet, recipe: Recipe, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        self.where = devices.device_called(device)
        self.on_processor = self.where.startswith("CPU")
        self.precision = devices.precision(recipe, device)
        kind = "float64" if self.precision == "fp64" else "float32"
        self.model = placed(model, self.where, kind)
        self.prepare = Preparation.of(preprocessing.mean, preprocessing.std, kind)
        self.averaged = copy_of(model, self.where, kind) if recipe.average is not None else None
        found = variables(self.model)
        self.learned: Variables = {t: v.value for t, v in found.items() if t.learned}
        self.idle = idle_biases(self.architecture)
        with tf.device(self.where):
            self.optimiser = optimiser(self.learned, recipe)
        self.steps = 0
        self._compiled_step: Any = tf.function(self._step, autograph=False)
        # Each session traces its own step once; TensorFlow would warn of the fifth session.
        self._compiled_step._omit_frequent_tracing_warning = True
        evaluated = self.model if self.averaged is None else self.averaged
        self._evaluate = _compiled(evaluated, self.prepare, self.where)

    @property
    def device(self) -> str:
        return devices.in_words(self.where)

    @property
    def threads(self) -> int:
        return devices.threads()

    @property
    def lag(self) -> int:
        return 1 if self.on_processor else 50

    def train_step(
        self, batch: Batch, rate: float, slowed: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        steps, shares = self.steps + 1, slowed or {}
        rates = np.array([rate * shares.get(tensor.name, 1.0) for tensor in self.learned])
        numbers = self.optimiser.numbers(rates, steps)
        if self.recipe.average is not None:
            # Fast at first, when the average is mostly the start.
            decay = min(self.recipe.average, (1 + steps) / (10 + steps))
            numbers["share"] = 1 - decay
        images = batch.images
        with tf.device(self.where):
            losses = self._compiled_step(
                tf.constant(images.pixels),
                tf.constant(images.labels),
                tensors_of(batch.draws),
                {name: tf.constant(number, tf.float64) for name, number in numbers.items()},
            )
        self.steps = steps
        return MeasuredLoss(*losses)

    def _step(self, pixels: Any, labels: Any, draws: Tensors, numbers: Tensors) -> tuple[Any, Any]:
        with tf.name_scope("prepare"):  # for who profiles a step, as below
            x = self.prepare(pixels, draws)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self.learned.values()))
            with (
                computing_in_bf16(self.model) if self.precision == "bf16" else nullcontext(),
                fast_kernel_gradients(self.model) if self.on_processor else nullcontext(),
            ):
                logits = self._logits(x, draws)
            losses = self._losses(logits, labels, draws)
            loss = tf.reduce_mean(losses)
        found = tape.gradient(loss, list(self.learned.values()))
        gradients = dict(zip(self.learned, found, strict=True))
        idle = (tensor for tensor in self.learned if tensor.name in self.idle)
        gradients |= {tensor: tf.zeros_like(gradients[tensor]) for tensor in idle}
        if self.recipe.clip is not None:
            gradients = clipped(gradients, self.recipe.clip)
        with tf.name_scope("optimiser"):
            self.optimiser.apply(gradients, numbers)
        if self.averaged is not None:
            averages = variables(self.averaged).values()
            for old, new in zip(averages, variables(self.model).values(), strict=True):
                share = tf.cast(numbers["share"], old.dtype)
                old.value.assign_add(share * (new.value - old.value))
        return loss, losses

    def _logits(self, x: Any, draws: Tensors) -> Any:
        if "branches" in draws:
            return _dropping(self.model, x, draws["branches"])
        return self.model(x, training=True)

    def _losses(self, logits: Any, labels: Any, draws: Tensors) -> Any:
        """Each image's loss, [n]."""
        logs = tf.nn.log_softmax(logits)
        loss = self._smoothed(logs, labels)
        if "partner" not in draws:
            return loss
        share = tf.cast(draws["share"], logs.dtype)
        other = self._smoothed(logs, tf.gather(labels, draws["partner"]))
        return share * loss + (1 - share) * other

    def _smoothed(self, logs: Any, labels: Any) -> Any:
        """Cross-entropies with targets of 1 - smoothing, and smoothing spread over all."""
        smoothing = self.recipe.label_smoothing
        own = tf.gather(logs, labels, axis=1, batch_dims=1)
        return -((1 - smoothing) * own + smoothing * tf.reduce_mean(logs, axis=1))

    def lift(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        for tensor, variable in self.learned.items():
            if tensor.name in amounts:
                amount = native(tensor, amounts[tensor.name])
                variable.assign_add(amount.astype(variable.dtype.as_numpy_dtype))

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        return self._evaluate(pixels)

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        found = self._variables()
        return _arrays(found.get("average", found["weights"]))

    def state(self) -> Weights:
        """Copy weights, averages and optimiser buffers, as ``weights/NAME`` and so on."""
        found = self._variables()
        result = {f"{kind}/{n}": a for kind in found for n, a in _arrays(found[kind]).items()}
        born = {f"born/{t.name}": np.array(n, np.int64) for t, n in self.optimiser.born.items()}
        return {**result, **born, "steps": np.array(self.steps, np.int64)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave."""
        if "steps" not in state or state["steps"].shape != ():
            raise WeightsError("the saved state lacks the number of steps")
        self.steps = int(state["steps"])
        taken = {"steps"}
        for kind, found in self._variables().items():
            for tensor, variable in found.items():
                name = f"{kind}/{tensor.name}"
                array = native(tensor, _array(state, name, tensor))
                variable.assign(array.astype(variable.dtype.as_numpy_dtype))
                taken.add(name)
        if self.recipe.optimiser == "adamw":
            names = {f"born/{tensor.name}": tensor for tensor in self.learned}
            self.optimiser.born = {t: int(state[n]) for n, t in names.items() if n in state}
            taken.update(names)
        unknown = sorted(set(state) - taken)
        if unknown:
            raise WeightsError(f"the saved state has what this run has not: {', '.join(unknown)}")

    def _variables(self) -> dict[str, Variables]:
        """All that changes in training, by the kinds of names it has in a saved state."""
        found = {"weights": self.model, "average": self.averaged}
        result = {
            kind: {tensor: variable.value for tensor, variable in variables(model).items()}
            for kind, model in found.items()
            if model is not None
        }
        return {**result, **self.optimiser.buffers} if self.steps else result


def _arrays(found: Variables) -> Weights:
    return {tensor.name: canonical(tensor, variable) for tensor, variable in found.items()}


def _array(state: Mapping[str, npt.NDArray[Any]], name: str, tensor: Tensor) -> npt.NDArray[Any]:
    if name not in state:
        raise WeightsError(f"the saved state lacks {name}")
    if state[name].shape != tensor.shape:
        raise WeightsError(
            f"the saved state's {name} has shape {state[name].shape}, not {tensor.shape}"
        )
    return state[name]
