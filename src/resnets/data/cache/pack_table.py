"""The packs in the cache as a table."""

from collections.abc import Sequence

from resnets.data.cache.pack_cache import PackInfo
from resnets.tables import Column, Row, Table


def pack_table(packs: Sequence[PackInfo]) -> Table:
    """Draw a line for each pack."""
    columns = (
        Column("pack"),
        Column("images", align_right=True),
        Column("unreadable", align_right=True, drop_priority=1),
        Column("pixels", align_right=True),
        Column("MB", align_right=True),
        Column("last used", drop_priority=2),
        Column("of"),
    )
    return Table(columns, [Row(_cells(pack)) for pack in packs])


def _cells(pack: PackInfo) -> tuple[str, ...]:
    return (
        pack.path.name,
        "" if pack.images is None else f"{pack.images:,}",
        f"{len(pack.unreadable):,}" if pack.unreadable else "",
        "" if pack.size is None else f"{pack.size}×{pack.size}",
        f"{pack.bytes / 1e6:,.1f}",
        pack.used.strftime("%Y-%m-%d %H:%M"),
        _origin(pack),
    )


def _origin(pack: PackInfo) -> str:
    if pack.root is None:
        return pack.state
    return pack.root if pack.state == "whole" else f"{pack.root} ({pack.state})"
