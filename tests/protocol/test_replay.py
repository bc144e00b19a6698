"""Conversations with a real server: its half is fed to our client, our half compared with the recorded one.

The recorded client was impacket 0.13.1. Its bind offers other fragment sizes and one context only, and shares
its call_id with the first request; all else has to agree to the byte.
"""

from collections.abc import Iterator

import pytest

from loadgen.protocol.association import Association
from loadgen.protocol.events import CallReturned, ContextsAccepted, Event
from loadgen.protocol.http_authentication import BasicAuthentication
from loadgen.protocol.rts_options import Cookies, RtsOptions
from loadgen.protocol.rts_states import State
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire.http import parse_basic
from loadgen.wire.pdu import Bind, Request, Response
from loadgen.wire.rts import AssociationGroupId, Cookie, RtsPdu

from .conftest import Said

NOW = 0.0


def split_pdus(stream: bytes) -> Iterator[bytes]:
    while stream:
        size = int.from_bytes(stream[8:10], "little")
        yield stream[:size]
        stream = stream[size:]


class Recorded:
    """What both sides said, taken apart without the code under test."""

    def __init__(self, conversation: list[Said]) -> None:
        said = {
            (channel, by_client): b"".join(
                part.data for part in conversation if (part.channel, part.by_client) == (channel, by_client)
            )
            for channel in ("IN", "OUT")
            for by_client in (True, False)
        }
        self.in_head, _, in_body = said["IN", True].partition(b"\r\n\r\n")
        self.out_head, _, self.a1 = said["OUT", True].partition(b"\r\n\r\n")
        self.b1, self.bind, *self.requests = split_pdus(in_body)
        head, _, body = said["OUT", False].partition(b"\r\n\r\n")
        a3, c2, self.bind_ack, *self.answers = split_pdus(body)
        self.opening = head + b"\r\n\r\n" + a3 + c2
        assert said["IN", False] == b""

    def credentials(self) -> tuple[str, str]:
        value = self.in_head.partition(b"Authorization: ")[2].partition(b"\r\n")[0]
        return parse_basic(value.decode())

    def cookies(self) -> Cookies:
        commands = RtsPdu.decode(self.a1).commands + RtsPdu.decode(self.b1).commands
        vc, out_cookie, _, in_cookie = (c.cookie for c in commands if isinstance(c, Cookie))
        (group,) = (c.group_id for c in commands if isinstance(c, AssociationGroupId))
        return Cookies(vc, in_cookie, out_cookie, group)

    def target(self) -> tuple[str, int]:
        server, _, port = self.in_head.split()[1].decode().partition("?")[2].rpartition(":")
        return server, int(port)


class Client:
    """Our client, hearing what it is fed in pieces of ``size`` bytes."""

    def __init__(self, recorded: Recorded, size: int) -> None:
        authentication = BasicAuthentication(*recorded.credentials())
        self.size = size
        self.association = Association()
        self.connection = VirtualConnectionClient(
            *recorded.target(),
            "127.0.0.1:8880",
            lambda: authentication,
            NOW,
            RtsOptions(receive_window=262_144),
            recorded.cookies(),
        )

    def hear(self, data: bytes) -> list[Event]:
        events = []
        channel = self.connection.out_channel
        for start in range(0, len(data), self.size):
            for pdu in self.connection.receive_data(channel, data[start : start + self.size], NOW):
                events += self.association.receive_pdu(pdu)
        return events

    def said(self) -> bytes:
        for pdu in self.association.pdus_to_send():
            self.connection.send_pdu(pdu, NOW)
        return self.connection.in_channel.data_to_send()


def headers(head: bytes) -> tuple[bytes, set[bytes]]:
    """Request line and headers, in no order; impacket has one more."""
    line, *fields = head.split(b"\r\n")
    return line, {field for field in fields if not field.startswith(b"Accept-Encoding")}


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("name", ["rfr-basic", "emsmdb-basic", "nspi-basic"])
def test_replay(conversation, name, size):
    recorded = Recorded(conversation(name))
    client = Client(recorded, size)
    in_head, _, b1 = client.said().partition(b"\r\n\r\n")
    out_head, _, a1 = client.connection.out_channel.data_to_send().partition(b"\r\n\r\n")
    assert headers(in_head) == headers(recorded.in_head)
    assert headers(out_head) == headers(recorded.out_head)
    assert (a1, b1) == (recorded.a1, recorded.b1)

    assert client.hear(recorded.opening) == []
    assert client.connection.state is State.OPEN
    bind = Bind.decode(recorded.bind)
    interface = bind.contexts[0].abstract_syntax
    client.association.bind([interface])
    ours = Bind.decode(client.said())
    assert (ours.call_id, ours.contexts[0]) == (bind.call_id, bind.contexts[0])
    assert client.hear(recorded.bind_ack) == [ContextsAccepted()]

    client.association._last_call_id = Request.decode(recorded.requests[0]).call_id - 1
    answers = iter(recorded.answers)
    for pdu in recorded.requests:
        request = Request.decode(pdu)
        context_id = client.association.context_id(interface)
        call_id = client.association.call(context_id, request.opnum, request.stub)
        assert client.said() == pdu
        stub, events = b"", []
        while not events:
            answer = next(answers)
            stub += Response.decode(answer).stub
            events = client.hear(answer)
        assert events == [CallReturned(call_id, stub)]
    assert next(answers, None) is None
