"""How many TCP connections a population needs, hop by hop (design section 3, facts C3 to C5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from loadgen.client.client_type import ClientType
from loadgen.measure.columns import with_totals

PURPOSES: Final = ("mail", "public_folder", "directory", "referral")
"""What a virtual connection is for."""

CONNECTIONS_PER_VC: Final = 2
"""Over HTTP each virtual connection is an IN and an OUT channel, at every hop."""


def virtual_connections(client: ClientType, *, starting: bool) -> dict[str, int]:
    """A logged-on user's virtual connections by purpose, with those of start-up or without."""
    steady = client.connections
    return {
        "mail": steady.mail + client.second_mailbox,
        "public_folder": steady.public_folder,
        "directory": steady.directory + (client.startup.directory if starting else 0),
        "referral": client.startup.referral if starting else 0,
    }


def tcp_connections(virtual: Mapping[str, int], *, direct: bool = False) -> dict[str, int]:
    """TCP connections by column for virtual connections by purpose.

    DSProxy opens one connection to the global catalog for each that it takes; with ``direct`` referral the
    client access servers open them.
    """
    mail, public_folder, directory, referral = (
        CONNECTIONS_PER_VC * virtual.get(each, 0) for each in PURPOSES
    )
    counts = with_totals(
        {
            "client_to_cas": mail + public_folder + directory + referral,
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


def expected(users: Iterable[tuple[ClientType, bool, int]], *, direct: bool = False) -> dict[str, int]:
    """Expected connections by column for logged-on users: (client type, still starting, how many) each.

    ``direct``: they are referred to global catalogs.
    """
    virtual = dict.fromkeys(PURPOSES, 0)
    for client, starting, count in users:
        for purpose, each in virtual_connections(client, starting=starting).items():
            virtual[purpose] += each * count
    return tcp_connections(virtual, direct=direct)


def as_loadgen(users: int) -> dict[str, int]:
    """What LoadGen would open for as many users of whatever client type: mail alone (facts C4)."""
    return tcp_connections({"mail": users})
