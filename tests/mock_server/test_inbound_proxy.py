"""The inbound proxy role against PDUs written out from the specification; each input in each state."""

import pytest

from loadgen.errors import PeerError, RemoteProtocolError, TimedOut
from loadgen.wire import rts, rts_recycling
from mock_server.rpch.proxy import ProxyState
from tests.mock_server.proxies import (
    ERROR_6C0,
    FRAGMENT,
    GROUP,
    IN,
    NEXT_IN,
    OUT,
    RTS,
    VC,
    Farm,
    feed,
    request,
)

BANNER = b"ncacn_http/1.0"
LATER_IN = bytes(range(16))
A5 = rts_recycling.in_r1_a5(NEXT_IN).encode()


def successor(farm, old=IN, new=NEXT_IN):
    """A channel that has said IN_R1/A1 or IN_R2/A1."""
    proxy = farm.inbound()
    proxy.receive_from_client(rts_recycling.in_r1_a1(VC, old, new).encode(), 0.0)
    return proxy


def r1_successor(state=ProxyState.PLUGGED):
    """In a process that does not know the predecessor."""
    proxy = successor(Farm())
    if state is not ProxyState.CONNECTING:
        proxy.connected()
    proxy.leg.data_to_send()
    return proxy


def ending():
    """The predecessor in an R1 recycling, with one PDU that the server has no room for."""
    proxy = Farm().open_inbound(window=8192)
    proxy.receive_from_client(request() * 2 + A5, 0.0)
    proxy.leg.data_to_send()
    return proxy


def test_establishment_at_every_cut(vector):
    b1, b2, b3 = (vector(f"rts/conn_{name}.hex") for name in ("b1", "b2", "b3"))
    bind = vector("pdu/bind.hex")
    for cut in range(len(b1 + bind)):
        proxy = Farm().inbound()
        feed(proxy.receive_from_client, b1 + bind, cut, 0.0)
        assert proxy.wants_server
        proxy.connected()
        assert proxy.leg.data_to_send() == b2
        feed(proxy.leg.receive, BANNER + b3, cut % len(BANNER + b3))
        assert (proxy.leg.data_to_send(), proxy.state) == (bind, ProxyState.OPEN)
        assert proxy.data_to_client(0.0) == b""


def test_r1_successor_at_every_cut(vector):
    """What the client says early waits for the server, which waits for the predecessor."""
    a1, bind = vector("rts/in_r1_a1.hex"), vector("pdu/bind.hex")
    said = a1 + bind + RTS["ack_for_out_proxy"] + RTS["out_r1_a7"] + request(100)
    for cut in range(len(said)):
        farm = Farm()
        proxy = farm.inbound()
        feed(proxy.receive_from_client, said, cut, 0.0)
        assert proxy.wants_server
        proxy.connected()
        assert proxy.leg.data_to_send() == RTS["in_r1_a2"]
        assert proxy.state is ProxyState.PLUGGED
        feed(proxy.leg.receive, BANNER + RTS["in_r1_b2"], cut % (14 + 28))
        assert (proxy.leg.data_to_send(), proxy.state) == (said[len(a1) :], ProxyState.OPEN)
        assert farm.recycles == {"IN_R1": 1}


@pytest.mark.parametrize("simulated", [False, True])
def test_r1_predecessor_at_every_cut(simulated):
    """It forwards the successor's cookie, then what it has, then IN_R1/B1, and closes everything."""
    farm = Farm(simulate_farm=simulated)
    elsewhere = farm if simulated else Farm()
    said = request() * 2 + A5
    for cut in range(0, len(said), 7):
        proxy = farm.open_inbound(window=8192)
        assert successor(elsewhere).recycled == "R1"
        feed(proxy.receive_from_client, said, cut, 0.0)
        assert proxy.leg.data_to_send() == request() + A5
        assert (proxy.state, len(farm.in_channels)) == (ProxyState.ENDING, 0)
        proxy.client_lost()
        proxy.handle_timer(119.9)
        proxy.leg.receive(rts.flow_control_ack(FRAGMENT, 8192, IN).encode() + RTS["ack"])
        assert proxy.leg.data_to_send() == request() + RTS["in_r1_b1"]
        assert (proxy.state, proxy.leg.closed, proxy.refused) == (ProxyState.CLOSED, True, False)


def test_r2_at_every_cut(vector):
    """The successor waits for its cookie to come on the predecessor, then goes on with the leg."""
    a1 = vector("rts/in_r1_a1.hex")
    said = request(100, 1) + A5
    for cut in range(len(said)):
        farm = Farm()
        old, new = farm.open_inbound(), farm.inbound()
        leg = old.leg
        feed(new.receive_from_client, a1 + request(200, 2), cut % len(a1), 0.0)
        assert (leg.data_to_send(), new.state, new.wants_server) == (A5, ProxyState.PLUGGED, False)
        feed(old.receive_from_client, said, cut, 0.0)
        assert leg.data_to_send() == request(100, 1) + request(200, 2)
        assert (old.state, new.state) == (ProxyState.CLOSED, ProxyState.OPEN)
        assert (new.leg, leg.channel, leg.closed, old.refused) == (leg, new, False, False)
        assert farm.recycles == {"IN_R2": 1}
        assert len(farm.in_channels) == 1
        old.client_lost()
        assert new.state is ProxyState.OPEN


def test_r2_tells_the_other_channel_to_look():
    farm = Farm()
    old = farm.open_inbound()
    woken = []
    old.wake = lambda: woken.append("old")
    new = successor(farm)
    new.wake = lambda: woken.append("new")
    old.receive_from_client(A5, 0.0)
    assert woken == ["old", "new"]


def test_r2_counts_anew_on_both_hops():
    """From IN_R2/A2 on the server knows the new cookie; the client's window is the successor's own."""
    farm = Farm()
    old = farm.open_inbound(window=8192)
    old.receive_from_client(request(FRAGMENT, 1) + request(FRAGMENT, 2), 0.0)
    new = successor(farm)
    leg = old.leg
    assert leg.data_to_send() == request(FRAGMENT, 1) + A5 + request(FRAGMENT, 2)
    old.receive_from_client(request(FRAGMENT, 3) + A5, 0.0)
    new.receive_from_client(request(FRAGMENT, 4), 0.0)
    leg.receive(rts.flow_control_ack(FRAGMENT, 8192, IN).encode())
    assert leg.data_to_send() == b""
    for number in (3, 4):
        received = FRAGMENT * (number - 2)
        leg.receive(rts.flow_control_ack(received, 8192, NEXT_IN).encode())
        assert leg.data_to_send() == request(FRAGMENT, number)
    leg.receive(rts.flow_control_ack(3 * FRAGMENT, 8192, NEXT_IN).encode())
    for number in range(5, 10):
        new.receive_from_client(request(FRAGMENT, number), 0.0)
        ack = rts.flow_control_ack((number - 1) * FRAGMENT, 8192, NEXT_IN).encode()
        leg.receive(ack)
    acks = [pdu for pdu in _pdus(leg.data_to_send()) if pdu[2] == 20]
    received = 6 * FRAGMENT
    assert acks == [
        rts.flow_control_ack_with_destination(rts.CLIENT, received, 65536, NEXT_IN).encode(),
    ]


def _pdus(data):
    while data:
        size = int.from_bytes(data[8:10], "little")
        yield data[:size]
        data = data[size:]


def test_a_successor_whose_cookie_does_not_come_is_refused():
    farm = Farm()
    old = farm.open_inbound()
    new = successor(farm)
    old.receive_from_client(rts_recycling.in_r1_a5(LATER_IN).encode(), 0.0)
    assert (new.state, new.refused, new.data_to_client(0.0)) == (ProxyState.CLOSED, True, ERROR_6C0)
    assert (old.state, old.leg.closed, farm.recycles) == (ProxyState.OPEN, False, {})
    assert successor(farm, new=LATER_IN).state is ProxyState.PLUGGED


@pytest.mark.parametrize("form", ["R1", "R2"])
def test_a_successor_may_be_used_up_before_it_opens(form):
    """Its own successor is made known to the server when there is a leg to do that."""
    farm = Farm()
    if form == "R2":
        old = farm.open_inbound()
        new = successor(farm)
    else:
        new = successor(farm)
        new.connected()
    third = successor(farm, NEXT_IN, LATER_IN)
    if form == "R2":
        assert old.leg.data_to_send() == A5
        old.receive_from_client(A5, 0.0)
    else:
        assert new.leg.data_to_send() == RTS["in_r1_a2"]
        new.leg.receive(RTS["in_r1_b2"])
    assert new.leg.data_to_send() == rts_recycling.in_r2_a2(LATER_IN).encode()
    new.receive_from_client(rts_recycling.in_r2_a5(LATER_IN).encode(), 0.0)
    assert (new.state, third.state) == (ProxyState.CLOSED, ProxyState.OPEN)


def test_a_successor_may_have_ended_before_it_opens():
    """IN_R1/B2 may be overtaken by all that the client learns on the OUT channel and then says."""
    proxy = r1_successor()
    proxy.receive_from_client(request(100) + rts_recycling.in_r1_a5(LATER_IN).encode(), 0.0)
    assert proxy.leg.data_to_send() == b""
    proxy.leg.receive(RTS["in_r1_b2"])
    expected = request(100) + rts_recycling.in_r1_a5(LATER_IN).encode() + RTS["in_r1_b1"]
    assert (proxy.leg.data_to_send(), proxy.state) == (expected, ProxyState.CLOSED)


@pytest.mark.parametrize("pdu", [request(100), RTS["out_r1_a7"]])
def test_nothing_comes_after_the_successors_cookie(pdu):
    with pytest.raises(RemoteProtocolError):
        Farm().open_inbound().receive_from_client(A5 + pdu, 0.0)
    with pytest.raises(RemoteProtocolError):
        ending().receive_from_client(pdu, 0.0)
    plugged = r1_successor()
    plugged.receive_from_client(A5 + pdu, 0.0)
    with pytest.raises(RemoteProtocolError):
        plugged.leg.receive(RTS["in_r1_b2"])


@pytest.mark.parametrize("lost", ["old", "new", "server"])
def test_neither_of_two_that_are_being_recycled_outlives_the_other(lost):
    farm = Farm()
    old = farm.open_inbound()
    new = successor(farm)
    leg = old.leg
    {"old": old.client_lost, "new": new.client_lost, "server": old.close}[lost]()
    assert (old.state, new.state, leg.closed) == (ProxyState.CLOSED, ProxyState.CLOSED, True)
    assert len(farm.in_channels) == 0
    for proxy in (old, new):
        proxy.close()
        proxy.fail(0x6C0)
        assert proxy.data_to_client(0.0) == b""


@pytest.mark.parametrize("old", ["connecting", "recycled already"])
def test_successors_of_unsuitable_channels_are_refused(old):
    farm = Farm()
    if old == "connecting":
        farm.open_inbound(ProxyState.WAIT_SERVER)
    else:
        farm.open_inbound()
        successor(farm)
    with pytest.raises(RemoteProtocolError):
        successor(farm, new=LATER_IN)


MAY_WAIT = {"ping", "keep_alive", "rpc", "ack_for_out_proxy", "out_r1_a7", "out_r2_a7", "in_a5"}
STATES = {
    "waiting for the client": lambda: Farm().open_inbound(ProxyState.WAIT_CLIENT),
    "connecting": lambda: Farm().open_inbound(ProxyState.CONNECTING),
    "waiting for the server": lambda: Farm().open_inbound(ProxyState.WAIT_SERVER),
    "R1 successor connecting": lambda: r1_successor(ProxyState.CONNECTING),
    "R1 successor": r1_successor,
    "open": lambda: Farm().open_inbound(),
    "ending": ending,
}
ALLOWED = {
    ("waiting for the client", "client"): {"b1", "in_a1"},
    ("connecting", "client"): MAY_WAIT,
    ("R1 successor connecting", "client"): MAY_WAIT,
    ("waiting for the server", "client"): MAY_WAIT,
    ("waiting for the server", "server"): {"b3"},
    ("R1 successor", "client"): MAY_WAIT,
    ("R1 successor", "server"): {"in_r1_b2"},
    ("open", "client"): MAY_WAIT,
    ("open", "server"): {"ack", "ack_of_out"},
    ("ending", "server"): {"ack_of_out"},
}
INPUTS = RTS | {"rpc": request(100)}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("sender", ["client", "server"])
def test_every_pair_moves_or_raises(sender, state, name):
    proxy = STATES[state]()

    def say():
        if sender == "client":
            proxy.receive_from_client(INPUTS[name], 0.0)
        else:
            proxy.leg.receive(INPUTS[name])

    if name in ALLOWED.get((state, sender), ()):
        say()
    else:
        with pytest.raises(PeerError):
            say()


@pytest.mark.parametrize("name", ["ack_for_out_proxy", "out_r1_a7", "out_r2_a7"])
def test_what_is_for_others_is_forwarded_as_it_came(name):
    proxy = Farm().open_inbound()
    proxy.receive_from_client(RTS[name], 0.0)
    assert proxy.leg.data_to_send() == RTS[name]


def test_it_keeps_to_the_servers_window_and_acks_to_the_client():
    proxy = Farm().open_inbound(window=8192)
    proxy.receive_from_client(request() * 2, 0.0)
    assert proxy.leg.data_to_send() == request()
    proxy.leg.receive(rts.flow_control_ack(FRAGMENT, 8192, OUT).encode())
    assert proxy.leg.data_to_send() == b""
    proxy.leg.receive(rts.flow_control_ack(FRAGMENT, 8192, IN).encode())
    assert proxy.leg.data_to_send() == request()
    proxy = Farm().open_inbound()
    proxy.receive_from_client(request() * 6, 0.0)
    ack = rts.flow_control_ack_with_destination(rts.CLIENT, 35040, 65536, IN).encode()
    assert proxy.leg.data_to_send() == request() * 6 + ack


@pytest.mark.parametrize("state", ["connecting", "R1 successor"])
def test_a_client_that_ignores_our_window_is_cut_off(state):
    proxy = STATES[state]()
    proxy.receive_from_client(request() * 11, 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(request(), 0.0)


@pytest.mark.parametrize(
    ("own", "said", "keepalive_ms"),
    [
        (1 << 30, 131071, 300000),
        (1 << 30, 0x80000001, 300000),
        (1 << 30, 1 << 30, 59999),
        (12288, 12287, 300000),
    ],
)
def test_values_of_b1_are_checked(own, said, keepalive_ms):
    with pytest.raises(RemoteProtocolError):
        Farm(channel_lifetime=own).inbound().receive_from_client(
            rts.conn_b1(VC, IN, said, keepalive_ms, GROUP).encode(), 0.0
        )


def test_short_lifetimes_are_taken_where_ours_are_short():
    proxy = Farm(channel_lifetime=12288).inbound()
    proxy.receive_from_client(rts.conn_b1(VC, IN, 12288, 300000, GROUP).encode(), 0.0)
    assert proxy.wants_server


def test_keepalive_0_means_the_default_and_1_nothing():
    proxy = Farm().open_inbound()
    proxy.receive_from_client(rts.keep_alive(0).encode(), 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(rts.keep_alive(1).encode(), 0.0)


@pytest.mark.parametrize("first", [RTS["b1"], RTS["in_a1"]])
def test_a_channel_ends_with_its_content_length(first):
    proxy = Farm().inbound(content_length=len(first) + 100)
    proxy.receive_from_client(first + request(100), 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(b"\0", 0.0)


def test_a_silent_client_is_timed_out():
    proxy = Farm().open_inbound()
    proxy.receive_from_client(rts.ping().encode(), 100.0)
    assert proxy.next_timeout() == 220.0
    proxy.handle_timer(219.9)
    with pytest.raises(TimedOut):
        proxy.handle_timer(220.0)


@pytest.mark.parametrize("state", STATES)
def test_a_channel_that_waits_to_be_opened_is_not_kept_by_pings(state):
    """A successor whose predecessor is never left, a first channel whose server never answers."""
    proxy = STATES[state]()
    if proxy.state not in (ProxyState.WAIT_CLIENT, ProxyState.ENDING):
        proxy.receive_from_client(rts.ping().encode(), 100.0)
    patient = proxy.state is ProxyState.OPEN
    assert proxy.next_timeout() == (220.0 if patient else 120.0)
    if not patient:
        with pytest.raises(TimedOut):
            proxy.handle_timer(120.0)


@pytest.mark.parametrize("state", STATES)
def test_an_error_is_told(state):
    """There has been no response yet."""
    proxy = STATES[state]()
    proxy.fail(0x6C0)
    assert (proxy.data_to_client(0.0), proxy.state, proxy.leg.closed) == (ERROR_6C0, ProxyState.CLOSED, True)
    assert proxy.next_timeout() is None
