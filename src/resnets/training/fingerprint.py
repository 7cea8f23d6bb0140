"""The fingerprint of a run's training images: a run resumes only on the images it began with."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resnets import data
from resnets.data.images import Dataset
from resnets.errors import RunError
from resnets.files import explain_os_errors
from resnets.progress_bar import count_bar
from resnets.recipes.recipe import Recipe
from resnets.training.run_folder import IMAGES


def fingerprint(dataset: Dataset) -> str:
    """Return the SHA-256 of the training images, their labels and the class names."""
    training = dataset.training
    digest = hashlib.sha256(repr((dataset.class_names, training.shape)).encode())
    digest.update(np.ascontiguousarray(training.labels).data)
    question = f"fingerprint with labels {digest.hexdigest()}"

    def compute() -> str:
        with count_bar("checking images", len(training)) as advance:
            for piece in training.iter_chunks():
                digest.update(np.ascontiguousarray(piece).data)
                advance(len(piece))
        return digest.hexdigest()

    return str(training.cached(question, compute))


def note_changed_images(
    folder: Path, recipe: Recipe, *, dataset: Dataset, announce: Callable[[str], None]
) -> None:
    """Announce it if the run's images have changed since the run in ``folder`` began.

    An image that is held out now may then be one that the run trained on. ``dataset`` holds the
    images as they are now.
    """
    path = folder / IMAGES
    if recipe.data in data.NAMES or not path.is_file():
        return
    with explain_os_errors(f"cannot read {path}", RunError):
        known = path.read_bytes().strip()
    if dataset.training.shape[1] != recipe.size:
        dataset = data.load_dataset(recipe.data, size=recipe.size)
    if known != fingerprint(dataset).encode():
        announce(
            f"note: the images in {recipe.data} have changed since the run in {folder} began "
            f"({IMAGES}); the images it is evaluated on may include some it was trained on"
        )
