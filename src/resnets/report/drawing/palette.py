"""The colours of the two themes: tints of Okabe and Ito's palette, told apart by every eye.

Orange is norm, green activation, blue convolution, in light and in dark.
"""

from dataclasses import dataclass
from typing import Literal

from resnets.report.drawing.diagram import Hue

Theme = Literal["light", "dark", "auto"]
"""``auto`` follows the reader's screen, where the file can: a PNG is then light."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of a theme.

    Attributes:
        ground: behind everything.
        panel, edge: a panel that lies on it, and its edge.
        ink, faint: texts.
        line: lines, arrows, signs and frames.
        track, bar: shares.
        tints, strong: an operation's fill, and its edge or whole where it is small.
    """

    ground: str
    panel: str
    edge: str
    ink: str
    faint: str
    line: str
    track: str
    bar: str
    tints: dict[Hue, str]
    strong: dict[Hue, str]


LIGHT = Palette(
    ground="#ffffff",
    panel="#f6f8fa",
    edge="#e1e5e9",
    ink="#1f2328",
    faint="#57606a",
    line="#59636e",
    track="#e1e5e9",
    bar="#7d8894",
    tints={
        "convolution": "#d6e8f7",
        "norm": "#fdebc8",
        "activation": "#cfeee1",
        "pool": "#e9e6ee",
        "dense": "#f7ddeb",
        "shift": "#f8f3b8",
        "scale": "#fce0d0",
        "plain": "#eceff2",
    },
    strong={
        "convolution": "#0072b2",
        "norm": "#e69f00",
        "activation": "#009e73",
        "pool": "#7a7189",
        "dense": "#bb5a90",
        "shift": "#a89c00",
        "scale": "#d55e00",
        "plain": "#7d8894",
    },
)

DARK = Palette(
    ground="#0d1117",
    panel="#161b22",
    edge="#2b323b",
    ink="#e6edf3",
    faint="#9da7b3",
    line="#9da7b3",
    track="#2b323b",
    bar="#8b949e",
    tints={
        "convolution": "#123a5a",
        "norm": "#4b3510",
        "activation": "#0e4535",
        "pool": "#37333f",
        "dense": "#4e2641",
        "shift": "#45400d",
        "scale": "#5a2c11",
        "plain": "#262d36",
    },
    strong={
        "convolution": "#56a8e0",
        "norm": "#e6a532",
        "activation": "#35c495",
        "pool": "#a79fb8",
        "dense": "#dd8bbb",
        "shift": "#d6cb3c",
        "scale": "#f0874a",
        "plain": "#8b949e",
    },
)
