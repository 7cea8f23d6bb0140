import io
import itertools
import subprocess
import sys
import time
import typing
import unicodedata
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageFont

from resnets.cli import app
from resnets.cli.draw import draw as draw_command
from resnets.errors import MissingDependency, ResnetsError, UnknownName
from resnets.networks import catalog, families
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import default_image_size
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import trace
from resnets.report.drawing import (
    Diagram,
    DrawingError,
    Part,
    Theme,
    draw_part,
    png,
    to_png,
    to_svg,
    write_diagram,
)
from resnets.report.drawing.anatomy import find_blocks, group_alike
from resnets.report.drawing.diagram import Bounds, Box, Line, Sign, Text
from resnets.report.drawing.labels import format_brief
from resnets.report.drawing.palette import DARK, LIGHT, Palette
from resnets.report.drawing.parts import check_path
from resnets.report.drawing.png import FONT_HAS, find_font_files
from resnets.report.drawing.text import clean, load_pillow_font, measure_width, shorten
from resnets.terminal import print_note
from strategies import SMALL_ARCHITECTURES, architectures

PARTS: tuple[Part, ...] = typing.get_args(Part)


def picture(name: str, part: Part = "network", block: str | None = None) -> Diagram:
    architecture = catalog.get(name)
    return draw_part(trace(architecture, default_image_size(architecture)), part, block)


def every_picture(architecture: Architecture, size: int) -> list[Diagram]:
    """Every part, every block; but the parts that the network does not have."""
    steps = trace(architecture, size)
    found = [draw_part(steps)]
    for block in find_blocks(steps):
        parts: list[Part] = ["block", "plain", *(("paths",) if block.grouped else ())]
        found += [draw_part(steps, part, block.name) for part in parts]
    changing = {bool(block.shortcut.layers) for block in find_blocks(steps)}
    return [*found, draw_part(steps, "pair")] if len(changing) == 2 else found


def texts(diagram: Diagram) -> list[str]:
    return [mark.text for mark in diagram.marks if isinstance(mark, Text)]


# Geometry: what would make a picture hard to read.


def overlap(a: Bounds, b: Bounds) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def inside(a: Bounds, b: Bounds) -> bool:
    return b[0] <= a[0] and b[1] <= a[1] and a[2] <= b[2] and a[3] <= b[3]


def pieces(line: Line) -> list[Bounds]:
    """A line's straight pieces; all lines are level or plumb."""
    found = []
    for (ax, ay), (bx, by) in itertools.pairwise(line.points):
        assert ax == bx or ay == by, line
        found.append((min(ax, bx), min(ay, by), max(ax, bx) + 0.1, max(ay, by) + 0.1))
    return found


def check(diagram: Diagram) -> None:
    """Nothing outside, no text on another, on a line or across an edge; no box on another."""
    view = (0.0, 0.0, diagram.width, diagram.height)
    bounds = {mark: mark.bounds for mark in diagram.marks}
    for mark, extent in bounds.items():
        assert inside(extent, view), mark
    written = [mark for mark in bounds if isinstance(mark, Text)]
    boxes = [mark for mark in bounds if isinstance(mark, Box)]
    signs = [mark for mark in bounds if isinstance(mark, Sign)]
    lines = [piece for mark in bounds if isinstance(mark, Line) for piece in pieces(mark)]
    cards = [box for box in boxes if box.look in ("tint", "solid")]
    behind = {box for box in cards if pile(box, cards)}
    front = [box for box in cards if box not in behind]
    for a, b in (
        *itertools.combinations(written, 2),
        *itertools.combinations(front, 2),
        *itertools.product(signs, front),
        *itertools.product(signs, written),
    ):
        assert not overlap(bounds[a], bounds[b]), (a, b)
    for text in written:
        place = bounds[text]
        for box in (box for box in boxes if overlap(place, bounds[box])):
            assert box in behind or inside(place, bounds[box]), (text, box)
        if not any(inside(place, bounds[box]) for box in front):
            for piece in lines:
                assert not overlap(place, piece), (text, piece)


def pile(box: Box, cards: list[Box]) -> bool:
    """Whether another box of the same size lies over it, a few pixels off: it is meant to."""
    return any(
        box is not other
        and (box.width, box.height, box.hue) == (other.width, other.height, other.hue)
        and 0 < box.x - other.x <= 6
        and abs((box.x - other.x) - (box.y - other.y)) < 0.01
        for other in cards
    )


def test_the_check_finds_what_is_wrong() -> None:
    good = picture("resnet18")
    check(good)
    first = next(mark for mark in good.marks if isinstance(mark, Text))
    line = Line(points=((0, first.y - 2), (good.width, first.y - 2)))
    for wrong in (replace(first, text="y"), replace(first, x=-5.0), line):
        with pytest.raises(AssertionError):
            check(replace(good, marks=(*good.marks, wrong)))


def test_every_network_of_the_catalog_in_seconds() -> None:
    begin = time.process_time()
    drawn = {name: picture(name) for name in catalog.names()}
    for diagram in drawn.values():
        assert len(to_svg(diagram)) < 45_000
    # 5 seconds here; a trace of the deepest networks is a third of it.
    assert time.process_time() - begin < 40
    for diagram in drawn.values():
        check(diagram)
        # Whatever the depth, a picture that fits a slide.
        assert diagram.height < 1000 and diagram.width < 1700


@pytest.mark.parametrize("architecture", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_every_part_of_every_kind_of_network(architecture: Architecture) -> None:
    for diagram in every_picture(architecture, 20):
        check(diagram)
        ElementTree.fromstring(to_svg(diagram))


@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "resnet50", "resnet50d", "resnext50_32x4d", "resnext101_64x4d"),
        *("seresnext50_32x4d", "resnetv2_50", "regnet_y_400mf", "regnet_y_128gf", "resnet50_gn"),
        *("cifar_resnet20", "cifar_highway110", "cifar_shiftresnet20_6x", "chapter_resnext26"),
    ],
)
def test_every_part_of_known_networks(name: str) -> None:
    architecture = catalog.get(name)
    steps = trace(architecture, default_image_size(architecture))
    for part in PARTS:
        if part == "paths" and not any(block.grouped for block in find_blocks(steps)):
            continue
        check(draw_part(steps, part))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(architectures(), st.integers(1, 40))
def test_any_network(architecture: Architecture, size: int) -> None:
    for diagram in every_picture(architecture, size):
        check(diagram)
        ElementTree.fromstring(to_svg(diagram))


def test_the_widest_numbers() -> None:
    block = Block(kind="bottleneck", inner=2**15, groups=2**15, squeeze=2**15, gated=True)
    stages = (Stage(depth=200, width=2**16, stride=3, block=block), Stage(depth=1, width=2**16))
    stem = Stem(width=2**16, kernel=7, stride=3)
    huge = Architecture(stem=stem, stages=stages, channels=2**16, classes=2**24, output_stride=6)
    steps = trace(huge, 2**15)
    for part in ("network", "block", "paths", "plain"):
        check(draw_part(steps, part))


# What is drawn.


@pytest.mark.parametrize("architecture", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_a_block_is_taken_apart_without_losing_a_layer(architecture: Architecture) -> None:
    steps = trace(architecture, 16)
    for block in find_blocks(steps):
        names = [layer.name for layer in block.layers]
        assert len(set(names)) == len(names)
        assert set(names) == {layer.name for layer in steps.layers if layer.block == block.name}
        assert block.branch.end == block.total.inputs[0]
        assert block.shortcut.end == block.total.inputs[1]


def test_alike_blocks_are_drawn_once() -> None:
    steps = trace(catalog.get("resnet152"))
    third = [block for block in find_blocks(steps) if block.total.part == "stage3"]
    assert [(run.block.name, run.count) for run in group_alike(third)] == [
        ("layer3.0", 1),
        ("layer3.1", 35),
    ]
    assert [t for t in texts(picture("resnet152")) if t.startswith("× ")] == [
        *("× 2", "× 7", "× 35", "× 2")
    ]
    assert "× 200" in texts(picture("cifar_resnet1202"))


def test_the_network_says_shapes_and_costs() -> None:
    shown = texts(picture("resnet50"))
    assert shown.count("1×1 /2") == 3 and shown.count("3×3 /2") == 4  # one is the max-pool
    for words in ("512 × 28 × 28", "2048 × 7 × 7", "7×7 /2", "input 3 × 224 × 224", "15.0 M"):
        assert words in shown, words
    assert any("25,557,032 parameters, 4,089,184,256 multiply-adds" in text for text in shown)
    described = picture("resnet50").description
    assert "stage 2, 4 bottleneck blocks: output 512 × 28 × 28, 1,219,584 parameters" in described


def test_shares_add_up_to_the_whole() -> None:
    bars = [m for m in picture("resnet50").marks if isinstance(m, Box) and m.look == "bar"]
    track = next(m for m in picture("resnet50").marks if isinstance(m, Box) and m.look == "track")
    for share in (bars[::2], bars[1::2]):
        assert sum(bar.width for bar in share) == pytest.approx(track.width, abs=4)


def test_a_block_with_projection() -> None:
    diagram = picture("resnet50", "block")
    assert diagram.title == "resnet50 · layer2.0"
    shown = texts(diagram)
    assert "256 → 128 channels" in shown and "256 → 512 channels, stride 2" in shown
    assert shown.count("batch norm") == 4 and shown.count("ReLU") == 3
    assert "input:  256 × 56 × 56" in shown and "output:  512 × 28 × 28" in shown
    assert sum(isinstance(m, Sign) and m.kind == "plus" for m in diagram.marks) == 1
    assert "identity" not in shown and "identity" in texts(picture("resnet50", "block", "layer2.1"))


def test_a_gate_weighs_both_ways() -> None:
    diagram = picture("cifar_highway110", "block")
    assert {"T", "1 − T", "sigmoid"} <= set(texts(diagram))
    assert sum(isinstance(m, Sign) and m.kind == "times" for m in diagram.marks) == 2


def test_other_kinds_of_block() -> None:
    assert "each channel by 1 pixel" in texts(picture("cifar_shiftresnet20_6x", "block"))
    assert "stride 2, 16 channels of zeros" in texts(picture("cifar_resnet20", "block"))
    assert "2×2 average-pool" in texts(picture("resnet50d", "block"))
    assert "group norm, 32 groups" in texts(picture("resnet50_gn", "block"))
    assert "128 channels, bias" in texts(picture("chapter_resnet18", "block"))
    excited = texts(picture("seresnet50", "block", "layer1.0"))
    assert {"mean-pool", "256 → 16", "16 → 256", "sigmoid"} <= set(excited)
    before = picture("resnetv2_50", "block")
    # The projection takes the activated input, and there is nothing after the sum.
    dots = [m.y for m in before.marks if isinstance(m, Sign) and m.kind == "dot"]
    first_relu = next(m.y for m in before.marks if isinstance(m, Text) and m.text == "ReLU")
    assert len(dots) == 1 and dots[0] > first_relu


def test_groups_as_paths() -> None:
    diagram = picture("resnext50_32x4d", "paths", "layer1.1")
    shown = texts(diagram)
    assert "32 paths" in shown and shown.count("4 → 4") == 4 and shown.count("256 → 4") == 4
    assert "concatenation, 128 channels" in shown
    # The chapter's ResNeXtBlock(32, 16, 1) has two groups of 16 channels: both are shown.
    block = families.chapter_resnext_block(32, 16)
    chapter = Architecture(stem=Stem(width=32), stages=(Stage(depth=1, width=32, block=block),))
    shown = texts(draw_part(trace(chapter, 96), "paths"))
    assert shown.count("16 → 16") == 2 and not any("paths" in text for text in shown)


def test_plain_and_residual_block() -> None:
    diagram = picture("resnet18", "plain")
    shown = texts(diagram)
    assert {"plain block", "residual block", "f(x)", "g(x) = f(x) − x"} <= set(shown)
    assert shown.count("3×3 convolution") == 4
    frames = [m for m in diagram.marks if isinstance(m, Box) and m.look == "frame"]
    assert len(frames) == 2 and frames[0].y == frames[1].y
    assert sum(isinstance(m, Sign) and m.kind == "plus" for m in diagram.marks) == 1


def test_the_frame_holds_all_of_the_branch() -> None:
    diagram = picture("seresnet50", "plain")
    frame = next(m for m in diagram.marks if isinstance(m, Box) and m.look == "frame")
    held = [m for m in diagram.marks if isinstance(m, Box) and inside(m.bounds, frame.bounds)]
    # Three convolutions with norms, two ReLUs, and five boxes of squeeze-and-excitation.
    assert len([box for box in held if box.look == "tint"]) == 13


def test_with_and_without_projection() -> None:
    shown = texts(picture("chapter_resnet18", "pair"))
    assert {"layer2.1", "layer2.0", "identity"} <= set(shown)
    assert shown.count("1×1 convolution") == 1


def test_parts_that_a_network_lacks() -> None:
    with pytest.raises(DrawingError, match="no convolution in groups"):
        picture("resnet50", "paths")
    with pytest.raises(DrawingError, match=r"layer1\.0 is for another part"):
        picture("resnet50", "network", "layer1.0")
    with pytest.raises(UnknownName, match=r"'layer9\.0'; near it: layer\d\.0"):
        picture("resnet50", "block", "layer9.0")
    one = Architecture(stem=Stem(width=8), stages=(Stage(depth=1, width=8),))
    with pytest.raises(DrawingError, match="changes the shape"):
        draw_part(trace(one, 32), "pair")
    other = replace(one, stages=(Stage(depth=1, width=16),))
    with pytest.raises(DrawingError, match="identity"):
        draw_part(trace(other, 32), "pair")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0"), (999, "999"), (1000, "1.00 k"), (9994, "9.99 k"), (9995, "10.0 k")),
        *((99_949, "99.9 k"), (99_950, "100 k"), (999_499, "999 k"), (999_500, "1.00 M")),
        *((1_219_584, "1.22 M"), (4_089_184_256, "4.09 G"), (12_000_000_000_000, "12.0 T")),
    ],
)
def test_brief_numbers(number: int, text: str) -> None:
    assert format_brief(number) == text


# Files.


@pytest.mark.parametrize("theme", typing.get_args(Theme))
def test_svg_is_text_with_a_title(theme: Theme) -> None:
    diagram = picture("resnet50")
    root = ElementTree.fromstring(to_svg(diagram, theme))
    space = {"s": "http://www.w3.org/2000/svg"}
    assert root.get("role") == "img" and root[0].text == "resnet50"
    assert root[1].text == diagram.description
    assert [e.text for e in root.findall(".//s:text", space)] == texts(diagram)
    style = root.findtext(".//s:style", namespaces=space) or ""
    assert ("prefers-color-scheme" in style) == (theme == "auto")
    assert (DARK.ground in style) == (theme != "light")
    assert to_svg(diagram, theme) == to_svg(picture("resnet50"), theme)


@pytest.mark.parametrize(
    "name",
    ["<b>&\"'</b>", "\x00\x1b\ud800\ufffe", "two\nlines\t", "残差网络", "é" * 300, "\u202eabc", ""],
)
def test_names_that_xml_or_the_page_could_choke_on(name: str) -> None:
    named = replace(SMALL_ARCHITECTURES[0], name=name)
    for part in ("network", "block"):
        diagram = draw_part(trace(named, 16), part)
        check(diagram)
        root = ElementTree.fromstring(to_svg(diagram).encode())
        assert (root[0].text or "").startswith(clean(name) or "network")
        Image.open(io.BytesIO(to_png(diagram))).load()


def test_png_has_the_same_bytes_again() -> None:
    made = [to_png(picture("resnet18", "plain"), theme) for theme in ("auto", "light", "light")]
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("part", PARTS)
def test_png(part: Part) -> None:
    diagram = picture("resnext50_32x4d", part)
    made = {"auto": to_png(diagram, "auto"), "dark": to_png(diagram, "dark")}
    for theme, palette in (("auto", LIGHT), ("dark", DARK)):
        image = Image.open(io.BytesIO(made[theme])).convert("RGB")
        assert image.size == (2 * diagram.width, 2 * diagram.height)
        pixels = image.load()
        assert pixels is not None and pixels[0, 0] == rgb(palette.ground)
        for box in (m for m in diagram.marks if isinstance(m, Box) and m.look == "tint"):
            # Just inside the upper left corner, where no text is.
            x, y = round(2 * box.x) + 7, round(2 * box.y) + 7
            assert distance(pixels[x, y], rgb(palette.tints[box.hue])) < 12, box


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def distance(a: typing.Any, b: tuple[int, ...]) -> int:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def luminance(colour: str) -> float:
    shares = [value / 255 for value in rgb(colour)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_colours_are_readable(palette: Palette) -> None:
    # WCAG 2.1: 4.5 for text, 3 for graphics that matter; stripes and edges are those.
    for under in (palette.ground, palette.panel, *palette.tints.values()):
        assert contrast(palette.ink, under) > 7
    for under in (palette.ground, palette.panel):
        assert contrast(palette.faint, under) > 4.5
        assert contrast(palette.line, under) > 3


def test_texts_have_the_room_that_the_font_of_a_png_needs() -> None:
    regular, bold = (ImageFont.truetype(str(path), 200) for path in find_font_files())
    written = [
        mark
        for name in ("resnet50", "regnet_y_400mf", "cifar_shiftresnet20_6x", "chapter_resnet18")
        for part in ("network", "block", "plain")
        for mark in picture(name, part).marks
        if isinstance(mark, Text)
    ]
    for text in written:
        room = measure_width(text.text, 200, text.bold)
        assert load_pillow_font(200).getlength(text.text) < room, text
        # Some letters are wider still; boxes have more room than a tenth of an em.
        font = bold if text.bold else regular
        assert font.getlength(text.text) < 1.03 * room + 20, text


def test_the_font_of_a_png_has_the_characters_it_is_said_to_have() -> None:
    for path in find_font_files():
        glyphs = FT2Font(str(path)).get_charmap()
        lacking = {character for character in FONT_HAS if ord(character) not in glyphs}
        assert {unicodedata.category(character) for character in lacking} <= {"Cc", "Cn"}


def test_a_png_of_a_huge_diagram_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "MOST_PIXELS", 100_000)
    width, height = Image.open(io.BytesIO(to_png(picture("resnet18")))).size
    assert 99_000 < width * height < 101_000


def test_a_png_without_the_rasteriser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(MissingDependency, match=r"resnets\[report\]"):
        to_png(picture("resnet18"))
    with pytest.raises(MissingDependency):
        check_path(tmp_path / "a.png")
    write_diagram(picture("resnet18"), tmp_path / "a.svg")


def test_a_png_without_the_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"resnets\[report\]"):
        to_png(picture("resnet18"))


def test_long_texts_are_cut() -> None:
    assert shorten("short", 12, False, 100) == "short"
    cut = shorten("a very long name of a network", 12, True, 100)
    assert cut.endswith("…") and measure_width(cut, 12, True) <= 100


def test_write_refuses_what_it_cannot(tmp_path: Path) -> None:
    diagram = picture("resnet8_slim")
    for name, words in (
        ("a.gif", r"\.svg or \.png"),
        ("a", r"\.svg or"),
        ("no/a.svg", "no folder"),
    ):
        with pytest.raises(DrawingError, match=words):
            write_diagram(diagram, tmp_path / name)
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(DrawingError, match="cannot write"):
        write_diagram(diagram, tmp_path / "folder.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


# The command.


def draw(*arguments: str) -> int:
    """Run the command in this process; return its exit code."""
    try:
        app.app(["draw", *arguments])
    except ResnetsError as error:
        print_note(f"error: {error}")  # as ``main`` does
        return 1
    except SystemExit as left:
        return int(left.code or 0)
    return 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_draw_writes_a_file_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw("resnet50", "--theme", "dark") == 0
    assert (here / "resnet50.svg").read_bytes() == to_svg(picture("resnet50"), "dark").encode()
    assert draw("resnet50", "--block", "layer3.1", "-o", "b.PNG") == 0
    made = (here / "b.PNG").read_bytes()
    assert made == to_png(picture("resnet50", "block", "layer3.1"))
    assert capsys.readouterr().out == "wrote resnet50.svg\nwrote b.PNG\n"


def test_draw_to_standard_output(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    size = ("--size", "64", "--classes", "7", "--channels", "1")
    assert draw("resnet18", "-o", "-", *size) == 0
    sys.stdout.flush()
    root = ElementTree.fromstring(capfdbinary.readouterr().out)
    shown = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "input 1 × 64 × 64" in shown and "7" in shown
    assert list(here.iterdir()) == []


def test_draw_of_a_description(here: Path) -> None:
    text = '{"stem": {"width": 4, "kernel": 3}, "stages": [{"depth": 2, "width": 8}]}'
    (here / "mine.json").write_text(text)
    assert draw("mine.json", "--part", "pair") == 0
    assert (here / "mine-pair.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["resnet5O"], 1, "resnet50"),
        (["resnet50", "-o", "x.gif"], 1, "x.gif"),
        (["resnet50", "-o", "no/x.svg"], 1, "no/x.svg"),
        (["resnet50", "-o", "--part"], 1, "--part"),
        (["resnet50", "--block", "layer5.0"], 1, "'layer5.0'"),
        (["resnet50", "--part", "paths"], 1, "groups"),
        (["resnet50", "--part", "all"], 2, "network"),
        (["resnet50", "--size", "0"], 1, "0"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str], code: int, words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert draw(*arguments) == code
    said = capsys.readouterr()
    assert words in said.err + said.out and "Traceback" not in said.err
    assert list(here.iterdir()) == []


def test_the_command_names_every_part_and_theme() -> None:
    hints = typing.get_type_hints(draw_command)
    assert typing.get_args(typing.get_args(hints["part"])[0]) == typing.get_args(Part)
    assert typing.get_args(hints["theme"]) == typing.get_args(Theme)


def test_the_command_imports_no_framework(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from resnets.cli import app\n"
        "assert not {'PIL', 'numpy'} & set(sys.modules)\n"
        "for name, heavy in (('x.svg', {'resvg_py'}), ('x.png', set())):\n"
        "    try: app.app(['draw', 'resnet18', '-o', name])\n"
        "    except SystemExit: pass\n"
        "    heavy |= {'torch', 'jax', 'tensorflow', 'mxnet', 'matplotlib', 'numpy'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.png").exists()
