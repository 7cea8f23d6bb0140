"""NumPy's arrays to a device."""

from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.mxnet.importing import mx
from resnets.errors import ResnetsError


def to_device(values: npt.NDArray[Any], device: Any, dtype: Any) -> Any:
    """Copy an array of one dimension or more to a device, in a precision.

    ``mxnet.nd.array`` asks first whether it is one of SciPy's sparse matrices, by a name that
    SciPy has deprecated; this is what it calls then.

    Raises:
        ResnetsError: after ``mxnet.npx.set_np()``, which changes the arrays of the whole process;
            Gluon's layers then look for operators that MXNet 1.9.1 has not.
    """
    if mx.util.is_np_array():
        raise ResnetsError(
            "mxnet is set to NumPy's arrays, with which these networks do not compute: "
            "call mxnet.npx.reset_np() first, or use another process"
        )
    return mx.nd.ndarray.array(np.asarray(values), ctx=device, dtype=dtype)
