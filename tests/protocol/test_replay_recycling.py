"""Channels that a real server recycled: its half is fed to our client, our half compared with the record.

The recorded client is impacket 0.13.1 with recycling written by hand: it replaced the IN channel after 15192
bytes, and left when the OUT channel was to be replaced for the third time.
"""

import pytest

from loadgen.protocol.http_authentication import BasicAuthentication
from loadgen.protocol.rts_options import RtsOptions
from loadgen.protocol.virtual_connection import VirtualConnectionClient
from loadgen.wire.pdu import PduType, pdu_type
from loadgen.wire.rts import Cookie, RtsPdu

from .test_replay import Recorded, headers, split_pdus

NOW = 0.0
LIFETIME = 1 << 30


class Replay:
    """Our client in the place of the recorded one."""

    def __init__(self, conversation, monkeypatch, margin: int) -> None:
        self.conversation = conversation
        self.bodies = self._bodies()
        ports = list(self.bodies)
        first = Recorded([said for said in conversation if said.port in ports[:2]])
        successors = [self._successor(port) for port in ports[2:]]
        monkeypatch.setattr(
            "loadgen.protocol.virtual_connection.urandom",
            lambda size: successors.pop(0) if successors else bytes(size),
        )
        authentication = BasicAuthentication(*first.credentials())
        self.client = VirtualConnectionClient(
            *first.target(),
            "exch.example.test",
            lambda: authentication,
            NOW,
            RtsOptions(recycle_margin=margin),
            first.cookies(),
        )
        self.channels = {}
        self.heads = {}
        self.said = dict.fromkeys(ports, b"")

    def _bodies(self) -> dict[int, tuple[bytes, list[bytes]]]:
        """Head and PDUs of each channel of the recorded client."""
        streams: dict[int, bytes] = {}
        for said in self.conversation:
            if said.by_client:
                streams[said.port] = streams.get(said.port, b"") + said.data
        parts = {port: stream.partition(b"\r\n\r\n") for port, stream in streams.items()}
        return {port: (head, list(split_pdus(body))) for port, (head, _, body) in parts.items()}

    def _successor(self, port: int) -> bytes:
        _, _, successor = (
            c for c in RtsPdu.decode(self.bodies[port][1][0]).commands if isinstance(c, Cookie)
        )
        return successor.cookie

    def run(self) -> list[bytes]:
        """The RPC PDUs that the server said."""
        heard = []
        for said in self.conversation:
            if said.port not in self.channels:
                known = self.channels.values()
                new = (c for c in self.client.channels if c.name == said.channel and c not in known)
                self.channels[said.port] = next(new)
            if said.by_client:
                self._say(said.data)
            else:
                heard += self.client.receive_data(self.channels[said.port], said.data, NOW)
            for port, channel in self.channels.items():
                self.said[port] += channel.data_to_send()
        return heard

    def _say(self, data: bytes) -> None:
        """The caller's part of it: RPC PDUs."""
        if data.startswith(b"RPC_"):
            data = data.partition(b"\r\n\r\n")[2]
        for pdu in split_pdus(data):
            if pdu_type(pdu) != PduType.RTS:
                self.client.send_pdu(pdu, NOW)


@pytest.mark.parametrize(
    ("name", "margin", "channels"),
    [("patched-out-recycle", 4096, "OUT IN OUT OUT"), ("patched-in-recycle", LIFETIME - 15192, "OUT IN IN")],
)
def test_replay(conversation, monkeypatch, name, margin, channels):
    recorded = conversation(name)
    replay = Replay(recorded, monkeypatch, margin)
    heard = replay.run()
    assert [replay.channels[port].name for port in replay.bodies] == channels.split()
    for port, (head, pdus) in replay.bodies.items():
        our_head, _, our_body = replay.said[port].partition(b"\r\n\r\n")
        assert headers(our_head) == headers(head)
        assert our_body == b"".join(pdus)
    down = {}
    for said in recorded:
        if not said.by_client:
            down[said.port] = down.get(said.port, b"") + said.data
    pdus = [pdu for stream in down.values() for pdu in split_pdus(stream.partition(b"\r\n\r\n")[2])]
    assert heard == [pdu for pdu in pdus if pdu_type(pdu) != PduType.RTS]
