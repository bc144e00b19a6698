"""What a population asks of servers in a second: remote procedure calls, pings, bytes.

Calls are those of the generator's own clients. How many each operation takes was counted on the wire, with
messages of 50 kB; ``tests/end_to_end/test_plan.py`` counts again. Bytes are the white paper's (table 5).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from loadgen.client.client_type import ClientType
from loadgen.protocol.rts_options import RtsOptions
from loadgen.workload.campaign import UserGroup
from loadgen.workload.connection_model import virtual_connections
from loadgen.workload.profile import MessageProfile
from loadgen.workload.topology import Topology
from loadgen.workload.white_paper import TrafficRow

PEAK: Final = 2
"""The busiest hour has so many times the mean (white paper, "Client Network Traffic")."""

WAIT_S: Final = 300.0
"""How long a server lets EcDoAsyncWaitEx wait when there is nothing to tell ([MS-OXCRPC] 3.3.4.1)."""

OCTETS_PER_KB: Final = 1000
BITS_PER_OCTET: Final = 8


class MailCalls(NamedTuple):
    """Calls to the mailbox store for one message, each with whatever follows from it later."""

    log_on: int
    send: int
    receive: int
    read: int
    delete: int


MAIL_CALLS: Final[Mapping[tuple[bool, bool], MailCalls]] = {
    (False, True): MailCalls(log_on=8, send=5, receive=2, read=8, delete=1),
    (False, False): MailCalls(log_on=6, send=5, receive=0, read=9, delete=1),
    (True, True): MailCalls(log_on=25, send=9, receive=9, read=5, delete=6),
    (True, False): MailCalls(log_on=20, send=14, receive=8, read=5, delete=5),
}
"""By (works on a copy, is told of news). Of those who poll, the polls themselves are counted apart."""

RESOLVE_CALLS: Final = 1
BROWSE_CALLS: Final = 3
DIRECTORY_LOG_ON_CALLS: Final = 4
REFERRAL_CALLS: Final = 1
PUBLIC_LOG_ON_CALLS: Final = 4
PUBLIC_BROWSE_CALLS: Final = 6
POST_CALLS: Final = 4
PUBLISH_CALLS: Final = 2
FIRST_PUBLISH_CALLS: Final = 5
ASYNC_CALLS: Final = 2
"""EcDoAsyncConnectEx and the first EcDoAsyncWaitEx of a session."""


class Calls(NamedTuple):
    """Calls by the service that answers them; of a day, of a second, or of logging on."""

    store: float
    public_store: float
    directory: float
    referral: float


class Traffic(Struct, frozen=True):
    """What a population moves, if all of it were clients of one row of the white paper's table."""

    row: str
    kb_per_s: float
    mbit_per_s: float
    peak_mbit_per_s: float

    @classmethod
    def of(cls, row: TrafficRow, groups: Sequence[UserGroup], day_s: float) -> "Traffic":
        """Mean over a day of ``day_s``, and twice that."""
        kb_per_s = sum(group.users * row.kb_per_day(group.profile) for group in groups) / day_s
        mbit_per_s = kb_per_s * BITS_PER_OCTET / OCTETS_PER_KB
        return cls(row.name, round(kb_per_s, 1), round(mbit_per_s, 2), round(PEAK * mbit_per_s, 1))


def ping_interval_s(topology: Topology) -> float:
    """How often a client pings a silent connection: before the proxy's time-out, and as it keeps alive."""
    timeout_s = topology.http.connection_timeout_ms / 1000
    return min(timeout_s / 2, RtsOptions().client_keepalive_ms / 1000)


def pings_per_s(client: ClientType, topology: Topology) -> float:
    """Of one idle user: each virtual connection pings. Calls take the place of pings; TCP alone has none."""
    if client.transport == "tcp":
        return 0.0
    return sum(virtual_connections(client, starting=False).values()) / ping_interval_s(topology)


def calls_per_day(client: ClientType, profile: MessageProfile) -> Calls:
    """What a user's day costs besides logging on, waiting and polling."""
    mail = _mail_calls(client)
    public = client.public_folder
    names = RESOLVE_CALLS if client.directory.names_resolved_per_message else 0
    publications = public.calendar_changes_per_day if public.free_busy == "publish" else 0
    return Calls(
        store=mail.send * profile.sent_per_day
        + mail.receive * profile.received_per_day
        + mail.read * profile.read_per_day
        + mail.delete * profile.deleted_per_day,
        public_store=PUBLIC_BROWSE_CALLS * public.browses_per_day
        + POST_CALLS * public.posts_per_day
        + PUBLISH_CALLS * publications,
        directory=names * profile.sent_per_day + BROWSE_CALLS * client.directory.browses_per_day,
        referral=0,
    )


def calls_when_idle_per_s(client: ClientType, topology: Topology) -> Calls:
    """Waiting for news, or polling for it."""
    if client.notification == "poll":
        return Calls(1000 / topology.store.polls_max_ms, 0, 0, 0)
    return Calls(1 / WAIT_S, client.connections.public_folder / WAIT_S, 0, 0)


def calls_to_log_on(client: ClientType, *, startup: bool) -> Calls:
    """From nothing to idle."""
    virtual = virtual_connections(client, starting=startup)
    told = ASYNC_CALLS if client.notification == "asynchronous" else 0
    public = PUBLIC_LOG_ON_CALLS + told
    first = FIRST_PUBLISH_CALLS if client.public_folder.free_busy == "publish" else 0
    return Calls(
        store=_mail_calls(client).log_on,
        public_store=public * virtual["public_folder"] + first,
        directory=DIRECTORY_LOG_ON_CALLS * virtual["directory"],
        referral=REFERRAL_CALLS * virtual["referral"],
    )


def _mail_calls(client: ClientType) -> MailCalls:
    return MAIL_CALLS[client.cached is not None, client.notification == "asynchronous"]
