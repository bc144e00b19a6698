"""The client role of [MS-RPCH], against PDUs in the specification's own terms and a clock of ours."""

import pytest

from loadgen.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, TimedOut
from loadgen.protocol.http_authentication import BasicAuthentication
from loadgen.protocol.rts_options import RtsOptions
from loadgen.protocol.rts_states import RPC_PDU, TRANSITIONS, State
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire import rts
from loadgen.wire.pdu import Response

from .scripted import (
    CHALLENGE,
    COOKIES,
    INPUTS,
    OUT,
    PLAIN,
    RESPONSE,
    START,
    Ntlm,
    a3,
    ack,
    c2,
    client,
    hear,
    hear_all,
    request,
    said_by_us,
)


def test_establishment(vector):
    connection = VirtualConnectionClient(
        "MBX1",
        6001,
        "cas1",
        lambda: BasicAuthentication("user", "secret"),
        START,
        RtsOptions(),
        COOKIES,
    )
    in_head, b1 = connection.in_channel.data_to_send().split(b"\r\n\r\n", 1)
    out_head, a1 = connection.out_channel.data_to_send().split(b"\r\n\r\n", 1)
    assert in_head.startswith(b"RPC_IN_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1\r\n")
    assert out_head.startswith(b"RPC_OUT_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1\r\n")
    assert b"Content-Length: 1073741824\r\n" in in_head
    assert b"Content-Length: 76\r\n" in out_head
    assert a1 == vector("rts/conn_a1.hex")
    assert b1 == vector("rts/conn_b1.hex")
    states = [connection.state]
    for data in (PLAIN, vector("rts/conn_a3.hex"), vector("rts/conn_c2.hex")):
        assert hear(connection, data) == []
        states.append(connection.state)
    assert states == [State.OUT_WAIT, State.A3_WAIT, State.C2_WAIT, State.OPEN]
    assert hear(connection, RESPONSE) == [RESPONSE]


def test_new_cookies_each_time():
    connections = [VirtualConnectionClient("MBX1", 6001, "cas1", Ntlm, START, RtsOptions()) for _ in range(2)]
    cookies = {cookie for connection in connections for cookie in _cookies(connection)}
    assert len(cookies) == 8


def _cookies(connection):
    cookies = connection._cookies
    return cookies.virtual_connection, cookies.in_channel, cookies.out_channel, cookies.association_group


def test_conn_pdus_wait_for_both_requests():
    connection = client(State.REQUESTS)
    list(connection.receive_data(connection.in_channel, CHALLENGE, START))
    assert connection.state is State.REQUESTS
    assert said_by_us(connection)[0].endswith(b"NTLM dHlwZTM=\r\n\r\n")
    list(connection.receive_data(connection.out_channel, CHALLENGE, START))
    assert connection.state is State.OUT_WAIT
    in_data, out_data = said_by_us(connection)
    assert rts.RtsPdu.decode(in_data).names == ("CONN/B1",)
    assert rts.RtsPdu.decode(out_data.partition(b"\r\n\r\n")[2]).names == ("CONN/A1",)


@pytest.mark.parametrize("names", INPUTS, ids=lambda names: names[0])
@pytest.mark.parametrize("state", [State.A3_WAIT, State.C2_WAIT, State.CLOSED])
def test_every_state_and_input_moves_or_raises(state, names):
    """What may come in the open state depends on what is being recycled: see test_recycling."""
    connection = client(state)
    after = [TRANSITIONS[state][name] for name in names if name in TRANSITIONS[state]]
    if after:
        assert hear(connection, INPUTS[names]) == ([RESPONSE] if names == (RPC_PDU,) else [])
        assert [connection.state] == after
    else:
        with pytest.raises(RemoteProtocolError, match="0x6C0"):
            hear(connection, INPUTS[names])
        assert connection.state is State.CLOSED


@pytest.mark.parametrize("state", [State.REQUESTS, State.OUT_WAIT])
def test_pdus_before_the_answer_are_not_http(state):
    connection = client(state)
    with pytest.raises(RemoteProtocolError):
        hear(connection, a3() + b"\r\n\r\n")
    assert connection.state is State.CLOSED


@pytest.mark.parametrize("state", State)
def test_eof_ends_every_state(state):
    connection = client(state)
    with pytest.raises(ConnectionLost):
        list(connection.receive_eof(connection.in_channel, START))
    assert connection.state is State.CLOSED
    assert connection.next_timer() == float("inf")


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
def test_rpc_pdus_are_sent_in_the_open_state_alone(state):
    with pytest.raises(LocalProtocolError):
        client(state).send_pdu(request(100), START)


@pytest.mark.parametrize(
    ("state", "data", "fine"),
    [
        (State.A3_WAIT, a3(119_999), False),
        (State.A3_WAIT, a3(120_000), True),
        (State.A3_WAIT, a3(14_400_000), True),
        (State.A3_WAIT, a3(14_400_001), False),
        (State.C2_WAIT, c2(window=8191), False),
        (State.C2_WAIT, c2(window=8192), True),
        (State.C2_WAIT, c2(window=262_144), True),
        (State.C2_WAIT, c2(window=262_145), False),
        (State.C2_WAIT, c2(timeout_ms=0), False),
        (State.OPEN, ack(0, 65536), True),
        (State.OPEN, ack(0, 65537), False),
        (State.OPEN, ack(0, 65536, role=rts.OUT_PROXY), False),
        (State.OPEN, ack(0, 65537, cookie=OUT), True),
    ],
)
def test_ranges(state, data, fine):
    connection = client(state)
    if fine:
        assert hear(connection, data) == []
    else:
        with pytest.raises(RemoteProtocolError):
            hear(connection, data)
        assert connection.state is State.CLOSED


@pytest.mark.parametrize(
    ("state", "data", "named"),
    [
        (State.A3_WAIT, a3(1000), "ConnectionTimeout 1000 ms, where 120000 to 14400000 are allowed"),
        (
            State.C2_WAIT,
            c2(timeout_ms=1000),
            "ConnectionTimeout 1000 ms, where 120000 to 14400000 are allowed",
        ),
        (State.C2_WAIT, c2(window=4096), "ReceiveWindowSize 4096, where 8192 to 262144 are allowed"),
    ],
)
def test_what_is_out_of_range_is_named(state, data, named):
    with pytest.raises(RemoteProtocolError, match=named):
        hear(client(state), data)


def test_pdus_beyond_the_window_wait_in_order():
    connection = client()
    sent = [request(5840, call_id) for call_id in range(13)]
    for pdu in sent:
        connection.send_pdu(pdu, START)
    assert said_by_us(connection)[0] == b"".join(sent[:11])  # 1296 bytes of window are left
    connection.send_pdu(last := request(100, 13), START)
    assert said_by_us(connection) == (b"", b"")
    hear(connection, ack(5840, 65536))
    assert said_by_us(connection)[0] == sent[11]
    hear(connection, ack(11 * 5840, 65536))
    assert said_by_us(connection)[0] == sent[12] + last
    connection.send_pdu(sent[0], START)
    assert said_by_us(connection)[0] == sent[0]


def test_received_pdus_are_acknowledged_after_half_the_window():
    connection = client()
    response = Response(2, 0, bytes(5816)).encode()
    assert hear(connection, response * 5) == [response] * 5
    assert said_by_us(connection) == (b"", b"")
    assert hear(connection, response) == [response]
    expected = rts.flow_control_ack_with_destination(rts.OUT_PROXY, 6 * 5840, 65536, OUT).encode()
    assert said_by_us(connection) == (expected, b"")


def test_acknowledgement_has_the_bytes_of_the_specification(vector):
    connection = client()
    window = connection._receive_window
    window.received, window.advertised = 33554 - len(RESPONSE), 0
    hear(connection, RESPONSE)
    assert said_by_us(connection)[0] == vector("rts/flow_control_ack_with_destination.hex")


@pytest.mark.parametrize(
    ("timeout_ms", "keepalive_ms", "idle_s"),
    [(120_000, 300_000, 60.0), (14_400_000, 300_000, 300.0), (14_400_000, 0, 300.0), (900_000, 60_000, 60.0)],
)
def test_an_idle_channel_is_pinged(vector, timeout_ms, keepalive_ms, idle_s):
    connection = client(State.C2_WAIT, client_keepalive_ms=keepalive_ms)
    hear(connection, c2(timeout_ms=timeout_ms))
    assert connection.next_timer() == START + idle_s
    connection.send_pdu(request(100), START + 5)
    said_by_us(connection)
    connection.handle_timer(START + idle_s)
    assert said_by_us(connection) == (b"", b"")
    assert connection.next_timer() == START + 5 + idle_s
    connection.handle_timer(START + 5 + idle_s)
    assert said_by_us(connection) == (vector("rts/ping.hex"), b"")
    assert connection.next_timer() == START + 5 + 2 * idle_s


def test_receiving_does_not_delay_the_ping():
    connection = client()
    hear(connection, INPUTS[("Ping",)] + RESPONSE, START + 50)
    assert connection.next_timer() == START + 60
    assert said_by_us(connection) == (b"", b"")


def test_keep_alive_interval_can_change():
    connection = client(State.C2_WAIT)
    hear(connection, c2(timeout_ms=900_000))
    assert connection.next_timer() == START + 300
    connection.keep_alive(60_000, START + 1)
    assert said_by_us(connection) == (INPUTS[("Keep-Alive",)].replace(b"\xe0\x93\x04", b"\x60\xea\x00"), b"")
    assert connection.next_timer() == START + 61
    connection.keep_alive(0, START + 2)
    assert connection.next_timer() == START + 302


@pytest.mark.parametrize(
    ("state", "awaited"),
    [
        (State.REQUESTS, "HTTP authentication"),
        (State.OUT_WAIT, "OUT channel"),
        (State.A3_WAIT, "CONN/A3"),
        (State.C2_WAIT, "CONN/C2"),
    ],
)
def test_establishment_takes_no_longer_than_allowed(state, awaited):
    connection = client(state, establishment_timeout_s=30.0)
    assert connection.next_timer() == START + 30
    connection.handle_timer(START + 29.9)
    with pytest.raises(TimedOut, match=f"{awaited}.*30 s"):
        connection.handle_timer(START + 30)
    assert connection.state is State.CLOSED


def test_slow_establishment_is_kept_alive(vector):
    connection = client(State.C2_WAIT, establishment_timeout_s=100.0)
    assert connection.next_timer() == START + 60
    connection.handle_timer(START + 60)
    assert said_by_us(connection) == (vector("rts/ping.hex"), b"")
    assert connection.next_timer() == START + 100


def test_what_came_before_an_error_is_given_out(vector):
    """However a conversation is cut, the PDUs before its error come out, and then the error."""
    stream = PLAIN + a3() + c2() + RESPONSE + INPUTS[("Ping",)] + RESPONSE + INPUTS[("Echo",)] + RESPONSE
    for cut in range(1, len(stream)):
        connection = client(State.OUT_WAIT)
        received = []
        with pytest.raises(RemoteProtocolError, match="Echo"):
            hear_all(connection, (stream[:cut], stream[cut:]), received)
        assert received == [RESPONSE, RESPONSE]
