"""Folding, on segments written out here: no dissector needed."""

from dataclasses import dataclass, field

import pytest

from loadgen.wire import pdu, rts
from loadgen.wire.http import BANNER, rpc_error_head, success_head
from tests.oracle.fold import Connection, FoldError, connections_from_segments, fold

VC, OTHER_VC, IN, OUT, GROUP = (bytes([number]) * 16 for number in range(1, 6))
A1 = rts.conn_a1(VC, OUT, 65536).encode()
A2 = rts.conn_a2(VC, OUT, 1 << 30, 65536).encode()
A3 = rts.conn_a3(120_000).encode()
B1 = rts.conn_b1(VC, IN, 1 << 30, 300_000, GROUP).encode()
B2 = rts.conn_b2(VC, IN, 65536, 120_000, GROUP, "127.0.0.1").encode()
B3 = rts.conn_b3(65536).encode()
C1 = rts.conn_c1(65536, 120_000).encode()
REQUEST = pdu.Request(1, 0, 1, b"request").encode()
RESPONSE = pdu.Response(1, 0, b"response").encode()

IN_HEAD = b"RPC_IN_DATA /rpc/rpcproxy.dll?mbx:6001 HTTP/1.1\r\ncontent-length: 1073741824\r\n\r\n"
OUT_HEAD = b"RPC_OUT_DATA /rpc/rpcproxy.dll?mbx:6001 HTTP/1.1\r\nContent-Length: 76\r\n\r\n"
CAS, STORE, PROXY = ("10.0.0.1", 80), ("10.0.0.2", 6001), ("10.0.0.3", 6001)


@dataclass
class Recording:
    """Writes the segments of several TCP connections in the order in which they go."""

    rows: list[tuple[str, ...]] = field(default_factory=list)
    sequences: dict[tuple[int, bool], int] = field(default_factory=dict)
    servers: list[tuple[str, int]] = field(default_factory=list)

    def open(self, server: tuple[str, int]) -> int:
        stream = len(self.servers)
        self.servers.append(server)
        for from_client, first in ((True, 1000), (False, (1 << 32) - 5)):  # one of them wraps round
            self.segment(stream, first, b"", from_client=from_client, syn=True)
            self.sequences[stream, from_client] = first + 1
        return stream

    def send(self, stream: int, *payloads: bytes, from_client: bool = True) -> None:
        for payload in payloads:
            self.segment(stream, self.sequences[stream, from_client], payload, from_client=from_client)
            self.sequences[stream, from_client] += len(payload)

    def segment(
        self, stream: int, sequence: int, payload: bytes, *, from_client: bool = True, syn: bool = False
    ) -> None:
        client, server = ("10.0.0.9", str(40000 + stream)), tuple(map(str, self.servers[stream]))
        ends = (*client, *server) if from_client else (*server, *client)
        frame = str(len(self.rows) + 1)
        row = (
            str(stream),
            frame,
            f"{frame}.5",
            *ends,
            str(int(syn)),
            str(sequence % (1 << 32)),
            payload.hex(),
        )
        self.rows.append(row)

    def connections(self) -> list[Connection]:
        return connections_from_segments(self.rows)

    def folded(self) -> list[tuple[str, bytes, list[tuple[bool, bytes]]]]:
        conversations = fold(self.connections())
        return [(one.hop, one.cookie, [(p.from_client, p.data) for p in one.pdus]) for one in conversations]


def test_both_channels_and_both_legs_are_joined_by_hop_and_cookie() -> None:
    recording = Recording()
    out, in_ = recording.open(CAS), recording.open(CAS)
    recording.send(in_, IN_HEAD)
    recording.send(out, OUT_HEAD + A1)
    out_leg = recording.open(STORE)
    recording.send(out_leg, BANNER, from_client=False)
    recording.send(out_leg, A2)
    recording.send(out, success_head() + A3, from_client=False)
    recording.send(in_, B1 + REQUEST)
    in_leg = recording.open(STORE)
    recording.send(in_leg, BANNER + B3[:5], B3[5:], from_client=False)
    recording.send(in_leg, B2, REQUEST)
    recording.send(out_leg, C1 + RESPONSE, from_client=False)
    recording.send(out, C1, RESPONSE, from_client=False)
    assert recording.folded() == [
        (
            "http",
            VC,
            [(True, A1), (False, A3), (True, B1), (True, REQUEST), (False, C1), (False, RESPONSE)],
        ),
        (
            "10.0.0.2:6001",
            VC,
            [(True, A2), (False, B3), (True, B2), (True, REQUEST), (False, C1), (False, RESPONSE)],
        ),
    ]


def test_each_hop_behind_the_proxy_is_a_conversation_of_its_own() -> None:
    recording = Recording()
    for server in (PROXY, STORE):
        recording.send(recording.open(server), A2)
    assert [hop for hop, _, _ in recording.folded()] == ["10.0.0.3:6001", "10.0.0.2:6001"]


@pytest.mark.parametrize("size", [1, 3, 16, 1000])
def test_chunks_and_segments_may_be_cut_anywhere(size: int) -> None:
    recording = Recording()
    out = recording.open(CAS)
    body = A3 + C1 + RESPONSE
    chunks = b"".join(
        b"%x;ext\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)
    )
    received = success_head(None) + chunks + b"0\r\n\r\n"
    recording.send(out, OUT_HEAD + A1)
    recording.send(
        out, *(received[at : at + size] for at in range(0, len(received), size)), from_client=False
    )
    ((_, _, pdus),) = recording.folded()
    assert pdus == [(True, A1), (False, A3), (False, C1), (False, RESPONSE)]


def test_a_pdu_has_the_time_of_its_last_byte() -> None:
    recording = Recording()
    leg = recording.open(STORE)
    recording.send(leg, A2[:20], A2[20:] + REQUEST[:10], REQUEST[10:])
    (conversation,) = fold(recording.connections())
    assert [(p.frame, p.time_s) for p in conversation.pdus] == [(4, 4.5), (5, 5.5)]


def test_rounds_of_authentication_are_left_out() -> None:
    recording = Recording()
    out = recording.open(CAS)
    first = b"RPC_OUT_DATA /rpc/rpcproxy.dll HTTP/1.1\r\nAuthorization: NTLM x\r\nContent-Length: 0\r\n\r\n"
    refusal = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nbody"
    recording.send(out, first)
    recording.send(out, refusal, from_client=False)
    recording.send(out, OUT_HEAD, A1)
    recording.send(out, b"HTTP/1.1 100 Continue\r\n\r\n" + success_head() + A3, from_client=False)
    ((_, _, pdus),) = recording.folded()
    assert pdus == [(True, A1), (False, A3)]


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (IN_HEAD, b""),
        (OUT_HEAD.replace(b"76", b"4") + b"echo", success_head(20) + rts.echo().encode()),
        (OUT_HEAD, b"HTTP/1.1 401 Unauthorized\r\n\r\n<html>"),
        (b"GET /counters HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n{}"),
        (b"", b""),
    ],
)
def test_connections_without_pdus_of_the_client_are_left_out(sent: bytes, received: bytes) -> None:
    recording = Recording()
    stream = recording.open(CAS)
    recording.send(stream, sent)
    recording.send(stream, received, from_client=False)
    assert recording.folded() == []


def test_an_error_in_mid_stream_ends_the_channel() -> None:
    recording = Recording()
    out = recording.open(CAS)
    recording.send(out, OUT_HEAD + A1)
    recording.send(out, success_head() + A3 + rpc_error_head(0x6BA) + b"RPC EEInfo:", from_client=False)
    ((_, _, pdus),) = recording.folded()
    assert pdus == [(True, A1), (False, A3)]


@pytest.mark.parametrize("kept", [1, 12, len(REQUEST) - 1])
def test_a_pdu_that_the_end_cut_short_is_left_out(kept: int) -> None:
    recording = Recording()
    recording.send(recording.open(STORE), A2 + REQUEST[:kept])
    ((_, _, pdus),) = recording.folded()
    assert pdus == [(True, A2)]


def test_rpc_over_a_connection_of_its_own_is_not_joined() -> None:
    recording = Recording()
    for _ in range(2):
        recording.send(recording.open(STORE), REQUEST)
    assert [pdus for _, _, pdus in recording.folded()] == [[(True, REQUEST)]] * 2


def test_bytes_that_come_again_count_once() -> None:
    recording = Recording()
    leg = recording.open(STORE)
    recording.send(leg, A2[:40])
    recording.segment(leg, 1001, A2[:40])
    recording.segment(leg, 1021, A2[20:])
    ((_, _, pdus),) = recording.folded()
    assert pdus == [(True, A2)]


def test_missing_segments_are_an_error() -> None:
    recording = Recording()
    leg = recording.open(STORE)
    recording.segment(leg, 1011, A2[10:])
    with pytest.raises(FoldError, match="frame 3: the 10 bytes before it"):
        recording.connections()


def test_connections_that_were_open_before_are_left_out() -> None:
    recording = Recording()
    recording.send(recording.open(STORE), A2)
    del recording.rows[:2]
    assert recording.connections() == []


@pytest.mark.parametrize(("from_client", "side"), [(True, "client"), (False, "server")])
def test_bytes_that_begin_no_pdu_are_an_error(from_client: bool, side: str) -> None:
    recording = Recording()
    leg = recording.open(STORE)
    recording.send(leg, A2)
    recording.send(leg, A3 + b"\0" + A3, from_client=from_client)
    with pytest.raises(FoldError, match=f"stream 0: the {side}'s byte"):
        recording.folded()
