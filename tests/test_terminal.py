"""How commands speak."""

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
