"""What a tab needs and may not find."""

from collections.abc import Generator
from contextlib import contextmanager

from resnets.errors import MissingDependency


@contextmanager
def require_framework(framework: str) -> Generator[None]:
    """Turn a failed import inside the block into a sentence that says what to install.

    Raises:
        MissingDependency: in place of an ImportError.
    """
    try:
        yield
    except ImportError as error:
        message = (
            f"the chapter's {framework} tab needs {framework}: "
            f'pip install "resnets[{framework}]" ({error})'
        )
        raise MissingDependency(message) from error
