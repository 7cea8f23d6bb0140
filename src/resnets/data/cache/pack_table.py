"""The packs in the cache as a table."""

from collections.abc import Sequence

from resnets.data.cache.pack_cache import Kept
from resnets.tables import Column, Row, Table


def pack_table(packs: Sequence[Kept]) -> Table:
    """Draw a line for each pack."""
    columns = (
        Column("pack"),
        Column("images", right=True),
        Column("unreadable", right=True, spare=1),
        Column("pixels", right=True),
        Column("MB", right=True),
        Column("last used", spare=2),
        Column("of"),
    )
    return Table(columns, [Row(_cells(pack)) for pack in packs])


def _cells(pack: Kept) -> tuple[str, ...]:
    return (
        pack.path.name,
        "" if pack.images is None else f"{pack.images:,}",
        f"{len(pack.unreadable):,}" if pack.unreadable else "",
        "" if pack.size is None else f"{pack.size}×{pack.size}",
        f"{pack.bytes / 1e6:,.1f}",
        pack.used.strftime("%Y-%m-%d %H:%M"),
        _origin(pack),
    )


def _origin(pack: Kept) -> str:
    if pack.root is None:
        return pack.state
    return pack.root if pack.state == "whole" else f"{pack.root} ({pack.state})"
