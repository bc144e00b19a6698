"""The mock in the dialect of a recorded server, in the face of wrong requests: it answers as that one did."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from loadgen.wire import mgmt, pdu, rfr
from loadgen.wire.pdu import PresentationContext, SyntaxId
from mock_server.client_access import ClientAccess
from mock_server.counters import RpcStatistics
from mock_server.dialect import DIALECTS
from mock_server.rpc.association import Association
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpc.rfr import rfr_interface
from mock_server.rpch.outbound_proxy import OutboundProxy
from mock_server.rpch.proxy import SERVER_UNAVAILABLE, ProxyState
from mock_server.topology import Topology
from mock_server.topology_file import read_topology
from mock_server.web import HttpConnection
from tests.recorded.capture import read_segments

CLOSED = {0, 1, 2, 9, 10, 12, 14}
"""The connections that the recorded server closed at once, as http-edges.txt says; 8 is closed later."""
NOT_SERVED = {21}
"""Autodiscover by GET: the mock takes POST alone."""
NDR64 = SyntaxId.of("71710533-beba-4937-8319-b5dbef9ccc36", 1)
OUT_PORTS = (6001, 6002, 6004)


class Conversation(NamedTuple):
    asked: bytes
    answered: bytes


def conversations() -> list[Conversation]:
    """Both sides of each TCP connection of http-edges, in their order."""
    sides: dict[int, dict[bool, bytes]] = {}
    for port, by_client, data in read_segments("http-edges"):
        side = sides.setdefault(port, {True: b"", False: b""})
        side[by_client] += data
    return [Conversation(side[True], side[False]) for side in sides.values()]


def gromox() -> Topology:
    """With users called as the recorded ones, and NTLM set up as it was there."""
    return read_topology(
        "gromox",
        changes={"accounts.count": 9, "accounts.alias": "u{index:03d}", "security.http": ["basic", "ntlm"]},
    )


class Front:
    """One connection to a client access server; ``said`` is all that a client hears on it."""

    def __init__(self, access: ClientAccess) -> None:
        self._access = access
        self._http = HttpConnection(
            access.policy.connection().check, pages=access.pages, manners=access.manners.http
        )
        self.channel: OutboundProxy | None = None
        self.waited_s = 0.0

    def hear(self, data: bytes) -> bytes:
        head = self._http.receive(data)
        self.waited_s = self._http.wait_s
        if self.waited_s:
            self._http.take()
        if head is None or head.method != "RPC_OUT_DATA":
            return bytes(self._http.output)
        access = self._access
        self.channel = OutboundProxy(access.proxy, access.out_channels, head.content_length, 0.0)
        self.channel.receive_from_client(self._http.body, 0.0)
        if self.channel.wants_server and head.port in OUT_PORTS:
            self.channel.connected()
        elif self.channel.wants_server:
            self.channel.fail(SERVER_UNAVAILABLE)
        return self.channel.data_to_client(0.0)

    @property
    def closed(self) -> bool:
        return self._http.closing or (self.channel is not None and self.channel.state is ProxyState.CLOSED)


@pytest.mark.parametrize("number", sorted(set(range(25)) - NOT_SERVED))
def test_wrong_http_requests(number: int) -> None:
    topology = gromox()
    front = Front(ClientAccess(topology, topology.client_access[0], topology.directory()))
    recorded = conversations()[number]
    said = front.hear(recorded.asked)
    assert said.partition(b"\r\n")[0] == recorded.answered.partition(b"\r\n")[0]
    if said.startswith(b"HTTP/1.1 200"):
        assert said.partition(b"\r\n\r\n")[2] == recorded.answered.partition(b"\r\n\r\n")[2]
    assert front.closed is (number in CLOSED)
    assert (front.waited_s > 0) is (number in (22, 23))
    offers = {line.partition(b" Tl")[0] for line in recorded.answered.split(b"\r\n") if b"WWW" in line}
    names = {b" ".join(offer.split()[:2]) for offer in offers}
    assert {b" ".join(line.split()[:2]) for line in said.split(b"\r\n") if b"WWW" in line} <= names


def test_an_out_channel_without_its_in_channel_is_closed_after_ten_seconds() -> None:
    topology = gromox()
    front = Front(ClientAccess(topology, topology.client_access[0], topology.directory()))
    front.hear(conversations()[8].asked)
    assert front.channel is not None
    assert front.channel.next_timeout() == 10.0
    front.channel.handle_timer(9.9)
    assert not front.closed
    front.channel.handle_timer(10.0)
    assert front.closed


def test_ten_failures_ban_a_user_for_a_minute() -> None:
    topology = gromox()
    access = ClientAccess(topology, topology.client_access[0], topology.directory())
    now = [100.0]
    access.policy.clock = lambda: now[0]
    wrong, right = (conversations()[number].asked for number in (22, 8))
    connection = access.policy.connection()
    values = [
        next(line for line in asked.decode("latin-1").split("\r\n") if line.startswith("Authorization"))
        for asked in (wrong, right)
    ]
    wrong_password, password = (value.partition(": ")[2] for value in values)
    for _ in range(9):
        assert connection.check(wrong_password).user is None
    assert connection.check(password).user == "u001"
    assert connection.check(wrong_password).user is None
    assert access.policy.connection().check(password).user is None
    now[0] = 160.0
    assert access.policy.connection().check(password).user == "u001"


class Bound:
    """An association at the referral service's endpoint; ``answers`` are what comes back."""

    def __init__(self) -> None:
        directory = gromox().directory()
        manners = DIALECTS["gromox"].rpc
        endpoint = Endpoint("GROMOX", 6002, (rfr_interface(directory),), RpcStatistics(), manners=manners)
        self.answers: list[bytes] = []
        self.association = Association(endpoint, self.answers.append)

    def say(self, said: pdu.Bind | pdu.AlterContext | pdu.Request | pdu.CoCancel | pdu.Orphaned) -> None:
        self.association.receive_pdu(said.encode())

    def bind(self, *contexts: PresentationContext) -> "Bound":
        self.say(pdu.Bind(1, 5840, 5840, 0, contexts or (PresentationContext(0, rfr.INTERFACE),)))
        return self

    def heard(self) -> str:
        """The last answer, but for the number of the association group in one to a bind."""
        answer = bytearray(self.answers[-1])
        if answer[2] in (pdu.PduType.BIND_ACK, pdu.PduType.ALTER_CONTEXT_RESPONSE):
            answer[20:24] = bytes(4)
        return answer.hex()


def recorded_answers() -> Iterator[str]:
    """What rpc-edges holds in one piece: every PDU of the server, as hexadecimal digits."""
    for _, by_client, data in read_segments("rpc-edges"):
        if not by_client and data[:2] == b"\x05\x00":
            changed = bytearray(data)
            if data[2] in (pdu.PduType.BIND_ACK, pdu.PduType.ALTER_CONTEXT_RESPONSE):
                changed[20:24] = bytes(4)
            yield changed.hex()


@pytest.fixture(scope="module")
def recorded() -> frozenset[str]:
    return frozenset(recorded_answers())


def test_of_several_contexts_the_first_counts_alone(recorded: frozenset[str]) -> None:
    several = Bound().bind(
        PresentationContext(0, rfr.INTERFACE),
        PresentationContext(1, rfr.INTERFACE, (NDR64,)),
        PresentationContext(2, mgmt.INTERFACE),
    )
    assert several.heard() in recorded
    assert Bound().bind(PresentationContext(0, rfr.INTERFACE, (NDR64,))).heard() in recorded


def test_alter_context_ends_with_an_empty_verifier(recorded: frozenset[str]) -> None:
    bound = Bound().bind()
    bound.say(pdu.AlterContext(50, 5840, 5840, 0, (PresentationContext(1, rfr.INTERFACE),)))
    (trailer,) = {bytes.fromhex(answer)[-8:] for answer in recorded if answer.startswith("05000f")}
    assert bound.heard().endswith(trailer.hex())
    assert len(bound.answers[-1]) == 64


@pytest.mark.parametrize(
    "request_",
    [
        pdu.Request(7, 0, 99, b""),
        pdu.Request(8, 77, 0, b""),
        pdu.Request(9, 0, 0, b"\x01\x02\x03"),
    ],
    ids=["bad opnum", "unknown context", "garbage"],
)
def test_faults(request_: pdu.Request, recorded: frozenset[str]) -> None:
    bound = Bound().bind()
    bound.say(request_)
    assert bound.heard() in recorded


def test_a_request_before_the_bind(recorded: frozenset[str]) -> None:
    unbound = Bound()
    unbound.say(pdu.Request(7, 0, 0, b""))
    assert unbound.heard() in recorded


def test_a_cancel_takes_all_contexts_and_an_orphan_none(recorded: frozenset[str]) -> None:
    bound = Bound().bind()
    call = pdu.Request(10, 0, 1, rfr.RfrGetFQDNFromServerDNRequest("x" * 12).encode())
    bound.say(call)
    assert pdu.pdu_type(bound.answers[-1]) == pdu.PduType.RESPONSE
    bound.say(pdu.Orphaned(10))
    bound.say(replace(call, call_id=11))
    assert pdu.pdu_type(bound.answers[-1]) == pdu.PduType.RESPONSE
    bound.say(pdu.CoCancel(11))
    bound.say(replace(call, call_id=200))
    assert bound.heard() in recorded
