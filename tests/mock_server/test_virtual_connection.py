"""Recycling in the server role, against PDUs written out from the specification; each input in each state."""

import pytest

from loadgen.errors import PeerError, RemoteProtocolError
from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import Bind, PresentationContext, Request, Response, SyntaxId
from mock_server.counters import RpcStatistics
from mock_server.rpc.dispatch import Interface
from mock_server.rpc.endpoint import Endpoint
from mock_server.rpch.pdu_stream import PduStream
from mock_server.rpch.server import RpcServer, ServerSettings
from tests.mock_server.proxies import CLIENT_ADDRESS, GROUP, IN, NEXT_IN, NEXT_OUT, OUT, RTS, VC

ECHO = SyntaxId.of("c1b5a2f0-3d1e-4a77-9a41-1f2b3c4d5e6f", 1)
LIFETIME = 12288
BEFORE_RECYCLING = LIFETIME - 8192
LATER = bytes(range(16))
A3_R1 = rts_recycling.in_r1_a3(32768, 240000).encode()
A6 = rts_recycling.in_r1_a6(NEXT_IN).encode()
ANCE = RTS["ance"]
BIND_ACK_SIZE = 60
C1_SIZE = 44


class Peer:
    """The other end of a leg."""

    def __init__(self, server):
        self.wakes = 0
        self.leg = server.accept(self._wake)

    def _wake(self):
        self.wakes += 1

    def say(self, *pdus):
        self.leg.receive(b"".join(pdus), 0.0)

    def hear(self):
        return self.leg.data_to_send()

    def hear_ids(self):
        """Call ids of responses, and the bytes of RTS PDUs."""
        return [
            pdu if pdu[2] == 20 else Response.decode(pdu).call_id for pdu in PduStream().feed(self.hear())
        ]


class Organisation:
    """A server and the legs of one virtual connection, bound."""

    def __init__(self, lifetime=1 << 30, window=65536):
        interface = Interface(ECHO, {0: lambda _context, stub: stub})
        endpoint = Endpoint("MBX1", 6001, (interface,), RpcStatistics())
        self.statistics = endpoint.statistics
        self.server = RpcServer(ServerSettings(banner=False), endpoint)
        self.out_leg, self.in_leg = self.new_leg(), self.new_leg()
        self.out_leg.say(rts.conn_a2(VC, OUT, lifetime, window).encode())
        self.in_leg.say(rts.conn_b2(VC, IN, 65536, 120000, GROUP, CLIENT_ADDRESS).encode())
        self.in_leg.say(Bind(1, 5840, 5840, 0, (PresentationContext(0, ECHO),)).encode())
        self.hear_all()

    def new_leg(self):
        return Peer(self.server)

    def hear_all(self):
        self.in_leg.hear()
        return self.out_leg.hear()

    def call(self, size=100, call_id=2):
        self.in_leg.say(call(size, call_id))

    def asked_for_out(self):
        """OUT_R*/A1 has been sent; nothing else has been heard."""
        self.call(BEFORE_RECYCLING - C1_SIZE - BIND_ACK_SIZE)
        assert self.out_leg.hear().endswith(RTS["out_a1"])
        return self

    def new_in(self, old=IN, new=NEXT_IN):
        """IN_R1/A2 on a new leg."""
        leg = self.new_leg()
        leg.say(rts_recycling.in_r1_a2(VC, old, new, 32768, 240000).encode())
        return leg

    def new_out(self, old=OUT, new=NEXT_OUT, lifetime=LIFETIME, window=65536):
        """OUT_R1/A4 on a new leg."""
        leg = self.new_leg()
        leg.say(rts_recycling.out_r1_a4(VC, old, new, lifetime, window, 240000).encode())
        return leg


def short(**more):
    return Organisation(lifetime=LIFETIME, **more)


def call(size=100, call_id=2):
    return Request(call_id, 0, 0, bytes(size - 24)).encode()


def test_in_r1():
    """Calls go on on the predecessor until IN_R1/B1, then on the successor, and none is lost."""
    it = Organisation()
    new = it.new_in()
    assert (it.out_leg.hear(), new.hear()) == (A3_R1, b"")
    it.in_leg.say(call(100, 2), A6, call(100, 3))
    assert new.hear() == b""
    it.in_leg.say(call(100, 4), RTS["in_r1_b1"])
    assert (new.hear(), it.in_leg.leg.closed) == (RTS["in_r1_b2"], True)
    new.say(call(100, 5))
    assert it.out_leg.hear_ids() == [2, 3, 4, 5]
    it.in_leg.leg.lost()
    assert (it.server.virtual_connections, it.statistics.recycles) == (1, {"IN_R1": 1})
    new.leg.lost()
    assert (it.server.virtual_connections, it.out_leg.leg.closed) == (0, True)


def test_in_r2():
    """The leg stays, and the server's acks change over to the new cookie and to 0."""
    it = Organisation()
    it.in_leg.say(*(call(5840, number) for number in range(2, 6)))
    it.in_leg.say(RTS["in_a5"])
    heard = it.out_leg.hear()
    assert heard.endswith(RTS["in_r2_a3"])
    assert it.in_leg.hear() == b""
    it.in_leg.say(*(call(5840, number) for number in range(6, 12)))
    assert it.in_leg.hear() == rts.flow_control_ack(6 * 5840, 65536, NEXT_IN).encode()
    assert it.statistics.recycles == {"IN_R2": 1}


def test_in_r1_counts_anew():
    it = Organisation()
    it.in_leg.say(*(call(5840, number) for number in range(2, 6)))
    new = it.new_in()
    it.in_leg.say(A6, RTS["in_r1_b1"])
    new.hear()
    new.say(*(call(5840, number) for number in range(6, 12)))
    assert new.hear() == rts.flow_control_ack(6 * 5840, 65536, NEXT_IN).encode()


def test_an_in_channel_may_be_used_up_before_the_server_has_it():
    """The third channel's IN_R1/A2 may overtake the end of the first."""
    it = Organisation()
    second = it.new_in()
    third = it.new_in(NEXT_IN, LATER)
    assert it.out_leg.hear() == A3_R1
    it.in_leg.say(A6, RTS["in_r1_b1"])
    assert (it.out_leg.hear(), second.hear(), third.hear()) == (A3_R1, RTS["in_r1_b2"], b"")
    second.say(call(100, 2), rts_recycling.in_r1_a6(LATER).encode(), RTS["in_r1_b1"])
    third.say(call(100, 3))
    assert it.out_leg.hear_ids() == [2, 3]
    assert third.hear() == RTS["in_r1_b2"]
    assert it.statistics.recycles == {"IN_R1": 2}


def out_r1(it):
    new = it.new_out()
    assert (it.out_leg.hear(), new.hear()) == (rts_recycling.out_r1_a5(240000).encode(), b"")
    return new


@pytest.mark.parametrize("a8", ["out_r1_a7", "out_r2_a7"])
def test_out_r1(a8):
    """Answers go on the predecessor until OUT_R1/A8; A8 may have the Version that A7 has in R2."""
    it = short().asked_for_out()
    new = out_r1(it)
    it.call(100, 3)
    assert it.out_leg.hear_ids() == [3]
    it.in_leg.say(RTS[a8], call(100, 4))
    assert (it.out_leg.hear(), new.hear_ids()) == (ANCE, [4])
    assert (it.out_leg.leg.closed, it.statistics.recycles) == (False, {"OUT_R1": 1})
    it.out_leg.say(rts.flow_control_ack(4000, 65536, OUT).encode(), RTS["ping_traffic"])
    it.out_leg.leg.lost()
    it.in_leg.say(rts.flow_control_ack_with_destination(rts.OUT_PROXY, 0, 65536, OUT).encode())
    assert new.hear() == rts.flow_control_ack_with_destination(rts.OUT_PROXY, 0, 65536, OUT).encode()
    assert it.server.virtual_connections == 1
    new.leg.lost()
    assert (it.server.virtual_connections, it.in_leg.leg.closed) == (0, True)


def test_a_parting_proxy_gets_the_clients_acks_until_it_goes():
    it = short().asked_for_out()
    new = out_r1(it)
    it.in_leg.say(RTS["out_r1_a7"])
    it.out_leg.hear()
    for cookie, leg, other in ((OUT, it.out_leg, new), (NEXT_OUT, new, it.out_leg), (LATER, new, it.out_leg)):
        ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, 100, 65536, cookie).encode()
        it.in_leg.say(ack)
        assert (leg.hear(), other.hear()) == (ack, b"")
    it.in_leg.leg.lost()
    assert (new.leg.closed, it.out_leg.leg.closed) == (True, True)


@pytest.mark.parametrize("a8", ["out_r1_a7", "out_r2_a7"])
def test_out_r2(a8):
    it = short().asked_for_out()
    it.out_leg.say(rts_recycling.out_r2_a4(NEXT_OUT).encode())
    assert it.out_leg.hear() == RTS["out_r2_a5"]
    it.in_leg.say(call(100, 3), RTS[a8], call(100, 4))
    assert it.out_leg.hear_ids() == [3, ANCE, 4]
    assert it.statistics.recycles == {"OUT_R2": 1}
    it.call(BEFORE_RECYCLING - 101, 5)
    assert it.out_leg.hear_ids() == [5]
    it.call(24, 6)
    assert it.out_leg.hear_ids() == [6, RTS["out_a1"]]


def test_out_r2_refuses_another_cookie_and_goes_on():
    it = short().asked_for_out()
    for cookie in (LATER, NEXT_OUT):
        it.out_leg.say(rts_recycling.out_r2_a4(cookie).encode())
        it.in_leg.say(rts_recycling.out_r2_a8(NEXT_OUT).encode())
    a5, b2, _, b1 = PduStream().feed(it.out_leg.hear())
    assert (a5, b2, b1) == (RTS["out_r2_a5"], RTS["negative_ance"], ANCE)


@pytest.mark.parametrize("form", ["R1", "R2"])
def test_both_windows_and_lifetimes_start_anew(form):
    """What the predecessor's window or lifetime kept back goes out on the successor, in order."""
    it = Organisation(lifetime=19900, window=8192)
    it.out_leg.say(rts.flow_control_ack(BIND_ACK_SIZE, 8192, OUT).encode())
    it.in_leg.say(*(call(5840, number) for number in range(2, 6)))
    assert it.out_leg.hear_ids() == [2]
    it.out_leg.say(rts.flow_control_ack(BIND_ACK_SIZE + 5840, 8192, OUT).encode())
    assert it.out_leg.hear_ids() == [3, RTS["out_a1"]]
    ack = rts.flow_control_ack(BIND_ACK_SIZE + 2 * 5840, 8192, OUT).encode()
    it.out_leg.say(ack)
    assert it.out_leg.hear_ids() == [4]
    it.out_leg.say(rts.flow_control_ack(BIND_ACK_SIZE + 3 * 5840, 8192, OUT).encode())
    assert it.out_leg.hear_ids() == []
    if form == "R1":
        new = it.new_out(lifetime=19900, window=8192)
    else:
        new = it.out_leg
        new.say(rts_recycling.out_r2_a4(NEXT_OUT).encode())
    it.out_leg.hear()
    it.in_leg.say(RTS["out_r1_a7"])
    assert new.hear_ids() == ([5] if form == "R1" else [ANCE, 5])
    it.call(5840, 6)
    new.say(ack)
    assert new.hear_ids() == []
    new.say(rts.flow_control_ack(5840, 8192, NEXT_OUT).encode())
    assert new.hear_ids() == [6]
    it.in_leg.say(RTS["ack_for_client"])
    assert new.hear_ids() == [RTS["ack_for_client"], RTS["out_a1"]]


def test_forwarded_pdus_wait_when_the_channel_is_all_but_used_up():
    """The successor gets them first; acks for the outbound proxy go no further than that and need no room."""
    it = short().asked_for_out()
    ack = RTS["ack_for_client"]
    room = 8192 - len(RTS["out_a1"]) - 1152
    it.in_leg.say(*[ack] * (room // len(ack) + 3))
    assert it.out_leg.hear() == ack * (room // len(ack))
    it.in_leg.say(RTS["in_a5"], RTS["ack_for_out_proxy"])
    assert it.out_leg.hear() == RTS["ack_for_out_proxy"]
    it.call(24, 3)
    new = out_r1(it)
    it.in_leg.say(RTS["out_r1_a7"])
    assert new.hear_ids() == [ack, ack, ack, RTS["in_r2_a3"], 3]


def test_forwarded_pdus_and_reported_pings_use_the_channel_up():
    it = short()
    left = BEFORE_RECYCLING - C1_SIZE - BIND_ACK_SIZE
    for _ in range(left // 1040):
        assert it.out_leg.hear() == b""
        it.out_leg.say(RTS["ping_traffic"])
    acks = (left % 1040) // 56 + 1
    it.in_leg.say(*[RTS["ack_for_client"]] * (acks - 1))
    assert RTS["out_a1"] not in it.out_leg.hear()
    it.in_leg.say(RTS["ack_for_client"])
    assert it.out_leg.hear().endswith(RTS["out_a1"])


def test_both_channels_at_once():
    """IN_R1/A3 goes on whichever OUT channel is there, OUT_R1/A8 comes on whichever IN channel."""
    it = short().asked_for_out()
    new_in = it.new_in()
    new_out = it.new_out()
    assert it.out_leg.hear() == A3_R1 + rts_recycling.out_r1_a5(240000).encode()
    it.in_leg.say(A6, RTS["in_r1_b1"])
    new_in.say(RTS["out_r1_a7"], call(100, 3))
    assert (it.out_leg.hear(), new_out.hear_ids()) == (ANCE, [3])
    assert it.statistics.recycles == {"IN_R1": 1, "OUT_R1": 1}


def opened(_it):
    """Nothing is being recycled."""


def in_named(it):
    """IN_R1/A6 has come."""
    it.new_in()
    it.in_leg.say(A6)


def waiting_for_a8(it):
    it.asked_for_out().new_out()


def waiting_for_a8_r2(it):
    it.asked_for_out().out_leg.say(RTS["in_a5"].replace(NEXT_IN, NEXT_OUT))


SITUATIONS = {
    "open": opened,
    "in announced": lambda it: it.new_in(),
    "in named": in_named,
    "asked for out": lambda it: it.asked_for_out(),
    "out R1": waiting_for_a8,
    "out R2": waiting_for_a8_r2,
}
WHAT_COMES = {
    "open": [],
    "in announced": [("in_leg", A6)],
    "in named": [("in_leg", RTS["in_r1_b1"])],
    "asked for out": [("out_leg", RTS["in_a5"]), ("in_leg", RTS["out_r1_a7"].replace(NEXT_OUT, NEXT_IN))],
    "out R1": [("in_leg", RTS["out_r1_a7"])],
    "out R2": [("in_leg", RTS["out_r1_a7"])],
}
"""All steps that are missing, but for the last of an IN channel that has only been announced."""


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_recycling_may_stop_for_fifteen_minutes_at_each_step(situation):
    it = short()
    SITUATIONS[situation](it)
    server, steps = it.server, WHAT_COMES[situation]
    now = 1000.0
    for leg, step in steps:
        assert server.next_timeout(now) == now + 900.0
        server.handle_timer(now + 899.9)
        now += 899.9
        getattr(it, leg).say(step)
    finished = situation != "in announced"
    assert server.next_timeout(now) == (None if finished else now + 900.0)
    server.handle_timer(now + 900.0)
    assert server.virtual_connections == finished
    assert server.next_timeout(now + 900.0) is None


def test_a_client_that_never_opens_a_successor_is_cut_off():
    it = short().asked_for_out()
    new = it.new_in()
    server = it.server
    assert server.next_timeout(100.0) == 1000.0
    it.in_leg.say(A6)
    assert server.next_timeout(500.0) == 1000.0
    it.in_leg.say(RTS["in_r1_b1"])
    server.handle_timer(1000.0)
    assert (server.virtual_connections, new.leg.closed, it.out_leg.leg.closed) == (0, True, True)
    assert server.next_timeout(1000.0) is None


IN_ALWAYS = {"call", "ack_for_client", "ack_for_out_proxy"}
OUT_ALWAYS = {"ack", "ack_of_out", "ping_traffic"}
ALLOWED = {
    "open": (IN_ALWAYS | {"in_a5"}, OUT_ALWAYS),
    "in announced": (IN_ALWAYS | {"in_a5"}, OUT_ALWAYS),
    "in named": (IN_ALWAYS | {"in_r1_b1"}, OUT_ALWAYS),
    "asked for out": (IN_ALWAYS | {"in_a5"}, OUT_ALWAYS | {"in_a5"}),
    "out R1": (IN_ALWAYS | {"in_a5", "out_r1_a7", "out_r2_a7"}, OUT_ALWAYS),
    "out R2": (IN_ALWAYS | {"in_a5", "out_r1_a7", "out_r2_a7"}, OUT_ALWAYS),
}
INPUTS = RTS | {
    "ack_of_out": rts.flow_control_ack(0, 65536, LATER).encode(),
    "call": call(100, 99),
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("direction", [0, 1])
def test_every_pair_moves_or_ends_the_connection(direction, situation, name):
    it = short()
    SITUATIONS[situation](it)
    peer = (it.in_leg, it.out_leg)[direction]
    if name in ALLOWED[situation][direction]:
        peer.say(INPUTS[name])
        assert it.server.virtual_connections == 1
        return
    with pytest.raises(PeerError):
        peer.say(INPUTS[name])
    peer.leg.lost()
    assert it.server.virtual_connections == 0


@pytest.mark.parametrize("name", INPUTS)
def test_nothing_may_be_said_on_a_leg_that_is_not_in_use(name):
    """On a successor's before the change it breaks the connection; on a predecessor's after it, nothing."""
    for make in (lambda it: it.new_in(), lambda it: it.asked_for_out().new_out()):
        it = short()
        leg = make(it)
        with pytest.raises(RemoteProtocolError):
            leg.say(INPUTS[name])
        leg.leg.lost()
        assert (it.server.virtual_connections, it.in_leg.leg.closed, it.out_leg.leg.closed) == (0, True, True)
    it = short()
    it.new_in()
    it.in_leg.say(A6, RTS["in_r1_b1"])
    it.hear_all()
    it.in_leg.say(INPUTS[name])
    it.in_leg.leg.lost()
    assert (it.server.virtual_connections, it.hear_all()) == (1, b"")


@pytest.mark.parametrize("name", INPUTS)
def test_what_a_parting_proxy_may_say(name):
    it = short().asked_for_out()
    it.new_out()
    it.in_leg.say(RTS["out_r1_a7"])
    if name in OUT_ALWAYS:
        it.out_leg.say(INPUTS[name])
    else:
        with pytest.raises(PeerError):
            it.out_leg.say(INPUTS[name])
        it.out_leg.leg.lost()
    assert it.server.virtual_connections == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda it: it.new_in(old=LATER),
        lambda it: (it.new_in(), it.new_in(old=LATER)),
        lambda it: (it.new_in(), it.new_in(NEXT_IN, LATER), it.new_in(NEXT_IN, LATER)),
        lambda it: it.new_out(),
        lambda it: it.asked_for_out().new_out(old=LATER),
        lambda it: (it.asked_for_out().new_out(), it.new_out()),
    ],
    ids=["IN cookie", "IN cookie in a row", "IN twice", "OUT unasked", "OUT cookie", "OUT twice"],
)
def test_a_successor_that_does_not_fit_breaks_the_connection(make):
    it = short()
    legs = []
    it.new_leg = lambda: legs.append(Peer(it.server)) or legs[-1]
    with pytest.raises(RemoteProtocolError):
        make(it)
    legs[-1].leg.lost()
    assert it.server.virtual_connections == 0
    assert all(peer.leg.closed for peer in (*legs, it.in_leg, it.out_leg))


def test_wrong_cookies_break_the_connection():
    it = Organisation()
    it.new_in()
    with pytest.raises(RemoteProtocolError):
        it.in_leg.say(rts_recycling.in_r1_a6(LATER).encode())
    it = short()
    waiting_for_a8(it)
    with pytest.raises(RemoteProtocolError):
        it.in_leg.say(rts_recycling.out_r1_a8(LATER).encode())


@pytest.mark.parametrize("name", ["in_r1_a2", "out_r1_a4"])
def test_a_successor_of_nothing(name):
    it = Organisation()
    it.in_leg.leg.lost()
    with pytest.raises(RemoteProtocolError):
        it.new_leg().say(RTS[name])


def test_a_recycling_pdu_with_other_flags_is_none():
    it = Organisation()
    pdu = rts_recycling.in_r1_a2(VC, IN, NEXT_IN, 65536, 120000)
    for flags in (rts.RECYCLE_CHANNEL, rts.IN_CHANNEL, rts.RECYCLE_CHANNEL | rts.OUT_CHANNEL):
        with pytest.raises(RemoteProtocolError):
            it.new_leg().say(rts.RtsPdu(flags, pdu.commands).encode())


@pytest.mark.parametrize("form", ["IN R1", "IN R2", "OUT R1", "OUT R2"])
def test_every_form_at_every_cut(form):
    """The same bytes come out however they came in."""
    results = set()
    for cut in range(150):
        it = short().asked_for_out()
        new = it.new_leg()
        if form == "IN R1":
            script = [
                (new, RTS["in_r1_a2"]),
                (it.in_leg, call(50, 3) + A6 + RTS["in_r1_b1"]),
                (new, call(60, 4)),
            ]
        elif form == "IN R2":
            script = [(it.in_leg, call(50, 3) + RTS["in_a5"] + call(60, 4))]
        elif form == "OUT R1":
            script = [(new, RTS["out_r1_a4"]), (it.in_leg, call(50, 3) + RTS["out_r1_a7"] + call(60, 4))]
        else:
            a4 = rts_recycling.out_r2_a4(NEXT_OUT).encode()
            script = [(it.out_leg, a4), (it.in_leg, call(50, 3) + RTS["out_r2_a7"] + call(60, 4))]
        for peer, said in script:
            peer.say(said[:cut])
            peer.say(said[cut:])
        results.add((it.out_leg.hear(), it.in_leg.hear(), new.hear()))
    assert len(results) == 1
