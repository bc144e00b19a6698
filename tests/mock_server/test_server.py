"""The server role: legs that meet by cookie, in either order, and what each may say."""

import pytest

from loadgen.errors import PeerError, RemoteProtocolError
from loadgen.wire import rts
from loadgen.wire.pdu import Bind, PduType, PresentationContext, Request, Response, SyntaxId
from mock_server.counters import RpcStatistics
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.pdu_stream import PduStream
from mock_server.rpch.server import RpcServer, ServerSettings

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")
BANNER = b"ncacn_http/1.0"
A2 = rts.conn_a2(VC, OUT, 1 << 30, 65536).encode()
B2 = rts.conn_b2(VC, IN, 65536, 120000, GROUP, "192.0.2.10").encode()
B3 = rts.conn_b3(65536).encode()
C1 = rts.conn_c1(65536, 120000).encode()
ECHO = SyntaxId.of("c1b5a2f0-3d1e-4a77-9a41-1f2b3c4d5e6f", 1)
BIND = Bind(1, 5840, 5840, 0, (PresentationContext(0, ECHO),)).encode()


class Peer:
    """The other end of a leg."""

    def __init__(self, server):
        self.wakes = 0
        self.leg = server.accept(self._wake)

    def _wake(self):
        self.wakes += 1

    def say(self, data, now=0.0):
        self.leg.receive(data, now)

    def hear(self):
        return self.leg.data_to_send()


def make_server(*, banner=False):
    interface = Interface(ECHO, {0: lambda _context, stub: stub})
    return RpcServer(ServerSettings(banner=banner), Endpoint("MBX1", 6001, (interface,), RpcStatistics()))


def pair(server, a2=A2, b2=B2):
    out_leg, in_leg = Peer(server), Peer(server)
    out_leg.say(a2)
    in_leg.say(b2)
    return in_leg, out_leg


def call(size, call_id=2):
    return Request(call_id, 0, 0, bytes(size - 24)).encode()


def test_the_banner_comes_first():
    leg = Peer(make_server(banner=True))
    assert leg.hear() == BANNER


@pytest.mark.parametrize("out_first", [True, False])
def test_legs_meet_in_either_order_at_every_cut(vector, out_first):
    """The PDUs are those written out in the specification's tables."""
    a2, b2, b3, c1 = (vector(f"rts/conn_{name}.hex") for name in ("a2", "b2", "b3", "c2"))
    first, second = (a2, b2) if out_first else (b2, a2)
    for cut in range(len(second)):
        server = make_server()
        early, late = Peer(server), Peer(server)
        early.say(first)
        late.say(second[:cut])
        assert server.virtual_connections == 0
        assert early.hear() + late.hear() == b""
        late.say(second[cut:])
        out_leg, in_leg = (early, late) if out_first else (late, early)
        assert (in_leg.hear(), out_leg.hear()) == (b3, c1)
        assert early.wakes
        assert server.virtual_connections == 1
        assert server.next_timeout(0.0) is None


def test_calls_come_on_the_in_leg_and_answers_go_on_the_out_leg():
    in_leg, out_leg = pair(make_server())
    out_leg.hear()
    in_leg.say(BIND + Request(2, 0, 0, b"hello").encode())
    ack, answer = PduStream().feed(out_leg.hear())
    assert ack[2] == PduType.BIND_ACK
    assert Response.decode(answer) == Response(2, 0, b"hello")


def test_both_windows_of_the_server():
    in_leg, out_leg = pair(make_server(), a2=rts.conn_a2(VC, OUT, 1 << 30, 8192).encode())
    in_leg.say(BIND)
    for peer in (in_leg, out_leg):
        peer.hear()
    out_leg.say(rts.flow_control_ack(60, 8192, OUT).encode())
    for call_id in range(2, 8):
        in_leg.say(call(5840, call_id))
    assert in_leg.hear() == rts.flow_control_ack(72 + 6 * 5840, 65536, IN).encode()
    assert [Response.decode(pdu).call_id for pdu in PduStream().feed(out_leg.hear())] == [2]
    for cookie, heard in ((IN, []), (OUT, [3])):
        out_leg.say(rts.flow_control_ack(5900, 8192, cookie).encode())
        assert [Response.decode(pdu).call_id for pdu in PduStream().feed(out_leg.hear())] == heard


@pytest.mark.parametrize("role", [rts.CLIENT, rts.OUT_PROXY])
def test_acks_with_a_destination_go_to_the_out_leg(role):
    in_leg, out_leg = pair(make_server())
    out_leg.hear()
    ack = rts.flow_control_ack_with_destination(role, 100, 65536, OUT).encode()
    in_leg.say(ack)
    assert out_leg.hear() == ack


FIRST = {"a2": A2, "b2": B2, "rpc": BIND}
LATER = {
    "b3": B3,
    "c1": C1,
    "ping": rts.ping().encode(),
    "ack": rts.flow_control_ack(0, 65536, OUT).encode(),
    "ack_for_client": rts.flow_control_ack_with_destination(rts.CLIENT, 0, 65536, IN).encode(),
    "ack_for_server": rts.flow_control_ack_with_destination(rts.SERVER, 0, 65536, IN).encode(),
    "ping_traffic": rts.ping_traffic_sent(1040).encode(),
    "unknown": rts.RtsPdu(0x80, ()).encode(),
    "call": call(100),
}
ALLOWED = {
    "new": {"a2", "b2", "rpc"},
    "waiting": set(),
    "in": {"rpc", "ack_for_client"},
    "out": {"ack", "ping_traffic"},
}


@pytest.mark.parametrize("name", FIRST | LATER)
@pytest.mark.parametrize("state", ["new", "waiting_in", "waiting_out", "in", "out"])
def test_every_pair_moves_or_raises(state, name):
    server = make_server()
    if state == "new":
        peer = Peer(server)
    elif state.startswith("waiting"):
        peer = Peer(server)
        peer.say(B2 if state == "waiting_out" else A2)
    else:
        peer = dict(zip(("in", "out"), pair(server), strict=True))[state]
    if name in ALLOWED[state.partition("_")[0]]:
        peer.say((FIRST | LATER)[name])
    else:
        with pytest.raises(PeerError):
            peer.say((FIRST | LATER)[name])


@pytest.mark.parametrize("lost", [0, 1])
def test_one_leg_lost_closes_the_other_and_the_association(lost):
    server = make_server()
    legs = pair(server)
    legs[0].say(BIND)
    assert len(server.endpoint._groups) == 1
    legs[lost].leg.lost()
    assert legs[1 - lost].leg.closed
    assert (server.virtual_connections, len(server.endpoint._groups)) == (0, 0)
    legs[1 - lost].leg.lost()
    legs[1 - lost].leg.close()


def test_a_waiting_leg_that_goes_is_forgotten():
    server = make_server()
    out_leg, in_leg = Peer(server), Peer(server)
    out_leg.say(A2)
    out_leg.leg.lost()
    in_leg.say(B2)
    assert server.virtual_connections == 0


@pytest.mark.parametrize("again", [A2, B2])
def test_a_second_leg_of_a_kind_breaks_the_connection(again):
    server = make_server()
    first, second = Peer(server), Peer(server)
    first.say(again)
    with pytest.raises(RemoteProtocolError):
        second.say(again)
    assert first.leg.closed
    legs = pair(server)
    third = Peer(server)
    with pytest.raises(RemoteProtocolError):
        third.say(again)
    assert all(peer.leg.closed for peer in legs)
    assert server.virtual_connections == 0


def test_legs_wait_fifteen_minutes_for_each_other():
    server = make_server()
    peers = [Peer(server) for _ in range(2)]
    for number, peer in enumerate(peers):
        peer.say(rts.conn_a2(bytes((number,)) * 16, OUT, 1 << 30, 65536).encode(), now=number * 100.0)
    assert server.next_timeout(0.0) == 900.0
    server.handle_timer(999.9)
    assert [peer.leg.closed for peer in peers] == [True, False]
    server.handle_timer(1000.0)
    assert [peer.leg.closed for peer in peers] == [True, True]
    assert server.next_timeout(1000.0) is None


def test_a_leg_may_carry_rpc_by_itself():
    server = make_server()
    peer = Peer(server)
    peer.say(BIND + Request(2, 0, 0, b"hello").encode())
    answers = PduStream().feed(peer.hear())
    assert Response.decode(answers[1]).stub == b"hello"
    peer.leg.lost()
    assert server.endpoint._groups == {}
