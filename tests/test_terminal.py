"""How commands speak."""

from itertools import pairwise

import pytest

from resnets.cli import app
from resnets.terminal import flowing


def test_paragraphs_flow_and_names_stay() -> None:
    text = """Do it
    all.

    Long
    text.

    Parameters
    ----------
    one
        Of two
        lines.
    two
        Another.
    """
    lines = flowing(text).split("\n")
    assert lines[:3] == ["Do it all.", "", "Long text."]
    assert lines[4:] == [
        *("Parameters", "----------", "one", "    Of two lines.", "two", "    Another.")
    ]
    assert flowing("") == ""


@pytest.mark.parametrize("command", ["bench", "draw", "explain", "check"])
def test_help_breaks_lines_only_where_the_terminal_ends(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        app.app([command, "--help"])
    prose = capsys.readouterr().out.partition("╭")[0].splitlines()
    assert len(prose) > 5
    for line, following in pairwise(prose):
        if line.strip() and following.strip():
            assert len(line.rstrip()) + 1 + len(following.split()[0]) > 80, line


def test_no_parameter_has_the_lines_of_the_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        app.app(["export", "--help"])
    (engine,) = (line for line in capsys.readouterr().out.splitlines() if "--engine STR" in line)
    assert "torch, torch-bf16, torch-compiled, onnxruntime," in engine
