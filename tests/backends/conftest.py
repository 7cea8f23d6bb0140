"""Every test that takes ``backend`` runs in every framework."""

import pytest

from resnets import backends
from resnets.backends import Backend


@pytest.fixture(params=backends.NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """A framework that is not installed is an error here, never a skip."""
    return backends.load(request.param)
