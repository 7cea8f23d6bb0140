"""Gradients of 3×3 kernels on a CPU, where oneDNN's own way is slow.

On maps of a few pixels the gradient is one matrix product for each of the nine taps: the pixels
under the tap times the gradient of the output. The thresholds are measured:
``benchmarks/notebook/kernels.md``.
"""

from typing import Any

import tensorflow as tf

from resnets.backends.taps import find_overlap

NARROW, NARROW_FP32 = 7, 3
"""Widths of the output up to which products are faster, in bf16 and in other precisions."""


def convolve(x: Any, kernel: Any, stride: int) -> Any | None:
    """Return x [n, h, w, in] convolved with [3, 3, in, out], padding 1.

    None where TensorFlow's own convolution is faster.
    """
    kernel = tf.convert_to_tensor(kernel)  # in the precision of the layer
    if not _is_faster(x, kernel, stride):
        return None

    @tf.custom_gradient
    def convolution(x: Any, kernel: Any) -> Any:
        def gradient(dy: Any) -> tuple[Any, Any]:
            with tf.name_scope("convolution"):  # for profiles of a step
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
    """Return the gradient [3, 3, in, out] of a kernel, padding 1, as a product per tap.

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
    """Return the gradient [3, 3, in, out] of a kernel, padding 1, stride 2.

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
    """Return ``x`` with the padding that TensorFlow must not choose, and the mode for the rest."""
    if stride == 1:
        return x, "SAME"
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), "VALID"
