"""On which devices a session's arrays lie, and how a batch is divided among them.

On several devices each has all weights and a part of each batch; JAX compiles one step for all of
them, in which sums over the batch are sums over the devices. So the numbers are those of one
device, batch norm's statistics too.
"""

from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Where = jax.Device | NamedSharding
"""What ``jax.device_put`` takes."""


@dataclass(frozen=True)
class Placement:
    """Where arrays lie.

    Attributes:
        devices: one, or several of one kind that share each batch.
    """

    devices: tuple[jax.Device, ...]

    @property
    def whole(self) -> Where:
        """Where every device has the whole array."""
        return self._by(PartitionSpec())

    def split(self, count: int) -> Where:
        """Where each device has its part of an array [count, …].

        What does not divide into equal parts lies whole on each device: all compute the same.
        """
        return self._by(PartitionSpec(None if count % len(self.devices) else "batch"))

    def _by(self, division: PartitionSpec) -> Where:
        if len(self.devices) == 1:
            return self.devices[0]
        return NamedSharding(Mesh(np.array(self.devices), ("batch",)), division)
