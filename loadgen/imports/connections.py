"""Lists of connections counted into the columns of the connection table: the white paper's own method.

Each server lists its connections; by its role and the ports it is known what each of them is for.
"""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

import msgspec

from loadgen.errors import ProfileError
from loadgen.imports.imported import Imported, now
from loadgen.imports.listing import Address, Connection, read_listing
from loadgen.measure.columns import ConnectionCount, with_totals

Role = Literal["cas", "mailbox", "public-folders", "gc"]
ROLES: Final[tuple[Role, ...]] = ("cas", "mailbox", "public-folders", "gc")

COLUMNS_OF: Final[Mapping[Role, tuple[str, ...]]] = {
    "cas": ("client_to_cas", "cas_to_stores", "cas_to_referral", "cas_to_dsproxy", "cas_to_gc"),
    "mailbox": ("store", "referral", "dsproxy", "directory"),
    "public-folders": ("public_store",),
    "gc": ("directory",),
}
"""What servers of a role see. DSProxy's connections are seen at both ends: those at the catalog count."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """By which port a connection is known; ``gc`` is the global catalogs' address book."""

    proxy: tuple[int, ...] = (80, 443)
    store: tuple[int, ...] = (6001,)
    referral: tuple[int, ...] = (6002,)
    directory: tuple[int, ...] = (6004,)
    gc: tuple[int, ...] = (6004,)


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whose list it is; without addresses all of it counts, without ``catalogs`` ports alone decide."""

    role: Role
    addresses: frozenset[Address] = frozenset()
    catalogs: frozenset[Address] = frozenset()
    """Addresses of global catalogs, to which a client access server connects in direct referral."""
    ports: Ports = Ports()


def addresses(texts: Sequence[str], option: str) -> frozenset[Address]:
    """Addresses as they are typed; raises :class:`~loadgen.errors.ProfileError` that names the option."""
    try:
        return frozenset(ip_address(text) for text in texts)
    except ValueError as error:
        raise ProfileError(f"option: {option}: {error}") from None


def count(connections: Iterable[Connection], server: Server) -> dict[str, int]:
    """How many connections there are in each column that the server sees.

    Whoever names no ``catalogs`` does not see ``cas_to_gc``: its connections are among ``cas_to_dsproxy``.
    """
    counts = dict.fromkeys(COLUMNS_OF[server.role], 0)
    if not server.catalogs:
        counts.pop("cas_to_gc", None)
    for connection in connections:
        if server.addresses and connection.local not in server.addresses:
            continue
        if column := _column(connection, server):
            counts[column] += 1
    return counts


def _column(connection: Connection, server: Server) -> str:
    """The column of one connection, "" if it has nothing to do with Outlook Anywhere."""
    ports, arriving, leaving = server.ports, connection.local_port, connection.remote_port
    match server.role:
        case "cas":
            return "client_to_cas" if arriving in ports.proxy else _from_cas(connection, server)
        case "mailbox":
            for column, known in (
                ("store", ports.store),
                ("referral", ports.referral),
                ("dsproxy", ports.directory),
            ):
                if arriving in known:
                    return column
            is_catalog = not server.catalogs or connection.remote in server.catalogs
            return "directory" if leaving in ports.gc and is_catalog else ""
        case "public-folders":
            return "public_store" if arriving in ports.store else ""
    return "directory" if arriving in ports.gc else ""


def _from_cas(connection: Connection, server: Server) -> str:
    ports, leaving = server.ports, connection.remote_port
    if connection.remote in server.catalogs:
        return "cas_to_gc" if leaving in ports.gc else ""
    if leaving in ports.store:
        return "cas_to_stores"
    if leaving in ports.referral:
        return "cas_to_referral"
    return "cas_to_dsproxy" if leaving in ports.directory else ""


def import_connections(paths: Sequence[Path], server: Server, known: Imported | None = None) -> Imported:
    """Counts lists of servers of one role, and adds them to what is ``known`` of other servers.

    Raises :class:`~loadgen.imports.listing.ListingError`.
    """
    if known is not None and known.kind != "connections":
        raise ProfileError(
            f"option: into: holds an import of kind {known.kind}, to which no list can be added"
        )
    counted = {role: dict(columns) for role, columns in (known.counted if known else {}).items()}
    notes = list(known.notes if known else ())
    for path in paths:
        found = count(read_listing(path), server)
        if not any(found.values()):
            notes.append(
                f"{path}: no connection of a {server.role} server; are role, address and ports right?"
            )
        sums = counted.get(server.role, dict.fromkeys(found, 0))
        counted[server.role] = {
            column: sums[column] + number for column, number in found.items() if column in sums
        }
    if {"mailbox", "gc"} <= counted.keys() and counted["mailbox"]["directory"] != counted["gc"]["directory"]:
        mailbox, catalog = counted["mailbox"]["directory"], counted["gc"]["directory"]
        notes.append(f"directory: mailbox servers list {mailbox:,}, global catalogs {catalog:,}; these count")
    return Imported(
        kind="connections",
        sources=(*(known.sources if known else ()), *map(str, paths)),
        imported=now(),
        counted=counted,
        connections=_table(counted),
        notes=tuple(dict.fromkeys(notes)),
    )


def _table(counted: Mapping[str, Mapping[str, int]]) -> ConnectionCount:
    columns: dict[str, int | None] = {}
    for role in ROLES:
        columns |= counted.get(role, {})
    seen = {"cas_to_gc": columns.get("cas_to_gc")}
    return with_totals({"cas_to_gc": 0} | columns) | seen
