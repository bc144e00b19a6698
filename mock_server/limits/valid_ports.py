"""Where an RPC proxy lets its clients go: the registry value ``ValidPorts``."""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from mock_server.topology import Topology, ValidPorts


class BackEnd(NamedTuple):
    """An endpoint that clients may name, and the column in which connections to it count."""

    address: str
    port: int
    column: str


BackEnds: TypeAlias = dict[tuple[str, int], BackEnd]
"""By server name (NetBIOS or full, in lower case) and port."""


def back_ends(topology: Topology, valid_ports: ValidPorts) -> BackEnds:
    """The endpoints of the organisation that ``valid_ports`` allows; names of others lead nowhere."""
    ports = topology.ports
    of_public = {ports.store: "cas_to_stores"}
    of_mailbox = of_public | {ports.referral: "cas_to_referral", ports.directory: "cas_to_dsproxy"}
    default = dict(_named(topology, "mailbox", of_mailbox)) | dict(
        _named(topology, "public_folders", of_public)
    )
    known = default | dict(_named(topology, "global_catalog", {ports.directory: "cas_to_gc"}))
    allowed: BackEnds = {}
    for entry in ("default",) if valid_ports == "default" else valid_ports:
        allowed |= default if entry == "default" else _matching(known, entry)
    return allowed


def _named(
    topology: Topology, role: str, columns: dict[int, str]
) -> Iterator[tuple[tuple[str, int], BackEnd]]:
    for server in getattr(topology, role):
        for name in (server.name, f"{server.name}.{topology.organisation.domain}"):
            for port, column in columns.items():
                yield (name.lower(), port), BackEnd(server.address, port, column)


def _matching(known: BackEnds, entry: str) -> BackEnds:
    """Those that ``name:port`` or ``name:low-high`` means."""
    name, _, ports = entry.lower().rpartition(":")
    low, _, high = ports.partition("-")
    range_of_ports = range(int(low), int(high or low) + 1)
    return {key: end for key, end in known.items() if key[0] == name and key[1] in range_of_ports}
