"""Channels replaced while a virtual connection is open ([MS-RPCH] 3.2.2.5.5 to 3.2.2.5.12)."""

from itertools import product

import pytest

from loadgen.errors import (
    ConnectionLost,
    HttpRefused,
    LocalProtocolError,
    ProfileError,
    RemoteProtocolError,
    TimedOut,
)
from loadgen.protocol.rts_options import RtsOptions
from loadgen.protocol.rts_states import (
    IN_RECYCLING,
    OUT_RECYCLING,
    RPC_PDU,
    TRANSITIONS,
    InPhase,
    OutPhase,
    State,
)
from loadgen.wire import rts, rts_recycling
from loadgen.wire.pdu import Response

from .scripted import (
    CHALLENGE,
    IN,
    INPUTS,
    OUT,
    PLAIN,
    RESPONSE,
    START,
    Ntlm,
    ack,
    c2,
    client,
    hear,
    request,
)

NEXT_IN = bytes.fromhex("94939291a2a1a4a3b1b2b3b4b5b6b7b8")
NEXT_OUT = bytes.fromhex("64636261727174738182838485868788")
IN_R1_A4 = rts_recycling.in_r1_a4(16384, 240_000).encode()
IN_R2_A4 = rts_recycling.in_r2_a4().encode()
A5 = rts_recycling.in_r1_a5(NEXT_IN).encode()
A2 = rts_recycling.out_r1_a2().encode()
A6 = {"R1": rts_recycling.out_r1_a6(120_000).encode(), "R2": rts_recycling.out_r2_a6().encode()}
LAST = {"R1": rts_recycling.out_r1_a10().encode(), "R2": rts_recycling.out_r2_b3().encode()}
NEGATIVE = rts_recycling.out_r2_b2().encode()
SHORT = 8192
"""A lifetime that is over after one PDU: B1 takes 104 of it, and 4096 are the margin."""


@pytest.fixture(autouse=True)
def cookies(monkeypatch):
    """The names of successors, in the order in which they are asked for."""
    names: list[bytes] = []
    monkeypatch.setattr("loadgen.protocol.virtual_connection.urandom", lambda size: names.pop(0))
    return names


def spend(connection):
    """Send so much that the IN channel is at its margin."""
    pdu = request(SHORT - 104 - 4096)
    connection.send_pdu(pdu, START)
    assert connection.in_channel.data_to_send() == pdu
    return connection.channels[-1]


def body(channel):
    """What a new channel says after its head, and the head."""
    head, _, said = channel.data_to_send().partition(b"\r\n\r\n")
    return head, said


def recycling(in_phase, out_phase, cookies):
    """An open connection whose channels have come so far."""
    cookies += [NEXT_IN] if in_phase is not InPhase.STEADY else []
    cookies += [NEXT_OUT] if out_phase is not OutPhase.STEADY else []
    connection = client(channel_lifetime=SHORT)
    basic = connection._authenticate
    if in_phase is InPhase.REQUEST:
        connection._authenticate = Ntlm
    if in_phase is not InPhase.STEADY:
        spend(connection)
    connection._authenticate = Ntlm if out_phase is OutPhase.REQUEST else basic
    steps = {
        OutPhase.STEADY: b"",
        OutPhase.REQUEST: A2,
        OutPhase.A6_WAIT: A2,
        OutPhase.A10_WAIT: A2 + A6["R1"],
        OutPhase.B3_WAIT: A2 + A6["R2"],
        OutPhase.ANSWER_WAIT: A2 + A6["R2"] + LAST["R2"],
    }
    before_switch = IN_R2_A4 if in_phase is InPhase.CLOSE_WAIT else b""
    assert hear(connection, before_switch + steps[out_phase]) == []
    assert (connection._in_phase, connection._out_phase) == (in_phase, out_phase)
    return connection


@pytest.mark.parametrize("names", INPUTS, ids=lambda names: names[0])
@pytest.mark.parametrize(
    "phases", list(product(InPhase, [phase for phase in OutPhase if phase is not OutPhase.ANSWER_WAIT]))
)
def test_every_phase_and_input_moves_or_raises(cookies, phases, names):
    connection = recycling(*phases, cookies)
    cookies.append(NEXT_OUT)
    expected = None
    for name in names:
        in_phase, out_phase = phases
        if name in IN_RECYCLING[in_phase]:
            expected = IN_RECYCLING[in_phase][name], out_phase
        elif name in OUT_RECYCLING[out_phase]:
            after = OUT_RECYCLING[out_phase][name]
            expected = in_phase, OutPhase.A6_WAIT if after is OutPhase.REQUEST else after
        elif name in TRANSITIONS[State.OPEN]:
            expected = phases
    if expected is not None:
        assert hear(connection, INPUTS[names]) == ([RESPONSE] if names == (RPC_PDU,) else [])
        assert (connection._in_phase, connection._out_phase) == expected
        assert connection.state is State.OPEN
    else:
        with pytest.raises((RemoteProtocolError, ConnectionLost), match=r"0x6C0|NegativeANCE"):
            hear(connection, INPUTS[names])
        assert connection.state is State.CLOSED


@pytest.mark.parametrize("in_phase", InPhase)
def test_pdus_on_a_successor_before_its_answer_are_not_http(cookies, in_phase):
    connection = recycling(in_phase, OutPhase.ANSWER_WAIT, cookies)
    with pytest.raises(RemoteProtocolError, match="not HTTP"):
        hear(connection, A2 + b"\r\n\r\n")


@pytest.mark.parametrize("out_phase", [OutPhase.STEADY, OutPhase.A6_WAIT, OutPhase.B3_WAIT])
def test_a_refused_successor(cookies, out_phase):
    connection = recycling(InPhase.STEADY, out_phase, cookies)
    error = RemoteProtocolError if out_phase is OutPhase.STEADY else ConnectionLost
    with pytest.raises(error):
        hear(connection, NEGATIVE)


def test_the_margin_of_the_in_channel(cookies):
    """It is reached to the byte, by RTS PDUs as by others."""
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT)
    connection.send_pdu(request(SHORT - 104 - 4096 - 20), START)
    assert connection.in_channel.room == 4096 + 20
    assert len(connection.channels) == 2
    connection.handle_timer(START + 60)
    assert connection.in_channel.room == 4096
    assert len(connection.channels) == 3


@pytest.mark.parametrize(("a4", "window", "idle_s"), [(IN_R1_A4, 16384, 120.0), (IN_R2_A4, 65536, 60.0)])
def test_in_recycling(vector, cookies, a4, window, idle_s):
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT)
    predecessor, successor = connection.in_channel, spend(connection)
    head, a1 = body(successor)
    assert head.startswith(b"RPC_IN_DATA /rpc/rpcproxy.dll?MBX1:6001 HTTP/1.1\r\n")
    assert b"Content-Length: 8192\r\n" in head
    assert b"Authorization: Basic " in head
    assert a1 == vector("rts/in_r1_a1.hex")

    connection.send_pdu(request(100, 3), START)
    assert hear(connection, RESPONSE + a4 + RESPONSE, START + 1) == [RESPONSE, RESPONSE]
    assert predecessor.data_to_send() == request(100, 3) + A5
    assert connection.in_channel is successor
    connection.send_pdu(request(100, 4), START + 1)
    assert (predecessor.data_to_send(), successor.data_to_send()) == (b"", request(100, 4))
    assert connection._send_window.size == window
    assert connection._send_window.sent == 100
    assert connection._ping_due() == START + 1 + idle_s

    assert list(connection.receive_data(predecessor, b"HTTP/1.1 400 Bad Request\r\n\r\n", START)) == []
    assert list(connection.receive_eof(predecessor, START)) == []
    assert predecessor in connection.channels
    assert connection.disconnected(predecessor, START)
    assert connection.channels == (connection.out_channel, successor)
    assert connection.next_timer() == START + 1 + idle_s


@pytest.mark.parametrize("form", ["R1", "R2"])
@pytest.mark.parametrize("early", [False, True], ids=["in turn", "early"])
def test_out_recycling(vector, cookies, form, early):
    """However the server's bytes are cut, and even if the successor speaks before its turn."""
    first, last = (
        A2 + RESPONSE + A6[form] + RESPONSE + RESPONSE + LAST[form] + b"rubbish" * 9,
        PLAIN + RESPONSE,
    )
    for cut in range(1, len(first)):
        cookies.append(NEXT_OUT)
        connection = client()
        predecessor = connection.out_channel
        received = hear(connection, first[: len(A2)])
        successor = connection.channels[-1]
        said = successor.data_to_send()
        if early:
            received += connection.receive_data(successor, last, START)
        for part in (first[len(A2) : cut], first[max(cut, len(A2)) :]):
            received += connection.receive_data(predecessor, part, START) if part else ()
        said += successor.data_to_send()
        if not early:
            received += connection.receive_data(successor, last, START)
        assert received == [RESPONSE] * 4
        head, _, said_in_body = said.partition(b"\r\n\r\n")
        assert b"Content-Length: 120\r\n" in head
        assert b"Authorization: Basic " in head
        a3 = vector("rts/out_r1_a3.hex")
        end = vector("rts/out_r2_c1.hex") if form == "R2" else rts_recycling.out_r1_a11().encode()
        assert (said_in_body, len(said_in_body)) == (a3 + end, 120)
        a7 = vector("rts/out_r2_a7.hex") if form == "R2" else rts_recycling.out_r1_a7(NEXT_OUT).encode()
        assert connection.in_channel.data_to_send() == a7
        assert connection.channels == (connection.in_channel, successor)
        assert connection._out_phase is OutPhase.STEADY
        assert connection.disconnected(predecessor, START)
        assert connection.next_timer() == START + 60


@pytest.mark.parametrize(
    ("form", "phase", "room"), [("R1", OutPhase.A10_WAIT, 24), ("R2", OutPhase.B3_WAIT, 0)]
)
def test_when_the_last_24_bytes_are_sent(cookies, form, phase, room):
    """In the form R2 with A7, in the form R1 in answer to A10."""
    connection = recycling(InPhase.STEADY, phase, cookies)
    successor = connection.channels[-1]
    assert successor.room == room
    hear(connection, LAST[form])
    assert successor.room == 0


def test_out_counters_begin_anew(cookies):
    """The predecessor is acknowledged to its end, its successor from nothing."""
    cookies.append(NEXT_OUT)
    connection = client(receive_window=8192)
    predecessor = connection.out_channel
    large = Response(2, 0, bytes(4976)).encode()

    def acknowledged(cookie):
        return rts.flow_control_ack_with_destination(rts.OUT_PROXY, 5000, 8192, cookie).encode()

    hear(connection, A2 + A6["R1"] + large + RESPONSE)
    a7 = rts_recycling.out_r1_a7(NEXT_OUT).encode()
    assert connection.in_channel.data_to_send() == a7 + acknowledged(OUT)
    hear(connection, LAST["R1"])
    assert list(connection.receive_data(predecessor, large * 2, START)) == []
    assert hear(connection, PLAIN + large) == [large]
    assert connection.in_channel.data_to_send() == acknowledged(NEXT_OUT)


def test_what_the_window_holds_goes_up_the_successor(cookies):
    """It was sent nowhere yet; acknowledgements of the predecessor have no more to say."""
    cookies.append(NEXT_IN)
    connection = client(State.C2_WAIT, channel_lifetime=32768, recycle_margin=20000)
    hear(connection, c2(8192))
    pdus = [request(5000, call_id) for call_id in range(2, 6)]
    predecessor = connection.in_channel
    for pdu in pdus:
        connection.send_pdu(pdu, START)
    hear(connection, ack(5000, 8192))
    hear(connection, ack(10000, 8192))
    assert predecessor.data_to_send() == pdus[0] + pdus[1] + pdus[2]
    hear(connection, IN_R1_A4)
    successor = connection.in_channel
    assert predecessor.data_to_send() == A5
    assert body(successor)[1][88:] == pdus[3]
    connection.send_pdu(request(5840, 6), START)
    connection.send_pdu(request(5840, 7), START)
    assert successor.data_to_send() == request(5840, 6)
    hear(connection, ack(15000, 8192))
    assert successor.data_to_send() == b""
    hear(connection, ack(10840, 16384, NEXT_IN))
    assert successor.data_to_send() == request(5840, 7)


def test_a_pdu_without_room_waits_for_the_successor(cookies):
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT, recycle_margin=1024)
    connection.send_pdu(request(5000), START)
    connection.send_pdu(last := request(2065, 3), START)  # one byte too much beside what RTS PDUs may need
    assert connection.in_channel.data_to_send() == request(5000)
    hear(connection, IN_R2_A4)
    assert body(connection.in_channel)[1][88:] == last


def test_rts_pdus_without_room_wait_for_the_successor(cookies):
    """A5 always has its place; acknowledgements, pings and A7 keep their order."""
    cookies += [NEXT_IN, NEXT_OUT]
    connection = client(channel_lifetime=SHORT, receive_window=8192)
    predecessor, successor = connection.in_channel, spend(connection)
    body(successor)
    large = Response(2, 0, bytes(4976)).encode()
    hear(connection, large * 80)
    sent = predecessor.data_to_send()
    assert len(sent) == 72 * 56
    assert predecessor.room == 4096 - len(sent) == 64
    hear(connection, A2 + A6["R1"] + RESPONSE)
    hear(connection, IN_R2_A4)
    assert predecessor.data_to_send() == A5
    expected = b"".join(
        rts.flow_control_ack_with_destination(rts.OUT_PROXY, 5000 * number, 8192, OUT).encode()
        for number in range(73, 81)
    )
    assert successor.data_to_send() == expected + rts_recycling.out_r1_a7(NEXT_OUT).encode()


def test_pings_wait_like_other_rts_pdus(cookies, vector):
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT, recycle_timeout_s=100.0)
    successor = spend(connection)
    connection.in_channel.room = 50
    body(successor)
    connection.handle_timer(START + 60)
    assert connection.next_timer() == START + 100
    hear(connection, IN_R2_A4, START + 70)
    assert successor.data_to_send() == vector("rts/ping.hex")


def test_the_next_in_recycling_waits_for_the_predecessor(cookies):
    """Else A1 on a third connection could overtake A5 on the first."""
    cookies += [NEXT_IN, IN]
    connection = client(channel_lifetime=SHORT)
    predecessor = connection.in_channel
    spend(connection)
    hear(connection, IN_R2_A4)
    connection.send_pdu(request(5840, 3), START)
    connection.send_pdu(last := request(5840, 4), START)
    assert len(connection.channels) == 3
    assert connection.disconnected(predecessor, START)
    third = connection.channels[-1]
    assert len(connection.channels) == 3
    a1 = rts_recycling.in_r1_a1(connection._cookies.virtual_connection, NEXT_IN, IN).encode()
    assert body(third)[1] == a1
    hear(connection, IN_R2_A4)
    assert third.data_to_send() == last


def test_a_predecessor_that_stays_is_closed(cookies):
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT, recycle_timeout_s=30.0)
    predecessor, successor = connection.in_channel, spend(connection)
    assert connection.next_timer() == START + 30
    hear(connection, IN_R2_A4)
    assert connection.next_timer() == START + 30
    connection.handle_timer(START + 30)
    assert connection.channels == (connection.out_channel, successor)
    assert connection.state is State.OPEN
    assert connection.disconnected(predecessor, START + 31)


LIMITS = {
    (InPhase.REQUEST, OutPhase.STEADY): "recycling the IN channel: the end of HTTP authentication",
    (InPhase.A4_WAIT, OutPhase.STEADY): "recycling the IN channel: IN_R1/A4 or IN_R2/A4",
    (InPhase.STEADY, OutPhase.REQUEST): "recycling the OUT channel: the end of HTTP authentication",
    (InPhase.STEADY, OutPhase.A6_WAIT): "recycling the OUT channel: OUT_R1/A6 or OUT_R2/A6",
    (InPhase.STEADY, OutPhase.A10_WAIT): "recycling the OUT channel: OUT_R1/A10",
    (InPhase.STEADY, OutPhase.B3_WAIT): "recycling the OUT channel: OUT_R2/B3",
    (InPhase.CLOSE_WAIT, OutPhase.ANSWER_WAIT): "recycling the OUT channel: the answer on the successor",
}


@pytest.mark.parametrize("phases", LIMITS)
def test_recycling_takes_no_longer_than_allowed(cookies, phases):
    connection = recycling(*phases, cookies)
    assert connection.next_timer() == START + 60
    with pytest.raises(TimedOut, match=f"{LIMITS[phases]} did not come within 60 s"):
        connection.handle_timer(START + 60)
    assert connection.state is State.CLOSED
    assert connection.next_timer() == float("inf")


@pytest.mark.parametrize("phases", list(product(InPhase, OutPhase)))
def test_which_channels_may_go(cookies, phases):
    """All that have not been replaced are needed, successors too."""
    in_phase, out_phase = phases
    connection = recycling(*phases, cookies)
    channels = list(connection.channels)
    predecessor = connection._spare_in if in_phase is InPhase.CLOSE_WAIT else None
    more_in = in_phase is not InPhase.STEADY
    more_out = out_phase not in (OutPhase.STEADY, OutPhase.ANSWER_WAIT)
    assert len(channels) == 2 + more_in + more_out
    for channel in channels:
        lost = recycling(*phases, cookies)
        same = lost.channels[channels.index(channel)]
        if channel is predecessor:
            assert list(lost.receive_eof(same, START)) == []
            assert lost.disconnected(same, START)
        else:
            assert not lost.disconnected(same, START)
            with pytest.raises(ConnectionLost):
                list(lost.receive_eof(same, START))
            assert lost.state is State.CLOSED
            assert not lost.disconnected(same, START)


@pytest.mark.parametrize("phases", [(InPhase.A4_WAIT, OutPhase.STEADY), (InPhase.STEADY, OutPhase.A6_WAIT)])
def test_a_refused_successor_request(cookies, phases):
    connection = recycling(*phases, cookies)
    with pytest.raises(HttpRefused, match="HTTP 404"):
        list(connection.receive_data(connection.channels[-1], b"HTTP/1.1 404 Not Found\r\n\r\n", START))
    assert connection.state is State.CLOSED


@pytest.mark.parametrize("phases", [(InPhase.REQUEST, OutPhase.STEADY), (InPhase.STEADY, OutPhase.REQUEST)])
def test_successors_authenticate_again(cookies, phases):
    connection = recycling(*phases, cookies)
    successor = connection.channels[-1]
    assert b"Content-Length: 0\r\n" in successor.data_to_send()
    assert list(connection.receive_data(successor, CHALLENGE, START)) == []
    head, first = body(successor)
    assert head.endswith(b"NTLM dHlwZTM=")
    names = rts.RtsPdu.decode(first).names
    assert names == (("IN_R1/A1", "IN_R2/A1") if phases[0] is InPhase.REQUEST else ("OUT_R1/A3", "OUT_R2/A3"))


@pytest.mark.parametrize(
    ("phases", "pdu"),
    [
        ((InPhase.A4_WAIT, OutPhase.STEADY), rts_recycling.in_r1_a4(8191, 120_000)),
        ((InPhase.A4_WAIT, OutPhase.STEADY), rts_recycling.in_r1_a4(262_145, 120_000)),
        ((InPhase.A4_WAIT, OutPhase.STEADY), rts_recycling.in_r1_a4(65536, 119_999)),
        ((InPhase.A4_WAIT, OutPhase.STEADY), rts.RtsPdu(rts.NONE, (rts.Destination(rts.SERVER),))),
        ((InPhase.STEADY, OutPhase.STEADY), rts.RtsPdu(rts.RECYCLE_CHANNEL, (rts.Destination(3),))),
        ((InPhase.STEADY, OutPhase.A6_WAIT), rts_recycling.out_r1_a6(119_999)),
        ((InPhase.STEADY, OutPhase.A6_WAIT), rts.RtsPdu(rts.NONE, (rts.Destination(3), rts.ANCE()))),
    ],
)  # fmt: skip
def test_ranges(cookies, phases, pdu):
    connection = recycling(*phases, cookies)
    with pytest.raises(RemoteProtocolError):
        hear(connection, pdu.encode())
    assert connection.state is State.CLOSED


def test_out_channels_are_not_recycled_before_they_are_open(cookies):
    connection = client(State.C2_WAIT)
    with pytest.raises(RemoteProtocolError, match=r"OUT_R1/A2.*CONN/C2"):
        hear(connection, A2)


def test_pings_do_not_recycle_before_the_connection_is_open():
    connection = client(State.C2_WAIT, channel_lifetime=SHORT, establishment_timeout_s=1e9)
    connection.in_channel.room = 4100
    connection.handle_timer(START + 60)
    assert connection.in_channel.room == 4080
    assert len(connection.channels) == 2


def test_an_out_channel_at_its_end_without_a_successor(cookies):
    connection = client(State.OUT_WAIT)
    opening = PLAIN.replace(b"1073741824", b"100") + rts.conn_a3(120_000).encode()
    hear(connection, opening + rts.conn_c2(65536, 120_000).encode())
    with pytest.raises(ConnectionLost, match="carried all that its answer announced"):
        hear(connection, RESPONSE)


def test_a_pdu_for_which_no_channel_is_long_enough(cookies):
    cookies.append(NEXT_IN)
    connection = client(channel_lifetime=SHORT)
    connection.send_pdu(request(SHORT - 104 - 1024), START)
    with pytest.raises(LocalProtocolError, match="no IN channel"):
        connection.send_pdu(request(SHORT - 104 - 1023), START)


@pytest.mark.parametrize(
    ("lifetime", "margin", "text"),
    [
        (8191, 4096, "channel_lifetime 8191 is less than 8192"),
        (8192, 1023, "recycle_margin 1023 is not between 1024 and 6144"),
        (8192, 6145, "recycle_margin 6145 is not between 1024 and 6144, for a channel_lifetime of 8192"),
    ],
)
def test_options_under_which_no_channel_could_live(lifetime, margin, text):
    with pytest.raises(ProfileError, match=text):
        RtsOptions(channel_lifetime=lifetime, recycle_margin=margin)
