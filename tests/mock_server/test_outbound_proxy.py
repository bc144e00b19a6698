"""The outbound proxy role against PDUs written out from the specification; each input in each state."""

import pytest

from loadgen.errors import PeerError, RemoteProtocolError, TimedOut
from loadgen.wire import rts, rts_recycling
from mock_server.rpch.proxy import ProxyState
from tests.mock_server.proxies import (
    ERROR_6C0,
    FOR_CLIENT,
    FRAGMENT,
    HEAD,
    IN,
    NEXT_OUT,
    OUT,
    RTS,
    VC,
    Farm,
    feed,
    request,
    response,
)

BANNER = b"ncacn_http/1.0"
LATER_OUT = bytes(range(16))
A4 = rts_recycling.out_r2_a4(NEXT_OUT).encode()
ANCE = RTS["ance"]
C1 = RTS["out_r2_c1"]


def successor(farm, old=OUT, new=NEXT_OUT, window=65536):
    """A channel that has said OUT_R1/A3 or OUT_R2/A3."""
    proxy = farm.outbound()
    proxy.receive_from_client(rts_recycling.out_r1_a3(VC, old, new, window).encode(), 0.0)
    return proxy


def r1_successor(state=ProxyState.PLUGGED, **more):
    """In a process that does not know the predecessor."""
    proxy = successor(Farm(), **more)
    if state is not ProxyState.CONNECTING:
        proxy.connected()
    proxy.leg.data_to_send()
    return proxy


def r2_pair(*, confirmed=False, **more):
    """A predecessor and its successor, of whom the server has heard."""
    farm = Farm()
    old = farm.open_outbound(**more)
    new = successor(farm)
    old.leg.data_to_send()
    if confirmed:
        new.receive_from_client(C1, 0.0)
    return old, new


def ending():
    """The predecessor in an R1 recycling, with one PDU that the client has no room for."""
    proxy = Farm().open_outbound(window=8192)
    proxy.leg.receive(response() * 2 + ANCE)
    proxy.data_to_client(0.0)
    return proxy


def test_establishment_at_every_cut(vector):
    a1, a2, a3, c1 = (vector(f"rts/conn_{name}.hex") for name in ("a1", "a2", "a3", "c2"))
    bind_ack = vector("pdu/bind_ack.hex")
    for cut in range(len(BANNER + c1 + bind_ack)):
        proxy = Farm().outbound(len(a1))
        feed(proxy.receive_from_client, a1, cut % len(a1), 0.0)
        assert proxy.wants_server
        assert proxy.data_to_client(0.0) == b""
        proxy.connected()
        assert (proxy.leg.data_to_send(), proxy.data_to_client(0.0)) == (a2, HEAD + a3)
        feed(proxy.leg.receive, BANNER + c1 + bind_ack, cut)
        assert (proxy.data_to_client(0.0), proxy.state) == (c1 + bind_ack, ProxyState.OPEN)
        assert proxy.leg.data_to_send() == b""


@pytest.mark.parametrize("last", ["A11", "the server"])
def test_r1_successor_at_every_cut(vector, last):
    """The server may speak before the client has said OUT_R1/A11, and the response begins only then."""
    a3 = vector("rts/out_r1_a3.hex")
    heard = BANNER + RTS["in_r2_a3"] + response(100) + response(200)
    for cut in range(len(heard)):
        farm = Farm()
        proxy = farm.outbound()
        feed(proxy.receive_from_client, a3, cut % len(a3), 0.0)
        assert proxy.wants_server
        proxy.connected()
        assert (proxy.leg.data_to_send(), proxy.data_to_client(0.0)) == (RTS["out_r1_a4"], b"")
        said = cut % len(ANCE)
        if last == "A11":
            feed(proxy.leg.receive, heard, cut)
            assert proxy.data_to_client(0.0) == b""
            feed(proxy.receive_from_client, ANCE, said, 0.0)
            assert proxy.data_to_client(0.0) == HEAD + heard[14:]
        else:
            feed(proxy.receive_from_client, ANCE, said, 0.0)
            assert proxy.data_to_client(0.0) == HEAD
            feed(proxy.leg.receive, heard, cut)
            assert proxy.data_to_client(0.0) == heard[14:]
        assert (proxy.state, farm.recycles) == (ProxyState.OPEN, {"OUT_R1": 1})


def test_r1_predecessor_at_every_cut():
    """What the client has no room for comes before OUT_R1/A10, and then both connections close."""
    heard = RTS["out_r1_a5"] + response() * 2 + ANCE
    for cut in range(0, len(heard), 7):
        farm = Farm()
        proxy = farm.open_outbound(window=8192)
        feed(proxy.leg.receive, heard, cut)
        assert proxy.data_to_client(0.0) == RTS["out_r1_a5"] + response()
        assert (proxy.state, len(farm.out_channels)) == (ProxyState.ENDING, 0)
        for cookie in (NEXT_OUT, OUT):
            assert proxy.state is ProxyState.ENDING
            ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, FRAGMENT, 8192, cookie)
            proxy.leg.receive(ack.encode())
        assert proxy.data_to_client(0.0) == response() + ANCE
        assert (proxy.state, proxy.leg.closed, proxy.refused) == (ProxyState.CLOSED, True, False)
        proxy.leg.receive(response())
        assert proxy.data_to_client(0.0) == b""


def test_r2_at_every_cut(vector):
    """A3 is acted on before the rest of the 120 bytes; the server changes over within one stream of PDUs."""
    a3, c1 = vector("rts/out_r1_a3.hex"), vector("rts/out_r2_c1.hex")
    heard = RTS["out_r2_a5"] + response(100) + ANCE + response(200) + RTS["in_r2_a3"]
    for confirmed in (False, True):
        for cut in range(len(heard)):
            farm = Farm()
            old, new = farm.open_outbound(), farm.outbound(len(a3 + c1))
            leg = old.leg
            feed(new.receive_from_client, a3, cut % len(a3), 0.0)
            assert (leg.data_to_send(), new.state, new.wants_server) == (A4, ProxyState.PLUGGED, False)
            if confirmed:
                feed(new.receive_from_client, c1, cut % len(c1), 0.0)
            feed(leg.receive, heard, cut)
            assert old.data_to_client(0.0) == RTS["out_r2_a5"] + response(100) + RTS["out_r2_b3"]
            assert (old.state, old.refused, leg.closed) == (ProxyState.CLOSED, False, False)
            if not confirmed:
                assert new.data_to_client(0.0) == b""
                feed(new.receive_from_client, c1, cut % len(c1), 0.0)
            held, passed = RTS["in_r2_a3"], response(200)
            expected = passed + held if confirmed else held + passed
            assert new.data_to_client(0.0) == HEAD + expected
            assert (new.state, new.leg, leg.channel) == (ProxyState.OPEN, leg, new)
            assert (farm.recycles, len(farm.out_channels)) == ({"OUT_R2": 1}, 1)
            old.client_lost()
            assert new.state is ProxyState.OPEN


def test_r2_successor_waits_until_the_client_has_taken_what_came_before():
    """Acks for the predecessor come on the leg, which is the successor's by then."""
    old, new = r2_pair(confirmed=True, window=8192)
    woken = []
    old.wake = lambda: woken.append("old")
    new.wake = lambda: woken.append("new")
    leg = old.leg
    leg.receive(response() * 2 + ANCE + response(200))
    assert old.data_to_client(0.0) == response()
    assert (old.state, new.state, new.data_to_client(0.0)) == (ProxyState.ENDING, ProxyState.PLUGGED, b"")
    for cookie in (IN, OUT):
        assert woken == []
        ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, FRAGMENT, 8192, cookie)
        leg.receive(ack.encode())
    assert old.data_to_client(0.0) == response() + RTS["out_r2_b3"]
    assert (new.data_to_client(0.0), new.state) == (HEAD + response(200), ProxyState.OPEN)
    assert woken == ["new", "old"]
    leg.receive(ack.encode())


def test_r2_counts_anew_on_both_hops():
    """From OUT_R2/B1 on the server's PDUs and the client's acks are the successor's."""
    old, new = r2_pair(confirmed=True, window=262144)
    leg = old.leg
    leg.receive(response() * 5 + ANCE + response() * 6)
    assert leg.data_to_send() == rts.flow_control_ack(35040, 65536, NEXT_OUT).encode()
    assert new.data_to_client(0.0) == HEAD + response() * 6
    leg.receive(rts.flow_control_ack_with_destination(rts.OUT_PROXY, 35040, 65536, NEXT_OUT).encode())
    with pytest.raises(RemoteProtocolError):
        leg.receive(rts.flow_control_ack_with_destination(rts.OUT_PROXY, 35041, 65536, NEXT_OUT).encode())


def test_a_successor_that_the_server_refuses():
    old, new = r2_pair()
    old.leg.receive(RTS["negative_ance"] + response(100))
    assert (new.state, new.data_to_client(0.0), new.refused) == (ProxyState.CLOSED, ERROR_6C0, True)
    assert (old.state, old.data_to_client(0.0)) == (ProxyState.OPEN, response(100))


@pytest.mark.parametrize("moment", ["before OUT_R2/B1", "before OUT_R2/B3"])
@pytest.mark.parametrize("lost", ["old", "new"])
def test_neither_of_two_that_are_being_recycled_outlives_the_other(lost, moment):
    old, new = r2_pair(window=8192)
    leg = old.leg
    if moment == "before OUT_R2/B3":
        leg.receive(response() * 2 + ANCE)
    {"old": old, "new": new}[lost].client_lost()
    assert (old.state, new.state, leg.closed) == (ProxyState.CLOSED, ProxyState.CLOSED, True)


@pytest.mark.parametrize("old", ["connecting", "recycled already"])
def test_successors_of_unsuitable_channels_are_refused(old):
    farm = Farm()
    if old == "connecting":
        farm.open_outbound(ProxyState.WAIT_SERVER)
    else:
        farm.open_outbound()
        successor(farm)
    with pytest.raises(RemoteProtocolError):
        successor(farm, new=LATER_OUT)


def test_a_stray_byte_after_a1_is_ignored(vector):
    proxy = Farm().outbound(76)
    proxy.receive_from_client(vector("rts/conn_a1.hex") + b"\0", 0.0)
    proxy.receive_from_client(b"\0more", 0.0)
    assert proxy.wants_server


def test_chunked_framing():
    proxy = Farm().open_outbound(ProxyState.CONNECTING, chunked=True)
    proxy.connected()
    head, _, body = proxy.data_to_client(0.0).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"1c\r\n" + rts.conn_a3(120000).encode() + b"\r\n"
    proxy.leg.receive(rts.conn_c1(65536, 120000).encode() + response(100))
    assert proxy.data_to_client(0.0).startswith(b"90\r\n")
    assert proxy.data_to_client(0.0) == b""
    proxy.leg.receive(RTS["ance"])
    assert proxy.data_to_client(0.0) == b"18\r\n" + RTS["ance"] + b"\r\n0\r\n\r\n"
    assert proxy.data_to_client(0.0) == b""


def test_minimum_timeout_is_announced_and_kept():
    proxy = Farm().open_outbound(ProxyState.CONNECTING, minimum_timeout_ms=900000)
    proxy.connected()
    assert proxy.data_to_client(0.0).endswith(rts.conn_a3(900000).encode())
    proxy = Farm().outbound(minimum_timeout_ms=900000)
    proxy.receive_from_client(RTS["out_a3"], 0.0)
    announced = rts_recycling.out_r1_a4(VC, OUT, NEXT_OUT, 1 << 30, 65536, 900000)
    assert proxy.leg.data_to_send() == announced.encode()


def test_the_content_length_is_the_lifetime_and_held_to():
    """What the proxy itself says counts as well."""
    farm = Farm(channel_lifetime=12288)
    proxy = farm.outbound()
    proxy.receive_from_client(RTS["a1"], 0.0)
    assert proxy.leg.data_to_send() == rts.conn_a2(VC, OUT, 12288, 65536).encode()
    proxy.connected()
    assert proxy.data_to_client(0.0).startswith(HEAD.replace(b"1073741824", b"12288"))
    proxy.leg.receive(RTS["c1"] + response() * 2 + response(12288 - 28 - 44 - 2 * FRAGMENT))
    with pytest.raises(RemoteProtocolError):
        proxy.handle_timer(60.0)
    with pytest.raises(RemoteProtocolError):
        proxy.leg.receive(response(24))


STATES = {
    "waiting for the client": lambda: Farm().open_outbound(ProxyState.WAIT_CLIENT),
    "connecting": lambda: Farm().open_outbound(ProxyState.CONNECTING),
    "waiting for the server": lambda: Farm().open_outbound(ProxyState.WAIT_SERVER),
    "R1 successor connecting": lambda: r1_successor(ProxyState.CONNECTING),
    "R1 successor": r1_successor,
    "open": lambda: Farm().open_outbound(),
    "R2 predecessor": lambda: r2_pair()[0],
    "R2 successor": lambda: r2_pair()[1],
    "R2 successor confirmed": lambda: r2_pair(confirmed=True)[1],
    "ending": ending,
}
WHEN_OPEN = {"rpc", "ack_for_out_proxy", "ance"} | FOR_CLIENT
ALLOWED = {
    ("waiting for the client", "client"): {"a1", "out_a3"},
    ("waiting for the server", "server"): {"c1"},
    ("R1 successor", "client"): {"ance"},
    ("R1 successor", "server"): {"rpc", "ack_for_out_proxy"} | FOR_CLIENT,
    ("R2 successor", "client"): {"out_r2_c1"},
    ("open", "server"): WHEN_OPEN,
    ("R2 predecessor", "server"): WHEN_OPEN | {"negative_ance"},
}
INPUTS = RTS | {"rpc": response(100)}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("sender", ["client", "server"])
def test_every_pair_moves_or_raises(sender, state, name):
    proxy = STATES[state]()
    proxy._body_left = 1 << 30
    allowed = ALLOWED.get((state, sender), set())
    if sender == "server" and state.startswith("R2 successor"):
        allowed = {"rpc", "ack_for_out_proxy"} | FOR_CLIENT  # as from the leg, once it is there
    if sender == "server" and state == "ending":
        allowed = set()  # the ack among the inputs is of a larger window

    def say():
        if sender == "client":
            proxy.receive_from_client(INPUTS[name], 0.0)
        else:
            proxy.leg.receive(INPUTS[name])

    if name in allowed:
        say()
    else:
        with pytest.raises(PeerError):
            say()


@pytest.mark.parametrize("name", sorted(FOR_CLIENT))
def test_what_is_for_the_client_is_forwarded_as_it_came(name):
    proxy = Farm().open_outbound()
    proxy.leg.receive(RTS[name])
    assert proxy.data_to_client(0.0) == RTS[name]


def test_it_keeps_to_the_clients_window_and_acks_to_the_server():
    proxy = Farm().open_outbound(window=8192)
    proxy.leg.receive(response() * 2)
    assert proxy.data_to_client(0.0) == response()
    for cookie, freed in ((IN, b""), (OUT, response())):
        ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, FRAGMENT, 8192, cookie)
        proxy.leg.receive(ack.encode())
        assert proxy.data_to_client(0.0) == freed
    proxy = Farm().open_outbound(window=262144)
    proxy.leg.receive(response() * 6)
    assert proxy.leg.data_to_send() == rts.flow_control_ack(35040, 65536, OUT).encode()


@pytest.mark.parametrize("make", [lambda: Farm().open_outbound(window=8192), r1_successor])
def test_a_server_that_ignores_our_window_is_cut_off(make):
    proxy = make()
    proxy.leg.receive(response() * 11)
    with pytest.raises(RemoteProtocolError):
        proxy.leg.receive(response())


def test_a_tiny_window_is_refused_and_an_absurd_one_taken():
    for pdu in (rts.conn_a1(VC, OUT, 8191), rts_recycling.out_r1_a3(VC, OUT, NEXT_OUT, 8191)):
        with pytest.raises(RemoteProtocolError):
            Farm().outbound().receive_from_client(pdu.encode(), 0.0)
    assert Farm().open_outbound(window=16777216).state is ProxyState.OPEN


def test_the_client_says_only_rts():
    with pytest.raises(RemoteProtocolError):
        Farm().outbound().receive_from_client(request(100), 0.0)


@pytest.mark.parametrize("make", [lambda: Farm().outbound(), r1_successor])
def test_a_client_whose_turn_it_is_is_timed_out(make):
    proxy = make()
    assert proxy.next_timeout() == 120.0
    proxy.handle_timer(119.9)
    with pytest.raises(TimedOut):
        proxy.handle_timer(120.0)


def test_it_pings_when_idle_for_half_the_timeout_and_reports_that():
    proxy = Farm().open_outbound()
    now = 0.0
    for count in range(1, 53):
        assert proxy.next_timeout() == now + 60.0
        proxy.handle_timer(now + 59.9)
        assert proxy.data_to_client(now) == b""
        now += 60.0
        proxy.handle_timer(now)
        assert proxy.data_to_client(now) == rts.ping().encode()
        assert proxy.leg.data_to_send() == (rts.ping_traffic_sent(1040).encode() if count == 52 else b"")
    proxy.leg.receive(response(100))
    proxy.data_to_client(now + 30)
    assert proxy.next_timeout() == now + 90.0


def test_a_client_that_never_acknowledges_does_not_keep_a_channel_that_gives_way():
    proxy = ending()
    proxy.data_to_client(30.0)
    assert proxy.next_timeout() == 120.0
    proxy.handle_timer(119.9)
    with pytest.raises(TimedOut):
        proxy.handle_timer(120.0)


@pytest.mark.parametrize("state", ["connecting", "waiting for the server"])
def test_nothing_is_due_while_it_is_the_servers_turn(state):
    proxy = STATES[state]()
    assert proxy.next_timeout() is None
    proxy.handle_timer(1e9)
    assert proxy.data_to_client(0.0) == b""


@pytest.mark.parametrize("state", STATES)
def test_an_error_is_told_while_that_is_possible(state):
    """The first channel's response begins when the server is reached, a successor's when it opens."""
    proxy = STATES[state]()
    proxy._chunked = True
    proxy.fail(0x6C0)
    told = "successor" in state or state in ("waiting for the client", "connecting")
    assert proxy.data_to_client(0.0) == (ERROR_6C0 if told else b"")
    assert (proxy.state, proxy.leg.closed) == (ProxyState.CLOSED, True)
    assert proxy.next_timeout() is None


def test_a_chunk_that_was_not_yet_sent_is_whole_when_the_channel_fails():
    proxy = Farm().open_outbound(chunked=True)
    proxy.leg.receive(response(100))
    proxy.fail(0x6C0)
    assert proxy.data_to_client(0.0) == b"64\r\n" + response(100) + b"\r\n"


def test_a_predecessor_in_another_process_is_not_found():
    farm = Farm(simulate_farm=True)
    farm.open_outbound()
    assert successor(farm).recycled == "R1"
