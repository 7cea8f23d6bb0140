"""The package's front door."""

import doctest
import subprocess
import sys

import pytest

import resnets


def test_every_public_name_is_there() -> None:
    for name in resnets.__all__:
        assert getattr(resnets, name).__doc__, name
    with pytest.raises(AttributeError, match="resnest"):
        resnets.resnest  # noqa: B018


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(resnets).failed == 0


def test_importing_the_package_imports_neither_numpy_nor_a_framework() -> None:
    program = "import sys, resnets; print({'numpy', 'torch', 'rich'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
