"""Folders of images are decoded into a cache of the test's own."""

from pathlib import Path

import pytest

from resnets.data.cache import pack_cache


@pytest.fixture(autouse=True)
def packs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of packs, not made yet; RESNETS_DATA stays what it is for Fashion-MNIST."""
    folder = tmp_path_factory.mktemp("cache") / "packs"
    monkeypatch.setattr(pack_cache, "packs_folder", lambda: folder)
    return folder
