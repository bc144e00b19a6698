"""A virtual connection in any state, and what a server says to it, in the specification's own terms."""

from loadgen.protocol.http_authentication import BasicAuthentication, Leg
from loadgen.protocol.rts_options import Cookies, RtsOptions
from loadgen.protocol.rts_states import RPC_PDU, State
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire import rts
from loadgen.wire.pdu import Request, Response

PLAIN = b"HTTP/1.1 200 Success\r\nContent-Length: 1073741824\r\n\r\n"
CHALLENGE = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM VHlwZSAy\r\nContent-Length: 0\r\n\r\n"
VC = bytes.fromhex("33221100554477668899aabbccddeeff")
IN = bytes.fromhex("34333231424144435152535455565758")
OUT = bytes.fromhex("0d0c0b0a121114132122232425262728")
GROUP = bytes.fromhex("c4c3c2c1d2d1d4d3e1e2e3e4e5e6e7e8")
COOKIES = Cookies(VC, IN, OUT, GROUP)
START = 1000.0
RESPONSE = Response(2, 0, bytes(4)).encode()

WINDOW, TIMEOUT = rts.ReceiveWindowSize(65536), rts.ConnectionTimeout(120_000)
SAMPLES = {
    rts.ReceiveWindowSize: WINDOW,
    rts.FlowControlAck: rts.FlowControlAck(0, 65536, IN),
    rts.ConnectionTimeout: TIMEOUT,
    rts.Cookie: rts.Cookie(VC),
    rts.ChannelLifetime: rts.ChannelLifetime(1 << 30),
    rts.ClientKeepalive: rts.ClientKeepalive(300_000),
    rts.Version: rts.Version(),
    rts.Empty: rts.Empty(),
    rts.NegativeANCE: rts.NegativeANCE(),
    rts.ANCE: rts.ANCE(),
    rts.ClientAddress: rts.ClientAddress("192.0.2.10"),
    rts.AssociationGroupId: rts.AssociationGroupId(GROUP),
    rts.Destination: rts.Destination(rts.CLIENT),
    rts.PingTrafficSentNotify: rts.PingTrafficSentNotify(1040),
}
INPUTS = {
    names: rts.RtsPdu(flags, tuple(SAMPLES[kind] for kind in kinds)).encode()
    for (flags, kinds), names in rts.RTS_PDUS.items()
}
INPUTS[("an unknown shape",)] = rts.RtsPdu(rts.EOF).encode()
INPUTS[(RPC_PDU,)] = RESPONSE


class Ntlm:
    """Two legs, the second final."""

    def first_leg(self):
        return Leg("NTLM dHlwZTE=", final=False)

    def answer(self, challenges):
        return Leg("NTLM dHlwZTM=", final=True)


def client(state=State.OPEN, **options):
    """A virtual connection in ``state``, all it had to say until then fetched."""
    authentication = Ntlm() if state is State.REQUESTS else BasicAuthentication("user", "secret")
    connection = VirtualConnectionClient(
        "MBX1", 6001, "cas1", lambda: authentication, START, RtsOptions(**options), COOKIES
    )
    said = {
        State.A3_WAIT: PLAIN,
        State.C2_WAIT: PLAIN + a3(),
        State.OPEN: PLAIN + a3() + c2(),
        State.CLOSED: PLAIN + a3() + c2(),
    }
    if state in said:
        assert hear(connection, said[state], START) == []
    if state is State.CLOSED:
        connection.close()
    assert connection.state is state
    said_by_us(connection)
    return connection


def a3(timeout_ms=120_000):
    return rts.conn_a3(timeout_ms).encode()


def c2(window=65536, timeout_ms=120_000):
    return rts.conn_c2(window, timeout_ms).encode()


def ack(received, available, cookie=IN, role=rts.CLIENT):
    return rts.flow_control_ack_with_destination(role, received, available, cookie).encode()


def request(size, call_id=2):
    return Request(call_id, 0, 0, bytes(size - 24)).encode()


def hear(connection, data, now=START):
    return list(connection.receive_data(connection.out_channel, data, now))


def hear_all(connection, parts, received):
    for part in parts:
        received.extend(connection.receive_data(connection.out_channel, part, START))


def said_by_us(connection):
    return connection.in_channel.data_to_send(), connection.out_channel.data_to_send()
