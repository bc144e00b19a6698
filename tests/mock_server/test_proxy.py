"""The proxy roles against PDUs written out from the specification; each input in each state."""

import pytest

from loadgen.errors import PeerError, RemoteProtocolError, TimedOut
from loadgen.wire import rts
from loadgen.wire.pdu import Request, Response
from mock_server.proxy import InboundProxy, OutboundProxy, ProxySettings, ProxyState

VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")
BANNER = b"ncacn_http/1.0"
HEAD = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"
ERROR_6C0 = b"HTTP/1.0 503 RPC Error: 6c0\r\n\r\n"
STATES = tuple(ProxyState)
FRAGMENT = 5840


def request(size=FRAGMENT, call_id=1):
    return Request(call_id, 0, 0, bytes(size - 24)).encode()


def response(size=FRAGMENT):
    return Response(1, 0, bytes(size - 24)).encode()


def inbound(state=ProxyState.WAIT_CLIENT):
    proxy = InboundProxy(ProxySettings(), 1 << 30, 0.0, "192.0.2.10")
    if state is not ProxyState.WAIT_CLIENT:
        proxy.receive_from_client(rts.conn_b1(VC, IN, 1 << 30, 300000, GROUP).encode(), 0.0)
    if state in (ProxyState.WAIT_SERVER, ProxyState.OPEN):
        proxy.connected()
    if state is ProxyState.OPEN:
        proxy.receive_from_server(rts.conn_b3(65536).encode())
    proxy.data_to_server()
    return proxy


def outbound(state=ProxyState.WAIT_CLIENT, window=65536, **more):
    proxy = OutboundProxy(ProxySettings(), 76, 0.0, **more)
    if state is not ProxyState.WAIT_CLIENT:
        proxy.receive_from_client(rts.conn_a1(VC, OUT, window).encode(), 0.0)
    if state in (ProxyState.WAIT_SERVER, ProxyState.OPEN):
        proxy.connected()
    if state is ProxyState.OPEN:
        proxy.receive_from_server(rts.conn_c1(65536, 120000).encode())
    proxy.data_to_server()
    proxy.data_to_client(0.0)
    return proxy


def feed(receive, data, cut, *more):
    receive(data[:cut], *more)
    receive(data[cut:], *more)


def test_inbound_establishment_at_every_cut(vector):
    b1, b2, b3 = (vector(f"rts/conn_{name}.hex") for name in ("b1", "b2", "b3"))
    bind = vector("pdu/bind.hex")
    for cut in range(len(b1 + bind)):
        proxy = InboundProxy(ProxySettings(), 1 << 30, 0.0, "192.0.2.10")
        feed(proxy.receive_from_client, b1 + bind, cut, 0.0)
        assert proxy.wants_server
        proxy.connected()
        assert proxy.data_to_server() == b2
        feed(proxy.receive_from_server, BANNER + b3, cut % len(BANNER + b3))
        assert (proxy.data_to_server(), proxy.state) == (bind, ProxyState.OPEN)
        assert proxy.data_to_client(0.0) == b""


def test_outbound_establishment_at_every_cut(vector):
    a1, a2, a3, c1 = (vector(f"rts/conn_{name}.hex") for name in ("a1", "a2", "a3", "c2"))
    bind_ack = vector("pdu/bind_ack.hex")
    for cut in range(len(BANNER + c1 + bind_ack)):
        proxy = OutboundProxy(ProxySettings(), len(a1), 0.0)
        feed(proxy.receive_from_client, a1, cut % len(a1), 0.0)
        assert proxy.wants_server
        assert proxy.data_to_client(0.0) == b""
        proxy.connected()
        assert (proxy.data_to_server(), proxy.data_to_client(0.0)) == (a2, HEAD + a3)
        feed(proxy.receive_from_server, BANNER + c1 + bind_ack, cut)
        assert (proxy.data_to_client(0.0), proxy.state) == (c1 + bind_ack, ProxyState.OPEN)
        assert proxy.data_to_server() == b""


def test_a_stray_byte_after_a1_is_ignored(vector):
    proxy = OutboundProxy(ProxySettings(), 76, 0.0)
    proxy.receive_from_client(vector("rts/conn_a1.hex") + b"\0", 0.0)
    proxy.receive_from_client(b"\0more", 0.0)
    assert proxy.wants_server


def test_chunked_framing():
    proxy = outbound(ProxyState.CONNECTING, chunked=True)
    proxy.connected()
    head, _, body = proxy.data_to_client(0.0).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert body == b"1c\r\n" + rts.conn_a3(120000).encode() + b"\r\n"
    proxy.receive_from_server(rts.conn_c1(65536, 120000).encode() + response(100))
    assert proxy.data_to_client(0.0).startswith(b"90\r\n")
    assert proxy.data_to_client(0.0) == b""


def test_minimum_timeout_is_announced_and_kept():
    proxy = outbound(ProxyState.CONNECTING, minimum_timeout_ms=900000)
    proxy.connected()
    assert proxy.data_to_client(0.0).endswith(rts.conn_a3(900000).encode())


ACK_FOR_OUT_PROXY = rts.flow_control_ack_with_destination(rts.OUT_PROXY, 0, 65536, OUT)
ACK_FOR_CLIENT = rts.flow_control_ack_with_destination(rts.CLIENT, 0, 65536, IN)
RTS_INPUTS = {
    "a1": rts.conn_a1(VC, OUT, 65536),
    "a2": rts.conn_a2(VC, OUT, 1 << 30, 65536),
    "a3": rts.conn_a3(120000),
    "b1": rts.conn_b1(VC, IN, 1 << 30, 300000, GROUP),
    "b2": rts.conn_b2(VC, IN, 65536, 120000, GROUP, "192.0.2.10"),
    "b3": rts.conn_b3(65536),
    "c1": rts.conn_c1(65536, 120000),
    "ping": rts.ping(),
    "echo": rts.echo(),
    "keep_alive": rts.keep_alive(60000),
    "ack": rts.flow_control_ack(0, 65536, IN),
    "ack_of_out": rts.flow_control_ack(0, 65536, OUT),
    "ack_for_client": ACK_FOR_CLIENT,
    "ack_for_out_proxy": ACK_FOR_OUT_PROXY,
    "ack_for_server": rts.flow_control_ack_with_destination(rts.SERVER, 0, 65536, IN),
    "ping_traffic": rts.ping_traffic_sent(1040),
    "unknown": rts.RtsPdu(0x80, (rts.Empty(),)),
}
INPUTS = {name: pdu.encode() for name, pdu in RTS_INPUTS.items()} | {"rpc": request(100)}

# who says it, in which state: what may be said
INBOUND = {
    ("client", ProxyState.WAIT_CLIENT): {"b1"},
    ("client", ProxyState.CONNECTING): {"ping", "keep_alive", "rpc"},
    ("client", ProxyState.WAIT_SERVER): {"ping", "keep_alive", "rpc"},
    ("client", ProxyState.OPEN): {"ping", "keep_alive", "rpc", "ack_for_out_proxy"},
    ("server", ProxyState.WAIT_SERVER): {"b3"},
    ("server", ProxyState.OPEN): {"ack", "ack_of_out"},
}
OUTBOUND = {
    ("client", ProxyState.WAIT_CLIENT): {"a1"},
    ("server", ProxyState.WAIT_SERVER): {"c1"},
    ("server", ProxyState.OPEN): {"rpc", "ack_for_client", "ack_for_out_proxy"},
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("sender", ["client", "server"])
@pytest.mark.parametrize(("make", "allowed"), [(inbound, INBOUND), (outbound, OUTBOUND)])
def test_every_pair_moves_or_raises(make, allowed, sender, state, name):
    proxy = make(state)
    proxy._body_left = 1 << 30

    def say(data):
        if sender == "client":
            proxy.receive_from_client(data, 0.0)
        else:
            proxy.receive_from_server(data)

    if name in allowed.get((sender, state), ()):
        say(INPUTS[name])
    else:
        with pytest.raises(PeerError):
            say(INPUTS[name])


def test_acks_are_forwarded_as_they_came():
    proxy = inbound(ProxyState.OPEN)
    proxy.receive_from_client(ACK_FOR_OUT_PROXY.encode(), 0.0)
    assert proxy.data_to_server() == ACK_FOR_OUT_PROXY.encode()
    proxy = outbound(ProxyState.OPEN)
    proxy.receive_from_server(ACK_FOR_CLIENT.encode())
    assert proxy.data_to_client(0.0) == ACK_FOR_CLIENT.encode()


def test_inbound_keeps_to_the_servers_window_and_acks_to_the_client():
    proxy = inbound(ProxyState.WAIT_SERVER)
    proxy.receive_from_server(rts.conn_b3(8192).encode())
    proxy.receive_from_client(request() * 2, 0.0)
    assert proxy.data_to_server() == request()
    proxy.receive_from_server(rts.flow_control_ack(FRAGMENT, 8192, OUT).encode())
    assert proxy.data_to_server() == b""
    proxy.receive_from_server(rts.flow_control_ack(FRAGMENT, 8192, IN).encode())
    assert proxy.data_to_server() == request()
    proxy = inbound(ProxyState.OPEN)
    proxy.receive_from_client(request() * 6, 0.0)
    ack = rts.flow_control_ack_with_destination(rts.CLIENT, 35040, 65536, IN).encode()
    assert proxy.data_to_server() == request() * 6 + ack


def test_outbound_keeps_to_the_clients_window_and_acks_to_the_server():
    proxy = outbound(ProxyState.OPEN, window=8192)
    proxy.receive_from_server(response() * 2)
    assert proxy.data_to_client(0.0) == response()
    for cookie, freed in ((IN, b""), (OUT, response())):
        ack = rts.flow_control_ack_with_destination(rts.OUT_PROXY, FRAGMENT, 8192, cookie)
        proxy.receive_from_server(ack.encode())
        assert proxy.data_to_client(0.0) == freed
    proxy = outbound(ProxyState.OPEN, window=262144)
    proxy.receive_from_server(response() * 6)
    assert proxy.data_to_server() == rts.flow_control_ack(35040, 65536, OUT).encode()


def test_a_sender_that_ignores_our_window_is_cut_off():
    proxy = inbound(ProxyState.CONNECTING)
    proxy.receive_from_client(request() * 11, 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(request(), 0.0)
    proxy = outbound(ProxyState.OPEN, window=8192)
    proxy.receive_from_server(response() * 11)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_server(response())


@pytest.mark.parametrize(
    "pdu",
    [
        rts.conn_b1(VC, IN, 131071, 300000, GROUP),
        rts.conn_b1(VC, IN, 0x80000001, 300000, GROUP),
        rts.conn_b1(VC, IN, 1 << 30, 59999, GROUP),
    ],
)
def test_values_of_b1_are_checked(pdu):
    with pytest.raises(RemoteProtocolError):
        inbound().receive_from_client(pdu.encode(), 0.0)


def test_keepalive_0_means_the_default_and_1_nothing():
    proxy = inbound(ProxyState.OPEN)
    proxy.receive_from_client(rts.keep_alive(0).encode(), 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(rts.keep_alive(1).encode(), 0.0)


def test_a_tiny_window_is_refused_and_an_absurd_one_taken():
    with pytest.raises(RemoteProtocolError):
        outbound().receive_from_client(rts.conn_a1(VC, OUT, 8191).encode(), 0.0)
    assert outbound(ProxyState.OPEN, window=16777216).state is ProxyState.OPEN


def test_an_in_channel_ends_with_its_content_length():
    proxy = InboundProxy(ProxySettings(), 104, 0.0, "192.0.2.10")
    proxy.receive_from_client(rts.conn_b1(VC, IN, 1 << 30, 300000, GROUP).encode(), 0.0)
    with pytest.raises(RemoteProtocolError):
        proxy.receive_from_client(b"\0", 0.0)


def test_a_silent_client_is_timed_out():
    proxy = inbound(ProxyState.OPEN)
    proxy.receive_from_client(rts.ping().encode(), 100.0)
    assert proxy.next_timeout() == 220.0
    proxy.handle_timer(219.9)
    with pytest.raises(TimedOut):
        proxy.handle_timer(220.0)
    proxy = outbound()
    assert proxy.next_timeout() == 120.0
    with pytest.raises(TimedOut):
        proxy.handle_timer(120.0)


def test_out_pings_when_idle_for_half_the_timeout_and_reports_them():
    proxy = outbound(ProxyState.OPEN)
    now = 0.0
    for count in range(1, 53):
        assert proxy.next_timeout() == now + 60.0
        proxy.handle_timer(now + 59.9)
        assert proxy.data_to_client(now) == b""
        now += 60.0
        proxy.handle_timer(now)
        assert proxy.data_to_client(now) == rts.ping().encode()
        assert proxy.data_to_server() == (rts.ping_traffic_sent(1040).encode() if count == 52 else b"")
    proxy.receive_from_server(response(100))
    proxy.data_to_client(now + 30)
    assert proxy.next_timeout() == now + 90.0


@pytest.mark.parametrize("state", [ProxyState.CONNECTING, ProxyState.WAIT_SERVER])
def test_nothing_is_due_while_it_is_the_servers_turn(state):
    proxy = outbound(state)
    assert proxy.next_timeout() is None
    proxy.handle_timer(1e9)
    assert proxy.data_to_client(0.0) == b""


@pytest.mark.parametrize("state", STATES)
def test_an_error_is_told_while_that_is_possible(state):
    """On the IN channel there has been no response; the OUT channel's begins when the server is reached."""
    proxy = inbound(state)
    proxy.fail(0x6C0)
    assert proxy.data_to_client(0.0) == ERROR_6C0
    proxy = outbound(state, chunked=True)
    proxy.fail(0x6C0)
    told = state in (ProxyState.WAIT_CLIENT, ProxyState.CONNECTING)
    assert proxy.data_to_client(0.0) == (ERROR_6C0 if told else b"")
