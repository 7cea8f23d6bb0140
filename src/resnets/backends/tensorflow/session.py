"""A Keras model in training: one compiled step, evaluation, and the state that resumes it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from resnets.backends.protocol import Batch, Evaluator
from resnets.backends.state import (
    AVERAGE,
    WEIGHTS,
    MeasuredLoss,
    SavedState,
    ema_decay,
    steps_in_flight,
)
from resnets.backends.tensorflow import devices
from resnets.backends.tensorflow.augmentation import Preparation, Tensors, tensors_of
from resnets.backends.tensorflow.canonical import canonical, native, variables
from resnets.backends.tensorflow.kernels import use_fast_kernel_gradients
from resnets.backends.tensorflow.optimiser import Variables, clip, make_optimiser
from resnets.backends.tensorflow.resnet import ResNet
from resnets.data.images import Pixels
from resnets.networks.architecture import Architecture
from resnets.networks.folding import redundant_biases
from resnets.networks.naming import block_names
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe


def evaluator(model: ResNet, preprocessing: Preprocessing, *, device: str = "auto") -> Evaluator:
    """Put the model on a device; give the function from stored images to logits."""
    where = devices.find_device(device)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, dtype=model.variable_dtype)
    return _compile_evaluator(
        place(model, where, policy=model.dtype_policy.name), prepare, device=where
    )


def _compile_evaluator(model: ResNet, prepare: Preparation, *, device: str) -> Evaluator:
    shape = [None, None, None, model.architecture.channels]

    def traced(pixels: Any) -> Any:
        return tf.cast(model(prepare(pixels), training=False), tf.float32)

    signature = [tf.TensorSpec(shape, tf.uint8)]
    logits: Any = tf.function(traced, input_signature=signature, autograph=False)
    # Each network is traced once; TensorFlow would warn of the fifth, and pruning evaluates many.
    logits._omit_frequent_tracing_warning = True

    def evaluate(pixels: Pixels) -> npt.NDArray[np.float32]:
        with tf.device(device):
            return logits(tf.constant(pixels)).numpy()

    return evaluate


def place(model: ResNet, where: str, *, policy: str) -> ResNet:
    """Return the model if it is on that device in that precision, otherwise a copy that is."""
    here = all(v.value.device.endswith(where) for v in model.variables)
    return (
        model
        if here and model.dtype_policy.name == policy
        else copy_model(model, where, policy=policy)
    )


def copy_model(model: ResNet, where: str, *, policy: str) -> ResNet:
    """Return a model of the same weights."""
    with tf.device(where):
        copy = ResNet(model.architecture, dtype=policy)
        for new, old in zip(variables(copy).values(), variables(model).values(), strict=True):
            new.assign(tf.cast(old.value, new.dtype))
    return copy


@contextmanager
def compute_in_bf16(model: keras.Model) -> Generator[None]:
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


def _call_scaled(model: ResNet, x: Any, *, branches: Any) -> Any:
    """Return the logits in training; each block's branch is multiplied by ``branches`` [blocks, n].

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
        self, model: ResNet, recipe: Recipe, *, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        self.where = devices.find_device(device)
        self.on_processor = self.where.startswith("CPU")
        self.precision = devices.precision(recipe, device)
        kind = "float64" if self.precision == "fp64" else "float32"
        self.model = place(model, self.where, policy=kind)
        self.prepare = Preparation.of(preprocessing.mean, preprocessing.std, dtype=kind)
        self.averaged = (
            copy_model(model, self.where, policy=kind) if recipe.average is not None else None
        )
        found = variables(self.model)
        self.learned: Variables = {t: v.value for t, v in found.items() if t.is_parameter}
        self.redundant = redundant_biases(self.architecture)
        with tf.device(self.where):
            self.optimiser = make_optimiser(self.learned, recipe)
        self.steps = 0
        self._compiled_step: Any = tf.function(self._step, autograph=False)
        # Each session traces its own step once; TensorFlow would warn of the fifth session.
        self._compiled_step._omit_frequent_tracing_warning = True
        evaluated = self.model if self.averaged is None else self.averaged
        self._evaluate = _compile_evaluator(evaluated, self.prepare, device=self.where)

    @property
    def device(self) -> str:
        return devices.describe_device(self.where)

    @property
    def threads(self) -> int:
        return devices.threads()

    @property
    def max_in_flight(self) -> int:
        return steps_in_flight(on_cpu=self.on_processor)

    @property
    def preparing(self) -> float:
        return 0.0  # TensorFlow compiles as part of the first step

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        steps, shares = self.steps + 1, lr_scales or {}
        rates = np.array([rate * shares.get(tensor.name, 1.0) for tensor in self.learned])
        numbers = self.optimiser.numbers(rates, steps)
        decay = ema_decay(self.recipe, steps)
        if decay is not None:
            numbers["share"] = 1 - decay
        images = batch.images
        with tf.device(self.where):
            loss, losses = self._compiled_step(
                tf.constant(images.pixels),
                tf.constant(images.labels),
                tensors_of(batch.augmentation),
                {name: tf.constant(number, tf.float64) for name, number in numbers.items()},
            )
        self.steps = steps
        return MeasuredLoss(loss.numpy, losses.numpy)

    def _step(self, pixels: Any, labels: Any, draws: Tensors, numbers: Tensors) -> tuple[Any, Any]:
        with tf.name_scope("prepare"):  # for who profiles a step, as below
            x = self.prepare(pixels, draws)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self.learned.values()))
            with (
                compute_in_bf16(self.model) if self.precision == "bf16" else nullcontext(),
                use_fast_kernel_gradients(self.model) if self.on_processor else nullcontext(),
            ):
                logits = self._logits(x, draws)
            losses = self._losses(logits, labels, draws)
            loss = tf.reduce_mean(losses)
        found = tape.gradient(loss, list(self.learned.values()))
        gradients = dict(zip(self.learned, found, strict=True))
        redundant = (tensor for tensor in self.learned if tensor.name in self.redundant)
        gradients |= {tensor: tf.zeros_like(gradients[tensor]) for tensor in redundant}
        if self.recipe.clip is not None:
            gradients = clip(gradients, self.recipe.clip)
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
            return _call_scaled(self.model, x, branches=draws["branches"])
        return self.model(x, training=True)

    def _losses(self, logits: Any, labels: Any, draws: Tensors) -> Any:
        """Each image's loss, [n]."""
        logs = tf.nn.log_softmax(logits)
        loss = self._smooth(logs, labels)
        if "partner" not in draws:
            return loss
        share = tf.cast(draws["share"], logs.dtype)
        other = self._smooth(logs, tf.gather(labels, draws["partner"]))
        return share * loss + (1 - share) * other

    def _smooth(self, logs: Any, labels: Any) -> Any:
        """Cross-entropies with targets of 1 - smoothing, and smoothing spread over all."""
        smoothing = self.recipe.label_smoothing
        own = tf.gather(logs, labels, axis=1, batch_dims=1)
        return -((1 - smoothing) * own + smoothing * tf.reduce_mean(logs, axis=1))

    def add_to_parameters(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        for tensor, variable in self.learned.items():
            if tensor.name in amounts:
                amount = native(tensor, amounts[tensor.name])
                variable.assign_add(amount.astype(variable.dtype.as_numpy_dtype))

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        return self._evaluate(pixels)

    def weights(self) -> Weights:
        """Return a copy of the weights that ``eval_step`` uses."""
        found = self._variables()
        return _arrays(found.get(AVERAGE, found[WEIGHTS]))

    def state(self) -> Weights:
        """Return a copy of all that training needs to resume, named as in ``SavedState``."""
        groups = {group: _arrays(found) for group, found in self._variables().items()}
        first_steps = self.optimiser.first_steps
        return SavedState(steps=self.steps, groups=groups, first_steps=first_steps).to_arrays()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what ``state`` returned."""
        saved = SavedState.from_arrays(state, self.architecture, recipe=self.recipe)
        self.steps = saved.steps
        self.optimiser.first_steps = dict(saved.first_steps)
        for group, found in {**self._variables(), **self.optimiser.buffers}.items():
            arrays = saved.groups.get(group)  # None for buffers before the first step
            for tensor, variable in found.items():
                array = np.zeros(tensor.shape) if arrays is None else arrays[tensor.name]
                array = native(tensor, array)
                variable.assign(array.astype(variable.dtype.as_numpy_dtype))

    def _variables(self) -> dict[str, Variables]:
        """Return all that changes in training, by group of a saved state."""
        found = {WEIGHTS: self.model, AVERAGE: self.averaged}
        result = {
            kind: {tensor: variable.value for tensor, variable in variables(model).items()}
            for kind, model in found.items()
            if model is not None
        }
        return {**result, **self.optimiser.buffers} if self.steps else result


def _arrays(found: Variables) -> Weights:
    return {tensor.name: canonical(tensor, variable) for tensor, variable in found.items()}
