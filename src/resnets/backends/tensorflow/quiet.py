"""TensorFlow's libraries, imported without their greetings on standard error."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

GREETINGS = (b"oneDNN custom operations are on", b"before absl::InitializeLog()")
"""What TensorFlow 2.21 writes whichever log level is set."""


@contextmanager
def drop_greetings() -> Generator[None]:
    """Hold back what is written to standard error; then write it, but for greetings.

    Sets the level below which TensorFlow's C++ code logs nothing; where the user has set it,
    nothing is held back.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not any(greeting in line for greeting in GREETINGS):
                    os.write(2, line)
