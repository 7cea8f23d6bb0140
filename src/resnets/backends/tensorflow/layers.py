"""The layers that Keras has not, or not so: images are [n, height, width, channels].

Each is registered with Keras under ``resnets``, so that ``keras.saving.load_model`` finds it in a
``.keras`` file once ``resnets.backends.tensorflow`` is imported.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

registered = keras.saving.register_keras_serializable("resnets")


@registered
class Convolution(keras.layers.Conv2D):
    """A convolution padded by the same number of pixels on all sides.

    Its output is the input's size over the stride, rounded up. Keras's ``same`` puts an odd
    pixel of padding behind, where other frameworks have it before too.
    """

    own_gradient: Callable[[Any, Any, int], Any | None] | None = None
    """Replaces the convolution where it is set and does not return None (``kernels``)."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve without the bias."""
        if self._sees_all(inputs):
            return self._multiply(inputs, kernel)
        if self.own_gradient is not None and self._is_usual():
            y = self.own_gradient(inputs, kernel, self.strides[0])
            if y is not None:
                return y
        padding = "SAME"
        if max(self.strides) > 1:
            # Padded first: oneDNN leaves convolutions with explicit padding to slower code.
            sizes = zip(self.dilation_rate, self.kernel_size, strict=True)
            rows, columns = ([dilation * (size // 2)] * 2 for dilation, size in sizes)
            if self.kernel_size != (1, 1):
                inputs = tf.pad(inputs, [[0, 0], rows, columns, [0, 0]])
            padding = "VALID"
        rest = {"strides": self.strides, "padding": padding, "dilations": self.dilation_rate}
        if self.groups == 1 or _on_gpu(inputs):
            return tf.nn.convolution(inputs, kernel, **rest)
        if self.groups == inputs.shape[-1]:
            each = tf.reshape(kernel, (*self.kernel_size, self.groups, -1))
            rest["strides"] = (1, *self.strides, 1)
            return tf.nn.depthwise_conv2d(inputs, each, **rest)
        # CPUs lack the gradient of grouped convolutions; compiled by XLA, as Keras has them
        # compiled, one takes a hundred times longer than its groups one by one.
        xs, kernels = (tf.split(whole, self.groups, -1) for whole in (inputs, kernel))
        parts = [tf.nn.convolution(x, w, **rest) for x, w in zip(xs, kernels, strict=True)]
        return tf.concat(parts, -1)

    def _is_usual(self) -> bool:
        """Return whether it is one of 3×3, as most are."""
        usual = self.kernel_size == (3, 3) and self.dilation_rate == (1, 1) and self.groups == 1
        return usual and self.strides[0] == self.strides[1]

    def _sees_all(self, inputs: Any) -> bool:
        """Return whether there is one output, which sees every pixel, and the kernel is larger."""
        sizes = zip(inputs.shape[1:3], self.strides, self.kernel_size, strict=True)
        return (
            self.groups == 1
            and max(self.dilation_rate) == 1
            and self.kernel_size != (1, 1)
            and all(
                pixels is not None and pixels <= min(stride, size - size // 2)
                for pixels, stride, size in sizes
            )
        )

    def _multiply(self, inputs: Any, kernel: Any) -> Any:
        """Multiply only what meets the pixels; libraries multiply the border of zeros as well.

        On a CPU this is faster for one output, and mostly slower for 2×2 outputs.
        """
        _, height, width, channels = inputs.shape
        above, left = (size // 2 for size in self.kernel_size)
        met = kernel[above : above + height, left : left + width]
        seen = tf.reshape(inputs, (-1, height * width * channels))
        y = tf.matmul(seen, tf.reshape(met, (height * width * channels, -1)))
        return tf.reshape(y, (-1, 1, 1, y.shape[-1]))


def _on_gpu(x: Any) -> bool:
    return bool(tf.config.list_physical_devices("GPU")) and "CPU" not in x.device


@registered
class BatchNorm(keras.layers.BatchNormalization):
    """Batch norm by the definition of ``resnets.networks.architecture.Norm``.

    Values are normalised by the biased variance, ``moving_variance`` is updated with the
    unbiased one. ``momentum`` is the share of the old statistics kept. As in Keras, a layer that
    is not trainable uses its moving statistics in training too. It computes in fp32 at least.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise; in training, update the moving statistics."""
        if inputs.dtype == tf.float64:
            return self._normalise_double(inputs, bool(training and self.trainable))
        variables = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        # The operation takes them in fp32 only, whatever the images are in.
        scale, offset, moving_mean, moving_variance = (
            tf.cast(variable.value, tf.float32) for variable in variables
        )
        own = {"x": inputs, "scale": scale, "offset": offset}
        if not (training and self.trainable):
            y, *_ = tf.raw_ops.FusedBatchNormV3(
                **own,
                mean=moving_mean,
                variance=moving_variance,
                epsilon=self.epsilon,
                is_training=False,
            )
            return y
        none = tf.zeros([0])
        y, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
            **own, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        self._update(mean, unbiased)
        return y

    def _normalise_double(self, x: Any, training: bool) -> Any:
        """TensorFlow's fused norms know no float64."""
        mean, variance = self.moving_mean.value, self.moving_variance.value
        if training:
            mean, variance = tf.nn.moments(x, (0, 1, 2))
            count = tf.size(x, tf.int64) // x.shape[-1]
            bessel = tf.cast(count, x.dtype) / tf.cast(tf.maximum(count - 1, 1), x.dtype)
            self._update(mean, variance * bessel)
        return tf.nn.batch_normalization(
            x,
            mean,
            variance,
            offset=self.beta.value,
            scale=self.gamma.value,
            variance_epsilon=self.epsilon,
        )

    def _update(self, mean: Any, variance: Any) -> None:
        new = 1 - self.momentum
        for moving, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = tf.cast(moving.value, found.dtype)
            moving.assign(tf.cast(old * self.momentum + found * new, moving.dtype))


@registered
class MaxPool(keras.layers.Layer):
    """Largest of 3×3 pixels at every second one, minus infinity around the image."""

    def call(self, inputs: Any) -> Any:
        """Return [n, (height + 1) // 2, (width + 1) // 2, channels]."""
        lowest = tf.constant(float("-inf"), inputs.dtype)
        # Padded first, as convolutions are.
        around = tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=lowest)
        return tf.nn.max_pool2d(around, 3, 2, "VALID")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor; Keras finds plain values only."""
        return super().get_config()


@registered
class Gelu(keras.layers.Layer):
    """x * Phi(x), exact in float64 too; TensorFlow's own rounds the root of two to float32."""

    def call(self, inputs: Any) -> Any:
        """Apply it to every value."""
        root = tf.sqrt(tf.constant(2, inputs.dtype))
        return inputs * (1 + tf.math.erf(inputs / root)) / 2

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config()


@registered
class PaddingShortcut(keras.layers.Layer):
    """Every stride-th pixel, and channels of zeros behind (He et al. 2015, option A)."""

    def __init__(self, width: int, stride: int, **others: Any) -> None:
        super().__init__(**others)
        self.width, self.stride = width, stride

    def call(self, inputs: Any) -> Any:
        """Return [n, ceil(height / stride), ceil(width / stride), self.width]."""
        kept = inputs[:, :: self.stride, :: self.stride]
        return tf.pad(kept, [[0, 0], [0, 0], [0, 0], [0, self.width - inputs.shape[-1]]])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "width": self.width, "stride": self.stride}


@registered
class Shift(keras.layers.Layer):
    """Nine runs of channels, each moved in a direction of its own (Wu et al. 2018, equation 3)."""

    def __init__(self, reach: int, **others: Any) -> None:
        super().__init__(**others)
        self.reach = reach

    def call(self, inputs: Any) -> Any:
        """Move by ``reach`` pixels, zeros coming in."""
        reach, run = self.reach, inputs.shape[-1] // 9
        height, width = tf.shape(inputs)[1], tf.shape(inputs)[2]
        padded = tf.pad(inputs, [[0, 0], [reach, reach], [reach, reach], [0, 0]])
        parts = []
        for k in range(9):
            row, column = reach * (k // 3), reach * (k % 3)
            own = padded[..., k * run : (k + 1) * run]
            parts.append(own[:, row : row + height, column : column + width])
        return tf.concat([*parts, inputs[..., 9 * run :]], -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "reach": self.reach}


@registered
class GatedAdd(keras.layers.Layer):
    """gate * branch + (1 - gate) * shortcut (Srivastava et al. 2015, equation 3)."""

    def call(self, inputs: Sequence[Any]) -> Any:
        """Take branch, shortcut and gate, all of one shape."""
        branch, shortcut, gate = inputs
        return gate * branch + (1 - gate) * shortcut

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config()
