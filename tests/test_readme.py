"""README in Indonesian says what README says: the same commands and pictures."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EDITIONS = ("README.md", "README.id.md")


@pytest.fixture(scope="module")
def editions() -> tuple[str, str]:
    first, second = ((ROOT / name).read_text(encoding="utf-8") for name in EDITIONS)
    return first, second


def commands(text: str) -> list[str]:
    """Indented lines without what follows ``#``, which is in the edition's language."""
    return [line.partition("#")[0].strip() for line in text.split("\n") if line[:4] == "    "]


def pictures(text: str) -> list[str]:
    return re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)


def test_commands_are_the_same(editions: tuple[str, str]) -> None:
    assert commands(editions[1]) == commands(editions[0])


def test_pictures_are_the_same(editions: tuple[str, str]) -> None:
    assert pictures(editions[1]) == pictures(editions[0])


@pytest.mark.parametrize("name", EDITIONS)
def test_links_lead_to_files(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), target
