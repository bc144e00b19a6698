"""The columns of the connection table, by the names that ``summary.json`` gives them (docs/results.md)."""

from collections.abc import Mapping
from typing import Final

COLUMNS: Final = (
    "client_to_cas",
    "client_to_servers",
    "cas_to_stores",
    "cas_to_dsproxy",
    "cas_to_referral",
    "cas_to_gc",
    "cas_total",
    "store",
    "dsproxy",
    "referral",
    "mailbox_total",
    "public_store",
    "directory",
)
"""In the order in which reports list them. The two referral columns are 0 once start-up is over, and
``cas_to_gc`` is 0 unless clients are referred to global catalogs directly. What clients inside the firewall
open counts in ``client_to_servers``, and where it arrives."""

PARTS: Final = {
    "cas_total": ("cas_to_stores", "cas_to_dsproxy", "cas_to_referral", "cas_to_gc"),
    "mailbox_total": ("store", "dsproxy", "referral"),
}
"""The columns that are sums of others."""

COUNTED_COLUMNS: Final = tuple(column for column in COLUMNS if column not in PARTS)

ConnectionCount = dict[str, int | None]
"""TCP connections by column; None where the party that counted can't see the column."""


def with_totals(counted: Mapping[str, int | None]) -> ConnectionCount:
    """Adds the sums to counted columns; a sum is None as soon as a part of it is."""
    counts: ConnectionCount = {column: counted.get(column) for column in COUNTED_COLUMNS}
    for total, parts in PARTS.items():
        values = [counts[part] for part in parts]
        counts[total] = None if None in values else sum(value for value in values if value is not None)
    return {column: counts[column] for column in COLUMNS}
