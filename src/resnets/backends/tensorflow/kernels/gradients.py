"""Gradients of kernels in training on a CPU, where TensorFlow's own way is slow.

On maps of a few pixels oneDNN takes the gradient of a 3×3 kernel at a quarter of its rate. Here it
is a product for each of the nine taps, of the pixels under it with the output's gradient. The
modules stay as they are, and so does the function.

Milliseconds of one thread of an EPYC with AVX-512, tensorflow 2.21.0, batch 128, medians of 7, of
oneDNN's way and of the products, beside other work, 2026-11-27:

| map, channels, stride | bf16: oneDNN | products | fp32: oneDNN | products |
|---|---|---|---|---|
| 2, 128 to 128, 1 | 3.3 | 0.8 | 8.0 | 1.6 |
| 3, 512 to 512, 1 | 64 | 22 | 216 | 60 |
| 4, 96 to 96, 1 | 6.2 | 5.5 | 7.1 | 10 |
| 4, 256 to 256, 1 | 41 | 25 | 52 | 45 |
| 6, 256 to 256, 1 | 73 | 49 | 53 | 81 |
| 7, 128 to 128, 1 | 17 | 15 | 52 | 52 |
| 12, 128 to 128, 1 | 37 | 46 | 78 | 112 |
| 3, 256 to 512, 2 | 46 | 7.5 | 27 | 14 |
| 4, 96 to 192, 2 | 6.4 | 1.4 | 4.3 | 2.6 |
| 6, 256 to 512, 2 | 65 | 16 | 44 | 34 |
| 7, 128 to 256, 2 | 20 | 8.2 | 17 | 18 |
| 12, 128 to 256, 2 | 34 | 18 | 38 | 31 |
| 14, 24 to 48, 2 | 2.3 | 2.3 | 2.7 | 2.9 |
| 14, 64 to 128, 2 | 13 | 7.7 | 13 | 13 |
| 24, 64 to 128, 2 | 31 | 30 | 35 | 41 |
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from resnets.backends.taps import find_overlap
from resnets.backends.tensorflow.layers import Convolution

NARROW, NARROW_FP32 = 7, 3
"""Widths of the output up to which products are faster, in bf16 and in other precisions."""


@contextmanager
def fast_kernel_gradients(model: keras.Model) -> Generator[None]:
    """Let the convolutions of a model that are traced meanwhile take their gradients so."""
    found = [layer for layer in model.layers if isinstance(layer, Convolution)]
    for layer in found:
        layer.own_gradient = convolve
    try:
        yield
    finally:
        for layer in found:
            layer.own_gradient = None


def convolve(x: Any, kernel: Any, stride: int) -> Any | None:
    """Convolve x [n, h, w, in] with [3, 3, in, out], padding 1; None: as TensorFlow does."""
    kernel = tf.convert_to_tensor(kernel)  # in the type that the layer computes in
    if not _is_faster(x, kernel, stride):
        return None

    @tf.custom_gradient
    def convolution(x: Any, kernel: Any) -> Any:
        def gradient(dy: Any) -> tuple[Any, Any]:
            with tf.name_scope("convolution"):  # for who profiles a step
                of_kernel = by_taps(x, dy) if stride == 1 else by_cells(x, dy)
                return _of_input(x, kernel, stride, dy), of_kernel

        around, padding = _add_border(x, stride)
        return tf.nn.convolution(around, kernel, stride, padding), gradient

    return convolution(x, kernel)


def _is_faster(x: Any, kernel: Any, stride: int) -> bool:
    height, width = x.shape[1:3]
    if height is None or width is None or x.dtype == tf.float16:
        return False
    output = (max(height, width) - 1) // stride + 1
    return stride <= 2 and output <= (NARROW if x.dtype == tf.bfloat16 else NARROW_FP32)


def by_taps(x: Any, dy: Any) -> Any:
    """Give the gradient [3, 3, in, out] of a kernel, padding 1: each tap's where it meets the map.

    Args:
        x: the input, [n, h, w, in].
        dy: the gradient of the output, [n, h, w, out].
    """
    (height, width, c_in), out = x.shape[1:], dy.shape[-1]
    products: list[Any] = []
    for down in range(3):
        for right in range(3):
            rows, read_rows = find_overlap(height, 1, down)
            columns, read_columns = find_overlap(width, 1, right)
            seen = tf.reshape(x[:, read_rows, read_columns], (-1, c_in))
            passed = tf.reshape(dy[:, rows, columns], (-1, out))
            products.append(tf.matmul(seen, passed, transpose_a=True))
    return tf.reshape(tf.stack(products), (3, 3, c_in, out))


def by_cells(x: Any, dy: Any) -> Any:
    """Give the gradient [3, 3, in, out] of a kernel, padding 1, stride 2.

    In cells of 2×2 pixels, the border of zeros in them, each tap's pixels lie side by side:
    TensorFlow's slices with a stride are slow.

    Args:
        x: the input, [n, h, w, in].
        dy: the gradient of the output, [n, ceil(h / 2), ceil(w / 2), out].
    """
    (height, width, c_in), (rows, columns, out) = x.shape[1:], dy.shape[1:]
    around = [(1, 2 * rows + 1 - height), (1, 2 * columns + 1 - width)]
    cells = tf.reshape(
        tf.pad(x, [(0, 0), *around, (0, 0)]), (-1, rows + 1, 2, columns + 1, 2, c_in)
    )
    cells = tf.transpose(cells, (2, 4, 0, 1, 3, 5))
    passed = tf.reshape(dy, (-1, out))
    products: list[Any] = []
    for down in range(3):
        for right in range(3):
            own, above, left = cells[down % 2, right % 2], down // 2, right // 2
            seen = own[:, above : above + rows, left : left + columns]
            products.append(tf.matmul(tf.reshape(seen, (-1, c_in)), passed, transpose_a=True))
    return tf.reshape(tf.stack(products), (3, 3, c_in, out))


def _of_input(x: Any, kernel: Any, stride: int, dy: Any) -> Any:
    around, padding = _add_border(x, stride)
    dx = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(around),
        filter=kernel,
        out_backprop=dy,
        strides=[1, stride, stride, 1],
        padding=padding,
    )
    return dx if stride == 1 else dx[:, 1:-1, 1:-1]


def _add_border(x: Any, stride: int) -> tuple[Any, str]:
    """Lay a border of zeros around, where TensorFlow's ``SAME`` would lay another."""
    if stride == 1:
        return x, "SAME"
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), "VALID"
