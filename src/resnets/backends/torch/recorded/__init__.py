"""Steps whose whole work is on the device: recorded once, replayed with other numbers.

The training images lie on the device. A step's numbers (which images, the draws, the rate) reach
it by one copy that nobody waits for, and its losses stay there until they are read.
"""

from resnets.backends.torch.recorded.speed import Speed
from resnets.backends.torch.recorded.steps import RecordedSteps

__all__ = ["RecordedSteps", "Speed"]
