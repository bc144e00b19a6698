"""How many TCP connections a population needs, hop by hop (white paper, tables 1 to 3)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.client.client_type import ClientType, Transport
from loadgen.measure.columns import COLUMNS, COUNTED_COLUMNS, with_totals

PURPOSES: Final = ("mail", "public_folder", "directory", "referral")
"""What a virtual connection is for."""

CONNECTIONS_PER_VC: Final = 2
"""Over HTTP each virtual connection is an IN and an OUT channel, at every hop."""

CONNECTIONS_PER_DIRECT_VC: Final = 1
"""Inside the firewall it is one TCP connection, straight to the server."""


def connections_per_vc(client: ClientType) -> int:
    """How many TCP connections a client of this type opens for a virtual connection."""
    return CONNECTIONS_PER_DIRECT_VC if client.transport == "tcp" else CONNECTIONS_PER_VC


def virtual_connections(client: ClientType, *, starting: bool) -> dict[str, int]:
    """A logged-on user's virtual connections by purpose, with those of start-up or without."""
    steady = client.connections
    return {
        "mail": steady.mail + client.second_mailbox,
        "public_folder": steady.public_folder,
        "directory": steady.directory + (client.startup.directory if starting else 0),
        "referral": client.startup.referral if starting else 0,
    }


def tcp_connections(
    virtual: Mapping[str, int], *, direct: bool = False, transport: Transport = "http"
) -> dict[str, int]:
    """TCP connections by column for virtual connections by purpose.

    DSProxy opens one connection to the global catalog for each that it takes; with ``direct`` referral the
    client access servers open them. Over TCP neither is on the way.
    """
    if transport == "tcp":
        return _inside_the_firewall(virtual)
    mail, public_folder, directory, referral = (
        CONNECTIONS_PER_VC * virtual.get(each, 0) for each in PURPOSES
    )
    counts = with_totals(
        {
            "client_to_cas": mail + public_folder + directory + referral,
            "client_to_servers": 0,
            "cas_to_stores": mail + public_folder,
            "cas_to_dsproxy": 0 if direct else directory,
            "cas_to_referral": referral,
            "cas_to_gc": directory if direct else 0,
            "store": mail,
            "dsproxy": 0 if direct else directory,
            "referral": referral,
            "public_store": public_folder,
            "directory": directory,
        }
    )
    return {column: count for column, count in counts.items() if count is not None}


def _inside_the_firewall(virtual: Mapping[str, int]) -> dict[str, int]:
    """White paper, table 1: each virtual connection is one TCP connection to its server."""
    mail, public_folder, directory, referral = (
        CONNECTIONS_PER_DIRECT_VC * virtual.get(each, 0) for each in PURPOSES
    )
    arriving = {"store": mail, "public_store": public_folder, "directory": directory, "referral": referral}
    opened = {"client_to_servers": sum(arriving.values())}
    counts = with_totals(dict.fromkeys(COUNTED_COLUMNS, 0) | opened | arriving)
    return {column: count for column, count in counts.items() if count is not None}


def expected(users: Iterable[tuple[ClientType, bool, int]], *, direct: bool = False) -> dict[str, int]:
    """Expected connections by column for logged-on users: (client type, still starting, how many) each.

    ``direct``: they are referred to global catalogs.
    """
    virtual: dict[Transport, Counter[str]] = {"http": Counter(), "tcp": Counter()}
    for client, starting, count in users:
        for purpose, each in virtual_connections(client, starting=starting).items():
            virtual[client.transport][purpose] += each * count
    return _sum_over_transports(virtual, direct=direct)


def as_loadgen(users: int, inside: int = 0) -> dict[str, int]:
    """What LoadGen would open for as many users of whatever client type: mail alone (white paper, table 3).

    Of these users, so many are ``inside`` the firewall.
    """
    return _sum_over_transports({"http": {"mail": users - inside}, "tcp": {"mail": inside}})


def _sum_over_transports(
    virtual: Mapping[Transport, Mapping[str, int]], *, direct: bool = False
) -> dict[str, int]:
    of_each = [
        tcp_connections(each, direct=direct, transport=transport) for transport, each in virtual.items()
    ]
    return {column: sum(counts[column] for counts in of_each) for column in COLUMNS}
