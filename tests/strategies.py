"""Architectures for tests: every kind of part, narrow; and any that hypothesis thinks of."""

from hypothesis import strategies as st

from resnets.networks.architecture import Architecture
from resnets.networks.spec import Block, Norm, Stage, Stem

SMALL_STEM = Stem(width=8, kernel=3, stride=1, pool=False)


def _network(name: str, block: Block, stem: Stem = SMALL_STEM, **others: object) -> Architecture:
    stages = (
        Stage(depth=2, width=8, stride=1, block=block),
        Stage(depth=2, width=16, stride=2, block=block),
    )
    return Architecture(
        **{"name": name, "channels": 3, "classes": 5, "stem": stem, "stages": stages, **others}
    )


SMALL_ARCHITECTURES = [
    _network("basic", Block(kind="basic")),
    _network("basic_narrow_inside", Block(kind="basic", inner=4)),
    _network("basic_option_a", Block(kind="basic", shortcut="padding")),
    _network("chapter", Block(kind="basic", shortcut="bare_projection"), bias=True, channels=1),
    _network("bottleneck_v1", Block(kind="bottleneck", stride_in="1x1")),
    _network("bottleneck_v1.5", Block(kind="bottleneck", stride_in="3x3")),
    _network("bottleneck_option_a", Block(kind="bottleneck", shortcut="padding")),
    _network("resnext", Block(kind="bottleneck", inner=8, groups=4)),
    _network("depthwise", Block(kind="bottleneck", inner=8, groups=8)),
    _network("imagenet_stem", Block(kind="basic"), Stem(width=8, kernel=7, stride=2, pool=True)),
    _network("one_pixel_stem", Block(kind="basic"), Stem(width=8, kernel=1, stride=3, pool=True)),
    _network("other_norm", Block(kind="basic"), norm=Norm(epsilon=1e-3, decay=0.6)),
    _network("deep_stem", Block(kind="basic"), Stem(width=8, kernel=3, stride=2, deep=True)),
    _network("average_projection", Block(kind="basic", shortcut="average_projection")),
    _network("excited_basic", Block(kind="basic", squeeze=3)),
    _network("excited_resnext", Block(kind="bottleneck", inner=8, groups=2, squeeze=2)),
    _network("before_basic", Block(kind="basic"), preactivation=True),
    _network("before_bottleneck", Block(kind="bottleneck"), preactivation=True),
    _network("before_v1", Block(kind="bottleneck", stride_in="1x1"), preactivation=True),
    _network("before_option_a", Block(kind="basic", shortcut="padding"), preactivation=True),
    _network("shift", Block(kind="shift", inner=11, squeeze=3)),
    _network("shift_dilated", Block(kind="shift", inner=20), output_stride=1),
    _network("highway", Block(kind="basic", gated=True)),
    _network("highway_option_a", Block(kind="bottleneck", shortcut="padding", gated=True)),
    _network("excited_inside", Block(kind="bottleneck", squeeze_ratio=0.3, squeeze_at="3x3")),
    _network("group_norm", Block(kind="basic"), norm=Norm(kind="group", groups=2, epsilon=1e-4)),
    _network("no_norm", Block(kind="bottleneck"), norm=Norm(kind="none"), bias=True),
    _network(
        "group_norm_deep",
        Block(kind="basic"),
        Stem(width=8, kernel=3, stride=2, deep=True),
        norm=Norm(kind="group", groups=4),
    ),
    _network("leaky", Block(kind="basic", squeeze=3), activation="leaky_relu"),
    _network("elu", Block(kind="bottleneck"), activation="elu"),
    _network("silu", Block(kind="basic", squeeze=3), activation="silu"),
    _network("gelu", Block(kind="bottleneck"), activation="gelu"),
    _network("dilated_basic", Block(kind="basic"), output_stride=1),
    _network("dilated_v1", Block(kind="bottleneck", stride_in="1x1"), output_stride=1),
    _network(
        "dilated_late",
        Block(kind="bottleneck", inner=8, groups=2),
        Stem(width=8, kernel=3, stride=2, pool=False),
        output_stride=2,
    ),
    _network("regnet_x", Block(kind="bottleneck", inner=8, groups=2), naming="regnet"),
    _network(
        "regnet_y",
        Block(kind="bottleneck", inner=8, groups=2, squeeze_ratio=0.25, squeeze_at="3x3"),
        Stem(width=12, kernel=3, stride=2, pool=False),
        naming="regnet",
    ),
    _network(
        "regnet_odd",
        Block(kind="bottleneck", squeeze=3, gated=True, shortcut="bare_projection"),
        Stem(width=8, kernel=3, stride=1, pool=True),
        naming="regnet",
        activation="silu",
        norm=Norm(kind="group", groups=2),
        output_stride=2,
    ),
    _network(
        "before_dilated",
        Block(kind="basic"),
        preactivation=True,
        output_stride=1,
        activation="gelu",
    ),
    _network(
        "before_group_norm",
        Block(kind="bottleneck", inner=4),
        preactivation=True,
        norm=Norm(kind="group", groups=4),
    ),
    _network("before_no_norm", Block(kind="basic"), preactivation=True, norm=Norm(kind="none")),
    _network(
        "before_groups",
        Block(kind="bottleneck", inner=8, groups=2),
        Stem(width=8, kernel=7, stride=2, pool=True),
        preactivation=True,
    ),
    Architecture(
        name="stride_3_stages_3",
        channels=4,
        classes=1,
        stem=SMALL_STEM,
        stages=(
            Stage(depth=1, width=8, stride=3),
            Stage(depth=1, width=12, stride=1, block=Block(kind="bottleneck", inner=6, groups=2)),
            Stage(depth=3, width=6, stride=2),
        ),
    ),
]


QUICK_ARCHITECTURES = [
    a
    for a in SMALL_ARCHITECTURES
    if a.name
    in {
        *("average_projection", "deep_stem", "no_norm", "regnet_odd", "regnet_y", "shift"),
        *("before_option_a", "before_v1"),
    }
]
"""The fewest that have among them every kind of part that all of the above have."""


def kinds_of_parts(architecture: Architecture) -> set[tuple[str, object]]:
    """Return which kind of each part a network has: blocks, shortcuts, norms, stem, and so on."""
    found: set[tuple[str, object]] = {
        ("stem", "deep" if architecture.stem.deep else "one convolution"),
        ("max-pool", architecture.stem.pool),
        ("norm", architecture.norm.kind),
        ("curved activation", architecture.activation != "relu"),
        ("bias", architecture.bias),
        ("naming", architecture.naming),
        ("dilated", architecture.output_stride is not None),
    }
    for stage in architecture.stages:
        block = stage.block
        squeezed = block.squeeze is not None or block.squeeze_ratio is not None
        found |= {
            ("block", (block.kind, architecture.preactivation)),
            ("shortcut", block.shortcut),
            ("squeeze", block.squeeze_at if squeezed else None),
            ("gated", block.gated),
            ("groups", block.groups > 1),
        }
        if block.kind == "bottleneck":
            found.add(("stride in", block.stride_in))
    return found


def _blocks(width: int, channels: int, before: bool, regnet: bool) -> st.SearchStrategy[Block]:
    shortcuts = ["projection"]
    shortcuts += ["padding"] if width >= channels and not regnet else []
    shortcuts += [] if before else ["bare_projection"]
    shortcuts += [] if before or regnet else ["average_projection"]
    others = {
        "shortcut": st.sampled_from(shortcuts),
        "squeeze": st.none() if before else st.none() | st.integers(1, 4),
        "gated": st.just(False) if before else st.booleans(),
    }
    kinds = ["basic"] if before else ["basic", "shift"]
    plain = st.builds(
        Block, kind=st.sampled_from(kinds), inner=st.none() | st.integers(1, 20), **others
    )
    bottleneck = st.integers(1, 4).flatmap(
        lambda groups: st.builds(
            Block,
            kind=st.just("bottleneck"),
            inner=st.integers(1, 3).map(lambda n: n * groups),
            groups=st.just(groups),
            stride_in=st.sampled_from(["1x1", "3x3"]),
            **others,
        )
    )
    inside = st.builds(
        Block,
        kind=st.just("bottleneck"),
        inner=st.integers(1, 6),
        squeeze_ratio=st.floats(0.6, 1),
        squeeze_at=st.sampled_from(["3x3", "branch"]),
        shortcut=st.sampled_from(shortcuts),
    )
    if regnet:
        return bottleneck | inside
    return plain | bottleneck if before else plain | bottleneck | inside


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Any valid network that is small enough to compute."""
    stem = draw(
        st.builds(
            Stem,
            width=st.integers(1, 8),
            kernel=st.sampled_from([1, 3, 5, 7]),
            stride=st.integers(1, 3),
            pool=st.booleans(),
        )
    )
    before = draw(st.booleans())
    regnet = not before and draw(st.booleans())
    channels, stages, reductions = stem.width, [], [stem.stride * (2 if stem.pool else 1)]
    for _ in range(draw(st.integers(1, 3))):
        width = draw(st.integers(1, 12))
        stages.append(
            Stage(
                depth=draw(st.integers(1, 3)),
                width=width,
                stride=draw(st.integers(1, 3)),
                block=draw(_blocks(width, channels, before, regnet)),
            )
        )
        channels = width
        reductions.append(reductions[-1] * stages[-1].stride)
    averaged = any(stage.block.shortcut == "average_projection" for stage in stages)
    return Architecture(
        name=draw(st.text(max_size=8)),
        channels=draw(st.integers(1, 4)),
        classes=draw(st.integers(1, 12)),
        stem=stem,
        stages=tuple(stages),
        preactivation=before,
        bias=draw(st.booleans()),
        norm=Norm(
            kind=draw(st.sampled_from(["batch", "group", "none"])),
            epsilon=draw(st.floats(1e-6, 1e-2)),
            decay=draw(st.floats(0, 0.99)),
            groups=1,
        ),
        activation=draw(st.sampled_from(["relu", "leaky_relu", "elu", "silu", "gelu"])),
        output_stride=None if averaged else draw(st.none() | st.sampled_from(reductions)),
        naming="regnet" if regnet else "resnet",
    )
