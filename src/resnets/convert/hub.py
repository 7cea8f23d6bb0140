"""Networks from the Hugging Face hub: a snapshot of the files that are needed, no others."""

import re
from pathlib import Path
from typing import Any, cast

from resnets.errors import MissingDependency, WeightsError

PREFIXES = ("hf-hub:", "hf_hub:")
CONFIGURATION = ("config.json", "preprocessor_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The first that a repository has is read."""


def is_hub_id(source: str) -> bool:
    """Return whether a source names a repository: ``hf-hub:owner/name``, or ``owner/name`` alone.

    Without the prefix it is one only where no folder ``owner`` is here: a mistyped path must not
    ask the network.
    """
    if source.startswith(PREFIXES):
        return True
    named = re.fullmatch(r"([\w-][\w.-]*)/[\w-][\w.-]*(@[\w./-]+)?", source)
    return named is not None and not Path(named[1]).exists()


def download(source: str) -> Path:
    """Return a folder with the repository's configuration and weights, cached or downloaded.

    ``owner/name@revision`` asks for a branch, a tag or a commit. ``HF_HUB_OFFLINE=1`` asks the
    cache alone, as everywhere.

    Raises:
        MissingDependency: if huggingface_hub is not installed.
        WeightsError: if there is no such repository, it has no weights, or it cannot be reached.
    """
    name, _, revision = source.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1]).partition("@")
    folder = _download_files(name, revision or None, patterns=[*CONFIGURATION, WEIGHTS[0]])
    for weights in WEIGHTS[1:]:
        if any((folder / known).is_file() for known in WEIGHTS):
            break
        folder = _download_files(name, revision or None, patterns=[*CONFIGURATION, weights])
    if not any((folder / known).is_file() for known in WEIGHTS):
        raise WeightsError(f"{name}: the hub's repository has none of {', '.join(WEIGHTS)}")
    return folder


def _download_files(name: str, revision: str | None, *, patterns: list[str]) -> Path:
    try:
        import huggingface_hub
        from huggingface_hub.utils import HfHubHTTPError, HFValidationError
    except ImportError as error:
        message = 'huggingface_hub is not installed: pip install "resnets[hub]"'
        raise MissingDependency(message) from error
    try:
        download = cast("Any", huggingface_hub).snapshot_download  # its types are partly unknown
        return Path(download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError as error:
        raise WeightsError(f"{name!r} is no name on the hub ({_get_first_line(error)})") from error
    except (HfHubHTTPError, OSError) as error:
        raise WeightsError(f"{name}: not had from the hub ({_get_first_line(error)})") from error
    except Exception as error:  # what its transport raises is not its own, and changes
        if not type(error).__module__.startswith(("httpx", "requests", "huggingface_hub")):
            raise
        raise WeightsError(f"{name}: not had from the hub ({_get_first_line(error)})") from error


def _get_first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
