"""NumPy's arrays to a device."""

from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.mxnet.importing import mx


def to_device(values: npt.NDArray[Any], device: Any, dtype: Any) -> Any:
    """Copy an array of one dimension or more to a device, in a precision.

    ``mxnet.nd.array`` asks first whether it is one of SciPy's sparse matrices, by a name that
    SciPy has deprecated; this is what it calls then.
    """
    return mx.nd.ndarray.array(np.asarray(values), ctx=device, dtype=dtype)
