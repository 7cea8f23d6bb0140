"""How commands speak."""

from resnets.terminal import unwrap_paragraphs


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
    lines = unwrap_paragraphs(text).split("\n")
    assert lines[:3] == ["Do it all.", "", "Long text."]
    assert lines[4:] == [
        *("Parameters", "----------", "one", "    Of two lines.", "two", "    Another.")
    ]
    assert unwrap_paragraphs("") == ""
