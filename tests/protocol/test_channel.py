"""One HTTP exchange of a channel, against scripted and recorded answers."""

import pytest

from loadgen.errors import (
    ConnectionLost,
    HttpRefused,
    LocalProtocolError,
    PeerError,
    RemoteProtocolError,
    Unauthorized,
    WireError,
)
from loadgen.protocol.channel import InChannel, OutChannel
from loadgen.protocol.http_authentication import BasicAuthentication, Leg
from loadgen.wire.http import ECHO_REQUEST_BODY, ChannelRequest
from loadgen.wire.rts import RtsPdu

IN_REQUEST = ChannelRequest("RPC_IN_DATA", "MBX1", 6001, 1 << 30, "cas1")
OUT_REQUEST = ChannelRequest("RPC_OUT_DATA", "MBX1", 6001, 76, "cas1")
BASIC = BasicAuthentication("user", "secret")

A3 = bytes.fromhex("05001403100000001c00000000000000000001000200000020bf0200")
PING = bytes.fromhex("0500140310000000140000000000000001000000")
PLAIN = b"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RPC_ERROR = b"HTTP/1.0 503 RPC Error: 6ba\r\n\r\n"
CHALLENGE = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM VHlwZSAy\r\nContent-Length: 6\r\n\r\n<html>"
REFUSED = (
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n"
    b'WWW-Authenticate: Basic realm="msrpc realm", charset="utf-8"\r\n'
    b"Content-Length: 14\r\n\r\nUnauthorized\r\n"
)
L202 = b"HTTP/1.1 503 L-202 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
EOF = None


class Script:
    """An authentication that says what it is told to, and keeps what it was asked."""

    def __init__(self, *legs):
        self.legs = list(legs)
        self.challenges = []
        self.end_points = []

    def bind(self, end_point):
        self.end_points.append(end_point)

    def first_leg(self):
        return self.legs.pop(0)

    def answer(self, challenges):
        self.challenges.append(challenges)
        return self.legs.pop(0) if self.legs else None


def ntlm():
    return Script(Leg("NTLM dHlwZTE=", final=False), Leg("NTLM dHlwZTM=", final=True))


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def play(channel, parts):
    """All PDUs, and the error that ended the channel or None."""
    pdus = []
    try:
        for part in parts:
            if part is EOF:
                channel.receive_eof()
            else:
                channel.receive_data(part)
            pdus += channel.pdus()
    except PeerError as error:
        return pdus, error
    return pdus, None


def summary(error):
    """What must not depend on how the stream was cut; the wording of h11 may."""
    if isinstance(error, HttpRefused):
        return type(error), error.status, error.reason, error.rpc_error
    return type(error)


LOST, ODD = ConnectionLost, RemoteProtocolError
ANSWERS = {
    "plain": ([PLAIN + A3 + PING], [A3, PING], type(None)),
    "plain, to its end": (
        [b"HTTP/1.1 200 Success\r\nContent-Length: 48\r\n\r\n" + A3 + PING], [A3, PING], LOST,
    ),
    "plain, beyond its end": (
        [b"HTTP/1.1 200 Success\r\nContent-Length: 28\r\n\r\n" + A3 + PING], [A3], LOST,
    ),
    "plain, without a body": ([b"HTTP/1.1 200 Success\r\nContent-Length: 0\r\n\r\n" + A3], [], LOST),
    "until closed": ([b"HTTP/1.0 200 Success\r\n\r\n" + A3, EOF], [A3], LOST),
    "chunked": (
        [CHUNKED + chunk(A3[:10]) + chunk(A3[10:] + PING[:3]) + chunk(PING[3:])], [A3, PING], type(None),
    ),
    "chunked, to its end": ([CHUNKED + chunk(A3) + b"0\r\n\r\n"], [A3], LOST),
    "chunked, broken": ([CHUNKED + chunk(A3) + b"what?\r\n"], [A3], ODD),
    "informational": ([CONTINUE + CONTINUE + PLAIN + A3], [A3], type(None)),
    "later error": ([PLAIN + A3 + RPC_ERROR], [A3], (HttpRefused, 503, "RPC Error: 6ba", 0x6BA)),
    "later error in a chunk": (
        [CHUNKED + chunk(A3 + RPC_ERROR)], [A3], (HttpRefused, 503, "RPC Error: 6ba", 0x6BA),
    ),
    "later error, unfinished": (
        [PLAIN + A3 + b"HTTP/1.0 503 RPC Error: 6c0", EOF], [A3], (HttpRefused, 503, "RPC Error: 6c0", 0x6C0),
    ),
    "later error, too short": ([PLAIN + A3 + b"HTTP/1", EOF], [A3], LOST),
    "later text": ([PLAIN + A3 + b"Have a nice day\r\n"], [A3], ODD),
    "later text, endless": ([PLAIN + A3 + b"H" * 1100], [A3], ODD),
    "no PDU": ([PLAIN + A3 + b"\x04" + PING[1:]], [A3], WireError),
    "cut in a PDU": ([PLAIN + A3[:20], EOF], [], LOST),
    "RPC error": ([RPC_ERROR], [], (HttpRefused, 503, "RPC Error: 6ba", 0x6BA)),
    "RPC error, unfinished": ([RPC_ERROR[:-2], EOF], [], (HttpRefused, 503, "RPC Error: 6ba", 0x6BA)),
    "contexts used up": ([L202], [], (HttpRefused, 503, "L-202 Service Unavailable", None)),
    "not found": ([b"HTTP/1.1 404 Not Found\r\n\r\n"], [], (HttpRefused, 404, "Not Found", None)),
    "wrong password": ([REFUSED], [], (Unauthorized, 401, "Unauthorized", None)),
    "no HTTP": ([b"220 mail.example.com ESMTP\r\n\r\n"], [], ODD),
    "no answer": ([EOF], [], LOST),
    "part of an answer": ([PLAIN[:15], EOF], [], LOST),
}  # fmt: skip


def test_a_pdu_that_is_cut_short_is_named():
    channel = OutChannel(OUT_REQUEST, BASIC)
    channel.data_to_send()
    channel.receive_data(PLAIN + A3 + A3[:20])
    channel.receive_eof()
    heard = channel.pdus()
    assert next(heard) == A3
    with pytest.raises(
        ConnectionLost, match="closed the OUT channel in the middle of a PDU, after 20 bytes of it"
    ):
        next(heard)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_on_the_out_channel_cut_anywhere(name):
    parts, pdus, end = ANSWERS[name]
    stream, *rest = parts
    cuts = range(1, len(stream)) if stream else ()
    ways = [parts, *([stream[:cut], stream[cut:], *rest] for cut in cuts)]
    if stream:
        ways.append([*(bytes((byte,)) for byte in stream), *rest])
    for way in ways:
        received, error = play(OutChannel(OUT_REQUEST, BASIC), way)
        assert received == pdus
        assert summary(error) == end


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (b"HTTP/1.1 408 Request Timeout\r\n\r\n", (HttpRefused, 408, "Request Timeout", None)),
        (b"HTTP/1.1 200 Success\r\nContent-Length: 0\r\n\r\n", (HttpRefused, 200, "Success", None)),
        (RPC_ERROR, (HttpRefused, 503, "RPC Error: 6ba", 0x6BA)),
        (REFUSED, (Unauthorized, 401, "Unauthorized", None)),
        (CONTINUE, type(None)),
    ],
)
def test_any_answer_on_the_in_channel_ends_it(answer, end):
    for cut in range(1, len(answer)):
        received, error = play(InChannel(IN_REQUEST, BASIC), [answer[:cut], answer[cut:]])
        assert (received, summary(error)) == ([], end)


def test_eof_on_the_in_channel():
    assert summary(play(InChannel(IN_REQUEST, BASIC), [EOF])[1]) is ConnectionLost


def test_schemes_of_a_refusal():
    _, error = play(OutChannel(OUT_REQUEST, BASIC), [REFUSED])
    assert isinstance(error, Unauthorized)
    assert error.schemes == ("Negotiate", "Basic")


def test_an_ended_channel_stays_ended():
    for channel in (OutChannel(OUT_REQUEST, BASIC), InChannel(IN_REQUEST, BASIC)):
        _, error = play(channel, [L202])
        for part in (PLAIN, EOF):
            assert play(channel, [part]) == ([], error)
    channel = OutChannel(OUT_REQUEST, BASIC)
    _, error = play(channel, [b"HTTP/1.1 200 Success\r\nContent-Length: 28\r\n\r\n" + A3, PING])
    assert isinstance(error, ConnectionLost)
    assert play(channel, [PING]) == ([], error)


@pytest.mark.parametrize(("kind", "request_head"), [(InChannel, IN_REQUEST), (OutChannel, OUT_REQUEST)])
def test_basic_opens_the_body_with_the_first_request(kind, request_head):
    channel = kind(request_head, BASIC)
    assert channel.body_open
    channel.send(PING)
    head, body = channel.data_to_send().split(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % request_head.content_length in head
    assert head.endswith(b"Authorization: Basic dXNlcjpzZWNyZXQ=")
    assert body == PING
    assert channel.data_to_send() == b""
    channel.send(A3)
    assert channel.data_to_send() == A3
    assert channel.room == request_head.content_length - len(PING) - len(A3)


@pytest.mark.parametrize(
    ("kind", "request_head", "answer", "pdus"),
    [(InChannel, IN_REQUEST, CONTINUE, []), (OutChannel, OUT_REQUEST, PLAIN + A3, [A3])],
)
def test_legs_on_a_kept_connection(kind, request_head, answer, pdus):
    """NTLM: a leg without a body, its challenge, and the final leg, however the answers are cut."""
    stream = CHALLENGE + answer
    for cut in range(1, len(stream)):
        script = ntlm()
        channel = kind(request_head, script)
        assert not channel.body_open
        with pytest.raises(LocalProtocolError):
            channel.send(PING)
        first = channel.data_to_send()
        assert b"Content-Length: 0\r\n" in first
        assert first.endswith(b"Authorization: NTLM dHlwZTE=\r\n\r\n")
        received, error = play(channel, [stream[:cut], stream[cut:]])
        assert (received, error) == (pdus, None)
        final = channel.data_to_send()
        assert b"Content-Length: %d\r\n" % request_head.content_length in final
        assert final.endswith(b"Authorization: NTLM dHlwZTM=\r\n\r\n")
        assert channel.body_open
        assert script.challenges == [("NTLM VHlwZSAy",)]


@pytest.mark.parametrize(
    ("legs", "stream", "end"),
    [
        (ntlm, CHALLENGE + CHALLENGE, "the credentials are refused; offered: NTLM"),
        (
            ntlm,
            CHALLENGE.replace(b"Content-Length: 6", b"Connection: close"),
            "the server closes the connection, so it cannot be answered there; offered: NTLM",
        ),
        (
            lambda: Script(Leg(None, final=False)),
            CHALLENGE,
            "no answer to the scheme that was tried; offered: NTLM",
        ),
        (
            lambda: Script(Leg(None, final=False)),
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "no answer to the scheme that was tried; offered: nothing",
        ),
        (lambda: Unreadable(Leg(None, final=False)), CHALLENGE, "not a token"),
        (ntlm, PLAIN, "HTTP 200 Success"),
    ],
    ids=[
        "final leg refused",
        "connection not kept",
        "nothing more to say",
        "nothing offered",
        "challenge without sense",
        "success before the end",
    ],
)
def test_legs_that_lead_nowhere(legs, stream, end):
    for cut in range(1, len(stream)):
        received, error = play(OutChannel(OUT_REQUEST, legs()), [stream[:cut], stream[cut:]])
        assert received == []
        assert str(error).endswith(end)
        assert getattr(error, "refused", False) is end.startswith("the credentials")


class Unreadable(Script):
    def answer(self, challenges):
        raise RemoteProtocolError("not a token")


def test_tls_is_told_to_the_authentication_until_its_last_leg():
    script = ntlm()
    channel = OutChannel(OUT_REQUEST, script)
    channel.secured(b"first")
    play(channel, [CHALLENGE])
    channel.secured(b"too late")
    assert script.end_points == [b"first"]


def test_an_unauthenticated_leg_has_no_authorization():
    channel = OutChannel(OUT_REQUEST, Script(Leg(None, final=False)))
    assert b"Authorization" not in channel.data_to_send()


def test_room_is_what_was_announced():
    channel = OutChannel(OUT_REQUEST, BASIC)
    channel.send(bytes(76))
    with pytest.raises(LocalProtocolError):
        channel.send(b"x")


def test_an_idle_channel_keeps_no_parser():
    out_channel, in_channel = OutChannel(OUT_REQUEST, BASIC), InChannel(IN_REQUEST, BASIC)
    play(out_channel, [PLAIN + A3])
    assert out_channel.answered
    assert out_channel._parser is None
    assert in_channel._parser is None


def test_abandoning_the_pdus_loses_none():
    channel = OutChannel(OUT_REQUEST, BASIC)
    channel.receive_data(PLAIN + A3 + PING)
    first = channel.pdus()
    assert next(first) == A3
    first.close()
    assert list(channel.pdus()) == [PING]


def test_echo(vector):
    """A proxy answers a request of four bytes with a body of one PDU; recorded from Gromox 3.10."""
    channel = OutChannel(ChannelRequest("RPC_IN_DATA", "MBX1", 6001, len(ECHO_REQUEST_BODY), "cas1"), BASIC)
    channel.send(ECHO_REQUEST_BODY)
    pdus, error = play(channel, [vector("http/echo_response.hex")])
    assert [RtsPdu.decode(pdu).names for pdu in pdus] == [("Echo",)]
    assert isinstance(error, ConnectionLost)
