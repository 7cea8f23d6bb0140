"""The rendered tutorials show their scripts; editions differ in their prose only."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
sys.path.insert(0, str(TUTORIALS))

import cells as reading  # noqa: E402

SCRIPTS = reading.scripts(TUTORIALS)
EDITIONS = [path for path in SCRIPTS if "." in path.stem]
MOST_BYTES = 200_000


@pytest.fixture(params=SCRIPTS, ids=lambda path: path.stem)
def script(request: pytest.FixtureRequest) -> Path:
    return request.param


def page(script: Path) -> str:
    return script.with_suffix(".md").read_text(encoding="utf-8")


def test_there_is_the_first_in_both_languages() -> None:
    names = [path.name for path in SCRIPTS]
    assert {"01_residual_block.py", "01_residual_block.id.py"} <= set(names)


def test_a_page_has_its_scripts_cells(script: Path) -> None:
    shown, outputs, facts = reading.read_rendering(page(script))
    assert shown == reading.merged(reading.read_script(script))
    assert len(outputs) == len(reading.code(shown))
    assert facts["minutes"] > 0


def test_a_pages_figures_are_there_and_small(script: Path) -> None:
    _, outputs, _ = reading.read_rendering(page(script))
    paths = [path for output in outputs for _, path in output.figures]
    stem = script.stem.partition(".")[0]
    assert sorted(paths) == sorted(
        f"images/{path.name}" for path in (TUTORIALS / "images").glob(f"{stem}-*")
    )
    for path in paths:
        assert 0 < (TUTORIALS / path).stat().st_size < MOST_BYTES
    # The script's own words name what it draws: they are the picture's for those who cannot see.
    words = [words for output in outputs for words, _ in output.figures]
    assert all(words and not words.startswith("Figure ") for words in words)


def test_links_of_a_page_lead_somewhere(script: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page(script)):
        assert (TUTORIALS / target).exists(), target


def test_a_page_names_no_path_of_a_machine(script: Path) -> None:
    assert not re.search(r"(/tmp|/home|/work|/root|/usr)/", page(script))


@pytest.mark.parametrize("edition", EDITIONS, ids=lambda path: path.stem)
def test_editions_have_one_code(edition: Path) -> None:
    first = TUTORIALS / f"{edition.stem.partition('.')[0]}.py"
    own, other = reading.read_script(edition), reading.read_script(first)
    assert reading.code(own) == reading.code(other)
    # Cell for cell, so that each paragraph has its counterpart.
    assert [cell.kind for cell in own] == [cell.kind for cell in other]
    _, outputs, facts = reading.read_rendering(page(edition))
    assert (outputs, facts) == reading.read_rendering(page(first))[1:]


def test_every_tutorial_has_a_test_of_its_results(script: Path) -> None:
    name = script.stem.partition(".")[0]
    assert (Path(__file__).parent / f"test_{name}.py").exists()


def test_a_script_that_is_no_percent_script_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "01_x.py"
    path.write_text("print(1)\n# %%\n")
    with pytest.raises(ValueError, match="expected '# %%'"):
        reading.read_script(path)
    path.write_text("# %% [markdown]\n# Words\nprint(1)\n")
    with pytest.raises(ValueError, match=r"01_x.py:3: expected '# ' and prose"):
        reading.read_script(path)


def test_a_small_tutorial_is_rendered_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "07_tiny.py").write_text(
        "# %% [markdown]\n# # Tiny\n#\n# Words.\n\n# %%\nimport matplotlib.pyplot as plt\n\n"
        "print('one')\n\n# %% [markdown]\n# More.\n\n# %%\n"
        "plt.subplots(num='A line')[1].plot([1, 2])\nplt.show()\nprint(1 + 1)\n\n"
        "# %% [markdown]\n# Last.\n"
    )
    (tmp_path / "07_tiny.id.py").write_text(
        (tmp_path / "07_tiny.py").read_text().replace("Words", "Kata")
    )
    names = runpy.run_path(str(TUTORIALS / "render.py"))
    render = names["render"]
    monkeypatch.setitem(render.__globals__, "HERE", tmp_path)
    (tmp_path / "images").mkdir()
    render("07_tiny", tmp_path, run=True)
    for script in (tmp_path / "07_tiny.py", tmp_path / "07_tiny.id.py"):
        shown, outputs, facts = reading.read_rendering(page(script))
        assert shown == reading.merged(reading.read_script(script))
        assert outputs[1] == reading.Output("2\n", (("A line", "images/07_tiny-1.svg"),))
        assert facts["threads"] >= 1
    assert "<svg" in (tmp_path / "images" / "07_tiny-1.svg").read_text()
    script = tmp_path / "07_tiny.py"
    script.write_text(script.read_text().replace("Last.", "The last."))
    render("07_tiny", tmp_path, run=False)
    assert page(script).endswith("\n\nThe last.\n")
    script.write_text(script.read_text().replace("1 + 1", "1 + 2"))
    with pytest.raises(SystemExit, match="render it in full"):
        render("07_tiny", tmp_path, run=False)


def test_a_small_run_does_not_become_the_rendering() -> None:
    done = subprocess.run(
        [sys.executable, TUTORIALS / "render.py", "01_residual_block"],
        env={**os.environ, "RESNETS_TUTORIAL": "small"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "a small run is no rendering; give --into FOLDER" in done.stderr
